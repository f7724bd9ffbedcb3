//! A full rebuild, which fills its tables in another way than an incremental build, comes to the same archive.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{TABLES, TestHome, stamp_line};
use proptest::prelude::*;
use rusqlite::Connection;
use serde_json::Value;

/// Everything in the data tables, in the order in which the rows were inserted.
fn tables(home: &TestHome) -> Vec<Vec<Value>> {
    let archive = home.path("archive.sqlite");
    let db = Connection::open(&archive).unwrap();
    let columns = |table: &str| -> Vec<String> {
        let statement = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        statement.column_names().map(ToOwned::to_owned).collect()
    };
    let dump = |(table, key): (&str, &str)| {
        let columns = columns(table);
        let names: Vec<&str> = columns.iter().map(String::as_str).collect();
        // Sessions come in the order of their key from a rebuild, and as they are first touched from a build.
        common::rows(&archive, table, &names, if table == "sessions" { key } else { "rowid" })
    };
    TABLES.into_iter().map(dump).collect()
}

fn schema(db: &Connection) -> Vec<(String, String, String, Option<String>)> {
    let mut statement =
        db.prepare("SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name").unwrap();
    let rows = statement.query_map([], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)));
    rows.unwrap().map(Result::unwrap).collect()
}

#[test]
fn the_keys_of_a_rebuilt_archive_are_those_that_sqlite_would_have_made() {
    let home = TestHome::with(&["ledger.jsonl"]);
    home.rebuild();
    let rebuilt = Connection::open(home.path("archive.sqlite")).unwrap();
    let check: String = rebuilt.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let objects = schema(&rebuilt);
    let plain = Connection::open_in_memory().unwrap();
    for kind in ["table", "index"] {
        for (_, _, _, sql) in objects.iter().filter(|object| object.0 == kind) {
            plain.execute_batch(sql.as_deref().unwrap_or_default()).unwrap();
        }
    }
    assert_eq!(objects, schema(&plain));
    for (table, _) in TABLES {
        let again = format!("INSERT INTO {table} SELECT * FROM {table} LIMIT 1");
        let refused = rebuilt.execute_batch(&again).unwrap_err();
        assert_eq!(refused.sqlite_error_code(), Some(rusqlite::ErrorCode::ConstraintViolation), "{table}");
    }
}

/// A line of one of few keys, so that many lines repeat one.
fn line() -> impl Strategy<Value = String> {
    let turn = (0..3_u8, 0..4_u8, 0..4_usize, 0..100_u8, 0..3_u8).prop_map(|(session, message, calls, number, class)| {
        let calls: Vec<String> =
            (0..calls).map(|call| format!(r#"{{"id":"c{number}-{call}","name":"n{number}"}}"#)).collect();
        let fidelity = ["", r#","fidelity":{"class":"full","coverage":{}}"#, r#","fidelity":{"class":"partial","coverage":{}}"#]
            [usize::from(class)];
        format!(
            r#"{{"v":1,"kind":"turn","record":{{"source":"x","sessionId":"s{session}","messageId":"m{message}","turnIndex":{number},"ts":"t{number}","model":"m{number}","usage":{{"input":{number},"output":2,"reasoning":0,"cacheRead":3,"cacheCreate5m":0,"cacheCreate1h":0}},"toolCalls":[{}]{fidelity}}}}}"#,
            calls.join(",")
        ) + "\n"
    });
    let event = (0..3_u8, 0..4_u8, 0..100_u8).prop_map(|(session, index, number)| {
        format!(
            r#"{{"v":1,"kind":"tool_result_event","record":{{"source":"x","sessionId":"s{session}","toolUseId":"u","eventIndex":{index},"status":"completed","eventSource":"tool_result","contentLength":{number}}}}}"#
        ) + "\n"
    });
    let compaction = (0..3_u8, 0..100_u8).prop_map(|(session, number)| {
        format!(
            r#"{{"v":1,"kind":"compaction","record":{{"source":"x","sessionId":"s{session}","ts":"t","tokensBeforeCompact":{number}}}}}"#
        ) + "\n"
    });
    let stamp = (0..3_u8, 0..100_u8).prop_map(|(session, number)| {
        stamp_line(&format!("s{session}"), &format!("t{number}"), &format!(r#"{{"tier":"{number}"}}"#))
    });
    prop_oneof![6 => turn, 4 => event, 1 => compaction, 1 => stamp]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn repeated_records_come_to_the_same_in_one_rebuild_as_in_several_builds(
        lines in prop::collection::vec(line(), 1..160),
        parts in 2..5_usize,
    ) {
        let (home, whole) = (TestHome::new(), TestHome::new());
        for part in lines.chunks(lines.len().div_ceil(parts)) {
            home.append("ledger.jsonl", part.concat());
            home.build();
        }
        whole.write("ledger.jsonl", lines.concat());
        whole.rebuild();
        for ((ours, theirs), (table, _)) in tables(&whole).iter().zip(&tables(&home)).zip(TABLES) {
            prop_assert_eq!(ours, theirs, "{}", table);
        }
        let (ours, theirs) = (whole.archive().status().unwrap(), home.archive().status().unwrap());
        prop_assert_eq!((ours.rows, ours.fidelity), (theirs.rows, theirs.fidelity));
    }
}
