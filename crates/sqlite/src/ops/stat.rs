//! Counting, at a cost that does not grow with the stream (see [`layout`](crate::layout)).

use ledger_streams::Stat;
use rusqlite::Connection;

use super::Table;
use super::names::resolve;
use crate::error::Failure;

/// So many entries behind what was counted before are worth storing a new count.
const WORTH_STORING: i64 = 10_000;

/// A count to be kept, if it is still true by then.
#[derive(Debug)]
pub(crate) struct NewCount {
    stream_id: String,
    /// The row that the count was made from; `None` if there was none.
    old: Option<Counted>,
    entries: i64,
    up_to: i64,
}

/// A row of the table of counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Counted {
    entries: i64,
    up_to: i64,
    deleted: i64,
}

/// Number, first and last id of the entries of a stream, and what of it is worth keeping.
pub(crate) fn stat(
    connection: &Connection,
    table: &Table,
    stream: &str,
) -> Result<(Stat<i64>, Option<NewCount>), Failure> {
    let mut stat = Stat { stream: stream.to_owned(), count: 0, first_id: None, last_id: None };
    let Some(stream_id) = resolve(connection, table, stream)? else { return Ok((stat, None)) };
    let mut select = connection.prepare_cached(&table.statements.stat)?;
    let (is_counted, old, behind): (bool, Counted, i64) = select.query_row([&stream_id], |row| {
        (stat.first_id, stat.last_id) = (row.get(5)?, row.get(6)?);
        let counted = Counted { entries: row.get(1)?, up_to: row.get(2)?, deleted: row.get(3)? };
        Ok((row.get(0)?, counted, row.get(4)?))
    })?;
    let entries = old.entries.saturating_add(behind);
    let old = is_counted.then_some(old);
    stat.count = entries.unsigned_abs();
    let new = stat.last_id.filter(|_| behind >= WORTH_STORING && table.has_counts).map(|up_to| NewCount {
        stream_id: stream_id.into_owned(),
        old,
        entries,
        up_to,
    });
    Ok((stat, new))
}

/// The statement of [`stat`]: one, so that all of it is seen at the same moment.
pub(super) fn statement(store: &str, has_counts: bool) -> String {
    let counted = if has_counts {
        format!(
            r#"SELECT count(*) AS rows, coalesce(max(entries), 0) AS entries, coalesce(max(up_to), 0) AS up_to,
                coalesce(max(deleted), 0) AS deleted FROM "{store}_counts" WHERE stream = ?1"#
        )
    } else {
        "SELECT 0 AS rows, 0 AS entries, 0 AS up_to, 0 AS deleted".to_owned()
    };
    format!(
        r#"SELECT rows, entries, up_to, deleted,
            (SELECT count(*) FROM "{store}" WHERE stream = ?1 AND id > up_to),
            (SELECT min(id) FROM "{store}" WHERE stream = ?1),
            (SELECT max(id) FROM "{store}" WHERE stream = ?1)
        FROM ({counted})"#
    )
}

/// Keeps a count, unless entries were deleted or somebody else has kept one since it was made. Deletions are noticed
/// on the row only, so the first time just makes the row.
pub(crate) fn keep_count(connection: &Connection, table: &Table, new: &NewCount) -> Result<(), Failure> {
    let NewCount { stream_id, old, entries, up_to } = new;
    let Some(old) = old else {
        let insert =
            format!(r#"INSERT INTO "{}_counts" VALUES (?1, 0, 0, 0) ON CONFLICT DO NOTHING"#, table.store);
        connection.prepare_cached(&insert)?.execute([stream_id])?;
        return Ok(());
    };
    let update = format!(
        r#"UPDATE "{}_counts" SET entries = ?2, up_to = ?3
        WHERE stream = ?1 AND entries = ?4 AND up_to = ?5 AND deleted = ?6"#,
        table.store
    );
    connection.prepare_cached(&update)?.execute((
        stream_id,
        entries,
        up_to,
        old.entries,
        old.up_to,
        old.deleted,
    ))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use ledger_streams::{Durability, StoreName};

    use super::*;
    use crate::StreamNames;
    use crate::layout::{Shape, create_store};

    fn store() -> (Connection, std::sync::Arc<Table>) {
        let connection = Connection::open_in_memory().unwrap();
        let name = StoreName::new("t").unwrap();
        create_store(&connection, &name, "test").unwrap();
        (connection, Table::new(name, StreamNames::Direct, Durability::Synced, Shape::COMPLETE))
    }

    fn append(connection: &Connection, entries: i64) {
        let insert = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?1)
            INSERT INTO t (stream, payload) SELECT 's', x'01' FROM n";
        connection.execute(insert, [entries]).unwrap();
    }

    fn count(connection: &Connection, table: &Table) -> (u64, Option<NewCount>) {
        let (stat, new) = stat(connection, table, "s").unwrap();
        let scanned: i64 = connection.query_row("SELECT count(*) FROM t", [], |row| row.get(0)).unwrap();
        assert_eq!(stat.count, scanned.unsigned_abs());
        (stat.count, new)
    }

    /// Counts and keeps until there is nothing left to keep.
    fn settle(connection: &Connection, table: &Table) {
        while let (_, Some(new)) = count(connection, table) {
            keep_count(connection, table, &new).unwrap();
        }
    }

    #[test]
    fn what_was_counted_is_not_counted_again() {
        let (connection, table) = store();
        append(&connection, 25_000);
        settle(&connection, &table);
        let kept = "SELECT entries FROM t_counts WHERE stream = 's'";
        assert_eq!(connection.query_row(kept, [], |row| row.get::<_, i64>(0)).unwrap(), 25_000);
        append(&connection, 9_999);
        assert!(count(&connection, &table).1.is_none(), "too few to be worth it");
        append(&connection, 1);
        settle(&connection, &table);
        assert_eq!(connection.query_row(kept, [], |row| row.get::<_, i64>(0)).unwrap(), 35_000);
    }

    #[test]
    fn whoever_deletes_the_count_stays_right() {
        let (connection, table) = store();
        append(&connection, 20_000);
        settle(&connection, &table);
        append(&connection, 5_000);
        for (delete, left) in [("id <= 7000", 18_000), ("id IN (9000, 21000)", 17_998), ("id > 15000", 7_999)]
        {
            connection.execute(&format!("DELETE FROM t WHERE {delete}"), []).unwrap();
            assert_eq!(count(&connection, &table).0, left);
        }
        connection.execute("DELETE FROM t", []).unwrap();
        append(&connection, 3);
        assert_eq!(count(&connection, &table).0, 3);
    }

    #[test]
    fn a_count_that_is_no_longer_true_is_not_kept() {
        let (connection, table) = store();
        append(&connection, 20_000);
        let first = count(&connection, &table).1.unwrap();
        connection.execute("DELETE FROM t WHERE id <= 10", []).unwrap();
        keep_count(&connection, &table, &first).unwrap();
        let second = count(&connection, &table).1.unwrap();
        let third = count(&connection, &table).1.unwrap();
        connection.execute("DELETE FROM t WHERE id <= 20", []).unwrap();
        keep_count(&connection, &table, &second).unwrap();
        assert_eq!(count(&connection, &table).0, 19_980);
        settle(&connection, &table);
        keep_count(&connection, &table, &third).unwrap();
        keep_count(&connection, &table, &first).unwrap();
        assert_eq!(count(&connection, &table).0, 19_980);
    }
}
