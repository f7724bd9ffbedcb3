use super::{Subtree, node};
use crate::format::Digest;

/// The roots of the perfect subtrees that tile a tree, largest first: enough to append and to know the root.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Peaks {
    pub(super) size: u64,
    pub(super) roots: Vec<Digest>,
}

impl Peaks {
    /// A tree without leaves.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// The beginning of every ledger: leaf 0.
    #[must_use]
    pub fn ledger() -> Self {
        Self { size: 1, roots: vec![[0; 32]] }
    }

    /// Puts a tree together again. `None` if the number of roots does not fit the size.
    #[must_use]
    pub fn from_parts(size: u64, roots: Vec<Digest>) -> Option<Self> {
        (roots.len() == size.count_ones() as usize).then_some(Self { size, roots })
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size
    }

    /// The subtree roots, largest subtree first.
    #[must_use]
    pub fn roots(&self) -> &[Digest] {
        &self.roots
    }

    /// Adds a leaf: one hash on average.
    pub fn append(&mut self, leaf: Digest) {
        self.append_subtree(Subtree { height: 0, root: leaf });
    }

    /// Adds all leaves of a perfect subtree. Its place in the tree must be here: the size is a multiple of its leaves.
    pub(crate) fn append_subtree(&mut self, subtree: Subtree) {
        let mut hash = subtree.root;
        for _ in 0..(self.size >> subtree.height).trailing_ones() {
            if let Some(left) = self.roots.pop() {
                hash = node(&left, &hash);
            }
        }
        self.roots.push(hash);
        self.size = self.size.saturating_add(1 << subtree.height);
    }

    /// The root; zeros for a tree without leaves.
    #[must_use]
    pub fn root(&self) -> Digest {
        let mut roots = self.roots.iter().rev();
        let first = roots.next().copied().unwrap_or_default();
        roots.fold(first, |right, left| node(left, &right))
    }

    /// The root of the perfect subtree over leaves `start..end`, if it is one of the peaks.
    pub(crate) fn peak(&self, start: u64, end: u64) -> Option<Digest> {
        let mut at = 0u64;
        for (bit, root) in (0..64).rev().filter(|bit| self.size >> bit & 1 == 1).zip(&self.roots) {
            let next = at.saturating_add(1 << bit);
            if at == start && next == end {
                return Some(*root);
            }
            at = next;
        }
        None
    }
}
