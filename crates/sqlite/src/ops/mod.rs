//! What each operation does, in SQL.
//!
//! Everything here runs on whatever connection it is given: inside a group commit, inside a caller's transaction, or
//! on a connection of the read pool.

mod append;
mod cursors;
mod mutate;
mod names;
mod read;
mod stat;

use std::sync::Arc;

pub(crate) use append::append;
pub(crate) use cursors::{get_cursor, set_cursor};
use ledger_streams::{Durability, StoreName};
pub(crate) use mutate::{set_annotations, set_tags, trim};
pub(crate) use names::{list_streams, rename_stream};
pub(crate) use read::{find_by_source, read, search};
use rusqlite::Connection;
pub(crate) use stat::{keep_count, stat};

use crate::StreamNames;
use crate::error::Failure;
use crate::layout::Shape;

/// A store as the operations see it: its names and its ready-made statements.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) store: StoreName,
    pub(crate) names: StreamNames,
    pub(crate) durability: Durability,
    has_counts: bool,
    statements: Statements,
}

/// Texts of the statements that every call uses, so that they are not put together each time.
#[derive(Debug)]
struct Statements {
    /// The columns of an entry, but for the stream.
    select: String,
    insert: String,
    last_id: String,
    stat: String,
    by_dedup_key: String,
    by_source_id: String,
}

impl Table {
    pub(crate) fn new(
        store: StoreName,
        names: StreamNames,
        durability: Durability,
        shape: Shape,
    ) -> Arc<Self> {
        // A table from before this column existed, opened for reading, stays as it is.
        let source_id = if shape.has_source_id { "source_id" } else { "'' AS source_id" };
        let statements = Statements {
            select: format!(
                r#"SELECT id, payload, order_key, dedup_key, schema_version, metadata, tags, annotations,
                    {source_id}, created_at, updated_at"#
            ),
            insert: format!(
                r#"INSERT INTO "{store}" (stream, payload, order_key, dedup_key, schema_version, metadata, tags,
                    annotations, source_id, created_at, updated_at)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) ON CONFLICT DO NOTHING"#
            ),
            last_id: format!(r#"SELECT max(id) FROM "{store}" WHERE stream = ?1"#),
            stat: stat::statement(store.as_str(), shape.has_counts),
            by_dedup_key: format!(
                r#"SELECT id FROM "{store}" WHERE stream = ?1 AND dedup_key = ?2 AND dedup_key != ''"#
            ),
            by_source_id: format!(
                r#"SELECT id, stream FROM "{store}" WHERE source_id = ?1 AND source_id != ''"#
            ),
        };
        Arc::new(Self { store, names, durability, has_counts: shape.has_counts, statements })
    }
}

/// Runs an operation of several statements so that its failure undoes all of it, and nothing else.
pub(crate) fn all_or_nothing<T>(
    connection: &Connection,
    operation: impl FnOnce() -> Result<T, Failure>,
) -> Result<T, Failure> {
    connection.prepare_cached("SAVEPOINT operation")?.execute([])?;
    let result = operation();
    // After some failures SQLite has already undone the whole transaction, this savepoint included.
    if result.is_err() && !connection.is_autocommit() {
        connection.prepare_cached("ROLLBACK TO operation")?.execute([])?;
    }
    if !connection.is_autocommit() {
        connection.prepare_cached("RELEASE operation")?.execute([])?;
    }
    result
}
