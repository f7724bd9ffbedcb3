//! What commands on streams print, to the byte, where the specification (§7) says it.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::home::{Home, Wire, finished};

/// JSON output without its times, which are checked for their form.
fn without_times(json: &str) -> String {
    let mut text = json.to_owned();
    for time in ["created_at", "updated_at"] {
        let key = format!(",\"{time}\":{{\"seconds\":");
        while let Some((before, from)) = text.split_once(&key) {
            let (value, after) = from.split_once('}').unwrap();
            let mut numbers = value.split(",\"nanos\":");
            assert!(numbers.next().unwrap().parse::<u64>().unwrap() > 1_700_000_000, "{json}");
            assert!(
                numbers.all(|nanos| nanos.parse::<u32>().is_ok_and(|nanos| nanos < 1_000_000_000)),
                "{json}"
            );
            text = format!("{before},{time}{after}");
        }
    }
    text
}

#[test]
fn results_are_those_of_the_original() {
    let wire = Wire::start();
    assert_eq!(wire.ok(&["append", "hello <world>"]), "1\n");
    // The sample of the specification.
    let json = "{\"a\": 1,  \"b\":[1,2]}";
    let append = ["append", "--json", json, "--order-key", "ok1", "--dedup-key", "d1", "--meta", "env=prod"];
    assert_eq!(
        wire.ok(&[&append[..], &["--tag", "x", "--tag", "y", "--schema-version", "0"]].concat()),
        "2\n"
    );
    assert_eq!(wire.ok(&["append", "another", "--dedup-key", "d1"]), "", "nothing for a skipped duplicate");
    // A skipped duplicate takes an id with it.
    assert_eq!(wire.ok(&["append", "--json", "null"]), "4\n");
    assert_eq!(wire.ok(&["append", "two\nlines\tand a tab"]), "5\n");

    assert_eq!(
        wire.ok(&["read"]),
        "1\thello <world>\n2\t{\"a\": 1,  \"b\":[1,2]}\n4\t\n5\ttwo\nlines\tand a tab\n"
    );
    let json = without_times(&wire.ok(&["read", "--json", "--order-key", "ok1"]));
    let sample = r#"{"id":"2","stream":"default","payload":"eyJhIjogMSwgICJiIjpbMSwyXX0=","order_key":"ok1","dedup_key":"d1","metadata":{"env":"prod"},"tags":["x","y"],created_at}"#;
    assert_eq!(json, format!("{sample}\n"));
    assert_eq!(
        wire.ok(&["read", "--after=1", "--limit", "1", "--desc=false"]),
        "2\t{\"a\": 1,  \"b\":[1,2]}\n"
    );
    assert_eq!(wire.ok(&["read", "--desc", "--limit=1", "--after", "2"]), "1\thello <world>\n");
    assert_eq!(wire.ok(&["read", "-S", "unknown"]), "");
    assert_eq!(wire.ok(&["search", "WORLD"]), "1\thello <world>\n");
    assert_eq!(wire.ok(&["search", "none of them"]), "");
    assert_eq!(wire.ok(&["count"]), "4\n");
    assert_eq!(wire.ok(&["count", "-S", "unknown"]), "0\n");
    assert_eq!(wire.ok(&["stat"]), "Stream:  default\nCount:   4\nFirstID: 1\nLastID:  5\n");
    assert_eq!(wire.ok(&["stat", "-S", "unknown"]), "Stream:  unknown\nCount:   0\n");
    assert_eq!(wire.ok(&["list"]), "default\n");
    assert_eq!(wire.ok(&["list", "-s", "unknown"]), "");

    assert_eq!(wire.ok(&["tag", "--id", "1", "-t", "b", "--tag", "a,c"]), "");
    assert_eq!(
        wire.ok(&["annotate", "--id", "1", "--set", "k=v=w", "--set", "gone=1", "--set", "gone="]),
        ""
    );
    let json = without_times(&wire.ok(&["read", "--json", "--limit", "1"]));
    let tagged = r#"{"id":"1","stream":"default","payload":"ImhlbGxvIDx3b3JsZD4i","schema_version":1,"tags":["b","a,c"],"annotations":{"k":"v=w"},created_at,updated_at}"#;
    assert_eq!(json, format!("{tagged}\n"));
    assert_eq!(wire.ok(&["tag", "--id", "1"]), "");
    assert!(!wire.ok(&["read", "--json", "--limit", "1"]).contains("tags"));

    assert_eq!(
        wire.ok(&["rename", "--to", "tab\t\"x\""]),
        "stream \"default\" renamed to \"tab\\t\\\"x\\\"\"\n"
    );
    assert_eq!(wire.ok(&["trim", "-S", "tab\t\"x\"", "--before", "4"]), "trimmed 3 entries\n");
    assert_eq!(wire.ok(&["trim", "-S", "unknown", "--before", "3"]), "trimmed 0 entries\n");
}

#[test]
fn what_a_daemon_refuses_is_said_as_the_original_says_it() {
    let wire = Wire::start();
    wire.ok(&["append", "-S", "a", "x"]);
    wire.ok(&["append", "-S", "b", "x"]);
    for (command, code, text) in [
        (&["tag", "-S", "a", "--id", "77"][..], "NotFound", "entry not found"),
        (&["annotate", "-S", "a", "--id", "77", "--set", "k=v"], "NotFound", "entry not found"),
        (
            &["rename", "--to", "c"],
            "NotFound",
            "ledger: stream not found: \"default\" in store \"ledger_entries\"",
        ),
        (
            &["rename", "-S", "a", "--to", "b"],
            "AlreadyExists",
            "ledger: stream already exists: \"b\" in store \"ledger_entries\"",
        ),
        (
            &["append", "-s", "bad name", "x"],
            "InvalidArgument",
            "ledger: invalid table/collection name: \"bad name\": only letters, digits and _ are allowed",
        ),
        (
            &["read", "-S", "a", "--after", "x1"],
            "InvalidArgument",
            "ledger: invalid cursor type: expected a decimal 64-bit id, got \"x1\"",
        ),
        (
            &["append", "-S", "a", "x", "--expect-empty"],
            "Aborted",
            "ledger: conflict: stream \"a\" was expected to be empty, but its last entry is 1",
        ),
    ] {
        let said = wire.fails(command);
        assert_eq!(said, format!("Error: rpc error: code = {code} desc = {text}\n"), "{command:?}");
    }
}

#[test]
fn what_makes_no_sense_is_refused_without_asking_a_daemon() {
    let home = Home::new();
    let fails = |command: &[&str]| {
        let run = home.run(&[&["stream"], command, &["--addr", "127.0.0.1:1"]].concat());
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{command:?}");
        run.err
    };
    for (command, text) in [
        (&["append"][..], "accepts 1 arg(s), received 0"),
        (&["append", "a", "b"], "accepts 1 arg(s), received 2"),
        (&["search"], "accepts 1 arg(s), received 0"),
        (&["search", "a", "b", "c"], "accepts 1 arg(s), received 3"),
        (&["search", ""], "query must not be empty"),
        (&["append", "--json", "{bad"], "payload is not valid JSON (omit --json to store as plain text)"),
        (&["append", "x", "--meta", "novalue"], "invalid metadata pair \"novalue\": expected key=value"),
        (
            &["annotate", "--id", "1"],
            "at least one --set key=value is required (use --set key= to delete an annotation)",
        ),
        (&["read", "--frobnicate"], "unknown flag: --frobnicate"),
        (&["count", "-S", ""], "stream must not be empty"),
    ] {
        assert_eq!(fails(command), format!("Error: {text}\n"), "{command:?}");
    }
    for (command, option) in [("tag", "--id"), ("annotate", "--id"), ("trim", "--before"), ("rename", "--to")]
    {
        let usage =
            format!("Error: {option} is required\n\nUsage: ledger stream {command} [OPTIONS]\n\nOptions:\n");
        let said = fails(&[command]);
        assert!(said.starts_with(&usage) && said.ends_with('\n') && !said.ends_with("\n\n"), "{said}");
        assert_eq!(said.matches("is required\n").count(), 1, "nothing is said twice: {said}");
    }
}

#[test]
fn every_command_says_that_there_is_no_daemon_where_and_what_to_do() {
    let home = Home::new();
    for command in [
        &["list"][..],
        &["append", "x"],
        &["read"],
        &["search", "x"],
        &["count"],
        &["stat"],
        &["tag", "--id", "1"],
        &["annotate", "--id", "1", "--set", "k=v"],
        &["trim", "--before", "1"],
        &["rename", "--to", "x"],
        &["tail"],
        &["export"],
    ] {
        let run = home.run(&[&["stream"], command, &["--addr", "127.0.0.1:1"]].concat());
        assert_eq!((run.code, run.out.as_str()), (Some(1), ""), "{command:?}");
        assert_eq!(
            run.err,
            "Error: rpc error: code = Unavailable desc = no daemon answers at http://127.0.0.1:1/: Connection refused \
             (os error 111); start one with `ledger start`, or name another address\n",
            "{command:?}"
        );
    }
}

#[test]
fn the_address_comes_from_the_flag_or_else_from_the_file() {
    let wire = Wire::start();
    wire.ok(&["append", "x"]);
    let config = wire.home.path("client.yaml");
    std::fs::write(&config, format!("listen: {}\n", wire.address)).unwrap();
    let config = config.to_str().unwrap();
    for line in [
        &["stream", "count", "--config", config][..],
        &["-c", config, "stream", "count"],
        &["stream", "-c", "missing.yaml", "-c", config, "count", "--addr", &wire.address],
        &["--addr", "127.0.0.1:1", "stream", "count", "--addr", &wire.address],
    ] {
        assert_eq!(wire.home.ok(line), "1\n", "{line:?}");
    }
    let missing = wire.home.run(&["stream", "count", "-c", "missing.yaml"]);
    assert_eq!((missing.code, missing.out.as_str()), (Some(1), ""));
    assert!(missing.err.starts_with("Error: ledger: read config ") && missing.err.contains("missing.yaml"));
}

#[test]
fn following_prints_both_forms_and_ends_with_an_error_that_is_not_transient() {
    let home = Home::new();
    let key = home.ok(&["key", "create", "app"]).trim().to_owned();
    home.start();
    let wire = Wire { address: home.address(), home };
    assert_eq!(wire.ok(&["append", "a\tb", "--api-key", &key]), "1\n");
    for (form, expected) in [("--json=false", "1\ta\tb"), ("--escape", "1\ta\\tb")] {
        // As scripts of the original write it.
        let line = ["tail", form, "--interval", "100ms", "--limit=50", "--api-key", &key];
        let mut tail = wire.home.command(&wire.with_address(&line)).stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines();
        assert_eq!(lines.next().unwrap().unwrap(), expected);
        tail.kill().unwrap();
        tail.wait().unwrap();
    }
    let refused = finished(&mut wire.home.command(&wire.with_address(&["tail", "--api-key", "wrong"])));
    assert_eq!((refused.code, refused.out.as_str()), (Some(1), ""));
    assert!(refused.err.starts_with("Error: rpc error: code = Unauthenticated desc = "), "{}", refused.err);
}
