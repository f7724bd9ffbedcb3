//! A full rebuild, which fills its tables in another way than an incremental build, comes to the same archive.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use common::{TABLES, TestHome, stamp_line};
use proptest::prelude::*;
use rusqlite::Connection;

/// Every value of the data tables, byte by byte and with its type, in the order in which the rows were inserted.
fn tables(home: &TestHome) -> Vec<Vec<String>> {
    let db = Connection::open(home.path("archive.sqlite")).unwrap();
    let dump = |(table, key): (&str, &str)| {
        let statement = db.prepare(&format!("SELECT * FROM {table}")).unwrap();
        let value =
            |column: &str| format!("'{column} ' || typeof({column}) || ' ' || hex(CAST({column} AS BLOB))");
        let values: Vec<String> = statement.column_names().map(value).collect();
        // Sessions come in the order of their key from a rebuild, and as they are first touched from a build.
        let order = if table == "sessions" { key } else { "rowid" };
        let sql = format!("SELECT concat_ws(char(10), {}) FROM {table} ORDER BY {order}", values.join(", "));
        let mut rows = db.prepare(&sql).unwrap();
        rows.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect()
    };
    TABLES.into_iter().map(dump).collect()
}

/// What SQLite finds wrong with the file: among others an entry of an index that has no row or is out of order, a row
/// that an index lacks, a page that nothing leads to.
fn check_structure(home: &TestHome) {
    let db = Connection::open(home.path("archive.sqlite")).unwrap();
    let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
}

/// An archive of these lines that SQLite has filled row by row, in several builds.
fn built_in_parts(lines: &[String], parts: usize) -> TestHome {
    let home = TestHome::new();
    // The first build makes a new archive: let it have nothing in it.
    home.append("ledger.jsonl", "{}\n");
    home.build();
    for part in lines.chunks(lines.len().div_ceil(parts)) {
        home.append("ledger.jsonl", part.concat());
        home.build();
    }
    home
}

fn rebuilt(lines: &[String]) -> TestHome {
    let home = TestHome::new();
    home.write("ledger.jsonl", "{}\n".to_owned() + &lines.concat());
    home.rebuild();
    home
}

fn assert_same(ours: &TestHome, theirs: &TestHome) {
    for ((ours, theirs), (table, _)) in tables(ours).iter().zip(&tables(theirs)).zip(TABLES) {
        assert_eq!(ours, theirs, "{table}");
    }
    let (ours, theirs) = (ours.archive().status().unwrap(), theirs.archive().status().unwrap());
    assert_eq!((ours.rows, ours.fidelity), (theirs.rows, theirs.fidelity));
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
    check_structure(&home);
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

/// JSON of a value, of the kind that its column expects or of another one.
fn odd() -> impl Strategy<Value = String> {
    let texts = [
        "",
        "5",
        " 12 ",
        "1e3",
        "0x10",
        "-0",
        "1.0",
        "9007199254740993",
        "9223372036854775807",
        "x",
        "ä\u{1F600}",
    ];
    let numbers = [
        "0",
        "1",
        "-1",
        "5",
        "0.5",
        "-0.0",
        "127",
        "128",
        "-129",
        "32768",
        "8388608",
        "2147483648",
        "1e12",
        "140737488355328",
        "1e15",
        "9007199254740993",
        "1e18",
        "9223372036854775807",
        "-9223372036854775808",
        "1e19",
        "1e300",
        "1e999",
        "-1e999",
    ];
    prop_oneof![
        4 => prop::sample::select(texts.to_vec()).prop_map(|text| format!("{text:?}")),
        4 => prop::sample::select(numbers.to_vec()).prop_map(ToOwned::to_owned),
        1 => Just(r#""a\u0000b""#.to_owned()),
        1 => Just(r#""a\u0000\u00ff""#.to_owned()),
        1 => Just(r#""lone \ud83d""#.to_owned()),
        // What goes through one, two and three overflow pages, and around the length at which it begins.
        1 => (900..1100_usize).prop_map(|len| format!("{:?}", "k".repeat(len))),
        1 => (3500..4200_usize).prop_map(|len| format!("{:?}", "k".repeat(len))),
        1 => (8000..12_500_usize).prop_map(|len| format!("{:?}", "k".repeat(len))),
    ]
}

/// A line with odd values wherever the archive takes any.
fn odd_line() -> impl Strategy<Value = String> {
    let key = || prop_oneof![3 => Just("\"k\"".to_owned()), 1 => odd()];
    let turn = (key(), key(), prop::collection::vec(odd(), 9)).prop_map(|(session, message, values)| {
        let [index, ts, model, project, retries, input, call, target, agent] = &values[..] else { unreachable!() };
        format!(
            r#"{{"v":1,"kind":"turn","record":{{"source":"x","sessionId":{session},"messageId":{message},"turnIndex":{index},"ts":{ts},"model":{model},"project":{project},"retries":{retries},"usage":{{"input":{input},"output":2,"reasoning":0,"cacheRead":3,"cacheCreate5m":0,"cacheCreate1h":0}},"toolCalls":[{{"id":{call},"name":"n","target":{target}}}],"subagent":{{"agentId":{agent}}}}}}}"#
        ) + "\n"
    });
    let event = (key(), key(), key(), prop::collection::vec(odd(), 4)).prop_map(|(session, tool, index, values)| {
        let [message, length, hash, ts] = &values[..] else { unreachable!() };
        format!(
            r#"{{"v":1,"kind":"tool_result_event","record":{{"source":"x","sessionId":{session},"messageId":{message},"toolUseId":{tool},"eventIndex":{index},"status":"completed","eventSource":"tool_result","contentLength":{length},"contentHash":{hash},"ts":{ts}}}}}"#
        ) + "\n"
    });
    let stamp = (key(), odd(), odd()).prop_map(|(session, ts, tier)| {
        format!(
            r#"{{"v":1,"kind":"stamp","ts":{ts},"selector":{{"sessionId":{session}}},"enrichment":{{"tier":{tier}}}}}"#
        ) + "\n"
    });
    prop_oneof![5 => turn, 5 => event, 1 => stamp]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn repeated_records_come_to_the_same_in_one_rebuild_as_in_several_builds(
        lines in prop::collection::vec(line(), 1..160),
        parts in 2..5_usize,
    ) {
        let whole = rebuilt(&lines);
        check_structure(&whole);
        assert_same(&whole, &built_in_parts(&lines, parts));
    }

    #[test]
    fn odd_values_are_stored_as_sqlite_stores_them(lines in prop::collection::vec(odd_line(), 1..40)) {
        let whole = rebuilt(&lines);
        check_structure(&whole);
        assert_same(&whole, &built_in_parts(&lines, 1));
    }
}

#[test]
fn trees_of_many_levels_hold_together() {
    // Long keys make deep trees, short ones wide leaves; with so many the sorting needs its temporary file.
    let event = |number: u32| {
        let number = number.wrapping_mul(7919) % 20_000;
        let tool = if number.is_multiple_of(10) { "t".repeat(900) } else { "t".to_owned() };
        format!(
            r#"{{"v":1,"kind":"tool_result_event","record":{{"source":"x","sessionId":"s{}","toolUseId":"{tool}-{number}","eventIndex":{number},"status":"completed","eventSource":"tool_result"}}}}"#,
            number / 100
        ) + "\n"
    };
    let lines: Vec<String> = (0..20_000).map(event).collect();
    let whole = rebuilt(&lines);
    check_structure(&whole);
    assert_same(&whole, &built_in_parts(&lines, 1));
}
