//! Tables and indexes of `archive.sqlite`, schema version 3 (specification §6.2).
//!
//! The version stands in `archive_state.archive_version`; `user_version` stays 0. Archives of earlier releases lack some
//! columns and tables. They are added in place, behind the others, so the order of columns differs from archive to archive
//! and every statement names them.
//!
//! One column is ours: `archive_state.journal_state`, a JSON text that other programs leave alone (they name the columns
//! that they use). See [`state`](super::state).
//!
//! The file begins as every SQLite database in WAL mode does; 4096 bytes per page, read and write version 2:
//!
//! ```text
//! 00000000  53 51 4c 69 74 65 20 66  6f 72 6d 61 74 20 33 00  |SQLite format 3.|
//! 00000010  10 00 02 02 00 40 20 20                           |.....@  |
//! ```

use rusqlite::Connection;

/// The version that this program reads and writes.
pub const ARCHIVE_VERSION: i64 = 3;

/// A table: its columns, and those of them that are its primary key.
pub(super) struct Table {
    pub(super) name: &'static str,
    columns: &'static str,
    pub(super) key: &'static str,
}

/// These hold what the lines say, each row of a line of its own. A rebuild fills them in another way than SQLite would, and
/// their keys are ordinary indexes until no row repeats one any more (see [`bulk`](super::bulk)).
pub(super) const LARGE: [Table; 4] = [
    Table {
        name: "turns",
        columns: "source TEXT NOT NULL, session_id TEXT NOT NULL, message_id TEXT NOT NULL, turn_index INTEGER NOT NULL,
  ts TEXT NOT NULL, model TEXT NOT NULL, project TEXT, project_key TEXT, activity TEXT, stop_reason TEXT,
  has_edits INTEGER, retries INTEGER, is_sidechain INTEGER, subagent_id TEXT, parent_subagent_id TEXT,
  parent_tool_use_id TEXT, subagent_type TEXT, subagent_description TEXT,
  input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens INTEGER NOT NULL DEFAULT 0, cache_read_tokens INTEGER NOT NULL DEFAULT 0,
  cache_create_5m_tokens INTEGER NOT NULL DEFAULT 0, cache_create_1h_tokens INTEGER NOT NULL DEFAULT 0,
  workflow_id TEXT, agent_id TEXT, persona TEXT, tier TEXT, enrichment_json TEXT,
  attribution_fidelity TEXT, tokens_present INTEGER, cost_present INTEGER",
        key: "source, session_id, message_id",
    },
    Table {
        name: "tool_calls",
        columns: "source TEXT NOT NULL, session_id TEXT NOT NULL, message_id TEXT NOT NULL, call_index INTEGER NOT NULL,
  tool_use_id TEXT, tool_name TEXT NOT NULL, target TEXT, args_hash TEXT, is_error INTEGER,
  replaced_tools TEXT, collapsed_calls INTEGER",
        key: "source, session_id, message_id, call_index",
    },
    Table {
        name: "tool_result_events",
        columns: "source TEXT NOT NULL, session_id TEXT NOT NULL, message_id TEXT NOT NULL, tool_use_id TEXT NOT NULL,
  call_index INTEGER NOT NULL, event_index INTEGER NOT NULL, status TEXT, content_length INTEGER, content_hash TEXT,
  is_error INTEGER, subagent_session_id TEXT, agent_id TEXT, event_source TEXT, ts TEXT",
        key: "source, session_id, message_id, tool_use_id, event_index",
    },
    Table {
        name: "compactions",
        columns: "source TEXT NOT NULL, session_id TEXT NOT NULL, ts TEXT NOT NULL, preceding_message_id TEXT,
  tokens_before_compact INTEGER",
        key: "source, session_id, ts",
    },
];

pub(super) const SMALL: [Table; 3] = [
    Table {
        name: "sessions",
        columns: "source TEXT NOT NULL, session_id TEXT NOT NULL, project TEXT, project_key TEXT, started_at TEXT, ended_at TEXT,
  turn_count INTEGER NOT NULL DEFAULT 0, model_set_json TEXT, workflow_id TEXT, agent_id TEXT, parent_agent_id TEXT,
  has_subagent INTEGER NOT NULL DEFAULT 0, min_fidelity TEXT, has_full_attribution INTEGER",
        key: "source, session_id",
    },
    Table {
        name: "stamps",
        columns: "source TEXT NOT NULL, session_id TEXT NOT NULL, ts TEXT NOT NULL, selector_json TEXT,
  enrichment_json TEXT NOT NULL, ledger_offset_bytes INTEGER NOT NULL",
        key: "source, session_id, ts, ledger_offset_bytes",
    },
    Table {
        name: "archive_state",
        columns: "id INTEGER CHECK (id = 1), ledger_offset_bytes INTEGER NOT NULL DEFAULT 0,
  ledger_mtime_ms INTEGER NOT NULL DEFAULT 0, archive_version INTEGER NOT NULL, last_built_at TEXT,
  last_rebuild_at TEXT, journal_state TEXT",
        key: "id",
    },
];

/// Name, table, columns. The first is what a rebuild reads the sessions by.
const INDEXES: [(&str, &str, &str); 16] = [
    ("idx_turns_session", "turns", "source, session_id, turn_index"),
    ("idx_turns_ts", "turns", "ts"),
    ("idx_turns_model", "turns", "model"),
    ("idx_turns_activity", "turns", "activity"),
    ("idx_turns_project_key", "turns", "project_key"),
    ("idx_turns_workflow", "turns", "workflow_id"),
    ("idx_turns_attribution_fidelity", "turns", "attribution_fidelity"),
    ("idx_sessions_started_at", "sessions", "started_at"),
    ("idx_sessions_project_key", "sessions", "project_key"),
    ("idx_sessions_workflow_id", "sessions", "workflow_id"),
    ("idx_tool_calls_name", "tool_calls", "tool_name"),
    ("idx_tool_calls_use_id", "tool_calls", "tool_use_id"),
    ("idx_tool_result_events_use_id", "tool_result_events", "tool_use_id"),
    ("idx_tool_result_events_session", "tool_result_events", "source, session_id"),
    ("idx_tool_result_events_subagent", "tool_result_events", "subagent_session_id"),
    ("idx_stamps_session", "stamps", "source, session_id"),
];

/// Columns that some releases did not have: table, column, type.
const ADDED_COLUMNS: [(&str, &str, &str); 10] = [
    ("turns", "attribution_fidelity", "TEXT"),
    ("turns", "tokens_present", "INTEGER"),
    ("turns", "cost_present", "INTEGER"),
    ("turns", "subagent_description", "TEXT"),
    ("sessions", "min_fidelity", "TEXT"),
    ("sessions", "has_full_attribution", "INTEGER"),
    ("tool_calls", "replaced_tools", "TEXT"),
    ("tool_calls", "collapsed_calls", "INTEGER"),
    ("tool_result_events", "is_error", "INTEGER"),
    ("archive_state", "journal_state", "TEXT"),
];

/// All tables.
fn tables() -> impl Iterator<Item = &'static Table> {
    LARGE.iter().chain(&SMALL)
}

impl Table {
    /// What follows `CREATE TABLE`.
    fn definition(&self) -> String {
        format!("{} ({}, PRIMARY KEY ({}))", self.name, self.columns, self.key)
    }

    /// Creates the table with its key, if it is not there.
    pub(super) fn create(&self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(&format!("CREATE TABLE IF NOT EXISTS {}", self.definition()))
    }

    /// Creates the table without its key.
    pub(super) fn create_without_key(&self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(&format!("CREATE TABLE {} ({})", self.name, self.columns))
    }

    /// Creates the secondary indexes that are not there.
    pub(super) fn create_indexes(&self, db: &Connection) -> rusqlite::Result<()> {
        for (name, table, columns) in INDEXES {
            if table == self.name {
                db.execute_batch(&format!("CREATE INDEX IF NOT EXISTS {name} ON {table} ({columns})"))?;
            }
        }
        Ok(())
    }

    /// The index that [`create_key`](Self::create_key) makes.
    pub(super) fn key_index(&self) -> String {
        format!("key_of_{}", self.name)
    }

    /// Makes an index of the key's columns; rows may still repeat a key.
    pub(super) fn create_key(&self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(&format!("CREATE INDEX {} ON {} ({})", self.key_index(), self.name, self.key))
    }
}

/// Makes the index of each large table's key its primary key. No row may repeat a key any more.
///
/// SQLite keeps a primary key in an index named `sqlite_autoindex_TABLE_1`, which has no SQL of its own and otherwise
/// is an index like any other (<https://sqlite.org/fileformat2.html#representation_of_sql_indices> and the section on the
/// schema table). So two entries of the schema are all that has to change.
pub(super) fn adopt_keys(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch("PRAGMA writable_schema = ON")?;
    for table in &LARGE {
        db.execute(
            "UPDATE sqlite_schema SET sql = ?2 WHERE type = 'table' AND name = ?1",
            [table.name, &format!("CREATE TABLE {}", table.definition())],
        )?;
        db.execute(
            "UPDATE sqlite_schema SET name = ?2, sql = NULL WHERE type = 'index' AND name = ?1",
            [table.key_index(), format!("sqlite_autoindex_{}_1", table.name)],
        )?;
    }
    db.execute_batch("PRAGMA writable_schema = RESET")
}

/// Brings the structure of an archive of any earlier release to that of version 3; rows stay as they are.
pub(super) fn complete(db: &Connection) -> rusqlite::Result<()> {
    if is_complete(db)? {
        return Ok(());
    }
    tables().try_for_each(|table| table.create(db))?;
    for (table, column, kind) in ADDED_COLUMNS {
        if !has_column(db, table, column)? {
            db.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"))?;
        }
    }
    tables().try_for_each(|table| table.create_indexes(db))?;
    db.execute(
        "INSERT OR IGNORE INTO archive_state (id, archive_version) VALUES (1, ?1)",
        [ARCHIVE_VERSION],
    )?;
    Ok(())
}

fn is_complete(db: &Connection) -> rusqlite::Result<bool> {
    for (table, column, _) in ADDED_COLUMNS {
        if !has_column(db, table, column)? {
            return Ok(false);
        }
    }
    let objects: i64 = db.query_row(
        "SELECT count(*) FROM sqlite_schema WHERE name IN ('stamps', 'compactions') OR name LIKE 'idx\\_%' ESCAPE '\\'",
        [],
        |row| row.get(0),
    )?;
    let state: i64 = db.query_row("SELECT count(*) FROM archive_state", [], |row| row.get(0))?;
    let expected = INDEXES.len() + 2;
    Ok(usize::try_from(objects).is_ok_and(|objects| objects >= expected) && state == 1)
}

fn has_column(db: &Connection, table: &str, column: &str) -> rusqlite::Result<bool> {
    let mut statement = db.prepare_cached("SELECT 1 FROM pragma_table_info(?1) WHERE name = ?2")?;
    statement.exists([table, column])
}

/// The version of an existing archive, found out without changing anything; `None` when it has no state yet.
pub(super) fn version(db: &Connection) -> rusqlite::Result<Option<i64>> {
    let mut statement = db.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'archive_state'")?;
    if !statement.exists([])? {
        return Ok(None);
    }
    let mut statement = db.prepare("SELECT archive_version FROM archive_state WHERE id = 1")?;
    let mut rows = statement.query([])?;
    rows.next()?.map(|row| row.get(0)).transpose()
}
