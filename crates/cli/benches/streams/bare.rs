//! The calibration: the same rows in the same schema, by `rusqlite` alone.

use std::path::Path;
use std::time::{Duration, Instant};

use ledger_sqlite::rusqlite::{Connection, params};

use crate::common::load::STREAM;
use crate::common::support::{folder, payload};

/// The schema and settings of a store of ours, taken from one.
fn schema() -> String {
    let folder = folder();
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

/// A database with our schema.
fn create(path: &Path) -> Connection {
    // The schema is asked of a store of ours, which needs a runtime of its own.
    let schema = std::thread::spawn(schema).join().unwrap();
    let connection = open(path);
    connection.execute_batch(&schema).unwrap();
    connection
}

fn write_transaction(connection: &mut Connection, rows: u64) {
    let transaction = connection.transaction().unwrap();
    let mut insert = transaction
        .prepare_cached(
            "INSERT INTO ledger_entries (stream, payload, order_key, dedup_key, schema_version, tags)
            VALUES (?1, ?2, '', '', 1, '[]')",
        )
        .unwrap();
    for _ in 0..rows {
        insert.execute(params![STREAM, &payload()[..]]).unwrap();
    }
    drop(insert);
    transaction.commit().unwrap();
}

/// A loop that inserts in synced transactions of a size.
pub(crate) struct Appends {
    connection: Connection,
    transaction: u64,
}

impl Appends {
    pub(crate) fn new(path: &Path, transaction: usize) -> Self {
        Self { connection: create(path), transaction: transaction as u64 }
    }

    /// Rows per second.
    pub(crate) fn run(&mut self, duration: Duration) -> f64 {
        let (start, mut rows) = (Instant::now(), 0);
        while start.elapsed() < duration {
            write_transaction(&mut self.connection, self.transaction);
            rows += self.transaction;
        }
        rows as f64 / start.elapsed().as_secs_f64()
    }
}

/// How long it takes to write a number of rows.
pub(crate) fn rows_in_transactions(path: &Path, rows: u64, transaction: u64) -> Duration {
    let mut connection = create(path);
    let start = Instant::now();
    for first in (0..rows).step_by(transaction as usize) {
        write_transaction(&mut connection, transaction.min(rows - first));
    }
    start.elapsed()
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
pub(crate) fn rows_per_second(path: &Path, duration: Duration) -> f64 {
    let connection = open(path);
    let mut select = connection
        .prepare(
            "SELECT id, stream, payload, order_key, dedup_key, schema_version, metadata, tags, annotations, source_id,
                created_at, updated_at FROM ledger_entries WHERE stream = ?1 AND id > ?2 ORDER BY id LIMIT 1000",
        )
        .unwrap();
    let (start, mut rows, mut after) = (Instant::now(), 0_u64, 0_i64);
    while start.elapsed() < duration {
        let read = select.query_map(params![STREAM, after], |row| {
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
