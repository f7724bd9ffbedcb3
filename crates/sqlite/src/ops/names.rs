//! Stream names: to what is in the column `stream`, and back (see [`layout`](crate::layout)).

use std::borrow::Cow;

use ledger_streams::{StreamExists, StreamNotFound};
use rusqlite::{Connection, OptionalExtension};

use super::{Table, all_or_nothing};
use crate::StreamNames;
use crate::error::Failure;
use crate::layout::{NAMES_TABLE, table_exists};

/// What the column `stream` holds for a name; `None` if the name is not known.
pub(crate) fn resolve<'n>(
    connection: &Connection,
    table: &Table,
    name: &'n str,
) -> Result<Option<Cow<'n, str>>, Failure> {
    if table.names == StreamNames::Direct {
        return Ok(Some(Cow::Borrowed(name)));
    }
    let select = "SELECT stream_id FROM ledger_stream_metadata WHERE store_name = ?1 AND name = ?2";
    let mut select = match connection.prepare_cached(select) {
        Ok(select) => select,
        // A database that only the library has written, opened for reading.
        Err(_) if !table_exists(connection, NAMES_TABLE)? => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    let id: Option<String> = select.query_row([table.store.as_str(), name], |row| row.get(0)).optional()?;
    Ok(id.map(Cow::Owned))
}

/// As [`resolve`]; gives an unknown name an id.
pub(crate) fn resolve_or_create(
    connection: &Connection,
    table: &Table,
    name: &str,
) -> Result<String, Failure> {
    if let Some(id) = resolve(connection, table, name)? {
        return Ok(id.into_owned());
    }
    let id = uuid::Uuid::new_v4().to_string();
    let insert = "INSERT INTO ledger_stream_metadata (store_name, name, stream_id) VALUES (?1, ?2, ?3)";
    connection.prepare_cached(insert)?.execute([table.store.as_str(), name, &id])?;
    Ok(id)
}

/// The name that leads to an internal id.
pub(crate) fn name_of(
    connection: &Connection,
    table: &Table,
    stream_id: &str,
) -> Result<Option<String>, Failure> {
    let select = "SELECT name FROM ledger_stream_metadata WHERE store_name = ?1 AND stream_id = ?2";
    let mut select = connection.prepare_cached(select)?;
    Ok(select.query_row([table.store.as_str(), stream_id], |row| row.get(0)).optional()?)
}

/// Names of streams with entries, in byte order. Costs as much as the page, not as the store.
pub(crate) fn list_streams(
    connection: &Connection,
    table: &Table,
    after: Option<&str>,
    limit: usize,
) -> Result<Vec<String>, Failure> {
    let store = &table.store;
    let sql = match table.names {
        // Hops from one stream to the next in the index.
        StreamNames::Direct => format!(
            r#"WITH RECURSIVE names(name) AS (
                SELECT (SELECT min(stream) FROM "{store}" WHERE ?1 IS NULL OR stream > ?1)
                UNION ALL
                SELECT (SELECT min(stream) FROM "{store}" WHERE stream > name) FROM names WHERE name IS NOT NULL
            ) SELECT name FROM names WHERE name IS NOT NULL AND ?3 = ?3 LIMIT ?2"#
        ),
        StreamNames::Mapped if !table_exists(connection, NAMES_TABLE)? => return Ok(Vec::new()),
        StreamNames::Mapped => format!(
            r#"SELECT name FROM ledger_stream_metadata m
            WHERE store_name = ?3 AND (?1 IS NULL OR name > ?1)
                AND EXISTS (SELECT 1 FROM "{store}" WHERE stream = m.stream_id)
            ORDER BY name LIMIT ?2"#
        ),
    };
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let mut names = connection.prepare_cached(&sql)?;
    let names = names.query_map((after, limit, store.as_str()), |row| row.get(0))?;
    Ok(names.collect::<Result<_, _>>()?)
}

/// Renames a stream that has entries; a name whose entries are all trimmed is free.
pub(crate) fn rename_stream(
    connection: &Connection,
    table: &Table,
    from: &str,
    to: &str,
) -> Result<(), Failure> {
    let store = table.store.as_str();
    let not_found = || StreamNotFound { stream: from.to_owned(), store: store.to_owned() };
    let from_id = resolve(connection, table, from)?.ok_or_else(not_found)?;
    if !has_entries(connection, table, &from_id)? {
        return Err(not_found().into());
    }
    let to_id = resolve(connection, table, to)?;
    if let Some(id) = &to_id
        && has_entries(connection, table, id)?
    {
        return Err(StreamExists { stream: to.to_owned(), store: store.to_owned() }.into());
    }
    all_or_nothing(connection, || {
        if to_id.is_some() {
            let delete = "DELETE FROM ledger_stream_metadata WHERE store_name = ?1 AND name = ?2";
            connection.prepare_cached(delete)?.execute([store, to])?;
        }
        let update = "UPDATE ledger_stream_metadata SET name = ?3 WHERE store_name = ?1 AND name = ?2";
        connection.prepare_cached(update)?.execute([store, from, to])?;
        Ok(())
    })
}

fn has_entries(connection: &Connection, table: &Table, stream_id: &str) -> Result<bool, Failure> {
    let select = format!(r#"SELECT 1 FROM "{}" WHERE stream = ?1 LIMIT 1"#, table.store);
    Ok(connection.prepare_cached(&select)?.exists([stream_id])?)
}
