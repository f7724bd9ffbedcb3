//! Rows that repeat a key: which one stays.

use rusqlite::Connection;

use super::super::load::TURN_COLUMNS;
use super::super::schema::{LARGE, Table};

/// Removes the rows that repeat a key, in the tables where there are such rows. The keys are indexes still.
pub(in super::super) fn settle_repeated(db: &Connection, repeated: [bool; 4]) -> rusqlite::Result<()> {
    let [turns, calls, events, compactions] = &LARGE;
    let [in_turns, _, in_events, in_compactions] = repeated;
    if in_turns {
        settle_turns(db, turns, calls)?;
    }
    for (table, repeated) in [(events, in_events), (compactions, in_compactions)] {
        if repeated {
            keep_last(db, table)?;
        }
    }
    Ok(())
}

/// The first row of a key gets what the last one says. Calls stay that follow the last row.
fn settle_turns(db: &Connection, turns: &Table, calls: &Table) -> rusqlite::Result<()> {
    let columns = TURN_COLUMNS.iter().skip(3).copied().collect::<Vec<_>>().join(", ");
    db.execute_batch(&format!(
        "CREATE TEMP TABLE repeated AS {repeated};
         DELETE FROM tool_calls WHERE rowid IN (
           SELECT old.rowid FROM repeated JOIN turns AS known ON known.rowid = last
             JOIN tool_calls AS old INDEXED BY {call_index} ON {same_key} AND old.rowid < last);
         UPDATE turns SET ({columns}) = (SELECT {columns} FROM turns AS latest WHERE latest.rowid = last)
           FROM repeated WHERE turns.rowid = first;
         DELETE FROM turns WHERE rowid IN (
           SELECT old.rowid FROM repeated JOIN turns AS known ON known.rowid = first
             JOIN turns AS old INDEXED BY {turn_index} ON {same_key} AND old.rowid > first);
         DROP TABLE repeated;",
        repeated = repeated(turns),
        same_key = same_key(turns),
        turn_index = turns.key_index(),
        call_index = calls.key_index(),
    ))
}

fn keep_last(db: &Connection, table: &Table) -> rusqlite::Result<()> {
    db.execute_batch(&format!(
        "DELETE FROM {table} WHERE rowid IN (
           SELECT old.rowid FROM ({repeated}) JOIN {table} AS known ON known.rowid = last
             JOIN {table} AS old INDEXED BY {index} ON {same_key} AND old.rowid < last)",
        table = table.name,
        repeated = repeated(table),
        same_key = same_key(table),
        index = table.key_index(),
    ))
}

/// Selects the first and the last row of every key that more than one row has.
fn repeated(table: &Table) -> String {
    format!(
        "SELECT min(rowid) AS first, max(rowid) AS last FROM {} INDEXED BY {} GROUP BY {} HAVING count(*) > 1",
        table.name,
        table.key_index(),
        table.key
    )
}

/// That `old` has the key of `known`.
fn same_key(table: &Table) -> String {
    let columns = table.key.split(", ").map(|column| format!("old.{column} = known.{column}"));
    columns.collect::<Vec<_>>().join(" AND ")
}
