//! Named positions of consumers.

use ledger_streams::cursor_is_ahead;
use rusqlite::{Connection, OptionalExtension};

use super::Table;
use crate::error::Failure;

/// The position of a consumer.
pub(crate) fn get_cursor(
    connection: &Connection,
    table: &Table,
    name: &str,
) -> Result<Option<String>, Failure> {
    let sql = format!(r#"SELECT cursor FROM "{}_cursors" WHERE name = ?1"#, table.store);
    Ok(connection.prepare_cached(&sql)?.query_row([name], |row| row.get(0)).optional()?)
}

/// Moves a consumer forward; answers whether it moved.
pub(crate) fn set_cursor(
    connection: &Connection,
    table: &Table,
    name: &str,
    position: &str,
) -> Result<bool, Failure> {
    let moves = get_cursor(connection, table, name)?.is_none_or(|old| cursor_is_ahead(position, &old));
    if moves {
        let sql = format!(
            r#"INSERT INTO "{}_cursors" (name, cursor) VALUES (?1, ?2)
            ON CONFLICT (name) DO UPDATE SET cursor = excluded.cursor"#,
            table.store
        );
        connection.prepare_cached(&sql)?.execute([name, position])?;
    }
    Ok(moves)
}
