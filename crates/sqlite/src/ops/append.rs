//! Append.

use bytes::Bytes;
use jiff::Timestamp;
use ledger_streams::{Append, Appended, Conflict, Duplicate, Expect, Origin, SourceTaken};
use rusqlite::{Connection, OptionalExtension, params};

use super::names::{name_of, resolve, resolve_or_create};
use super::{Table, all_or_nothing};
use crate::StreamNames;
use crate::error::Failure;
use crate::row::{pairs_text, tags_text, time_text};

/// Appends a batch that has been checked and is not empty.
pub(crate) fn append(
    connection: &Connection,
    table: &Table,
    stream: &str,
    entries: &[Append<Bytes>],
    expect: &Expect<i64>,
) -> Result<Appended<i64>, Failure> {
    let known_id = resolve(connection, table, stream)?;
    if let Some(answer) = check_expectation(connection, table, known_id.as_deref(), stream, entries, expect)?
    {
        return Ok(answer);
    }
    match (known_id, entries) {
        // A single statement undoes itself.
        (Some(id), [_]) => insert_all(connection, table, &id, entries),
        (Some(id), _) => all_or_nothing(connection, || insert_all(connection, table, &id, entries)),
        (None, _) => all_or_nothing(connection, || {
            let id = resolve_or_create(connection, table, stream)?;
            insert_all(connection, table, &id, entries)
        }),
    }
}

fn insert_all(
    connection: &Connection,
    table: &Table,
    stream_id: &str,
    entries: &[Append<Bytes>],
) -> Result<Appended<i64>, Failure> {
    let mut insert = connection.prepare_cached(&table.statements.insert)?;
    let now = time_text(Timestamp::now());
    let nothing = Origin::default();
    let mut answer = Appended::nothing(table.durability);
    answer.ids.reserve(entries.len());
    for (index, entry) in entries.iter().enumerate() {
        let origin = entry.origin.as_deref().unwrap_or(&nothing);
        let created_at = origin.created_at.map(time_text);
        let inserted = insert.execute(params![
            stream_id,
            &entry.payload[..],
            entry.order_key,
            entry.dedup_key,
            entry.schema_version,
            pairs_text(&entry.metadata)?,
            tags_text(&entry.tags)?,
            pairs_text(&origin.annotations)?,
            origin.source_id,
            created_at.as_ref().unwrap_or(&now),
            origin.updated_at.map(time_text),
        ])?;
        if inserted == 1 {
            answer.ids.push(connection.last_insert_rowid());
        } else {
            let id =
                holder(connection, table, stream_id, entry)?.ok_or(rusqlite::Error::QueryReturnedNoRows)?;
            answer.duplicates.push(Duplicate { index, id });
        }
    }
    Ok(answer)
}

/// Fails if the stream is not as expected; answers at once if nothing of the batch is new.
fn check_expectation(
    connection: &Connection,
    table: &Table,
    stream_id: Option<&str>,
    stream: &str,
    entries: &[Append<Bytes>],
    expect: &Expect<i64>,
) -> Result<Option<Appended<i64>>, Failure> {
    let expected = match expect {
        Expect::Any => return Ok(None),
        Expect::Empty => None,
        Expect::LastId(id) => Some(*id),
    };
    let actual = match stream_id {
        Some(id) => {
            connection.prepare_cached(&table.statements.last_id)?.query_row([id], |row| row.get(0))?
        }
        None => None,
    };
    if actual == expected {
        return Ok(None);
    }
    let mut answer = Appended::nothing(table.durability);
    for (index, entry) in entries.iter().enumerate() {
        // No stream has an empty internal id, and one that is not there holds nothing.
        let holder = holder(connection, table, stream_id.unwrap_or_default(), entry)?;
        answer.duplicates.extend(holder.map(|id| Duplicate { index, id }));
    }
    if answer.duplicates.len() == entries.len() {
        return Ok(Some(answer));
    }
    Err(Conflict {
        stream: stream.to_owned(),
        expected_last_id: expected.map(|id| id.to_string()),
        actual_last_id: actual.map(|id: i64| id.to_string()),
    }
    .into())
}

/// The entry of this stream that has the dedup key or the source id of an input.
fn holder(
    connection: &Connection,
    table: &Table,
    stream_id: &str,
    entry: &Append<Bytes>,
) -> Result<Option<i64>, Failure> {
    if !entry.dedup_key.is_empty() {
        let mut by_key = connection.prepare_cached(&table.statements.by_dedup_key)?;
        let found = by_key.query_row([stream_id, &entry.dedup_key], |row| row.get(0)).optional()?;
        if found.is_some() {
            return Ok(found);
        }
    }
    let source_id = entry.source_id();
    if source_id.is_empty() {
        return Ok(None);
    }
    let mut by_source = connection.prepare_cached(&table.statements.by_source_id)?;
    let found: Option<(i64, String)> =
        by_source.query_row([source_id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    match found {
        Some((id, in_stream)) if in_stream == stream_id => Ok(Some(id)),
        Some((_, in_stream)) => {
            let taken_by = match table.names {
                StreamNames::Direct => in_stream,
                StreamNames::Mapped => name_of(connection, table, &in_stream)?.unwrap_or(in_stream),
            };
            Err(SourceTaken { source_id: source_id.to_owned(), taken_by }.into())
        }
        None => Ok(None),
    }
}
