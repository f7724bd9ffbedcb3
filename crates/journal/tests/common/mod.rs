//! What the tests share: a copy of the fixture home, and looking into databases.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "a test")]
#![allow(dead_code, reason = "every test program uses its own part")]

use std::fs;
use std::path::{Path, PathBuf};

use relayburn_ledger::{Archive, Home};
use serde_json::{Map, Value, json};
use tempfile::TempDir;

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/small").join(name)
}

pub(crate) fn fixture_json(name: &str) -> Value {
    serde_json::from_slice(&fs::read(fixture(name)).unwrap()).unwrap()
}

/// A home that is gone after the test.
pub(crate) struct TestHome {
    pub(crate) folder: TempDir,
    pub(crate) home: Home,
}

impl TestHome {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        Self { folder, home }
    }

    /// With these files of the fixture.
    pub(crate) fn with(files: &[&str]) -> Self {
        let home = Self::new();
        for file in files {
            copy(&fixture(file), &home.path(file));
        }
        home
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        fs::write(self.path(name), bytes).unwrap();
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).unwrap()
    }

    pub(crate) fn append(&self, name: &str, bytes: impl AsRef<[u8]>) {
        use std::io::Write;
        let mut file = fs::OpenOptions::new().append(true).create(true).open(self.path(name)).unwrap();
        file.write_all(bytes.as_ref()).unwrap();
    }

    pub(crate) fn archive(&self) -> Archive {
        Archive::with_storage(self.home.clone(), None).unwrap()
    }

    pub(crate) fn build(&self) -> relayburn_ledger::archive::BuildReport {
        self.archive().build(&mut |_, _| {}).unwrap()
    }

    pub(crate) fn rebuild(&self) -> relayburn_ledger::archive::BuildReport {
        self.archive().rebuild(&mut |_, _| {}).unwrap()
    }

    pub(crate) fn count(&self, sql: &str) -> i64 {
        let db = rusqlite::Connection::open(self.path("archive.sqlite")).unwrap();
        db.query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

pub(crate) fn copy(from: &Path, to: &Path) {
    if from.is_dir() {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap() {
            let entry = entry.unwrap();
            copy(&entry.path(), &to.join(entry.file_name()));
        }
    } else {
        fs::write(to, fs::read(from).unwrap()).unwrap();
    }
}

/// The rows of a table in primary-key order, as the fixture lists them.
pub(crate) fn rows(archive: &Path, table: &str, columns: &[&str], order: &str) -> Vec<Value> {
    let db = rusqlite::Connection::open(archive).unwrap();
    let sql = format!("SELECT {} FROM {table} ORDER BY {order}", columns.join(", "));
    let mut statement = db.prepare(&sql).unwrap();
    let rows = statement.query_map([], |row| {
        let mut object = Map::new();
        for (index, column) in columns.iter().enumerate() {
            let value = match row.get_ref(index)? {
                rusqlite::types::ValueRef::Null => Value::Null,
                rusqlite::types::ValueRef::Integer(value) => json!(value),
                rusqlite::types::ValueRef::Real(value) => json!(value),
                rusqlite::types::ValueRef::Text(text) => json!(String::from_utf8_lossy(text)),
                rusqlite::types::ValueRef::Blob(blob) => json!(blob),
            };
            object.insert((*column).to_owned(), value);
        }
        Ok(Value::Object(object))
    });
    rows.unwrap().map(Result::unwrap).collect()
}

/// The data tables with their primary keys.
pub(crate) const TABLES: [(&str, &str); 6] = [
    ("sessions", "source, session_id"),
    ("turns", "source, session_id, message_id"),
    ("tool_calls", "source, session_id, message_id, call_index"),
    ("tool_result_events", "source, session_id, message_id, tool_use_id, event_index"),
    ("stamps", "source, session_id, ts, ledger_offset_bytes"),
    ("compactions", "source, session_id, ts"),
];

/// Compares every data table with the rows that the original has.
pub(crate) fn assert_tables_equal(archive: &Path, expected: &Value) {
    for (table, order) in TABLES {
        let wanted = expected[table].as_array().unwrap();
        let columns: Vec<&str> = wanted[0].as_object().unwrap().keys().map(String::as_str).collect();
        let found = rows(archive, table, &columns, order);
        assert_eq!(found.len(), wanted.len(), "rows of {table}");
        for (found, wanted) in found.iter().zip(wanted) {
            assert_eq!(found, wanted, "a row of {table}");
        }
    }
}

/// A good turn line of a session.
pub(crate) fn turn_line(session: &str, message: &str, index: u32) -> String {
    format!(
        r#"{{"v":1,"kind":"turn","record":{{"v":1,"source":"claude-code","sessionId":"{session}","messageId":"{message}","turnIndex":{index},"ts":"2026-04-20T00:00:{:02}.000Z","model":"claude-sonnet-4-6","usage":{{"input":{index},"output":2,"reasoning":0,"cacheRead":3,"cacheCreate5m":0,"cacheCreate1h":0}},"toolCalls":[]}}}}"#,
        index % 60
    ) + "\n"
}

/// A stamp line on a session.
pub(crate) fn stamp_line(session: &str, ts: &str, enrichment: &str) -> String {
    format!(
        r#"{{"v":1,"kind":"stamp","ts":"{ts}","selector":{{"sessionId":"{session}"}},"enrichment":{enrichment}}}"#
    ) + "\n"
}
