//! The compact form of a tree, stored with every signature. Big-endian, unlike everything else in a ledger.
//!
//! | field | content |
//! |---|---|
//! | `u64` | n, number of leaves kept |
//! | `u64` | f, number of leaves flushed, which is the index of the first one kept |
//! | 32·n | leaves f … f+n-1 |
//! | 32·popcount(f) | roots of the flushed perfect subtrees, smallest first |
//!
//! The tree of a ledger's first signature at sequence number 2 (leaf 0 is zeros), checked by a test:
//!
//! ```text
//! 00 00 00 00 00 00 00 02  00 00 00 00 00 00 00 00   n = 2, f = 0
//! 00 × 32                                            leaf 0
//! d0 75 e4 73 d3 96 89 fa … e7 81 22 3e ba           leaf 1
//! ```

use super::{ConsistencyProof, Path, Peaks, Sibling, node, split};
use crate::format::{Cursor, Digest, FormatError};

const MAP: &str = "public:ccf.internal.tree";

const HEADER_BYTES: usize = 16;

fn header(flushed: &Peaks, leaves: &[Digest]) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let (kept, first) = header.split_at_mut(8);
    kept.copy_from_slice(&(leaves.len() as u64).to_be_bytes());
    first.copy_from_slice(&flushed.size().to_be_bytes());
    header
}

/// A Merkle tree that keeps the leaves from some index on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    flushed: Peaks,
    leaves: Vec<Digest>,
    head: Peaks,
}

impl Tree {
    /// The tree of an empty ledger: leaf 0, kept.
    #[must_use]
    pub fn ledger() -> Self {
        Self { flushed: Peaks::new(), leaves: vec![[0; 32]], head: Peaks::ledger() }
    }

    /// A tree of which no leaf is kept.
    #[must_use]
    pub fn from_peaks(peaks: Peaks) -> Self {
        Self { flushed: peaks.clone(), leaves: Vec::new(), head: peaks }
    }

    /// Number of leaves.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.head.size()
    }

    /// Index of the first leaf that is kept.
    #[must_use]
    pub fn first_kept(&self) -> u64 {
        self.flushed.size()
    }

    /// The tree without leaves, as it is now.
    #[must_use]
    pub fn peaks(&self) -> &Peaks {
        &self.head
    }

    /// Adds a leaf.
    pub fn append(&mut self, leaf: Digest) {
        self.leaves.push(leaf);
        self.head.append(leaf);
    }

    /// The root.
    #[must_use]
    pub fn root(&self) -> Digest {
        self.head.root()
    }

    /// A leaf, if it is kept.
    #[must_use]
    pub fn leaf(&self, index: u64) -> Option<Digest> {
        let at = index.checked_sub(self.first_kept())?;
        self.leaves.get(usize::try_from(at).ok()?).copied()
    }

    /// The leaves that are kept; the first has the index [`first_kept`](Self::first_kept).
    #[must_use]
    pub fn leaves(&self) -> &[Digest] {
        &self.leaves
    }

    /// Forgets the leaves below `past.size()`. `past` must be this tree at an earlier size; nothing happens if it lies before
    /// the first leaf kept or behind the end.
    pub fn flush(&mut self, past: &Peaks) {
        let drop = past.size().checked_sub(self.first_kept()).and_then(|count| usize::try_from(count).ok());
        if let Some(drop) = drop.filter(|drop| *drop <= self.leaves.len()) {
            self.leaves.drain(..drop);
            self.flushed = past.clone();
        }
    }

    /// The root at an earlier size. `None` if the size lies before the first leaf kept or behind the end.
    #[must_use]
    pub fn root_at(&self, size: u64) -> Option<Digest> {
        (size > 0 && size >= self.first_kept() && size <= self.size()).then(|| self.range(0, size))?
    }

    /// Cuts the tree back to an earlier size; `false` if that is not possible.
    pub fn truncate(&mut self, size: u64) -> bool {
        let keep = size.checked_sub(self.first_kept()).and_then(|keep| usize::try_from(keep).ok());
        let Some(keep) = keep.filter(|keep| *keep <= self.leaves.len()) else { return false };
        self.leaves.truncate(keep);
        self.head = self.flushed.clone();
        self.leaves.iter().for_each(|leaf| self.head.append(*leaf));
        true
    }

    /// The path from a leaf to the root of the tree at `size`. `None` if the leaf is not kept or not in that tree.
    #[must_use]
    pub fn path(&self, leaf: u64, size: u64) -> Option<Path> {
        if leaf < self.first_kept() || leaf >= size || size > self.size() {
            return None;
        }
        let (mut start, mut end) = (0, size);
        let mut siblings = Vec::new();
        while end - start > 1 {
            let middle = start + split(end - start);
            if leaf < middle {
                siblings.push(Sibling::Right(self.range(middle, end)?));
                end = middle;
            } else {
                siblings.push(Sibling::Left(self.range(start, middle)?));
                start = middle;
            }
        }
        siblings.reverse();
        Some(Path { siblings })
    }

    /// Proof that the tree at `old` is the beginning of the tree at `new`. `None` unless
    /// `first_kept ≤ old ≤ new ≤ size` and `old > 0`.
    #[must_use]
    pub fn consistency(&self, old: u64, new: u64) -> Option<ConsistencyProof> {
        if old == 0 || old < self.first_kept() || old > new || new > self.size() {
            return None;
        }
        let (mut start, mut end) = (0, new);
        let mut hashes = Vec::new();
        let mut whole = true;
        while end > old {
            let middle = start + split(end - start);
            if old <= middle {
                hashes.push(self.range(middle, end)?);
                end = middle;
            } else {
                hashes.push(self.range(start, middle)?);
                start = middle;
                whole = false;
            }
        }
        if !whole {
            hashes.push(self.range(start, end)?);
        }
        hashes.reverse();
        Some(ConsistencyProof { old, new, hashes })
    }

    /// The root over leaves `start..end`, a node of the tree.
    fn range(&self, start: u64, end: u64) -> Option<Digest> {
        let first = self.first_kept();
        if end <= first {
            return self.flushed.peak(start, end).or_else(|| {
                let middle = start + split(end.checked_sub(start).filter(|count| *count > 1)?);
                Some(node(&self.range(start, middle)?, &self.range(middle, end)?))
            });
        }
        if start >= first {
            let from = usize::try_from(start - first).ok()?;
            let to = usize::try_from(end - first).ok()?;
            let mut peaks = Peaks::new();
            self.leaves.get(from..to)?.iter().for_each(|leaf| peaks.append(*leaf));
            return Some(peaks.root());
        }
        let middle = start + split(end - start);
        Some(node(&self.range(start, middle)?, &self.range(middle, end)?))
    }

    /// The compact form.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out =
            Vec::with_capacity(HEADER_BYTES + 32 * (self.leaves.len() + self.flushed.roots().len()));
        out.extend_from_slice(&header(&self.flushed, &self.leaves));
        out.extend_from_slice(self.leaves.as_flattened());
        out.extend(self.flushed.roots().iter().rev().flatten());
        out
    }

    /// Whether `bytes` are the compact form of the tree with these leaves behind the flushed ones: without hashing anything.
    pub(crate) fn is_encoding(bytes: &[u8], flushed: &Peaks, leaves: &[Digest]) -> bool {
        bytes
            .strip_prefix(&header(flushed, leaves))
            .and_then(|rest| rest.strip_prefix(leaves.as_flattened()))
            .is_some_and(|roots| {
                roots.len() == 32 * flushed.roots().len() && roots.chunks(32).eq(flushed.roots().iter().rev())
            })
    }

    /// Reads a compact form.
    ///
    /// # Errors
    /// A [`FormatError`]; also for a record that keeps no leaf although some were flushed.
    pub fn decode(bytes: &[u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(bytes);
        let kept = cursor.u64_be("number of leaves")?;
        let flushed = cursor.u64_be("number of flushed leaves")?;
        if kept == 0 || flushed.checked_add(kept).is_none() {
            let reason = format!("{kept} leaves behind {flushed} flushed ones are not a tree");
            return Err(FormatError::Value { map: MAP, reason });
        }
        let leaves = cursor.take("leaves", kept.saturating_mul(32))?;
        let roots = cursor.take("roots", u64::from(flushed.count_ones()) * 32)?;
        cursor.end("the tree")?;
        let leaves = leaves.as_chunks::<32>().0.to_vec();
        let roots = roots.as_chunks::<32>().0.iter().rev().copied().collect();
        let flushed = Peaks { size: flushed, roots };
        let mut head = flushed.clone();
        leaves.iter().for_each(|leaf| head.append(*leaf));
        Ok(Self { flushed, leaves, head })
    }
}
