//! How far the archive has got, and by what it recognises the ledger again.
//!
//! `archive_state` has the cursor. Its column `journal_state`, which other programs neither read nor write, adds in JSON:
//!
//! ```json
//! {"offset":230593,"builtAt":"2026-04-20T00:00:00.000Z","device":65024,"inode":1234,"tail":"0f1e2d3c4b5a6978",
//!  "turns":79,"classified":68,"userTurns":70,
//!  "rows":[9,78,123,101,6],"fidelity":{"full":20,"unknown":16}}
//! ```
//!
//! `tail` is the hash of the 4 KiB before `offset`. When another program has moved the cursor since, `offset` and `builtAt`
//! differ from the row's, and the counts are not used any more; device, inode and tail still are.

use std::collections::BTreeMap;
use std::io;

use ledger_fs::{File, FileId, read_exact_at};
use rusqlite::{Connection, OptionalExtension as _, params};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::report::RowCounts;
use super::rows::LineCounts;

const TAIL_BYTES: u64 = 4096;

/// The row of `archive_state`.
#[derive(Clone, Debug, Default)]
pub(super) struct State {
    pub(super) offset: u64,
    pub(super) mtime_ms: i64,
    pub(super) last_built_at: Option<String>,
    pub(super) last_rebuild_at: Option<String>,
    pub(super) journal: Option<Journal>,
}

/// The column `journal_state`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Journal {
    pub(super) offset: u64,
    pub(super) built_at: String,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) tail: String,
    /// Counts, unless another program has built meanwhile.
    #[serde(flatten)]
    pub(super) counts: Option<Counts>,
}

/// What status shows without counting.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Counts {
    turns: u64,
    classified: u64,
    user_turns: u64,
    /// sessions, turns, tool_calls, tool_result_events, compactions
    rows: [u64; 5],
    pub(super) fidelity: BTreeMap<String, i64>,
}

impl Counts {
    pub(super) fn new(lines: LineCounts, rows: RowCounts, fidelity: BTreeMap<String, i64>) -> Self {
        let rows = [rows.sessions, rows.turns, rows.tool_calls, rows.tool_result_events, rows.compactions];
        Self {
            turns: lines.turns,
            classified: lines.classified,
            user_turns: lines.user_turns,
            rows,
            fidelity,
        }
    }

    pub(super) const fn lines(&self) -> LineCounts {
        LineCounts {
            turns: self.turns,
            classified: self.classified,
            user_turns: self.user_turns,
            malformed: 0,
        }
    }

    pub(super) const fn rows(&self) -> RowCounts {
        let [sessions, turns, tool_calls, tool_result_events, compactions] = self.rows;
        RowCounts { sessions, turns, tool_calls, tool_result_events, compactions }
    }
}

impl State {
    /// Reads the row; `None` when the archive has none.
    pub(super) fn read(db: &Connection) -> rusqlite::Result<Option<Self>> {
        let journal = "SELECT journal_state FROM archive_state WHERE id = 1";
        // An archive of another program has no such column.
        let journal: Option<String> = match db.prepare(journal) {
            Ok(mut statement) => statement.query_row([], |row| row.get(0)).optional()?.flatten(),
            Err(_) => None,
        };
        let mut statement = db.prepare(
            "SELECT ledger_offset_bytes, ledger_mtime_ms, last_built_at, last_rebuild_at
             FROM archive_state WHERE id = 1",
        )?;
        let state = statement.query_row([], |row| {
            let offset: i64 = row.get(0)?;
            Ok(Self {
                offset: u64::try_from(offset).unwrap_or(0),
                mtime_ms: row.get(1)?,
                last_built_at: row.get(2)?,
                last_rebuild_at: row.get(3)?,
                journal: journal.and_then(|text| serde_json::from_str(&text).ok()),
            })
        });
        state.optional()
    }

    pub(super) fn write(&self, db: &Connection) -> rusqlite::Result<()> {
        let journal = self.journal.as_ref().and_then(|journal| serde_json::to_string(journal).ok());
        let offset = i64::try_from(self.offset).unwrap_or(i64::MAX);
        db.execute(
            "INSERT INTO archive_state (id, ledger_offset_bytes, ledger_mtime_ms, archive_version, last_built_at,
               last_rebuild_at, journal_state) VALUES (1, ?1, ?2, ?6, ?3, ?4, ?5)
             ON CONFLICT (id) DO UPDATE SET ledger_offset_bytes = ?1, ledger_mtime_ms = ?2, archive_version = ?6,
               last_built_at = ?3, last_rebuild_at = ?4, journal_state = ?5",
            params![
                offset,
                self.mtime_ms,
                self.last_built_at,
                self.last_rebuild_at,
                journal,
                super::schema::ARCHIVE_VERSION
            ],
        )?;
        Ok(())
    }

    /// The counts, if nobody else has built since they were written.
    pub(super) fn counts(&self) -> Option<&Counts> {
        let journal = self.journal.as_ref()?;
        let current = journal.offset == self.offset && Some(&journal.built_at) == self.last_built_at.as_ref();
        journal.counts.as_ref().filter(|_| current)
    }

    /// Whether what the cursor has passed is still what this ledger begins with.
    ///
    /// An archive of another program says nothing but the cursor; it must stand behind an LF.
    pub(super) fn fits(&self, ledger: &dyn File, id: FileId, len: u64) -> io::Result<bool> {
        if self.offset > len {
            return Ok(false);
        }
        if self.offset > 0 {
            let mut before = [0];
            read_exact_at(ledger, &mut before, self.offset - 1)?;
            if before != *b"\n" {
                return Ok(false);
            }
        }
        match &self.journal {
            None => Ok(true),
            Some(journal) if journal.offset > self.offset => Ok(false),
            Some(journal) => Ok((journal.device, journal.inode) == (id.device, id.inode)
                && journal.tail == tail_hash(ledger, journal.offset)?),
        }
    }
}

/// Hash of what stands before an offset.
pub(super) fn tail_hash(ledger: &dyn File, offset: u64) -> io::Result<String> {
    let len = offset.min(TAIL_BYTES);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    read_exact_at(ledger, &mut bytes, offset - len)?;
    let digest = Sha256::digest(&bytes);
    Ok(digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect())
}
