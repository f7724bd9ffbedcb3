//! `ledger stream append --input`: a file of entries.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]
mod common;

use std::io::{BufRead as _, BufReader, Write as _};

use common::{Ledger, Run, signal};

fn numbered(lines: usize) -> String {
    (1..=lines).map(|line| format!("{{\"n\": {line}}}\n")).collect()
}

#[test]
fn every_line_is_an_entry() {
    let ledger = Ledger::new();
    let file = ledger.file("lines.txt", "one\r\ntwo\n\n  four ");
    assert_eq!(
        ledger.ok(&["stream", "append", "--input", &file, "--tag", "t", "--meta", "k=v"]),
        "appended 4 entries\n"
    );
    assert_eq!(
        ledger.ok(&["stream", "read", "--tag", "t", "--meta", "k=v"]),
        "1\tone\n2\ttwo\n3\t\n4\t  four \n"
    );
}

#[test]
fn lines_of_json_are_stored_byte_for_byte_and_white_space_means_nothing() {
    let ledger = Ledger::new();
    let file = ledger.file("lines.jsonl", " {\"a\": 1}\r\n\n \t\n[1,\t2]\n");
    assert_eq!(ledger.ok(&["stream", "append", "--json", "--input", &file]), "appended 2 entries\n");
    assert_eq!(ledger.ok(&["stream", "read"]), "1\t {\"a\": 1}\n2\t[1,\t2]\n");
}

#[test]
fn standard_input_can_be_the_file() {
    let ledger = Ledger::new();
    let appended =
        ledger.run_with_input(&["stream", "append", "--json", "--input", "-"], numbered(5000)).ok();
    assert_eq!(appended, "appended 5000 entries\n");
    let entries = ledger.ok(&["stream", "read", "--all"]);
    let expected: String = (1..=5000).map(|line| format!("{line}\t{{\"n\": {line}}}\n")).collect();
    assert_eq!(entries, expected);
}

#[test]
fn ids_are_printed_on_request() {
    let ledger = Ledger::new();
    let file = ledger.file("lines.jsonl", numbered(2500));
    let ids = ledger.ok(&["stream", "append", "--json", "--print-ids", "--input", &file]);
    assert_eq!(ids, (1..=2500).map(|id| format!("{id}\n")).collect::<String>());
}

#[test]
fn a_broken_line_ends_it_and_says_how_to_go_on() {
    let ledger = Ledger::new();
    let mut lines: Vec<_> = numbered(3000).lines().map(str::to_owned).collect();
    lines[2499] = "{\"n\":}".to_owned();
    let file = ledger.file("lines.jsonl", lines.join("\n"));
    let error = ledger.fails(&["stream", "append", "--json", "--input", &file]);
    assert_eq!(
        error,
        format!(
            "Error: line 2500 of {file}: not valid JSON: expected value (column 6)\n\
             Stored: 2000 entries, from the lines up to 2000. Correct the line, or set bad lines aside with \
             --skip-bad FILE; then go on with --skip-lines 2000\n"
        )
    );
    assert_eq!(ledger.ok(&["stream", "count"]), "2000\n");

    lines[2499] = "{\"n\": 2500}".to_owned();
    ledger.file("lines.jsonl", lines.join("\n"));
    let appended = ledger.ok(&["stream", "append", "--json", "--input", &file, "--skip-lines", "2000"]);
    assert_eq!(appended, "appended 1000 entries\n");
    let entries = ledger.ok(&["stream", "read", "--all"]);
    let payloads: String =
        entries.lines().map(|line| format!("{}\n", line.split_once('\t').unwrap().1)).collect();
    assert_eq!(payloads, numbered(3000));
}

#[test]
fn a_broken_first_line_stores_nothing() {
    let ledger = Ledger::new();
    let file = ledger.file("lines.txt", b"\xffa\nb\n");
    assert_eq!(
        ledger.fails(&["stream", "append", "--input", &file]),
        format!(
            "Error: line 1 of {file}: not valid UTF-8 at byte 0\nNothing was stored. Correct the line, or set bad \
             lines aside with --skip-bad FILE; then go on from the beginning\n"
        )
    );
    assert_eq!(ledger.ok(&["stream", "count"]), "0\n");
}

#[test]
fn bad_lines_are_set_aside_byte_for_byte() {
    let ledger = Ledger::new();
    let file = ledger.file("lines.jsonl", b"1\n{bad\n2\n\xff\xfe\r\n3\n\"open");
    let run = ledger.run(&["stream", "append", "--json", "--input", &file, "--skip-bad", "bad.jsonl"]);
    assert_eq!(
        (run.code, run.out.as_str()),
        (Some(0), "appended 3 entries, 3 bad lines set aside in bad.jsonl\n")
    );
    assert_eq!(
        run.err,
        "Warning: line 2: not valid JSON: key must be a string (column 2)\n\
         Warning: line 4: not valid UTF-8 at byte 0\n\
         Warning: line 6: not valid JSON: EOF while parsing a string (column 5)\n"
    );
    assert_eq!(std::fs::read(ledger.path("bad.jsonl")).unwrap(), b"{bad\n\xff\xfe\n\"open\n");
    assert_eq!(ledger.ok(&["stream", "read"]), "1\t1\n2\t2\n3\t3\n");
}

#[test]
fn bad_lines_of_an_earlier_run_stay() {
    let ledger = Ledger::new();
    ledger.file("bad.jsonl", "earlier\n");
    let many: String = (0..15).map(|line| format!("bad {line}\n")).collect();
    let file = ledger.file("lines.jsonl", &many);
    let run = ledger.run(&["stream", "append", "--json", "--input", &file, "--skip-bad", "bad.jsonl"]);
    assert_eq!(run.out, "appended 0 entries, 15 bad lines set aside in bad.jsonl\n");
    assert_eq!(run.err.lines().count(), 11);
    assert!(run.err.ends_with("Warning: 5 more bad lines\n"), "{}", run.err);
    assert_eq!(ledger.content("bad.jsonl"), format!("earlier\n{many}"));
}

#[test]
fn bad_lines_cannot_be_added_to_the_file_that_is_read() {
    let ledger = Ledger::new();
    let file = ledger.file("lines.jsonl", "bad\n");
    assert_eq!(
        ledger.fails(&["stream", "append", "--json", "--input", &file, "--skip-bad", "./lines.jsonl"]),
        "Error: --skip-bad names the file that is being read\n"
    );
    assert_eq!(ledger.content("lines.jsonl"), "bad\n");
}

#[test]
fn a_line_that_is_too_long_is_named_and_can_be_set_aside() {
    const LIMIT: usize = 64 << 20;
    let ledger = Ledger::new();
    let long = "7".repeat(LIMIT + 1);
    let file = ledger.file("lines.jsonl", format!("1\n{long}\n2\n"));
    let append = ["stream", "append", "--json", "--input", &file];
    let error = ledger.fails(&append);
    let problem = "it is longer than 67108864 bytes, which no entry can be\n";
    assert!(error.starts_with(&format!("Error: line 2 of {file}: {problem}")), "{error}");
    let run = ledger.run(&[&append[..], &["--skip-bad", "bad.jsonl"]].concat());
    assert_eq!(run.out, "appended 2 entries, 1 bad lines set aside in bad.jsonl\n");
    assert_eq!(run.err, format!("Warning: line 2: {problem}"));
    assert!(ledger.content("bad.jsonl") == format!("{long}\n"));
}

#[test]
fn an_expectation_holds_for_the_whole_file() {
    let ledger = Ledger::new();
    let file = ledger.file("lines.jsonl", numbered(2500));
    let append = ["stream", "append", "--json", "--input", &file, "--expect-empty"];
    assert_eq!(ledger.ok(&append), "appended 2500 entries\n");
    assert_eq!(
        ledger.fails(&append),
        format!(
            "Error: lines 1 to 1000 of {file} were not stored: ledger: conflict: stream \"default\" was expected to \
             be empty, but its last entry is 2500\nNothing was stored. Go on from the beginning\n"
        )
    );
    assert_eq!(ledger.ok(&["stream", "count"]), "2500\n");
}

#[test]
fn files_that_cannot_be_read_are_named_before_a_database_is_made() {
    let ledger = Ledger::new();
    std::fs::create_dir(ledger.path("folder")).unwrap();
    assert_eq!(
        ledger.fails(&["stream", "append", "--input", "missing"]),
        "Error: cannot read missing: No such file or directory (os error 2)\n"
    );
    assert_eq!(
        ledger.fails(&["stream", "append", "--input", "folder"]),
        "Error: cannot read folder: is a directory\n"
    );
    assert_eq!(ledger.files(), ["folder"]);
}

#[test]
fn arguments_that_contradict_each_other_are_refused() {
    let ledger = Ledger::new();
    let file = ledger.file("lines.txt", "a\n");
    assert_eq!(
        ledger.fails(&["stream", "append", "payload", "--input", &file]),
        "Error: PAYLOAD and --input exclude each other\n"
    );
    assert_eq!(
        ledger.fails(&["stream", "append", "--dedup-key", "k", "--input", &file]),
        "Error: --dedup-key and --input exclude each other: one key lets one entry in\n"
    );
    assert_eq!(
        ledger.fails(&["stream", "append", "--input", &file, "--skip-lines", "-1"]),
        "Error: invalid argument \"-1\" for \"--skip-lines\" flag: it is negative\n"
    );
}

#[test]
fn a_line_that_comes_alone_is_stored_at_once() {
    let ledger = Ledger::new();
    let mut child = ledger.spawn(&["stream", "append", "--input", "-", "--print-ids"]);
    let mut stdin = child.stdin.take().unwrap();
    let mut ids = BufReader::new(child.stdout.take().unwrap());
    for line in 1..=3 {
        writeln!(stdin, "line {line}").unwrap();
        let mut id = String::new();
        ids.read_line(&mut id).unwrap();
        assert_eq!(id, format!("{line}\n"));
        assert_eq!(ledger.ok(&["stream", "count"]), format!("{line}\n"));
    }
    drop(stdin);
    assert!(child.wait().unwrap().success());
}

#[test]
fn ctrl_c_says_how_far_it_was() {
    let ledger = Ledger::new();
    let mut child = ledger.spawn(&["stream", "append", "--input", "-", "--print-ids"]);
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(b"one\ntwo\n").unwrap();
    let mut ids = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(ids.next().unwrap().unwrap(), "1");
    assert_eq!(ids.next().unwrap().unwrap(), "2");
    signal(&child, "INT");
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(130));
    assert_eq!(
        run.err,
        "Error: interrupted\nStored: 2 entries, from the lines up to 2. Go on with --skip-lines 2\n"
    );
}
