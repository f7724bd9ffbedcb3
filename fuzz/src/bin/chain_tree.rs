//! Arbitrary bytes as a recorded Merkle tree: an error or a tree, never a panic; a tree is written back into the same bytes, and
//! every path and consistency proof that it gives leads to its root.
#![no_main]

use ledger_chain::merkle::Tree;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok(tree) = Tree::decode(input) else { return };
    assert_eq!(tree.encode(), input);
    let (root, size) = (tree.root(), tree.size());
    assert_eq!(tree.root_at(size), Some(root));
    assert_eq!(tree.path(size, size), None);
    for leaf in tree.first_kept()..size {
        let path = tree.path(leaf, size).expect("the leaf is kept");
        assert_eq!(path.root(&tree.leaf(leaf).expect("the leaf is kept")), root);
    }
    for old in tree.first_kept().max(1)..=size {
        let proof = tree.consistency(old, size).expect("the leaves behind it are kept");
        assert!(proof.verify(&tree.root_at(old).expect("the leaves behind it are kept"), &root));
    }
    let mut longer = tree.clone();
    longer.append([7; 32]);
    assert_eq!(longer.root_at(size), Some(root));
    assert!(longer.truncate(size));
    assert_eq!(longer, tree);
});
