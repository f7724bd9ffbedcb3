//! Names of chunk files.
//!
//! | name | meaning |
//! |---|---|
//! | `ledger_<S>` | open: entries from S on, committed or not |
//! | `ledger_<S>-<E>` | closed, the last entries not yet known to be committed |
//! | `ledger_<S>-<E>.committed` | closed, all committed, never changes again |
//! | `….recovery` | written while a disaster recovery was going on |
//! | `….ignored` | set aside by a writer |
//!
//! Numbers are decimal without leading zeros, start and end inclusive, the first is 1.

use std::fmt;

/// How far a chunk has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkState {
    /// Entries may be added and taken back.
    Open,
    /// The position table is written; entries may be taken back.
    Closed,
    /// Never changes again.
    Committed,
}

/// The name of a chunk, taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChunkName {
    /// First sequence number.
    pub start: u64,
    /// Last sequence number; an open chunk has none.
    pub end: Option<u64>,
    /// Whether it is committed.
    pub committed: bool,
    /// Whether it was written during a disaster recovery.
    pub recovery: bool,
}

/// What the name of a file in a ledger directory says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileName {
    /// A chunk.
    Chunk(ChunkName),
    /// Set aside by a writer; nobody reads it.
    Ignored,
    /// Not a file of a ledger.
    Stray,
}

impl ChunkName {
    /// An open chunk.
    #[must_use]
    pub fn open(start: u64) -> Self {
        Self { start, end: None, committed: false, recovery: false }
    }

    /// A closed chunk.
    #[must_use]
    pub fn closed(start: u64, end: u64) -> Self {
        Self { start, end: Some(end), committed: false, recovery: false }
    }

    /// A committed chunk.
    #[must_use]
    pub fn committed(start: u64, end: u64) -> Self {
        Self { start, end: Some(end), committed: true, recovery: false }
    }

    /// Its state.
    #[must_use]
    pub fn state(&self) -> ChunkState {
        match (self.end, self.committed) {
            (_, true) => ChunkState::Committed,
            (Some(_), false) => ChunkState::Closed,
            (None, false) => ChunkState::Open,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        let rest = name.strip_prefix("ledger_")?;
        let (rest, recovery) = strip(rest, ".recovery");
        let (rest, committed) = strip(rest, ".committed");
        let (start, end) = match rest.split_once('-') {
            Some((start, end)) => (number(start)?, Some(number(end)?)),
            None => (number(rest)?, None),
        };
        let ordered = end.is_none_or(|end| end >= start);
        (ordered && (end.is_some() || !committed)).then_some(Self { start, end, committed, recovery })
    }
}

fn strip<'a>(text: &'a str, suffix: &str) -> (&'a str, bool) {
    text.strip_suffix(suffix).map_or((text, false), |rest| (rest, true))
}

fn number(text: &str) -> Option<u64> {
    let plain = !text.starts_with('0') && text.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

impl fmt::Display for ChunkName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ledger_{}", self.start)?;
        if let Some(end) = self.end {
            write!(f, "-{end}")?;
        }
        f.write_str(if self.committed { ".committed" } else { "" })?;
        f.write_str(if self.recovery { ".recovery" } else { "" })
    }
}

impl FileName {
    /// Reads a file name (without folders).
    #[must_use]
    pub fn parse(name: &str) -> Self {
        if name.starts_with("ledger_") && name.ends_with(".ignored") {
            return Self::Ignored;
        }
        ChunkName::parse(name).map_or(Self::Stray, Self::Chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_alike() {
        for name in [
            "ledger_1",
            "ledger_3-14",
            "ledger_3-14.committed",
            "ledger_1-2.committed.recovery",
            "ledger_9.recovery",
        ] {
            let FileName::Chunk(chunk) = FileName::parse(name) else { panic!("{name}") };
            assert_eq!(chunk.to_string(), name);
        }
    }

    #[test]
    fn what_is_not_a_chunk_is_a_stray() {
        for name in [
            "ledger_",
            "ledger_0",
            "ledger_01",
            "ledger_5-4.committed",
            "ledger_1.committed",
            "ledger_1-2-3",
            "ledger_+1",
            "README",
            "ledger_1-",
            "ledger_-1",
            "ledger_99999999999999999999",
            "ledger_1-2.committed_prefix",
            "snapshot_1_2.committed",
        ] {
            assert_eq!(FileName::parse(name), FileName::Stray, "{name}");
        }
        assert_eq!(FileName::parse("ledger_1-2.committed.ignored"), FileName::Ignored);
    }
}
