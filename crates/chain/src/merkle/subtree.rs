use super::node;
use crate::format::Digest;

/// A perfect subtree: 2^`height` leaves, the first of which has an index that is a multiple of that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subtree {
    pub(crate) height: u32,
    pub(crate) root: Digest,
}

/// Appends the largest perfect subtrees that tile a run of leaves, of which the first has the index `first`. Needs no other
/// part of the tree, so that runs can be hashed at the same time.
pub(crate) fn tile(first: u64, leaves: impl Iterator<Item = Digest>, out: &mut Vec<Subtree>) {
    let run = out.len();
    for (index, leaf) in (first..).zip(leaves) {
        let end = index.saturating_add(1);
        let mut subtree = Subtree { height: 0, root: leaf };
        while end.trailing_zeros() > subtree.height
            && let Some(left) = out.get(run..).and_then(<[Subtree]>::last)
            && left.height == subtree.height
        {
            subtree =
                Subtree { height: subtree.height.saturating_add(1), root: node(&left.root, &subtree.root) };
            out.pop();
        }
        out.push(subtree);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::merkle::Peaks;

    fn leaf(index: u64) -> Digest {
        crate::crypto::sha256(&index.to_le_bytes())
    }

    proptest! {
        #[test]
        fn tiles_of_any_runs_make_the_tree_that_single_leaves_make(runs in prop::collection::vec(0u64..40, 0..12)) {
            let (mut tiled, mut plain) = (Peaks::ledger(), Peaks::ledger());
            for count in runs {
                let first = plain.size();
                let mut tiles = Vec::new();
                tile(first, (first..first + count).map(leaf), &mut tiles);
                prop_assert!(tiles.len() <= 2 * (64 - count.leading_zeros() as usize));
                tiles.into_iter().for_each(|tile| tiled.append_subtree(tile));
                (first..first + count).for_each(|index| plain.append(leaf(index)));
                prop_assert_eq!(&tiled, &plain);
            }
        }
    }
}
