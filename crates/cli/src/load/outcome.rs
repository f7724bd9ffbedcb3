//! What became of a file: how much of it was stored, and if it was not stored to its end, why and how to go on.

use std::fmt;
use std::io;
use std::path::PathBuf;

use ledger_streams::StoreError;

use super::batch::{BadLine, Stopped};

/// What became of a file.
#[derive(Debug, Default)]
pub(crate) struct Loaded {
    /// Entries that were stored.
    pub(super) stored: u64,
    /// Entries that were there already.
    pub(super) duplicates: u64,
    pub(super) bad_lines: Option<(u64, PathBuf)>,
}

impl fmt::Display for Loaded {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(text, "{} entries", self.stored)?;
        if self.duplicates > 0 {
            write!(text, ", {} were there already", self.duplicates)?;
        }
        match &self.bad_lines {
            Some((lines, file)) if *lines > 0 => {
                write!(text, ", {lines} bad lines set aside in {}", file.display())
            }
            _ => Ok(()),
        }
    }
}

/// Why a file was not stored to its end, how far it was, and how to go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoadError {
    /// A line means nothing.
    #[error("line {line} of {file}: {problem}\n{progress}")]
    BadLine {
        /// The file.
        file: String,
        /// Number of the line, from 1.
        line: u64,
        /// What is wrong with it.
        problem: BadLine,
        /// How far it was stored.
        progress: Progress,
    },
    /// The input cannot be read, or its bad lines not be written.
    #[error("{file}: {reason}\n{progress}")]
    Stopped {
        /// The file.
        file: String,
        /// Why.
        reason: Stopped,
        /// How far it was stored.
        progress: Progress,
    },
    /// The store refused.
    #[error("{lines} of {file} {}: {source}\n{progress}", if outcome_unknown(source) { "may not be stored" } else { "were not stored" })]
    Refused {
        /// The file.
        file: String,
        /// Which lines.
        lines: LineRanges,
        /// Why.
        source: StoreError,
        /// How far it was stored.
        progress: Progress,
    },
    /// Ctrl+C.
    #[error("interrupted\n{progress}")]
    Interrupted {
        /// How far it was stored.
        progress: Progress,
    },
    /// The ids cannot be printed.
    #[error("the ids cannot be written to standard output: {source}\n{progress}")]
    Unprinted {
        /// Why not.
        source: io::Error,
        /// How far the file was stored.
        progress: Progress,
    },
    /// The reading thread ended without a word.
    #[error("{file}: reading it failed in a way that was not foreseen; please report this\n{progress}")]
    ReaderLost {
        /// The file.
        file: String,
        /// How far it was stored.
        progress: Progress,
    },
}

fn outcome_unknown(error: &StoreError) -> bool {
    matches!(error, StoreError::Backend(backend) if backend.outcome_unknown)
}

/// How far a file was stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Progress {
    /// Entries that this run has stored.
    pub(super) stored: u64,
    /// All lines up to this one have been dealt with.
    pub(super) through_line: u64,
    /// Some lines before `through_line` have not been stored.
    pub(super) has_holes: bool,
    /// A bad line was the reason.
    pub(super) bad_line: bool,
}

impl fmt::Display for Progress {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { stored, through_line, has_holes, bad_line } = *self;
        if stored == 0 {
            text.write_str("Nothing was stored. ")?;
        } else if has_holes {
            write!(text, "Stored: {stored} entries, from all other lines up to {through_line}. ")?;
        } else {
            write!(text, "Stored: {stored} entries, from the lines up to {through_line}. ")?;
        }
        let go_on = match (bad_line, has_holes) {
            (true, _) => "Correct the line, or set bad lines aside with --skip-bad FILE; then go on",
            (false, true) => "Store those lines by themselves; then go on",
            (false, false) => "Go on",
        };
        match through_line {
            0 => write!(text, "{go_on} from the beginning"),
            line => write!(text, "{go_on} with --skip-lines {line}"),
        }
    }
}

/// Numbers of lines, as text: `lines 3, 7 to 9`.
#[derive(Debug)]
pub(crate) struct LineRanges(pub(super) Vec<u64>);

impl fmt::Display for LineRanges {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lead = if self.0.len() == 1 { "line " } else { "lines " };
        for range in self.0.chunk_by(|line, next| line.saturating_add(1) == *next) {
            match range {
                [line] => write!(text, "{lead}{line}")?,
                [first, .., last] => write!(text, "{lead}{first} to {last}")?,
                [] => {}
            }
            lead = ", ";
        }
        Ok(())
    }
}
