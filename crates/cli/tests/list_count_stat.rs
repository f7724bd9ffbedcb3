//! `ledger stream list`, `count` and `stat`.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use common::Ledger;

#[test]
fn streams_are_listed_in_byte_order() {
    let ledger = Ledger::new();
    for stream in ["b", "a", "Z", "ä", "a b", "b"] {
        ledger.ok(&["stream", "append", "-S", stream, "x"]);
    }
    assert_eq!(ledger.ok(&["stream", "list"]), "Z\na\na b\nb\nä\n");
    assert_eq!(ledger.ok(&["stream", "list", "--after", "a"]), "a b\nb\nä\n");
    assert_eq!(ledger.ok(&["stream", "list", "--limit", "1"]), "Z\n");
    assert_eq!(ledger.ok(&["stream", "list", "--after", "a", "--limit", "2"]), "a b\nb\n");
    assert_eq!(ledger.ok(&["stream", "list", "--after", "zz\u{10ffff}"]), "ä\n");
}

#[test]
fn a_stream_whose_entries_are_all_trimmed_is_not_listed() {
    let ledger = Ledger::new();
    ledger.ok(&["stream", "append", "-S", "gone", "x"]);
    ledger.ok(&["stream", "append", "-S", "there", "x"]);
    ledger.ok(&["stream", "trim", "-S", "gone", "--before", "1"]);
    assert_eq!(ledger.ok(&["stream", "list"]), "there\n");
}

#[test]
fn all_lists_more_than_a_page() {
    let ledger = Ledger::new();
    let lines: String =
        (0..2100).map(|stream| format!("{{\"stream\":\"s{stream:04}\",\"payload\":1}}\n")).collect();
    let file = ledger.file("lines.jsonl", lines);
    assert_eq!(ledger.ok(&["stream", "import", &file]), "imported 2100 entries\n");
    let expected: String = (0..2100).map(|stream| format!("s{stream:04}\n")).collect();
    assert_eq!(ledger.ok(&["stream", "list", "--all"]), expected);
    assert_eq!(ledger.ok(&["stream", "list"]).lines().count(), 100);
    assert_eq!(ledger.ok(&["stream", "list", "--limit", "1500"]).lines().count(), 1500);
    assert_eq!(
        ledger.fails(&["stream", "list", "--limit", "-5"]),
        "Error: invalid argument \"-5\" for \"--limit\" flag: it is negative\n"
    );
}

#[test]
fn entries_are_counted() {
    let ledger = Ledger::new();
    for _ in 0..4 {
        ledger.ok(&["stream", "append", "x"]);
    }
    ledger.ok(&["stream", "append", "-S", "other", "x"]);
    assert_eq!(ledger.ok(&["stream", "count"]), "4\n");
    assert_eq!(ledger.ok(&["stream", "count", "-S", "other"]), "1\n");
    assert_eq!(ledger.ok(&["stream", "count", "-S", "unknown"]), "0\n");
    assert_eq!(ledger.fails(&["stream", "count", "-S", ""]), "Error: stream must not be empty\n");
}

#[test]
fn a_stream_is_summed_up() {
    let ledger = Ledger::new();
    ledger.ok(&["stream", "append", "-S", "other", "x"]);
    ledger.ok(&["stream", "append", "x"]);
    ledger.ok(&["stream", "append", "x"]);
    assert_eq!(ledger.ok(&["stream", "stat"]), "Stream:  default\nCount:   2\nFirstID: 2\nLastID:  3\n");
    assert_eq!(ledger.ok(&["stream", "stat", "-S", "unknown"]), "Stream:  unknown\nCount:   0\n");
    ledger.ok(&["stream", "trim", "--before", "9"]);
    assert_eq!(ledger.ok(&["stream", "stat"]), "Stream:  default\nCount:   0\n");
}

#[test]
fn arguments_that_mean_nothing_are_named_and_ignored() {
    let ledger = Ledger::new();
    ledger.ok(&["stream", "append", "x"]);
    for command in ["list", "count", "stat", "read"] {
        let plain = ledger.ok(&["stream", command]);
        let run = ledger.run(&["stream", command, "orders", "--store", "ledger_entries"]);
        assert_eq!((run.code, run.out), (Some(0), plain));
        assert_eq!(run.err, "Warning: argument \"orders\" has no effect\n");
    }
}
