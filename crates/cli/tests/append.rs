//! `ledger stream append` of one entry.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use common::Ledger;

#[test]
fn text_is_stored_as_a_json_string_and_the_id_is_printed() {
    let ledger = Ledger::new();
    assert_eq!(ledger.ok(&["stream", "append", "a<b & \"c\"\n\td"]), "1\n");
    assert_eq!(ledger.ok(&["stream", "append", ""]), "2\n");
    let exported = ledger.ok(&["stream", "export"]);
    let payloads: Vec<_> = exported.lines().map(|line| line.split(",\"schema").next().unwrap()).collect();
    // Not escaped for web pages, so that a search finds what was typed.
    assert_eq!(
        payloads,
        [
            r#"{"id":"1","stream":"default","payload":"a<b & \"c\"\n\td""#,
            r#"{"id":"2","stream":"default","payload":"""#
        ]
    );
}

#[test]
fn json_is_stored_byte_for_byte() {
    let ledger = Ledger::new();
    let payload = r#"  {"b": 1.0,  "a":[1,2], "b":"<"} "#;
    assert_eq!(ledger.ok(&["stream", "append", "--json", payload]), "1\n");
    assert_eq!(ledger.ok(&["stream", "append", "--json=true", "7"]), "2\n");
    assert_eq!(ledger.ok(&["stream", "read"]), format!("1\t{payload}\n2\t7\n"));
}

#[test]
fn bad_json_is_refused_before_anything_is_made() {
    let ledger = Ledger::new();
    let refused = "Error: payload is not valid JSON (omit --json to store as plain text)\n";
    for payload in ["{bad", "", "{} {}", "'x'", "NaN"] {
        assert_eq!(ledger.fails(&["stream", "append", "--json", payload]), refused, "{payload}");
    }
    assert!(ledger.files().is_empty());
}

#[test]
fn every_attribute_is_stored() {
    let ledger = Ledger::new();
    let append = "stream append -s orders -S user-1 --json {} --order-key o --dedup-key d --schema-version 7 \
                  --meta a=1=2 --meta b= --meta a=3 --tag t,u --tag --x";
    let append: Vec<_> = append.split_whitespace().collect();
    assert_eq!(ledger.ok(&append), "1\n");
    let json = ledger.ok(&["stream", "read", "-sorders", "-S=user-1", "--json"]);
    let expected = r#"{"id":"1","stream":"user-1","payload":"e30=","order_key":"o","dedup_key":"d","schema_version":7,"metadata":{"a":"3","b":""},"tags":["t,u","--x"],"created_at":{"seconds":"#;
    assert!(json.starts_with(expected), "{json}");
    assert_eq!(ledger.ok(&["store", "list"]), "orders\n");
}

#[test]
fn the_schema_version_is_1_if_none_is_given() {
    let ledger = Ledger::new();
    ledger.ok(&["stream", "append", "x"]);
    assert!(ledger.ok(&["stream", "read", "--json"]).contains(r#""schema_version":1,"#));
    assert_eq!(
        ledger.fails(&["stream", "append", "--schema-version", "-1", "x"]),
        "Error: invalid argument \"-1\" for \"--schema-version\" flag: -1 is not in 0..9223372036854775807\n"
    );
}

#[test]
fn a_duplicate_is_skipped_without_a_word() {
    let ledger = Ledger::new();
    assert_eq!(ledger.ok(&["stream", "append", "--dedup-key", "k", "first"]), "1\n");
    assert_eq!(ledger.ok(&["stream", "append", "--dedup-key", "k", "second"]), "");
    assert_eq!(ledger.ok(&["stream", "count"]), "1\n");
    assert_ne!(ledger.ok(&["stream", "append", "--dedup-key", "k", "-S", "other", "third"]), "");
}

#[test]
fn metadata_without_an_equals_sign_is_refused() {
    let ledger = Ledger::new();
    assert_eq!(
        ledger.fails(&["stream", "append", "--meta", "no\tpair", "x"]),
        "Error: invalid metadata pair \"no\\tpair\": expected key=value\n"
    );
    assert!(ledger.files().is_empty());
}

#[test]
fn an_expectation_that_does_not_hold_is_a_conflict() {
    let ledger = Ledger::new();
    assert_eq!(ledger.ok(&["stream", "append", "--expect-empty", "1st"]), "1\n");
    assert_eq!(
        ledger.fails(&["stream", "append", "--expect-empty", "x"]),
        "Error: ledger: conflict: stream \"default\" was expected to be empty, but its last entry is 1\n"
    );
    assert_eq!(ledger.ok(&["stream", "append", "--expect-last", "1", "2nd"]), "2\n");
    assert_eq!(
        ledger.fails(&["stream", "append", "--expect-last", "1", "x"]),
        "Error: ledger: conflict: stream \"default\" was expected to end with entry 1, but its last entry is 2\n"
    );
    assert_eq!(
        ledger.fails(&["stream", "append", "--expect-last", "last", "x"]),
        "Error: ledger: invalid cursor type: expected a decimal 64-bit id, got \"last\"\n"
    );
    assert_eq!(
        ledger.fails(&["stream", "append", "--expect-last", "2", "--expect-empty", "x"]),
        "Error: --expect-last and --expect-empty exclude each other\n"
    );
    assert_eq!(ledger.ok(&["stream", "count"]), "2\n");
}

#[test]
fn a_payload_can_come_from_standard_input() {
    let ledger = Ledger::new();
    ledger.run_with_input(&["stream", "append", "-"], "one\ntwo\n").ok();
    ledger.run_with_input(&["stream", "append", "-"], "no end").ok();
    ledger.run_with_input(&["stream", "append", "-"], "").ok();
    ledger.run_with_input(&["stream", "append", "--json", "-"], "{\n \"a\": 1\n}\r\n").ok();
    assert_eq!(ledger.ok(&["stream", "read"]), "1\tone\ntwo\n2\tno end\n3\t\n4\t{\n \"a\": 1\n}\n");
    assert_eq!(
        ledger.run_with_input(&["stream", "append", "-"], b"ok \xff").fails(),
        "Error: payload is not valid UTF-8 at byte 3\n"
    );
    assert_eq!(
        ledger.run_with_input(&["stream", "append", "--json", "-"], "{").fails(),
        "Error: payload is not valid JSON (omit --json to store as plain text)\n"
    );
}

#[test]
fn text_with_a_nul_is_stored() {
    let ledger = Ledger::new();
    ledger.run_with_input(&["stream", "append", "-"], "a\0b").ok();
    assert_eq!(ledger.ok(&["stream", "read"]), "1\ta\0b\n");
    assert_eq!(ledger.ok(&["stream", "read", "--escape"]), "1\ta\\x00b\n");
}

#[test]
fn a_payload_of_the_largest_size_is_stored_and_a_larger_one_is_refused() {
    const LIMIT: usize = 64 << 20;
    let ledger = Ledger::new();
    // In text mode the quotes count too.
    let largest = "x".repeat(LIMIT - 2);
    assert_eq!(ledger.run_with_input(&["stream", "append", "-"], &largest).ok(), "1\n");
    assert!(ledger.ok(&["stream", "read"]) == format!("1\t{largest}\n"));
    let larger = "x".repeat(LIMIT - 1);
    assert_eq!(
        ledger.run_with_input(&["stream", "append", "-"], larger).fails(),
        "Error: ledger: size of the payload in bytes is 67108865, over the limit of 67108864\n"
    );
    let endless = "x".repeat(LIMIT + 100);
    assert_eq!(
        ledger.run_with_input(&["stream", "append", "--json", "-"], endless).fails(),
        "Error: ledger: size of the payload in bytes is 67108867, over the limit of 67108864\n"
    );
    assert_eq!(ledger.ok(&["stream", "count"]), "1\n");
}

#[test]
fn names_out_of_bounds_are_refused() {
    let ledger = Ledger::new();
    let long = "n".repeat(10_000);
    assert_eq!(
        ledger.fails(&["stream", "append", "-S", &long, "x"]),
        "Error: ledger: length of the stream name in bytes is 10000, over the limit of 1024\n"
    );
    assert_eq!(
        ledger.fails(&["stream", "append", "-s", &long, "x"]),
        format!(
            "Error: ledger: invalid table/collection name: \"{}\": it is longer than 45 bytes\n",
            "n".repeat(45)
        )
    );
    assert_eq!(
        ledger.fails(&["stream", "append", "-s", "bad name", "x"]),
        "Error: ledger: invalid table/collection name: \"bad name\": only letters, digits and _ are allowed\n"
    );
    assert_eq!(ledger.fails(&["stream", "append", "-S", "", "x"]), "Error: stream must not be empty\n");
    let key = ["stream", "append", "--dedup-key", &long, "x"];
    assert_eq!(
        ledger.fails(&key),
        "Error: ledger: deduplication key (bytes) is 10000, over the limit of 4096\n"
    );
    assert_eq!(ledger.ok(&["stream", "append", "-s", "order", "-S", "日本 ' \" %", "x"]), "1\n");
    assert_eq!(ledger.ok(&["stream", "list", "-s", "order"]), "日本 ' \" %\n");
}

#[test]
fn arguments_are_counted() {
    let ledger = Ledger::new();
    assert_eq!(ledger.fails(&["stream", "append"]), "Error: accepts 1 arg(s), received 0\n");
    assert_eq!(ledger.fails(&["stream", "append", "a", "b"]), "Error: accepts 1 arg(s), received 2\n");
    assert_eq!(
        ledger.fails(&["stream", "append", "a", "--print-ids"]),
        "Error: --print-ids, --skip-lines and --skip-bad are for --input\n"
    );
    assert!(ledger.files().is_empty());
}
