//! Tags, annotations, trim.

use jiff::Timestamp;
use ledger_streams::{AnnotationChanges, Corrupt, EntryNotFound};
use rusqlite::{Connection, OptionalExtension};

use super::Table;
use super::names::resolve;
use crate::error::Failure;
use crate::row::{json_text, parse_pairs, tags_text, time_text};

/// Replaces the tags of an entry.
pub(crate) fn set_tags(
    connection: &Connection,
    table: &Table,
    stream: &str,
    id: i64,
    tags: &[String],
) -> Result<(), Failure> {
    let not_found = || not_found(table, stream, id);
    let stream_id = resolve(connection, table, stream)?.ok_or_else(not_found)?;
    let sql =
        format!(r#"UPDATE "{}" SET tags = ?3, updated_at = ?4 WHERE id = ?1 AND stream = ?2"#, table.store);
    let mut update = connection.prepare_cached(&sql)?;
    let updated = update.execute((id, stream_id, tags_text(tags)?, time_text(Timestamp::now())))?;
    if updated == 0 { Err(not_found().into()) } else { Ok(()) }
}

/// Sets and deletes annotations of an entry. The writer is alone, so nothing comes between reading and writing (W8).
pub(crate) fn set_annotations(
    connection: &Connection,
    table: &Table,
    stream: &str,
    id: i64,
    changes: AnnotationChanges,
) -> Result<(), Failure> {
    let not_found = || not_found(table, stream, id);
    let stream_id = resolve(connection, table, stream)?.ok_or_else(not_found)?;
    let sql = format!(r#"SELECT annotations FROM "{}" WHERE id = ?1 AND stream = ?2"#, table.store);
    let mut select = connection.prepare_cached(&sql)?;
    let old: Option<Option<String>> = select.query_row((id, &stream_id), |row| row.get(0)).optional()?;
    let old = old.ok_or_else(not_found)?;
    let mut annotations = parse_pairs(old.as_deref()).map_err(|error| Corrupt {
        database: format!("entry {id} of stream {stream:?} in store {:?}", table.store.as_str()),
        detail: format!("annotations: {error}"),
    })?;
    changes.apply(&mut annotations);
    let text = if old.is_none() && annotations.is_empty() { None } else { Some(json_text(&annotations)?) };
    let sql = format!(r#"UPDATE "{}" SET annotations = ?2, updated_at = ?3 WHERE id = ?1"#, table.store);
    connection.prepare_cached(&sql)?.execute((id, text, time_text(Timestamp::now())))?;
    Ok(())
}

/// Deletes entries up to and including an id.
pub(crate) fn trim(connection: &Connection, table: &Table, stream: &str, up_to: i64) -> Result<u64, Failure> {
    let Some(stream_id) = resolve(connection, table, stream)? else { return Ok(0) };
    let sql = format!(r#"DELETE FROM "{}" WHERE stream = ?1 AND id <= ?2"#, table.store);
    Ok(connection.prepare_cached(&sql)?.execute((stream_id, up_to))? as u64)
}

fn not_found(table: &Table, stream: &str, id: i64) -> EntryNotFound {
    EntryNotFound { id: id.to_string(), stream: stream.to_owned(), store: table.store.to_string() }
}
