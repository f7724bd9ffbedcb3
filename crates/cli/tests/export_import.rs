//! `ledger stream export` and `import`.
#![allow(clippy::unwrap_used, reason = "a test")]
mod common;

use std::os::unix::fs::PermissionsExt as _;

use common::{Ledger, line};

/// Entries of every kind: odd payloads, odd attributes, three streams.
fn filled() -> Ledger {
    let ledger = Ledger::new();
    let lines = [
        line(
            1,
            "a",
            r#""payload":{"b": 1.0,  "a":[1,2]},"order_key":"o","dedup_key":"d","schema_version":1,"metadata":{"env":"<&>\u2028"},"tags":["x","x","a,b"],"annotations":{"k":""},"source_id":"77""#,
        ),
        line(2, "a", r#""payload":null,"schema_version":0"#),
        line(3, "a", r#""payload":"text \" \\ \n \u0000 é","schema_version":-9"#),
        line(4, "b", r#""payload_base64":"","schema_version":9223372036854775807"#),
        line(5, "b", r#""payload_base64":"/wAKIA==","schema_version":1,"tags":["\"\\\n"]"#),
        line(6, "ü \\\" 'x'", r#""payload":1e999,"schema_version":1"#),
    ];
    let file = ledger.file("all.jsonl", lines.concat());
    assert_eq!(ledger.ok(&["stream", "import", &file]), "imported 6 entries\n");
    ledger
}

fn without_ids(lines: &str) -> Vec<&str> {
    lines.lines().map(|line| line.split_once(',').unwrap().1).collect()
}

#[test]
fn exports_of_an_import_are_identical_except_for_ids() {
    let ledger = filled();
    ledger.ok(&["stream", "tag", "-S", "b", "--id", "4", "-t", "changed"]);
    let first = ledger.ok(&["stream", "export", "--all-streams"]);
    assert_eq!(first.lines().count(), 6);
    assert_eq!(first.matches("updated_at").count(), 1);
    let copied = ledger.run_with_input(&["stream", "import", "-s", "copy", "-"], &first).ok();
    assert_eq!(copied, "imported 6 entries\n");
    let second = ledger.ok(&["stream", "export", "-s", "copy", "--all-streams"]);
    assert_eq!(without_ids(&second), without_ids(&first));
}

#[test]
fn what_is_exported_is_what_was_imported() {
    let ledger = filled();
    let exported = ledger.ok(&["stream", "export", "--all-streams"]);
    let imported = ledger.content("all.jsonl");
    // Characters need not be escaped in the same way; everything else is the same text.
    let same = |text: &str| text.replace("\\u2028", "\u{2028}");
    assert_eq!(without_ids(&exported), without_ids(&same(&imported)));
}

#[test]
fn one_stream_is_exported_with_filters() {
    let ledger = filled();
    let ids = |args: &[&str]| {
        let lines = ledger.ok(&[&["stream", "export", "-S", "a"], args].concat());
        lines.lines().map(|line| line.split('"').nth(3).unwrap().to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(ids(&[]), "1 2 3");
    assert_eq!(ids(&["--desc", "--limit", "2"]), "3 2");
    assert_eq!(ids(&["--after", "1", "--limit", "0"]), "2 3");
    assert_eq!(ids(&["--tag", "a,b", "--meta", "env=<&>\u{2028}", "--annotation", "k="]), "1");
    assert_eq!(ids(&["--until", "2026-11-21T03:54:24.235Z"]), "");
    assert_eq!(ledger.ok(&["stream", "export"]), "");
    assert_eq!(ledger.ok(&["stream", "export", "--all-streams", "--limit", "4"]).lines().count(), 4);
    assert_eq!(
        ledger.fails(&["stream", "export", "--all-streams", "-S", "a"]),
        "Error: --all-streams and --stream exclude each other\n"
    );
}

#[test]
fn an_output_file_appears_when_it_is_complete() {
    let ledger = filled();
    assert_eq!(ledger.ok(&["stream", "export", "--all-streams", "--output", "out.jsonl"]), "");
    assert_eq!(ledger.content("out.jsonl"), ledger.ok(&["stream", "export", "--all-streams"]));
    assert_eq!(ledger.files(), ["all.jsonl", "out.jsonl", "test.db", "test.db-shm", "test.db-wal"]);
    // A file that is replaced keeps its permissions.
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(ledger.path("out.jsonl"), private).unwrap();
    ledger.ok(&["stream", "export", "-S", "a", "-o", "out.jsonl"]);
    assert_eq!(ledger.content("out.jsonl").lines().count(), 3);
    let mode = std::fs::metadata(ledger.path("out.jsonl")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn an_export_that_fails_leaves_the_old_file_as_it_was() {
    let ledger = filled();
    ledger.file("out.jsonl", "old");
    for args in [&["--after", "x"][..], &["-s", "bad name"]] {
        ledger.fails(&[&["stream", "export", "--output", "out.jsonl"], args].concat());
    }
    assert_eq!(ledger.content("out.jsonl"), "old");
    let error = ledger.fails(&["stream", "export", "--output", "missing/out.jsonl"]);
    assert!(error.starts_with("Error: cannot write missing/out.jsonl: No such file or directory"), "{error}");
    assert!(ledger.files().iter().all(|name| !name.starts_with('.')), "{:?}", ledger.files());
}

#[test]
fn a_link_or_a_device_is_written_through() {
    let ledger = filled();
    ledger.file("target.jsonl", "old");
    std::os::unix::fs::symlink("target.jsonl", ledger.path("link.jsonl")).unwrap();
    ledger.ok(&["stream", "export", "-S", "a", "--output", "link.jsonl"]);
    assert_eq!(ledger.content("target.jsonl").lines().count(), 3);
    assert!(ledger.path("link.jsonl").is_symlink());
    ledger.ok(&["stream", "export", "-S", "a", "--output", "/dev/null"]);
    assert!(!std::fs::metadata("/dev/null").unwrap().is_file());
    let error = ledger.fails(&["stream", "export", "-S", "a", "--output", "/dev/full"]);
    assert_eq!(error, "Error: cannot write /dev/full: No space left on device (os error 28)\n");
}

#[test]
fn entries_that_are_there_already_are_counted() {
    let ledger = filled();
    // The first has a dedup key, the second only a source id.
    let lines =
        line(1, "a", r#""payload":1,"dedup_key":"d""#) + &line(2, "a", r#""payload":2,"source_id":"77""#);
    let file = ledger.file("again.jsonl", lines + &line(3, "a", r#""payload":3"#));
    assert_eq!(ledger.ok(&["stream", "import", &file]), "imported 1 entries, 2 were there already\n");
}

#[test]
fn a_stream_can_be_named_for_all_lines() {
    let ledger = filled();
    let file = ledger.file("two.jsonl", "{\"payload\":1}\n{\"stream\":\"b\",\"payload\":2}\n");
    assert_eq!(ledger.ok(&["stream", "import", "-S", "named", &file]), "imported 2 entries\n");
    assert_eq!(ledger.ok(&["stream", "count", "-S", "named"]), "2\n");
    let error = ledger.fails(&["stream", "import", &file]);
    assert!(
        error
            .starts_with(&format!("Error: line 1 of {file}: there is no `stream`; name one with --stream\n")),
        "{error}"
    );
    assert_eq!(ledger.fails(&["stream", "import", "-S", "", &file]), "Error: stream must not be empty\n");
}

#[test]
fn bad_lines_are_named_with_their_number() {
    let ledger = Ledger::new();
    let good = line(1, "a", "\"payload\":1");
    for (bad, problem) in [
        (
            &b"{\"stream\":\"a\",\"payload\":1,\"color\":2}"[..],
            "not an entry: unknown field `color`, expected one of",
        ),
        (b"{\"stream\":\"a\xff\"}", "not valid UTF-8 at byte 12\n"),
        (b"{\"stream\":\"a\",\"payload\":1", "not valid JSON: EOF while parsing an object (column 25)\n"),
        (
            b"{\"stream\":\"a\\u0000\",\"payload\":1}",
            "ledger: invalid stream name: the character U+0000 at byte 1",
        ),
        (
            b"{\"stream\":\"a\",\"payload\":1,\"tags\":[\"\\u0000\"]}",
            "ledger: invalid tag, metadata or annotation: the ",
        ),
    ] {
        let file = ledger.file("lines.jsonl", [good.as_bytes(), b"\n", bad, b"\n", good.as_bytes()].concat());
        let error = ledger.fails(&["stream", "import", &file]);
        assert!(error.starts_with(&format!("Error: line 3 of {file}: {problem}")), "{error}");
        assert!(error.contains("\nNothing was stored. Correct the line, or set bad lines aside"), "{error}");

        let run = ledger.run(&["stream", "import", "-s", "good", &file, "--skip-bad", "bad.jsonl"]);
        assert_eq!(run.out, "imported 2 entries, 1 bad lines set aside in bad.jsonl\n");
        assert_eq!(std::fs::read(ledger.path("bad.jsonl")).unwrap(), [bad, b"\n"].concat());
        ledger.remove("bad.jsonl");
    }
    assert_eq!(ledger.ok(&["stream", "list"]), "");
    let long = format!("{{\"stream\":\"{}\",\"payload\":1}}", "n".repeat(10_000));
    let file = ledger.file("lines.jsonl", long);
    let error = ledger.fails(&["stream", "import", &file]);
    assert!(error.contains("line 1 of"), "{error}");
    assert!(
        error.contains("length of the stream name in bytes is 10000, over the limit of 1024\n"),
        "{error}"
    );
}

#[test]
fn lines_of_many_streams_are_stored_in_their_order() {
    let ledger = Ledger::new();
    let lines: String =
        (0..5000).map(|n| line(n, &format!("s{}", n % 7), &format!("\"payload\":{n}"))).collect();
    let file = ledger.file("lines.jsonl", lines);
    assert_eq!(ledger.ok(&["stream", "import", &file]), "imported 5000 entries\n");
    for stream in 0..7 {
        let printed = ledger.ok(&["stream", "read", "--all", "-S", &format!("s{stream}")]);
        let payloads: Vec<u32> =
            printed.lines().map(|line| line.split_once('\t').unwrap().1.parse().unwrap()).collect();
        assert_eq!(payloads, (stream..5000).step_by(7).collect::<Vec<_>>());
    }
}

#[test]
fn lines_that_the_store_refuses_are_named_and_the_others_are_stored() {
    let ledger = Ledger::new();
    let source = |id, stream: &str| line(id, stream, "\"payload\":1,\"source_id\":\"same\"");
    ledger.run_with_input(&["stream", "import", "-"], source(1, "holder")).ok();
    let lines =
        [source(1, "a"), source(2, "b"), line(3, "b", "\"payload\":3"), line(4, "c", "\"payload\":4")];
    let file = ledger.file("lines.jsonl", lines.concat());
    assert_eq!(
        ledger.fails(&["stream", "import", &file]),
        format!(
            "Error: lines 1 to 3 of {file} were not stored: ledger: source id \"same\" belongs to stream \
             \"holder\"; two sources with the same ids need two stores\nStored: 1 entries, from all other lines up \
             to 4. Store those lines by themselves; then go on with --skip-lines 4\n"
        )
    );
    assert_eq!(ledger.ok(&["stream", "list"]), "c\nholder\n");
}

#[test]
fn a_file_is_needed() {
    let ledger = Ledger::new();
    assert_eq!(ledger.fails(&["stream", "import"]), "Error: accepts 1 arg(s), received 0\n");
    assert_eq!(
        ledger.fails(&["stream", "import", "missing.jsonl"]),
        "Error: cannot read missing.jsonl: No such file or directory (os error 2)\n"
    );
    assert!(ledger.files().is_empty());
}
