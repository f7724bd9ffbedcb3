//! The Merkle tree over a ledger.
//!
//! - Leaf 0 is 32 zero bytes; leaf `i` belongs to the entry with sequence number `i`
//!   ([`PublicDomain::leaf`](crate::format::PublicDomain::leaf)).
//! - A node is SHA-256(left ‖ right). Neighbours are paired from the left; an odd last node moves up as it is. (The shape of
//!   RFC 9162, without its prefixes for leaves and nodes.)
//! - A signature at sequence number T signs the root over leaves 0 … T-1, that is, of the tree of size T.
//!
//! [`Peaks`] is all that an appender needs: the roots of the perfect subtrees, a few hundred bytes for any length.
//! [`Tree`] also keeps the leaves since some point and so gives paths, past roots and consistency proofs behind it. It is what a
//! signature stores in the map `public:ccf.internal.tree` ([`Tree::encode`]), so a receipt for any entry needs nothing but the
//! signature that covers it.

mod consistency;
mod path;
mod peaks;
mod subtree;
mod tree;

pub use consistency::ConsistencyProof;
pub use path::{Path, Sibling};
pub use peaks::Peaks;
pub use tree::Tree;

pub(crate) use subtree::{Subtree, tile};

use crate::{crypto::sha256_parts, format::Digest};

pub(crate) fn node(left: &Digest, right: &Digest) -> Digest {
    sha256_parts([left, right])
}

/// The largest power of two below `count`, for a `count` of 2 or more.
pub(crate) fn split(count: u64) -> u64 {
    1 << (63 - count.saturating_sub(1).max(1).leading_zeros())
}
