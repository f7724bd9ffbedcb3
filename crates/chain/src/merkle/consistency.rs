use super::{node, split};
use crate::format::Digest;

/// Proof that a tree is the beginning of a later one (RFC 9162, 2.1.4, with this ledger's hashes): nothing that was signed
/// earlier was changed later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsistencyProof {
    /// Size of the earlier tree.
    pub old: u64,
    /// Size of the later tree.
    pub new: u64,
    /// The nodes, from the bottom up.
    pub hashes: Vec<Digest>,
}

impl ConsistencyProof {
    /// Whether the proof connects the two roots.
    #[must_use]
    pub fn verify(&self, old_root: &Digest, new_root: &Digest) -> bool {
        self.roots(old_root).is_some_and(|(old, new)| old == *old_root && new == *new_root)
    }

    /// Both roots as the proof has them. Walks down as the prover did, then folds up.
    fn roots(&self, old_root: &Digest) -> Option<(Digest, Digest)> {
        if self.old == 0 || self.old > self.new {
            return None;
        }
        let (mut start, mut end) = (0, self.new);
        let mut steps = Vec::new();
        while end > self.old {
            let middle = start + split(end - start);
            let right = self.old <= middle;
            steps.push(right);
            if right {
                end = middle;
            } else {
                start = middle;
            }
        }
        let mut hashes = self.hashes.iter();
        let first = if steps.iter().all(|right| *right) { old_root } else { hashes.next()? };
        let (mut old, mut new) = (*first, *first);
        for right in steps.into_iter().rev() {
            let hash = hashes.next()?;
            if right {
                new = node(&new, hash);
            } else {
                old = node(hash, &old);
                new = node(hash, &new);
            }
        }
        hashes.next().is_none().then_some((old, new))
    }
}
