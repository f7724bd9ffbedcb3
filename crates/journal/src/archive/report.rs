//! What builds, status and vacuum report.

use std::fmt;
use std::path::PathBuf;

use crate::line::Kind;

/// What a build did (specification §6.4).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BuildReport {
    /// Bytes of the lines that parsed.
    pub scanned_bytes: u64,
    /// Turn lines, repeated ones included.
    pub turns_applied: u64,
    /// Distinct session ids among turns, stamps, and turns that stamps changed.
    pub sessions_touched: u64,
    /// Stamp lines.
    pub stamps_applied: u64,
    /// Compaction lines.
    pub compactions_applied: u64,
    /// Tool-result events.
    pub tool_result_events_applied: u64,
    /// A full rebuild was asked for.
    pub rebuilt_from_zero: bool,
    /// The ledger is not the one that was archived, or was rewritten: the archive was made anew from all of it.
    pub ledger_rewritten: bool,
    /// Lines of a known kind that cannot be archived. They were left out; everything else is in.
    pub skipped_lines: u64,
    /// The first of them, at most [`MAX_SKIPPED_LISTED`].
    pub skipped: Vec<SkippedLine>,
    /// Lines that are no JSON at all; they never count as skipped, as in the original.
    pub malformed_lines: u64,
}

/// How many skipped lines a report lists; the others are only counted.
pub const MAX_SKIPPED_LISTED: usize = 20;

/// A line that could not be archived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SkippedLine {
    /// Where it begins in the ledger, in bytes.
    pub offset: u64,
    /// Its kind.
    pub kind: Kind,
    /// What is wrong with it.
    pub problem: Problem,
}

impl fmt::Display for SkippedLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} line at byte {}: {}", self.kind.name(), self.offset, self.problem)
    }
}

/// What is wrong with a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Problem {
    /// A member that the archive needs is not there.
    #[error("member `{0}` is missing")]
    Missing(&'static str),
    /// A member that the archive needs is null.
    #[error("member `{0}` is null")]
    Null(&'static str),
    /// A member is neither text nor number where only these can be stored.
    #[error("member `{0}` is of the wrong type")]
    WrongType(&'static str),
}

/// The state of the archive (specification §6.7).
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// Its file.
    pub archive_path: PathBuf,
    /// Whether it is there.
    pub exists: bool,
    /// Version of its schema.
    pub archive_version: i64,
    /// How much of the ledger it has, in bytes.
    pub ledger_offset_bytes: u64,
    /// When the ledger was last changed, seen at the last build; milliseconds since 1970.
    pub ledger_mtime_ms: i64,
    /// Length of the ledger now.
    pub ledger_size_bytes: u64,
    /// When the ledger was last changed; milliseconds since 1970.
    pub ledger_mtime_ms_current: i64,
    /// The archive has all of the ledger.
    pub up_to_date: bool,
    /// Time of the last build.
    pub last_built_at: Option<String>,
    /// Time of the last full rebuild.
    pub last_rebuild_at: Option<String>,
    /// Rows per table.
    pub rows: RowCounts,
    /// Number of turns per fidelity class, in byte order of the class; `unknown` are those without one.
    pub fidelity: Vec<(String, u64)>,
}

/// Rows per table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RowCounts {
    /// `sessions`
    pub sessions: u64,
    /// `turns`
    pub turns: u64,
    /// `tool_calls`
    pub tool_calls: u64,
    /// `tool_result_events`
    pub tool_result_events: u64,
    /// `compactions`
    pub compactions: u64,
}

/// What a vacuum did (specification §6.8).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VacuumReport {
    /// The archive's file.
    pub archive_path: PathBuf,
    /// Whether it was there.
    pub existed: bool,
    /// Its size before.
    pub before_bytes: u64,
    /// Its size after.
    pub after_bytes: u64,
}

impl VacuumReport {
    /// What was gained; negative when the file grew.
    pub fn reclaimed_bytes(&self) -> i64 {
        let [before, after] =
            [self.before_bytes, self.after_bytes].map(|size| i64::try_from(size).unwrap_or(i64::MAX));
        before - after
    }
}
