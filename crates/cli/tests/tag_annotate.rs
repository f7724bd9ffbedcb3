//! `ledger stream tag` and `annotate`.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use common::Ledger;

fn with_an_entry() -> Ledger {
    let ledger = Ledger::new();
    ledger.ok(&["stream", "append", "--tag", "new", "x"]);
    ledger
}

/// What export says about the only entry, between its version and its times.
fn attributes(ledger: &Ledger) -> String {
    let line = ledger.ok(&["stream", "export"]);
    let attributes = line.split_once("\"schema_version\":1,").unwrap().1;
    attributes.split_once("\"created_at\"").unwrap().0.to_owned()
}

#[test]
fn tags_are_replaced_and_cleared() {
    let ledger = with_an_entry();
    assert_eq!(attributes(&ledger), "\"tags\":[\"new\"],");
    assert_eq!(ledger.ok(&["stream", "tag", "--id", "1", "--tag", "shipped", "-t", "paid", "-t", "a,b"]), "");
    assert_eq!(attributes(&ledger), "\"tags\":[\"shipped\",\"paid\",\"a,b\"],");
    assert!(ledger.ok(&["stream", "export"]).contains("\"updated_at\""));
    assert_eq!(ledger.ok(&["stream", "tag", "--id", "1"]), "");
    assert_eq!(attributes(&ledger), "");
}

#[test]
fn annotations_are_set_and_deleted() {
    let ledger = with_an_entry();
    assert_eq!(
        ledger.ok(&["stream", "annotate", "--id", "1", "--set", "a=1", "--set", "b=x=y", "--set", "c=3"]),
        ""
    );
    assert_eq!(
        ledger.ok(&["stream", "annotate", "--id", "1", "--set", "a=", "--set", "c=", "--set", "c=4"]),
        ""
    );
    assert_eq!(attributes(&ledger), "\"tags\":[\"new\"],\"annotations\":{\"b\":\"x=y\",\"c\":\"4\"},");
    assert_eq!(ledger.ok(&["stream", "read", "--annotation", "c=4"]), "1\tx\n");
    assert_eq!(ledger.ok(&["stream", "annotate", "--id", "1", "--set", "unknown="]), "");
}

#[test]
fn an_annotation_without_an_equals_sign_is_refused() {
    let ledger = with_an_entry();
    assert_eq!(
        ledger.fails(&["stream", "annotate", "--id", "1", "--set", "a=1", "--set", "b"]),
        "Error: invalid annotation pair \"b\": expected key=value\n"
    );
    assert_eq!(attributes(&ledger), "\"tags\":[\"new\"],");
    assert_eq!(
        ledger.fails(&["stream", "annotate", "--id", "1"]),
        "Error: at least one --set key=value is required (use --set key= to delete an annotation)\n"
    );
}

#[test]
fn a_missing_id_is_followed_by_the_usage() {
    let ledger = with_an_entry();
    for args in [&["stream", "tag"][..], &["stream", "tag", "--id", ""], &["stream", "tag", "-t", "x"]] {
        let error = ledger.fails(args);
        let usage = "Error: --id is required\n\nUsage: ledger stream tag [OPTIONS]\n\nOptions:\n";
        assert!(error.starts_with(usage), "{error}");
        assert!(error.contains("  -t, --tag <TAG>"), "{error}");
        assert_eq!(error.matches("--id is required").count(), 1);
    }
    let error = ledger.fails(&["stream", "annotate", "--set", "a=b"]);
    assert!(
        error.starts_with("Error: --id is required\n\nUsage: ledger stream annotate [OPTIONS]\n"),
        "{error}"
    );
    assert_eq!(attributes(&ledger), "\"tags\":[\"new\"],");
}

#[test]
fn an_unknown_entry_is_an_error() {
    let ledger = with_an_entry();
    let not_found = |id: &str, stream: &str| {
        format!("Error: ledger: entry not found: id {id} in stream {stream:?} of store \"ledger_entries\"\n")
    };
    assert_eq!(ledger.fails(&["stream", "tag", "--id", "7"]), not_found("7", "default"));
    assert_eq!(ledger.fails(&["stream", "tag", "--id", "1", "-S", "other"]), not_found("1", "other"));
    assert_eq!(
        ledger.fails(&["stream", "annotate", "--id", "-7", "--set", "a=b"]),
        not_found("-7", "default")
    );
    assert_eq!(
        ledger.fails(&["stream", "tag", "--id", "first"]),
        "Error: ledger: invalid cursor type: expected a decimal 64-bit id, got \"first\"\n"
    );
    let run = ledger.run(&["stream", "tag", "--id", "1", "-s", "missing"]);
    assert_eq!(run.code, Some(1));
    assert!(
        run.err.starts_with("Note: there is no store \"missing\"; there are: ledger_entries\nError: "),
        "{}",
        run.err
    );
    assert_eq!(ledger.ok(&["store", "list"]), "ledger_entries\n");
}
