//! Compares two folders of chunk files entry by entry, whatever their chunks are.

use std::io;

use ledger_fs::Dir;
use serde::Serialize;

use super::{Batch, Problem, Source, sequence};
use crate::{
    crypto::sha256,
    directory::list,
    format::{Entry, TxId},
};

/// How two ledgers relate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Comparison {
    /// Number of entries at the beginning that are byte for byte the same.
    pub common_entries: u64,
    /// The last of them.
    pub common_until: Option<TxId>,
    /// Where they part; `None` if they are the same.
    pub difference: Option<Difference>,
}

/// The first difference.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
#[non_exhaustive]
pub enum Difference {
    /// The left ledger ends here, the right one goes on.
    LeftEnds,
    /// The right ledger ends here, the left one goes on.
    RightEnds,
    /// Both have an entry with this number, and they differ.
    Entry {
        /// Position on the left, if readable.
        left: Option<TxId>,
        /// Position on the right, if readable.
        right: Option<TxId>,
        /// Hex SHA-256 of the left entry.
        left_digest: String,
        /// Hex SHA-256 of the right entry.
        right_digest: String,
    },
    /// The left ledger cannot be read on.
    LeftBroken(Problem),
    /// The right ledger cannot be read on.
    RightBroken(Problem),
}

struct Side<'a> {
    source: Source<'a>,
    broken: Option<Problem>,
    batch: Option<Batch>,
    index: usize,
}

impl<'a> Side<'a> {
    fn open(folder: &'a dyn Dir) -> io::Result<Self> {
        let (chunks, broken) = sequence(&list(folder)?, false, 1);
        Ok(Self { source: Source::new(folder, chunks), broken, batch: None, index: 0 })
    }

    fn advance(&mut self) -> Result<bool, Problem> {
        self.index = self.index.saturating_add(1);
        while self.batch.as_ref().is_none_or(|batch| self.index >= batch.starts.len()) {
            self.batch = self.source.next()?;
            self.index = 0;
            if self.batch.is_none() {
                return self.broken.take().map_or(Ok(false), Err);
            }
        }
        Ok(true)
    }

    fn entry(&self) -> &[u8] {
        self.batch.as_ref().map(|batch| batch.entry(self.index)).unwrap_or_default()
    }

    fn txid(&self) -> Option<TxId> {
        Entry::parse(self.entry()).ok().map(|(entry, _)| entry.txid())
    }
}

/// Compares two folders. Signatures are not checked; verify the folders for that.
///
/// # Errors
/// Only if a folder cannot be listed.
pub fn compare(left: &dyn Dir, right: &dyn Dir) -> io::Result<Comparison> {
    let (mut left, mut right) = (Side::open(left)?, Side::open(right)?);
    let mut comparison = Comparison { common_entries: 0, common_until: None, difference: None };
    loop {
        comparison.difference = match (left.advance(), right.advance()) {
            (Err(problem), _) => Some(Difference::LeftBroken(problem)),
            (_, Err(problem)) => Some(Difference::RightBroken(problem)),
            (Ok(false), Ok(false)) => None,
            (Ok(false), Ok(true)) => Some(Difference::LeftEnds),
            (Ok(true), Ok(false)) => Some(Difference::RightEnds),
            (Ok(true), Ok(true)) if left.entry() == right.entry() => {
                comparison.common_entries = comparison.common_entries.saturating_add(1);
                comparison.common_until = left.txid();
                continue;
            }
            (Ok(true), Ok(true)) => Some(Difference::Entry {
                left: left.txid(),
                right: right.txid(),
                left_digest: hex::encode(sha256(left.entry())),
                right_digest: hex::encode(sha256(right.entry())),
            }),
        };
        return Ok(comparison);
    }
}
