//! `ledger stream read`.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use common::{Ledger, line};

/// Five entries with ids 1 to 5 and everything that can be filtered by.
fn filled() -> Ledger {
    let ledger = Ledger::new();
    let file = [
        r#"{"stream":"s","payload":"one","order_key":"a","tags":["x"],"metadata":{"env":"prod"},"created_at":"2026-01-01T00:00:00Z"}"#,
        r#"{"stream":"s","payload":"two","order_key":"b","tags":["x","y"],"metadata":{"env":"test"},"created_at":"2026-01-02T00:00:00Z"}"#,
        r#"{"stream":"other","payload":"elsewhere"}"#,
        r#"{"stream":"s","payload":{"n": 4},"order_key":"a","tags":["y"],"annotations":{"k":"v=w"},"created_at":"2026-01-02T12:00:00Z"}"#,
        r#"{"stream":"s","payload":null,"created_at":"2026-01-03T00:00:00Z"}"#,
    ];
    let file = ledger.file("lines.jsonl", file.join("\n"));
    // One by one, so that the ids are those of the lines.
    for skipped in 0..5 {
        let lines = ledger.content("lines.jsonl");
        let only = ledger.file("one.jsonl", lines.lines().nth(skipped).unwrap());
        assert_eq!(ledger.ok(&["stream", "import", &only]), "imported 1 entries\n");
    }
    drop(file);
    ledger
}

#[track_caller]
fn assert_ids(ledger: &Ledger, args: &[&str], ids: &[u32]) {
    let printed = ledger.ok(&[&["stream", "read", "-S", "s"], args].concat());
    let found: Vec<u32> =
        printed.lines().map(|line| line.split('\t').next().unwrap().parse().unwrap()).collect();
    assert_eq!(found, ids, "{args:?}");
}

#[test]
fn entries_are_printed_oldest_first() {
    assert_eq!(filled().ok(&["stream", "read", "--stream", "s"]), "1\tone\n2\ttwo\n4\t{\"n\": 4}\n5\t\n");
}

#[test]
fn cursor_limit_and_order_are_honoured() {
    let ledger = filled();
    assert_ids(&ledger, &["--desc"], &[5, 4, 2, 1]);
    assert_ids(&ledger, &["--after", "2"], &[4, 5]);
    assert_ids(&ledger, &["--after", "3"], &[4, 5]);
    assert_ids(&ledger, &["--after", "4", "--desc"], &[2, 1]);
    assert_ids(&ledger, &["--after", "-9", "--limit=2"], &[1, 2]);
    assert_ids(&ledger, &["--after", "99"], &[]);
    assert_ids(&ledger, &["--limit", "1", "--limit", "3"], &[1, 2, 4]);
    assert_ids(&ledger, &["--limit", "2", "--desc", "--after", ""], &[5, 4]);
}

#[test]
fn every_filter_is_honoured() {
    let ledger = filled();
    assert_ids(&ledger, &["--order-key", "a"], &[1, 4]);
    assert_ids(&ledger, &["--tag", "x"], &[1, 2]);
    assert_ids(&ledger, &["--tag", "x", "--tag", "y"], &[2]);
    assert_ids(&ledger, &["--tag", ""], &[1, 2, 4, 5]);
    assert_ids(&ledger, &["--meta", "env=prod"], &[1]);
    assert_ids(&ledger, &["--meta", "env=prod", "--meta", "env=test"], &[]);
    assert_ids(&ledger, &["--annotation", "k=v=w"], &[4]);
    assert_ids(&ledger, &["--since", "2026-01-02"], &[2, 4, 5]);
    assert_ids(&ledger, &["--since", "2026-01-02T01:00:00+00:30", "--until", "2026-01-03"], &[4]);
    assert_ids(&ledger, &["--until", "2026-01-02T00:00:00Z"], &[1]);
    assert_ids(&ledger, &["--order-key", "a", "--tag", "y", "--until", "2026-01-03"], &[4]);
}

#[test]
fn a_duration_counts_back_from_now() {
    let ledger = Ledger::new();
    ledger.ok(&["stream", "append", "-S", "s", "x"]);
    assert_ids(&ledger, &["--since", "2h"], &[1]);
    assert_ids(&ledger, &["--until", "2h"], &[]);
}

#[test]
fn the_json_form_is_that_of_the_original() {
    let ledger = Ledger::new();
    let file = ledger.file(
        "one.jsonl",
        line(9, "default", r#""payload":{"a": 1,  "b":[1,2]},"order_key":"ok1","dedup_key":"d1","schema_version":0,"metadata":{"env":"<prod>"},"tags":["x","y"]"#),
    );
    ledger.ok(&["stream", "import", &file]);
    let expected = r#"{"id":"1","stream":"default","payload":"eyJhIjogMSwgICJiIjpbMSwyXX0=","order_key":"ok1","dedup_key":"d1","metadata":{"env":"\u003cprod\u003e"},"tags":["x","y"],"created_at":{"seconds":1795233264,"nanos":235000000}}"#;
    assert_eq!(ledger.ok(&["stream", "read", "--json"]), format!("{expected}\n"));
    assert_eq!(ledger.ok(&["stream", "read", "--json=false"]), "1\t{\"a\": 1,  \"b\":[1,2]}\n");
}

#[test]
fn escaped_output_is_one_line_per_entry() {
    let ledger = Ledger::new();
    ledger.ok(&["stream", "append", "a\nb\tc\\d"]);
    ledger.ok(&["stream", "append", "--json", "{\n}"]);
    assert_eq!(ledger.ok(&["stream", "read"]), "1\ta\nb\tc\\d\n2\t{\n}\n");
    assert_eq!(ledger.ok(&["stream", "read", "--escape"]), "1\ta\\nb\\tc\\\\d\n2\t{\\n}\n");
    assert_eq!(
        ledger.fails(&["stream", "read", "--escape", "--json"]),
        "Error: --escape and --json exclude each other\n"
    );
}

#[test]
fn an_unknown_stream_prints_nothing() {
    let ledger = filled();
    assert_eq!(ledger.ok(&["stream", "read", "-S", "nobody"]), "");
    assert_eq!(ledger.ok(&["stream", "read", "-S", &"n".repeat(10_000)]), "");
}

#[test]
fn an_unknown_store_reads_as_empty_with_a_note() {
    let ledger = filled();
    let before = ledger.ok(&["store", "list"]);
    let run = ledger.run(&["stream", "read", "-s", "order"]);
    assert_eq!((run.code, run.out.as_str()), (Some(0), ""));
    assert_eq!(run.err, "Note: there is no store \"order\"; there are: ledger_entries\n");
    assert_eq!(ledger.ok(&["store", "list"]), before);
}

#[test]
fn a_missing_file_is_an_error_and_is_not_made() {
    let ledger = Ledger::new();
    for command in ["read", "list", "count", "stat", "export", "tail"] {
        let error = ledger.fails(&["stream", command]);
        let path = ledger.path("test.db");
        assert_eq!(
            error,
            format!(
                "Error: ledger/sqlite: there is no database {path:?}; an append or `store create` makes it\n"
            )
        );
    }
    assert!(ledger.files().is_empty());
}

#[test]
fn all_prints_more_than_a_page() {
    let ledger = Ledger::new();
    let lines: String = (1..=2345).map(|line| format!("{line}\n")).collect();
    let file = ledger.file("lines.txt", lines);
    ledger.ok(&["stream", "append", "--input", &file]);
    let expected: String = (1..=2345).map(|line| format!("{line}\t{line}\n")).collect();
    assert_eq!(ledger.ok(&["stream", "read", "--all"]), expected);
    let backwards: String = (1..=2345).rev().map(|line| format!("{line}\t{line}\n")).collect();
    assert_eq!(ledger.ok(&["stream", "read", "--all", "--desc"]), backwards);
    assert_eq!(ledger.ok(&["stream", "read"]).lines().count(), 100);
    assert_eq!(ledger.ok(&["stream", "read", "--limit", "0"]).lines().count(), 100);
    assert_eq!(ledger.ok(&["stream", "read", "--limit", "2000"]).lines().count(), 2000);
    assert_eq!(ledger.ok(&["stream", "read", "--all", "--after", "2340"]).lines().count(), 5);
}

#[test]
fn a_limit_holds_however_large_the_entries_are() {
    let ledger = Ledger::new();
    // A page holds 4 MiB at most.
    let line = format!("\"{}\"\n", "x".repeat(1 << 20));
    let file = ledger.file("lines.jsonl", line.repeat(12));
    ledger.ok(&["stream", "append", "--json", "--input", &file]);
    assert_eq!(ledger.ok(&["stream", "read", "--limit", "11"]).lines().count(), 11);
    assert_eq!(ledger.ok(&["stream", "read", "--all"]).lines().count(), 12);
}

#[test]
fn bad_cursors_limits_and_times_are_refused() {
    let ledger = filled();
    for cursor in ["abc", "1.5", "99999999999999999999", " 1", "0x1"] {
        assert_eq!(
            ledger.fails(&["stream", "read", "--after", cursor]),
            format!("Error: ledger: invalid cursor type: expected a decimal 64-bit id, got {cursor:?}\n")
        );
    }
    for (limit, reason) in [
        ("-1", "it is negative"),
        ("100001", "it is over the limit of 100000; --all prints everything"),
        ("99999999999999999999", "it is over the limit of 18446744073709551615"),
        ("ten", "it is not a whole number"),
        ("", "it is not a whole number"),
    ] {
        assert_eq!(
            ledger.fails(&["stream", "read", "--limit", limit]),
            format!("Error: invalid argument {limit:?} for \"--limit\" flag: {reason}\n")
        );
    }
    assert_eq!(
        ledger.fails(&["stream", "read", "--since", "yesterday"]),
        "Error: invalid argument \"yesterday\" for \"--since\" flag: it is neither a time like \
         2026-11-21T10:00:00Z, nor a date like 2026-11-21, nor how long ago like 90s, 2h or 3d\n"
    );
    assert_eq!(
        ledger.fails(&["stream", "read", "--annotation", "k"]),
        "Error: invalid annotation pair \"k\": expected key=value\n"
    );
    assert_eq!(ledger.fails(&["stream", "read", "-S", ""]), "Error: stream must not be empty\n");
    assert_eq!(
        ledger.fails(&["stream", "read", "--all", "--limit", "3"]),
        "Error: --all and --limit exclude each other\n"
    );
}
