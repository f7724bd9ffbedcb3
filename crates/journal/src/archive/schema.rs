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

const TABLES: &str = "
CREATE TABLE IF NOT EXISTS sessions (
  source TEXT NOT NULL, session_id TEXT NOT NULL, project TEXT, project_key TEXT, started_at TEXT, ended_at TEXT,
  turn_count INTEGER NOT NULL DEFAULT 0, model_set_json TEXT, workflow_id TEXT, agent_id TEXT, parent_agent_id TEXT,
  has_subagent INTEGER NOT NULL DEFAULT 0, min_fidelity TEXT, has_full_attribution INTEGER,
  PRIMARY KEY (source, session_id)
);
CREATE TABLE IF NOT EXISTS turns (
  source TEXT NOT NULL, session_id TEXT NOT NULL, message_id TEXT NOT NULL, turn_index INTEGER NOT NULL,
  ts TEXT NOT NULL, model TEXT NOT NULL, project TEXT, project_key TEXT, activity TEXT, stop_reason TEXT,
  has_edits INTEGER, retries INTEGER, is_sidechain INTEGER, subagent_id TEXT, parent_subagent_id TEXT,
  parent_tool_use_id TEXT, subagent_type TEXT, subagent_description TEXT,
  input_tokens INTEGER NOT NULL DEFAULT 0, output_tokens INTEGER NOT NULL DEFAULT 0,
  reasoning_tokens INTEGER NOT NULL DEFAULT 0, cache_read_tokens INTEGER NOT NULL DEFAULT 0,
  cache_create_5m_tokens INTEGER NOT NULL DEFAULT 0, cache_create_1h_tokens INTEGER NOT NULL DEFAULT 0,
  workflow_id TEXT, agent_id TEXT, persona TEXT, tier TEXT, enrichment_json TEXT,
  attribution_fidelity TEXT, tokens_present INTEGER, cost_present INTEGER,
  PRIMARY KEY (source, session_id, message_id)
);
CREATE TABLE IF NOT EXISTS tool_calls (
  source TEXT NOT NULL, session_id TEXT NOT NULL, message_id TEXT NOT NULL, call_index INTEGER NOT NULL,
  tool_use_id TEXT, tool_name TEXT NOT NULL, target TEXT, args_hash TEXT, is_error INTEGER,
  replaced_tools TEXT, collapsed_calls INTEGER,
  PRIMARY KEY (source, session_id, message_id, call_index)
);
CREATE TABLE IF NOT EXISTS tool_result_events (
  source TEXT NOT NULL, session_id TEXT NOT NULL, message_id TEXT NOT NULL, tool_use_id TEXT NOT NULL,
  call_index INTEGER NOT NULL, event_index INTEGER NOT NULL, status TEXT, content_length INTEGER, content_hash TEXT,
  is_error INTEGER, subagent_session_id TEXT, agent_id TEXT, event_source TEXT, ts TEXT,
  PRIMARY KEY (source, session_id, message_id, tool_use_id, event_index)
);
CREATE TABLE IF NOT EXISTS stamps (
  source TEXT NOT NULL, session_id TEXT NOT NULL, ts TEXT NOT NULL, selector_json TEXT,
  enrichment_json TEXT NOT NULL, ledger_offset_bytes INTEGER NOT NULL,
  PRIMARY KEY (source, session_id, ts, ledger_offset_bytes)
);
CREATE TABLE IF NOT EXISTS compactions (
  source TEXT NOT NULL, session_id TEXT NOT NULL, ts TEXT NOT NULL, preceding_message_id TEXT,
  tokens_before_compact INTEGER,
  PRIMARY KEY (source, session_id, ts)
);
CREATE TABLE IF NOT EXISTS archive_state (
  id INTEGER PRIMARY KEY CHECK (id = 1), ledger_offset_bytes INTEGER NOT NULL DEFAULT 0,
  ledger_mtime_ms INTEGER NOT NULL DEFAULT 0, archive_version INTEGER NOT NULL, last_built_at TEXT,
  last_rebuild_at TEXT, journal_state TEXT
);
";

/// In the order in which a rebuild makes them: the first is what the sessions are read by.
const INDEXES: &str = "
CREATE INDEX IF NOT EXISTS idx_turns_session ON turns (source, session_id, turn_index);
CREATE INDEX IF NOT EXISTS idx_turns_ts ON turns (ts);
CREATE INDEX IF NOT EXISTS idx_turns_model ON turns (model);
CREATE INDEX IF NOT EXISTS idx_turns_activity ON turns (activity);
CREATE INDEX IF NOT EXISTS idx_turns_project_key ON turns (project_key);
CREATE INDEX IF NOT EXISTS idx_turns_workflow ON turns (workflow_id);
CREATE INDEX IF NOT EXISTS idx_turns_attribution_fidelity ON turns (attribution_fidelity);
CREATE INDEX IF NOT EXISTS idx_sessions_started_at ON sessions (started_at);
CREATE INDEX IF NOT EXISTS idx_sessions_project_key ON sessions (project_key);
CREATE INDEX IF NOT EXISTS idx_sessions_workflow_id ON sessions (workflow_id);
CREATE INDEX IF NOT EXISTS idx_tool_calls_name ON tool_calls (tool_name);
CREATE INDEX IF NOT EXISTS idx_tool_calls_use_id ON tool_calls (tool_use_id);
CREATE INDEX IF NOT EXISTS idx_tool_result_events_use_id ON tool_result_events (tool_use_id);
CREATE INDEX IF NOT EXISTS idx_tool_result_events_session ON tool_result_events (source, session_id);
CREATE INDEX IF NOT EXISTS idx_tool_result_events_subagent ON tool_result_events (subagent_session_id);
CREATE INDEX IF NOT EXISTS idx_stamps_session ON stamps (source, session_id);
";

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

/// Creates the tables, without their indexes.
pub(super) fn create_tables(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(TABLES)
}

/// Creates the indexes, and the row of state.
pub(super) fn create_indexes(db: &Connection) -> rusqlite::Result<()> {
    db.execute_batch(INDEXES)
}

/// Brings the structure of an archive of any earlier release to that of version 3; rows stay as they are.
pub(super) fn complete(db: &Connection) -> rusqlite::Result<()> {
    if is_complete(db)? {
        return Ok(());
    }
    db.execute_batch(TABLES)?;
    for (table, column, kind) in ADDED_COLUMNS {
        if !has_column(db, table, column)? {
            db.execute_batch(&format!("ALTER TABLE {table} ADD COLUMN {column} {kind}"))?;
        }
    }
    db.execute_batch(INDEXES)?;
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
    let expected = INDEXES.matches("CREATE INDEX").count() + 2;
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
