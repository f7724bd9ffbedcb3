//! `ledger stream trim` and `rename`.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use common::Ledger;

fn filled() -> Ledger {
    let ledger = Ledger::new();
    for (stream, payload) in [("a", "1"), ("b", "2"), ("a", "3"), ("a", "4")] {
        ledger.ok(&["stream", "append", "-S", stream, payload]);
    }
    ledger
}

#[test]
fn the_oldest_entries_are_deleted_the_named_one_included() {
    let ledger = filled();
    assert_eq!(ledger.ok(&["stream", "trim", "-S", "a", "--before", "3"]), "trimmed 2 entries\n");
    assert_eq!(ledger.ok(&["stream", "trim", "-S", "a", "--before", "3"]), "trimmed 0 entries\n");
    assert_eq!(ledger.ok(&["stream", "read", "-S", "a"]), "4\t4\n");
    assert_eq!(ledger.ok(&["stream", "read", "-S", "b"]), "2\t2\n");
    assert_eq!(ledger.ok(&["stream", "trim", "-S", "unknown", "--before", "3"]), "trimmed 0 entries\n");
}

#[test]
fn trim_needs_an_id() {
    let ledger = filled();
    let error = ledger.fails(&["stream", "trim", "-S", "a"]);
    assert!(
        error.starts_with("Error: --before is required\n\nUsage: ledger stream trim [OPTIONS]\n"),
        "{error}"
    );
    for id in ["abc", "1e3", "3 "] {
        assert_eq!(
            ledger.fails(&["stream", "trim", "-S", "a", "--before", id]),
            format!("Error: ledger: invalid cursor type: expected a decimal 64-bit id, got {id:?}\n")
        );
    }
    assert_eq!(ledger.ok(&["stream", "count", "-S", "a"]), "3\n");
}

#[test]
fn a_renamed_stream_keeps_its_entries() {
    let ledger = filled();
    assert_eq!(
        ledger.ok(&["stream", "rename", "-S", "a", "--to", "tab\t\"ä\""]),
        "stream \"a\" renamed to \"tab\\t\\\"ä\\\"\"\n"
    );
    assert_eq!(ledger.ok(&["stream", "list"]), "b\ntab\t\"ä\"\n");
    assert_eq!(ledger.ok(&["stream", "read", "-S", "tab\t\"ä\""]), "1\t1\n3\t3\n4\t4\n");
    assert_eq!(ledger.ok(&["stream", "read", "-S", "a"]), "");
    assert_eq!(ledger.ok(&["stream", "append", "-S", "a", "new"]), "5\n");
    assert_eq!(ledger.ok(&["stream", "read", "-S", "a"]), "5\tnew\n");
}

#[test]
fn a_name_that_is_taken_or_unknown_is_an_error() {
    let ledger = filled();
    assert_eq!(
        ledger.fails(&["stream", "rename", "-S", "a", "--to", "b"]),
        "Error: ledger: stream already exists: \"b\" in store \"ledger_entries\"\n"
    );
    assert_eq!(
        ledger.fails(&["stream", "rename", "--to", "c"]),
        "Error: ledger: stream not found: \"default\" in store \"ledger_entries\"\n"
    );
    let error = ledger.fails(&["stream", "rename", "-S", "a"]);
    assert!(
        error.starts_with("Error: --to is required\n\nUsage: ledger stream rename [OPTIONS]\n"),
        "{error}"
    );
    assert_eq!(
        ledger.fails(&["stream", "rename", "-S", "a", "--to", &"n".repeat(10_000)]),
        "Error: ledger: length of the stream name in bytes is 10000, over the limit of 1024\n"
    );
    assert_eq!(ledger.ok(&["stream", "list"]), "a\nb\n");
}

#[test]
fn nothing_is_made_where_there_is_nothing_to_change() {
    let ledger = Ledger::new();
    for args in [
        &["stream", "trim", "--before", "1"][..],
        &["stream", "rename", "--to", "b"],
        &["stream", "tag", "--id", "1"],
        &["stream", "annotate", "--id", "1", "--set", "a=b"],
    ] {
        assert!(ledger.fails(args).starts_with("Error: ledger/sqlite: there is no database "));
    }
    assert!(ledger.files().is_empty());
}
