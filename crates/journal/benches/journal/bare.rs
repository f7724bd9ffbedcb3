//! The calibration: the least that a rebuild must do.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::time::{Duration, Instant};

use rusqlite::types::Value;
use rusqlite::{Connection, params_from_iter};

/// Seconds to read a file and to find its lines.
pub(crate) fn read_and_split(path: &Path) -> f64 {
    let started = Instant::now();
    let mut reader = BufReader::with_capacity(1 << 20, File::open(path).unwrap());
    let (mut line, mut lines) = (Vec::new(), 0_u64);
    while reader.read_until(b'\n', &mut line).unwrap() > 0 {
        lines += 1;
        line.clear();
    }
    assert!(lines > 0);
    started.elapsed().as_secs_f64()
}

/// Rows that are read, not timed, before they are inserted.
const ROWS: usize = 10_000;

/// Seconds to put the rows of an archive into a new database with the same tables and indexes: prepared statements, one
/// transaction, indexes afterwards, no syncs. Reading the rows is not counted.
pub(crate) fn load(from: &Path, to: &Path) -> f64 {
    let _ = std::fs::remove_file(to);
    let source = Connection::open(from).unwrap();
    let target = Connection::open(to).unwrap();
    target
        .execute_batch(
            "PRAGMA page_size = 4096; PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF;
             PRAGMA locking_mode = EXCLUSIVE; PRAGMA cache_size = -65536; PRAGMA threads = 2; BEGIN;",
        )
        .unwrap();
    let objects = |kind: &str| -> Vec<(String, String)> {
        let mut statement = source
            .prepare("SELECT name, sql FROM sqlite_schema WHERE type = ?1 AND sql IS NOT NULL ORDER BY rowid")
            .unwrap();
        let rows = statement.query_map([kind], |row| Ok((row.get(0)?, row.get(1)?))).unwrap();
        rows.map(Result::unwrap).collect()
    };
    let mut timed = Duration::ZERO;
    for (table, sql) in objects("table") {
        target.execute_batch(&sql).unwrap();
        let mut read = source.prepare(&format!("SELECT * FROM {table} ORDER BY rowid")).unwrap();
        let columns = read.column_count();
        let places = vec!["?"; columns].join(", ");
        let mut write = target.prepare(&format!("INSERT INTO {table} VALUES ({places})")).unwrap();
        let mut rows = read.query([]).unwrap();
        loop {
            let mut batch: Vec<Vec<Value>> = Vec::with_capacity(ROWS);
            while batch.len() < ROWS
                && let Some(row) = rows.next().unwrap()
            {
                batch.push((0..columns).map(|index| row.get(index).unwrap()).collect());
            }
            let started = Instant::now();
            for row in &batch {
                write.execute(params_from_iter(row)).unwrap();
            }
            timed += started.elapsed();
            if batch.len() < ROWS {
                break;
            }
        }
    }
    let started = Instant::now();
    target.execute_batch("PRAGMA cache_size = -16384").unwrap();
    for (_, sql) in objects("index") {
        target.execute_batch(&sql).unwrap();
    }
    target.execute_batch("COMMIT").unwrap();
    timed += started.elapsed();
    drop(target);
    std::fs::remove_file(to).unwrap();
    timed.as_secs_f64()
}
