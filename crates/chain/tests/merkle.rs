//! The Merkle tree against recorded roots, and against the definition.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;

use common::{REAL, each_entry, expected, fixture};
use ledger_chain::{
    format::{Digest, PublicDomain, SINGLE_KEY},
    merkle::{Peaks, Tree},
};
use proptest::prelude::*;

const TREE: &str = "public:ccf.internal.tree";
const SIGNATURES: &str = "public:ccf.internal.signatures";

/// The definition: pair neighbours, an odd last node moves up.
fn root_by_definition(leaves: &[Digest]) -> Digest {
    use sha2::{Digest as _, Sha256};
    let mut level = leaves.to_vec();
    while level.len() > 1 {
        level = level
            .chunks(2)
            .map(|pair| if pair.len() == 2 { Sha256::digest(pair.concat()).into() } else { pair[0] })
            .collect();
    }
    level[0]
}

fn leaves(count: u64) -> Vec<Digest> {
    (0..count).map(|index| std::array::from_fn(|at| (index >> (8 * (at % 8))) as u8 ^ at as u8)).collect()
}

fn tree_of(leaves: &[Digest]) -> Tree {
    let mut tree = Tree::from_peaks(Peaks::new());
    leaves.iter().for_each(|leaf| tree.append(*leaf));
    tree
}

#[test]
fn recorded_roots_and_trees_of_real_ledgers_are_reproduced() {
    let mut signatures = 0;
    for ledger in REAL.iter().map(|name| format!("{name}/ledger")).chain(["valid/ledger".into()]) {
        let mut tree = Tree::ledger();
        each_entry(&fixture(&ledger), |entry| {
            let domain = PublicDomain::parse(entry.public).unwrap();
            for map in domain.maps() {
                let map = map.unwrap();
                let Some(Some(value)) = map.get(&SINGLE_KEY) else { continue };
                if map.name == SIGNATURES {
                    let value: serde_json::Value = serde_json::from_slice(value).unwrap();
                    assert_eq!(hex::encode(tree.root()), value["root"], "{ledger} {}", entry.txid());
                    signatures += 1;
                }
                if map.name == TREE {
                    let recorded = Tree::decode(value).unwrap();
                    assert_eq!(recorded.encode(), value);
                    assert_eq!((recorded.size(), recorded.root()), (tree.size(), tree.root()));
                    // The same record comes out of our own tree, flushed to the same point.
                    let mut peaks = Peaks::new();
                    tree.leaves()
                        .iter()
                        .take(recorded.first_kept() as usize)
                        .for_each(|leaf| peaks.append(*leaf));
                    let mut flushed = tree.clone();
                    flushed.flush(&peaks);
                    assert_eq!(flushed.encode(), value);
                }
            }
            tree.append(domain.leaf(&entry.write_set_digest()).unwrap());
        });
    }
    assert_eq!(signatures, 8 + 23 + 85 + 11);
}

#[test]
fn roots_of_the_valid_ledger_are_the_expected_ones() {
    let expected = expected();
    let mut tree = Tree::ledger();
    for transaction in expected["transactions"].as_array().unwrap() {
        if let Some(root) = transaction["root"].as_str() {
            assert_eq!(hex::encode(tree.root()), root);
        }
        tree.append(hex::decode(transaction["leaf"].as_str().unwrap()).unwrap().try_into().unwrap());
    }
}

#[test]
fn the_example_of_the_documentation_has_these_roots() {
    let mut tree = Tree::ledger();
    let leaf = |text: &str| -> Digest { hex::decode(text).unwrap().try_into().unwrap() };
    tree.append(leaf("d075e473d39689faa123f8aa54ad18ef112d3dd46251dda83ffca79e81223eba"));
    assert_eq!(hex::encode(tree.root()), "399e72350fa3361d906f75ad342636af7f945f944d97df870c4388ce2a62c1e0");
    // The hexdump of the compact form in the module documentation.
    let record = tree.encode();
    let head = [0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0];
    assert_eq!(record[..16], head);
    assert_eq!(record[16..48], [0; 32]);
    assert_eq!(record[48..56], [0xd0, 0x75, 0xe4, 0x73, 0xd3, 0x96, 0x89, 0xfa]);
    assert_eq!(record[76..], [0xe7, 0x81, 0x22, 0x3e, 0xba][1..]);
    tree.append(leaf("5bb6042f1b414a432ebfb25e5432c637cb6f649d4c89ff17f90159d697e2d041"));
    assert_eq!(hex::encode(tree.root()), "71a6b50fd98705a6a463cf518750269d5042dd5591cd6a34fe7fb820e1fb59c0");
}

#[test]
fn roots_at_every_size_follow_the_definition() {
    let leaves = leaves(130);
    let tree = tree_of(&leaves);
    for size in 1..=leaves.len() {
        assert_eq!(tree.root_at(size as u64).unwrap(), root_by_definition(&leaves[..size]));
    }
    assert_eq!(tree.root_at(0), None);
    assert_eq!(tree.root_at(131), None);
}

#[test]
fn every_path_leads_to_the_root_and_to_no_other() {
    let leaves = leaves(70);
    let tree = tree_of(&leaves);
    for size in 1..=leaves.len() {
        let root = root_by_definition(&leaves[..size]);
        for (index, leaf) in leaves[..size].iter().enumerate() {
            let path = tree.path(index as u64, size as u64).unwrap();
            assert_eq!(path.root(leaf), root);
            assert_ne!(path.root(&[1; 32]), root);
        }
    }
}

proptest! {
    #[test]
    fn a_flushed_tree_gives_the_same_answers(size in 1u64..300, flushed in 0u64..300, old in 0u64..300, leaf in 0u64..300) {
        let flushed = flushed % size;
        let (old, leaf) = (old % (size + 1), leaf % size);
        let all = leaves(size);
        let whole = tree_of(&all);
        let mut tree = whole.clone();
        tree.flush(tree_of(&all[..flushed as usize]).peaks());
        let tree = Tree::decode(&tree.encode()).unwrap();
        prop_assert_eq!(tree.first_kept(), flushed);
        prop_assert_eq!(tree.root(), whole.root());
        let kept = |at: u64| at >= flushed;
        prop_assert_eq!(tree.root_at(old).is_some(), old > 0 && kept(old));
        prop_assert!(tree.root_at(old).is_none() || tree.root_at(old) == whole.root_at(old));
        prop_assert_eq!(tree.path(leaf, size), kept(leaf).then(|| whole.path(leaf, size).unwrap()));
        let proof = tree.consistency(old, size);
        prop_assert_eq!(proof.is_some(), old > 0 && kept(old));
        if let Some(proof) = proof {
            let (old_root, root) = (whole.root_at(old).unwrap(), whole.root());
            prop_assert!(proof.verify(&old_root, &root));
            prop_assert!(old == size || !proof.verify(&[7; 32], &root));
            prop_assert!(!proof.verify(&old_root, &[7; 32]));
            for at in 0..proof.hashes.len() {
                let mut forged = proof.clone();
                forged.hashes[at][0] ^= 1;
                prop_assert!(!forged.verify(&old_root, &root));
                let mut short = proof.clone();
                short.hashes.remove(at);
                prop_assert!(!short.verify(&old_root, &root));
            }
        }
        let mut cut = tree;
        prop_assert_eq!(cut.truncate(old), kept(old));
        if kept(old) && old > 0 {
            prop_assert_eq!(Some(cut.root()), whole.root_at(old));
        }
    }
}

#[test]
fn records_that_are_no_tree_are_refused() {
    let mut tree = tree_of(&leaves(6));
    tree.flush(tree_of(&leaves(5)).peaks());
    let record = tree.encode();
    assert_eq!(record.len(), 16 + 32 * 3);
    for length in 0..record.len() {
        assert!(Tree::decode(&record[..length]).is_err());
    }
    assert!(Tree::decode(&[&record[..], &[0]].concat()).is_err());
    assert!(Tree::decode(&[[0; 8], [0, 0, 0, 0, 0, 0, 0, 1]].concat()).is_err());
    assert!(Tree::decode(&[[255; 8], [255; 8]].concat()).is_err());
}
