//! The tables of a store: the on-disk format of this crate.
//!
//! The layout is that of the program that the request describes (specification §4.1, §4.5), so that databases of
//! either open in the other. A store named `orders` is:
//!
//! ```sql
//! CREATE TABLE "orders" (
//!     id             INTEGER PRIMARY KEY AUTOINCREMENT, -- rises, is never reused
//!     stream         TEXT NOT NULL,                     -- name of the stream, or its internal id (below)
//!     payload        BLOB NOT NULL,
//!     order_key      TEXT NOT NULL DEFAULT '',
//!     dedup_key      TEXT NOT NULL DEFAULT '',
//!     schema_version INTEGER NOT NULL DEFAULT 1,
//!     metadata       TEXT,                              -- JSON object of strings, NULL if empty
//!     tags           TEXT NOT NULL DEFAULT '[]',        -- JSON array of strings
//!     annotations    TEXT,                              -- JSON object of strings, NULL until first set
//!     source_id      TEXT NOT NULL DEFAULT '',
//!     created_at     TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f','now')), -- UTC, milliseconds
//!     updated_at     TEXT                               -- same form
//! );
//! CREATE INDEX "idx_orders_stream_id" ON "orders"(stream, id);
//! CREATE INDEX "idx_orders_stream_order" ON "orders"(stream, order_key, id);
//! CREATE UNIQUE INDEX "idx_orders_dedup" ON "orders"(stream, dedup_key) WHERE dedup_key != '';
//! CREATE UNIQUE INDEX "idx_orders_source" ON "orders"(source_id) WHERE source_id != '';
//! CREATE TABLE "orders_cursors" (name TEXT NOT NULL PRIMARY KEY, cursor TEXT NOT NULL);
//! ```
//!
//! The original has two more indexes, on `(stream)` and `(stream, tags)`. The first repeats a prefix of another, the
//! second cannot serve the filter it is meant for; they cost on every append and are left out (W48). Where they
//! exist they stay.
//!
//! So that counting does not cost more with every entry, a further table keeps what was counted: a stream has `entries`
//! entries with ids up to `up_to`, and those behind it are counted when somebody asks. The trigger keeps it right under
//! deletion, whoever deletes; `deleted` only ever grows and tells whether a count made outside of the writer is still
//! true when it is to be stored.
//!
//! ```sql
//! CREATE TABLE "orders_counts" (
//!     stream TEXT NOT NULL PRIMARY KEY, entries INTEGER NOT NULL, up_to INTEGER NOT NULL, deleted INTEGER NOT NULL
//! ) WITHOUT ROWID;
//! CREATE TRIGGER "orders_counts_delete" AFTER DELETE ON "orders" BEGIN
//!     UPDATE "orders_counts" SET entries = entries - (old.id <= up_to), deleted = deleted + 1
//!     WHERE stream = old.stream;
//! END;
//! ```
//!
//! A table from before `source_id` existed gets the column, then the index on it (W24).
//!
//! With [`StreamNames::Mapped`](crate::StreamNames::Mapped) the column `stream` holds a random UUID, and one table
//! for all stores of the database leads from names to it:
//!
//! ```sql
//! CREATE TABLE ledger_stream_metadata (
//!     store_name TEXT NOT NULL, name TEXT NOT NULL, stream_id TEXT NOT NULL,
//!     created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
//!     PRIMARY KEY (store_name, name), UNIQUE (store_name, stream_id)
//! );
//! ```
//!
//! The search index, where asked for, is a contentless FTS5 table of trigrams `"orders_fts"`, kept in step by the
//! triggers `"orders_fts_insert"` and `"orders_fts_delete"`, so writes by other programs are indexed too. Payloads
//! with a NUL byte, behind which FTS5 does not look, are marked with [`UNINDEXED_MARK`]; a search takes all of them
//! as candidates.

use ledger_streams::StoreName;
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Failure, OpenError};

/// The table of stream names, one for all stores of a database.
pub(crate) const NAMES_TABLE: &str = "ledger_stream_metadata";

/// Private-use characters in front of the indexed text of payloads that FTS5 cannot index in full.
pub(crate) const UNINDEXED_MARK: &str = "\u{E000}\u{E001}\u{E002}";

const COLUMNS: [&str; 12] = [
    "id",
    "stream",
    "payload",
    "order_key",
    "dedup_key",
    "schema_version",
    "metadata",
    "tags",
    "annotations",
    "source_id",
    "created_at",
    "updated_at",
];

/// Makes what is missing of a store's tables and indexes.
pub(crate) fn create_store(
    connection: &Connection,
    store: &StoreName,
    database: &str,
) -> Result<(), OpenError> {
    if !store_exists(connection, store, database)? {
        refuse_reserved(store)?;
    }
    connection.execute_batch(&format!(
        r#"CREATE TABLE IF NOT EXISTS "{store}" (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            stream TEXT NOT NULL,
            payload BLOB NOT NULL,
            order_key TEXT NOT NULL DEFAULT '',
            dedup_key TEXT NOT NULL DEFAULT '',
            schema_version INTEGER NOT NULL DEFAULT 1,
            metadata TEXT,
            tags TEXT NOT NULL DEFAULT '[]',
            annotations TEXT,
            source_id TEXT NOT NULL DEFAULT '',
            created_at TEXT NOT NULL DEFAULT (strftime('%Y-%m-%dT%H:%M:%f','now')),
            updated_at TEXT
        );"#
    ))?;
    if !has_source_id(connection, store)? {
        let add = format!(r#"ALTER TABLE "{store}" ADD COLUMN source_id TEXT NOT NULL DEFAULT ''"#);
        connection.execute_batch(&add)?;
    }
    connection.execute_batch(&format!(
        r#"CREATE INDEX IF NOT EXISTS "idx_{store}_stream_id" ON "{store}"(stream, id);
        CREATE INDEX IF NOT EXISTS "idx_{store}_stream_order" ON "{store}"(stream, order_key, id);
        CREATE UNIQUE INDEX IF NOT EXISTS "idx_{store}_dedup" ON "{store}"(stream, dedup_key) WHERE dedup_key != '';
        CREATE UNIQUE INDEX IF NOT EXISTS "idx_{store}_source" ON "{store}"(source_id) WHERE source_id != '';
        CREATE TABLE IF NOT EXISTS "{store}_cursors" (name TEXT NOT NULL PRIMARY KEY, cursor TEXT NOT NULL);
        CREATE TABLE IF NOT EXISTS "{store}_counts" (
            stream TEXT NOT NULL PRIMARY KEY,
            entries INTEGER NOT NULL,
            up_to INTEGER NOT NULL,
            deleted INTEGER NOT NULL
        ) WITHOUT ROWID;
        CREATE TRIGGER IF NOT EXISTS "{store}_counts_delete" AFTER DELETE ON "{store}" BEGIN
            UPDATE "{store}_counts" SET entries = entries - (old.id <= up_to), deleted = deleted + 1
            WHERE stream = old.stream;
        END;"#
    ))?;
    Ok(())
}

/// Makes the table of stream names if it is missing.
pub(crate) fn create_names(connection: &Connection) -> Result<(), OpenError> {
    connection.execute_batch(
        "CREATE TABLE IF NOT EXISTS ledger_stream_metadata (
            store_name TEXT NOT NULL,
            name TEXT NOT NULL,
            stream_id TEXT NOT NULL,
            created_at TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
            PRIMARY KEY (store_name, name),
            UNIQUE (store_name, stream_id)
        )",
    )?;
    Ok(())
}

/// Makes the search index and fills it, unless it exists.
pub(crate) fn create_search_index(connection: &Connection, store: &StoreName) -> Result<(), Failure> {
    if table_exists(connection, &format!("{store}_fts"))? {
        return Ok(());
    }
    let text = |row: &str| {
        format!(
            "CASE WHEN instr({row}payload, x'00') THEN '{UNINDEXED_MARK}' ELSE CAST({row}payload AS TEXT) END"
        )
    };
    connection.execute_batch(&format!(
        r#"CREATE VIRTUAL TABLE "{store}_fts" USING fts5(payload, content='', tokenize='trigram');
        CREATE TRIGGER "{store}_fts_insert" AFTER INSERT ON "{store}" BEGIN
            INSERT INTO "{store}_fts"(rowid, payload) VALUES (new.id, {new});
        END;
        CREATE TRIGGER "{store}_fts_delete" AFTER DELETE ON "{store}" BEGIN
            INSERT INTO "{store}_fts"("{store}_fts", rowid, payload) VALUES ('delete', old.id, {old});
        END;
        INSERT INTO "{store}_fts"(rowid, payload) SELECT id, {every} FROM "{store}";"#,
        new = text("new."),
        old = text("old."),
        every = text(""),
    ))?;
    Ok(())
}

/// Whether a store is there and has our columns.
///
/// # Errors
/// [`OpenError::ForeignTable`] if a table of this name is something else, [`OpenError::NameTaken`] if it is there in
/// other letters.
pub(crate) fn store_exists(
    connection: &Connection,
    store: &StoreName,
    database: &str,
) -> Result<bool, OpenError> {
    let find = "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE";
    let found: Option<String> = connection.query_row(find, [store.as_str()], |row| row.get(0)).optional()?;
    match found {
        None => Ok(false),
        Some(name) if name != store.as_str() => Err(OpenError::NameTaken {
            store: store.to_string(),
            taken_by: name,
            database: database.to_owned(),
        }),
        Some(_) => {
            let columns = columns_of(connection, store)?;
            let is_missing =
                |column: &&&str| **column != "source_id" && !columns.iter().any(|name| name == **column);
            let missing: Vec<_> =
                COLUMNS.iter().filter(is_missing).map(|column| (*column).to_owned()).collect();
            if missing.is_empty() {
                return Ok(true);
            }
            Err(OpenError::ForeignTable { table: store.to_string(), missing, database: database.to_owned() })
        }
    }
}

/// What a store may lack that is only read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The column `source_id`.
    pub(crate) has_source_id: bool,
    /// The table of counts.
    pub(crate) has_counts: bool,
}

impl Shape {
    /// What a store has that was opened for writing.
    pub(crate) const COMPLETE: Self = Self { has_source_id: true, has_counts: true };

    /// What a store has as it is.
    pub(crate) fn of(connection: &Connection, store: &StoreName) -> Result<Self, Failure> {
        let has_source_id = has_source_id(connection, store).map_err(Failure::Open)?;
        Ok(Self { has_source_id, has_counts: table_exists(connection, &format!("{store}_counts"))? })
    }
}

fn has_source_id(connection: &Connection, store: &StoreName) -> Result<bool, OpenError> {
    Ok(columns_of(connection, store)?.iter().any(|column| column == "source_id"))
}

/// Names of the stores in a database: tables with our columns.
pub(crate) fn stores(connection: &Connection) -> Result<Vec<String>, Failure> {
    let mut tables = connection.prepare_cached(
        "SELECT name FROM sqlite_master m WHERE type = 'table' AND 11 = (
            SELECT count(*) FROM pragma_table_info(m.name) WHERE name IN (
                'id', 'stream', 'payload', 'order_key', 'dedup_key', 'schema_version',
                'metadata', 'tags', 'annotations', 'created_at', 'updated_at'))
        ORDER BY name",
    )?;
    let names = tables.query_map([], |row| row.get(0))?.collect::<Result<Vec<String>, _>>()?;
    Ok(names.into_iter().filter(|name| StoreName::new(name.as_str()).is_ok()).collect())
}

/// Whether a table exists.
pub(crate) fn table_exists(connection: &Connection, table: &str) -> Result<bool, Failure> {
    let find = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?1";
    Ok(connection.prepare_cached(find)?.exists([table])?)
}

/// Names that would get in the way of tables of other stores or of SQLite itself (W30).
fn refuse_reserved(store: &StoreName) -> Result<(), OpenError> {
    let name = store.as_str().to_ascii_lowercase();
    let is_reserved = name == NAMES_TABLE
        || name.starts_with("sqlite_")
        || ["_cursors", "_counts", "_fts", "_fts_data", "_fts_idx", "_fts_docsize", "_fts_config"]
            .iter()
            .any(|end| name.ends_with(end));
    if is_reserved { Err(OpenError::ReservedName { store: store.to_string() }) } else { Ok(()) }
}

fn columns_of(connection: &Connection, store: &StoreName) -> Result<Vec<String>, OpenError> {
    let mut columns = connection.prepare("SELECT name FROM pragma_table_info(?1)")?;
    let names = columns.query_map([store.as_str()], |row| row.get(0))?.collect::<Result<_, _>>()?;
    Ok(names)
}
