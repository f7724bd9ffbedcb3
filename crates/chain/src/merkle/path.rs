use super::node;
use crate::format::Digest;

/// A neighbour on the way from a leaf to the root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sibling {
    /// The neighbour is the left operand.
    Left(Digest),
    /// The neighbour is the right operand.
    Right(Digest),
}

/// The way from a leaf to the root, from the bottom up. Levels where a node moves up alone have no sibling.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Path {
    /// The siblings.
    pub siblings: Vec<Sibling>,
}

impl Path {
    /// The root that this path leads to from a leaf.
    #[must_use]
    pub fn root(&self, leaf: &Digest) -> Digest {
        self.siblings.iter().fold(*leaf, |hash, sibling| match sibling {
            Sibling::Left(left) => node(left, &hash),
            Sibling::Right(right) => node(&hash, right),
        })
    }
}
