//! The calibration: the same rows in the same schema, by `rusqlite` alone.

use std::path::Path;
use std::time::{Duration, Instant};

use ledger_sqlite::rusqlite::{Connection, params};

use crate::support::payload;

/// The schema and settings of a store of ours, taken from one.
fn schema() -> String {
    let folder = crate::support::folder();
    let path = folder.path().join("schema.db");
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(async {
        let store = ledger_sqlite::SqliteStore::open(&path).build().await.unwrap();
        store.database().close().await;
    });
    let connection = Connection::open(&path).unwrap();
    let mut select = connection
        .prepare("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name != 'sqlite_sequence'")
        .unwrap();
    let parts: Vec<String> = select.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    parts.join(";\n")
}

fn open(path: &Path) -> Connection {
    let connection = Connection::open(path).unwrap();
    connection.pragma_update_and_check(None, "journal_mode", "wal", |_| Ok(())).unwrap();
    connection.pragma_update(None, "synchronous", "full").unwrap();
    connection
}

/// Rows per second of a loop that inserts in synced transactions of a size.
pub fn appends_per_second(path: &Path, transaction: usize, duration: Duration) -> f64 {
    let schema = std::thread::spawn(schema).join().unwrap();
    let mut connection = open(path);
    connection.execute_batch(&schema).unwrap();
    let (start, mut rows) = (Instant::now(), 0_u64);
    while start.elapsed() < duration {
        let transaction_ = connection.transaction().unwrap();
        {
            let mut insert = transaction_
                .prepare_cached("INSERT INTO ledger_entries (stream, payload, order_key, dedup_key, schema_version, tags) VALUES (?1, ?2, '', '', 1, '[]')")
                .unwrap();
            for _ in 0..transaction {
                insert.execute(params!["bench", &payload()[..]]).unwrap();
                rows += 1;
            }
        }
        transaction_.commit().unwrap();
    }
    rows as f64 / start.elapsed().as_secs_f64()
}

/// What a program that reads rows into values of its own would have.
#[allow(dead_code, reason = "read into, as a program would")]
struct Row {
    id: i64,
    stream: String,
    payload: Vec<u8>,
    order_key: String,
    dedup_key: String,
    schema_version: i64,
    metadata: Option<String>,
    tags: String,
    annotations: Option<String>,
    source_id: String,
    created_at: String,
    updated_at: Option<String>,
}

/// Rows per second of a query for pages of 1,000.
pub fn rows_per_second(path: &Path, duration: Duration) -> f64 {
    let connection = open(path);
    let mut select = connection
        .prepare(
            "SELECT id, stream, payload, order_key, dedup_key, schema_version, metadata, tags, annotations, source_id,
                created_at, updated_at FROM ledger_entries WHERE stream = ?1 AND id > ?2 ORDER BY id LIMIT 1000",
        )
        .unwrap();
    let (start, mut rows, mut after) = (Instant::now(), 0_u64, 0_i64);
    while start.elapsed() < duration {
        let read = select.query_map(params!["bench", after], |row| {
            Ok(Row {
                id: row.get(0)?,
                stream: row.get(1)?,
                payload: row.get(2)?,
                order_key: row.get(3)?,
                dedup_key: row.get(4)?,
                schema_version: row.get(5)?,
                metadata: row.get(6)?,
                tags: row.get(7)?,
                annotations: row.get(8)?,
                source_id: row.get(9)?,
                created_at: row.get(10)?,
                updated_at: row.get(11)?,
            })
        });
        let page: Vec<Row> = read.unwrap().map(Result::unwrap).collect();
        rows += page.len() as u64;
        after = if page.len() == 1000 { page[999].id } else { 0 };
    }
    rows as f64 / start.elapsed().as_secs_f64()
}
