//! Reads: pages, search, look-up.

use std::collections::HashMap;
use std::sync::Arc;

use bytes::Bytes;
use ledger_streams::{Order, Page, Query, Read};
use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension, Row, params_from_iter};

use super::Table;
use super::names::{name_of, resolve};
use crate::StreamNames;
use crate::error::Failure;
use crate::layout::{UNINDEXED_MARK, table_exists};
use crate::row::{Decoded, decode, payload};

/// Where a search has the column `stream`: behind those of an entry.
const STREAM_COLUMN: usize = 11;

/// Entries that a page has room for from the beginning; larger pages grow.
const INITIAL_PAGE: usize = 1024;

/// Shortest text, in characters, that an index of trigrams can find.
const TRIGRAM: usize = 3;

/// Reads a page of one stream.
pub(crate) fn read(
    connection: &Connection,
    table: &Table,
    stream: &str,
    read: &Read<i64>,
) -> Result<Page<i64, Bytes>, Failure> {
    let Some(stream_id) = resolve(connection, table, stream)? else { return Ok(Page::empty()) };
    let mut select = Select::new(table, read, "");
    select.and("stream = ?", Value::Text(stream_id.into_owned()));
    let name: Arc<str> = stream.into();
    select.page(connection, read, |_| Ok(name.clone()), |_| Ok(true))
}

/// Reads a page of entries whose payload contains a text, of one stream or of all.
pub(crate) fn search(
    connection: &Connection,
    table: &Table,
    stream: Option<&str>,
    query: &str,
    read: &Read<i64>,
) -> Result<Page<i64, Bytes>, Failure> {
    let mut select = Select::new(table, read, ", stream");
    if let Some(stream) = stream {
        let Some(stream_id) = resolve(connection, table, stream)? else { return Ok(Page::empty()) };
        select.and("stream = ?", Value::Text(stream_id.into_owned()));
    }
    let query = Query::new(query);
    if let Some(expression) = index_expression(connection, table, &query)? {
        let fts = format!(r#"id IN (SELECT rowid FROM "{0}_fts" WHERE "{0}_fts" MATCH ?)"#, table.store);
        select.and(&fts, Value::Text(expression));
    }
    let mut names = HashMap::new();
    let name = |row: &Row<'_>| match stream {
        Some(stream) => Ok(shared(&mut names, stream)),
        None => stream_of(connection, table, row, &mut names),
    };
    // The index only names candidates; the payload decides.
    select.page(connection, read, name, |row| Ok(query.matches(payload(row)?)))
}

/// The search expression for the index; `None` if there is no index or it cannot answer.
fn index_expression(
    connection: &Connection,
    table: &Table,
    query: &Query,
) -> Result<Option<String>, Failure> {
    let is_too_short = |needle: &String| needle.chars().count() < TRIGRAM || needle.contains('\0');
    if query.needles().iter().any(is_too_short) || !table_exists(connection, &format!("{}_fts", table.store))?
    {
        return Ok(None);
    }
    let needles = query.needles().iter().map(String::as_str).chain([UNINDEXED_MARK]);
    let phrases: Vec<_> = needles.map(|needle| format!("\"{}\"", needle.replace('"', "\"\""))).collect();
    Ok(Some(phrases.join(" OR ")))
}

/// The name of the stream of a row, looked up once per stream of a page.
fn stream_of(
    connection: &Connection,
    table: &Table,
    row: &Row<'_>,
    names: &mut HashMap<String, Arc<str>>,
) -> Result<Arc<str>, Failure> {
    let stream_id = row.get_ref(STREAM_COLUMN)?.as_str().map_err(rusqlite::Error::from)?;
    if table.names == StreamNames::Direct || names.contains_key(stream_id) {
        return Ok(shared(names, stream_id));
    }
    let name: Arc<str> =
        name_of(connection, table, stream_id)?.unwrap_or_else(|| stream_id.to_owned()).into();
    names.insert(stream_id.to_owned(), name.clone());
    Ok(name)
}

fn shared(names: &mut HashMap<String, Arc<str>>, name: &str) -> Arc<str> {
    if let Some(shared) = names.get(name) {
        return shared.clone();
    }
    let shared: Arc<str> = name.into();
    names.insert(name.to_owned(), shared.clone());
    shared
}

/// A SELECT of entries under construction.
struct Select {
    sql: String,
    values: Vec<Value>,
    order: Order,
}

impl Select {
    /// The columns of an entry and further ones, with the conditions that every read has.
    fn new(table: &Table, read: &Read<i64>, further_columns: &str) -> Self {
        let sql = format!(r#"{}{further_columns} FROM "{}" WHERE 1"#, table.statements.select, table.store);
        let mut select = Self { sql, values: Vec::new(), order: read.order };
        if let Some(after) = read.after {
            let condition = if read.order == Order::Ascending { "id > ?" } else { "id < ?" };
            select.and(condition, Value::Integer(after));
        }
        if !read.filter.order_key.is_empty() {
            select.and("order_key = ?", Value::Text(read.filter.order_key.clone()));
        }
        select
    }

    fn and(&mut self, condition: &str, value: Value) {
        self.sql.push_str(" AND ");
        self.sql.push_str(condition);
        self.values.push(value);
    }

    /// Runs the statement until the page is full. Conditions on JSON columns and on time are checked on the decoded
    /// entry: one meaning for all stores, and a broken row cannot fail the statement.
    fn page(
        mut self,
        connection: &Connection,
        read: &Read<i64>,
        mut stream: impl FnMut(&Row<'_>) -> Result<Arc<str>, Failure>,
        matches: impl Fn(&Row<'_>) -> Result<bool, Failure>,
    ) -> Result<Page<i64, Bytes>, Failure> {
        self.sql.push_str(if self.order == Order::Ascending { " ORDER BY id" } else { " ORDER BY id DESC" });
        let mut statement = connection.prepare_cached(&self.sql)?;
        let mut rows = statement.query(params_from_iter(self.values))?;
        let mut page = Page::empty();
        page.entries.reserve(read.limit.min(INITIAL_PAGE));
        let mut bytes: usize = 0;
        while let Some(row) = rows.next()? {
            if !matches(row)? {
                continue;
            }
            let decoded = decode(row, stream(row)?, &read.filter)?;
            let (id, size) = match &decoded {
                Decoded::Filtered => continue,
                Decoded::Entry(entry) => (entry.id, entry.payload.len()),
                Decoded::Damaged(record) => (record.id, 0),
            };
            bytes = bytes.saturating_add(size);
            let records = page.entries.len().saturating_add(page.damaged.len());
            if records == read.limit || (records > 0 && bytes > read.max_bytes) {
                page.more = true;
                break;
            }
            page.next = Some(id);
            match decoded {
                Decoded::Entry(entry) => page.entries.push(entry),
                Decoded::Damaged(record) => page.damaged.push(record),
                Decoded::Filtered => {}
            }
        }
        Ok(page)
    }
}

/// The copy of an entry, by its identity at the source.
pub(crate) fn find_by_source(
    connection: &Connection,
    table: &Table,
    stream: &str,
    source_id: &str,
) -> Result<Option<i64>, Failure> {
    let Some(stream_id) = resolve(connection, table, stream)? else { return Ok(None) };
    let mut select = connection.prepare_cached(&table.statements.by_source_id)?;
    let found: Option<(i64, String)> =
        select.query_row([source_id], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    Ok(found.filter(|(_, in_stream)| *in_stream == stream_id).map(|(id, _)| id))
}
