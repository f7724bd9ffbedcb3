//! Tags, annotations, trim.

use jiff::Timestamp;
use ledger_streams::limits::check_changed_entry;
use ledger_streams::{AnnotationChanges, Corrupt, EntryNotFound};
use rusqlite::{Connection, OptionalExtension};

use super::Table;
use super::names::resolve;
use crate::error::Failure;
use crate::row::{json_text, parse_pairs, parse_tags, tags_text, time_text};

/// Replaces the tags of an entry.
pub(crate) fn set_tags(
    connection: &Connection,
    table: &Table,
    stream: &str,
    id: i64,
    tags: &[String],
) -> Result<(), Failure> {
    let entry = attributes(connection, table, stream, id)?;
    // What cannot be understood does not count: new tags can even be the cure.
    let metadata = parse_pairs(entry.metadata.as_deref()).unwrap_or_default();
    let annotations = parse_pairs(entry.annotations.as_deref()).unwrap_or_default();
    check_changed_entry(&metadata, tags, &annotations)?;
    let sql = format!(r#"UPDATE "{}" SET tags = ?2, updated_at = ?3 WHERE id = ?1"#, table.store);
    connection.prepare_cached(&sql)?.execute((id, tags_text(tags)?, time_text(Timestamp::now())))?;
    Ok(())
}

/// Sets and deletes annotations of an entry. The writer is alone, so nothing comes between reading and writing (W8).
pub(crate) fn set_annotations(
    connection: &Connection,
    table: &Table,
    stream: &str,
    id: i64,
    changes: AnnotationChanges,
) -> Result<(), Failure> {
    let entry = attributes(connection, table, stream, id)?;
    let mut annotations = parse_pairs(entry.annotations.as_deref()).map_err(|error| Corrupt {
        database: format!("entry {id} of stream {stream:?} in store {:?}", table.store.as_str()),
        detail: format!("annotations: {error}"),
    })?;
    changes.apply(&mut annotations);
    let metadata = parse_pairs(entry.metadata.as_deref()).unwrap_or_default();
    let tags = parse_tags(&entry.tags).unwrap_or_default();
    check_changed_entry(&metadata, &tags, &annotations)?;
    let had_none = entry.annotations.is_none();
    let text = if had_none && annotations.is_empty() { None } else { Some(json_text(&annotations)?) };
    let sql = format!(r#"UPDATE "{}" SET annotations = ?2, updated_at = ?3 WHERE id = ?1"#, table.store);
    connection.prepare_cached(&sql)?.execute((id, text, time_text(Timestamp::now())))?;
    Ok(())
}

/// The attributes of an entry as they are stored.
struct Attributes {
    metadata: Option<String>,
    tags: String,
    annotations: Option<String>,
}

fn attributes(connection: &Connection, table: &Table, stream: &str, id: i64) -> Result<Attributes, Failure> {
    let not_found =
        || EntryNotFound { id: id.to_string(), stream: stream.to_owned(), store: table.store.to_string() };
    let stream_id = resolve(connection, table, stream)?.ok_or_else(not_found)?;
    let sql =
        format!(r#"SELECT metadata, tags, annotations FROM "{}" WHERE id = ?1 AND stream = ?2"#, table.store);
    let found = connection.prepare_cached(&sql)?.query_row((id, &stream_id), |row| {
        Ok(Attributes { metadata: row.get(0)?, tags: row.get(1)?, annotations: row.get(2)? })
    });
    Ok(found.optional()?.ok_or_else(not_found)?)
}

/// Deletes entries up to and including an id.
pub(crate) fn trim(connection: &Connection, table: &Table, stream: &str, up_to: i64) -> Result<u64, Failure> {
    let Some(stream_id) = resolve(connection, table, stream)? else { return Ok(0) };
    let sql = format!(r#"DELETE FROM "{}" WHERE stream = ?1 AND id <= ?2"#, table.store);
    Ok(connection.prepare_cached(&sql)?.execute((stream_id, up_to))? as u64)
}
