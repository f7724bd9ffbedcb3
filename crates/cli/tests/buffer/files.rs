//! The commands that work on the files alone.

use crate::common::Ledger;

/// A buffer of these lines in files of about 120 bytes.
pub(crate) fn buffer_of(lines: &str) -> Ledger {
    let ledger = Ledger::new();
    let run = ledger.run_with_input(&["buffer", "append", "out", "--max-file-size", "120"], lines);
    assert_eq!(
        run.ok(),
        format!("appended {} records\n", lines.lines().filter(|line| !line.is_empty()).count())
    );
    ledger
}

/// The names of the buffer's files, sorted.
pub(crate) fn names(ledger: &Ledger) -> Vec<String> {
    let entries = std::fs::read_dir(ledger.path("out")).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn flip(ledger: &Ledger, name: &str, at: usize) {
    let path = ledger.path("out").join(name);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn lines_go_in_and_come_out_as_they_were() {
    let ledger = buffer_of("{\"a\": 1}\n\n[2,3]\n\"Łódź\"");
    assert_eq!(ledger.ok(&["buffer", "cat", "out"]), "{\"a\": 1}\n[2,3]\n\"Łódź\"\n");
    assert_eq!(ledger.ok(&["buffer", "ls", "out"]), "0-events\t46\t3\tready\n");
    assert_eq!(ledger.ok(&["buffer", "verify", "out"]), "1 files, 3 records, no damage\n");
    let more = ledger.run_with_input(&["buffer", "append", "out", "--sync"], "4\n").ok();
    assert_eq!(more, "appended 1 records\n");
    assert_eq!(names(&ledger), ["0-events", "1-events"]);
    let stat = ledger.ok(&["buffer", "stat", "out"]);
    assert!(stat.starts_with("files:       2\nin use:      0\ndamaged:     0\nquarantined: 0\nrecords:     4\nbytes:       55\noldest:      20"), "{stat}");
    assert_eq!(ledger.ok(&["buffer", "reset", "out"]), "deleted 2 files\n");
    assert_eq!(ledger.ok(&["buffer", "cat", "out"]), "");
}

#[test]
fn a_line_that_is_no_record_is_named_and_those_before_it_are_kept() {
    let ledger = Ledger::new();
    let error = ledger.run_with_input(&["buffer", "append", "out"], "1\n2\n{oops\n4\n").fails();
    assert!(error.starts_with("Error: line 3: it is not JSON: "), "{error}");
    assert!(error.ends_with("; 2 records were appended, those of the lines before it\n"), "{error}");
    assert_eq!(ledger.ok(&["buffer", "cat", "out"]), "1\n2\n");
    let long =
        ledger.run_with_input(&["buffer", "append", "out", "--max-record-size", "5"], "1234567\n").fails();
    assert_eq!(
        long,
        "Error: line 1: it is longer than 5 bytes; 0 records were appended, those of the lines before it\n"
    );
}

#[test]
fn another_base_name_is_another_buffer() {
    let ledger = buffer_of("1");
    ledger.run_with_input(&["buffer", "append", "out", "--base-filename", "metrics"], "2").ok();
    assert_eq!(names(&ledger), ["0-events", "0-metrics"]);
    assert_eq!(ledger.ok(&["buffer", "cat", "out", "--base-filename", "metrics"]), "2\n");
    assert_eq!(ledger.ok(&["buffer", "reset", "out", "--base-filename", "metrics"]), "deleted 1 files\n");
    assert_eq!(ledger.ok(&["buffer", "cat", "out"]), "1\n");
}

#[test]
fn damage_is_found_and_what_is_intact_salvaged() {
    let ledger = buffer_of("\"first\"\n\"second\"\n\"third\"");
    flip(&ledger, "0-events", 15 + 10);
    let run = ledger.run(&["buffer", "verify", "out"]);
    assert_eq!(run.code, Some(1));
    assert_eq!(
        run.out,
        "0-events: damage at offset 15, 31 bytes to the end: the checksum of a payload of 8 bytes is wrong\n"
    );
    assert_eq!(
        run.err,
        "Error: 1 of 1 files are damaged; `ledger buffer salvage` prints what is intact in them\n"
    );
    assert_eq!(ledger.ok(&["buffer", "ls", "out"]), "0-events\t46\t1\tdamaged\n");
    let salvaged = ledger.run(&["buffer", "salvage", "out"]);
    assert_eq!((salvaged.code, salvaged.out.as_str()), (Some(0), "\"first\"\n\"third\"\n"));
    assert!(salvaged.err.contains("16 bytes at offset 15: the checksum"), "{}", salvaged.err);
    assert!(
        salvaged.err.ends_with("2 records in 1 damaged files; the files stay where they are\n"),
        "{}",
        salvaged.err
    );
}

#[test]
fn a_folder_that_is_not_there_is_an_error_and_is_not_made() {
    let ledger = Ledger::new();
    for command in ["ls", "cat", "verify", "salvage", "stat", "reset"] {
        let error = ledger.fails(&["buffer", command, "nowhere"]);
        assert!(error.starts_with("Error: cannot open the folder nowhere: "), "{error}");
    }
    assert!(ledger.files().is_empty());
}

#[test]
fn files_in_use_are_shown_and_left_alone() {
    use std::io::{BufRead as _, Write as _};

    let ledger = Ledger::new();
    let mut writer = ledger.spawn(&["buffer", "append", "out"]);
    let mut input = writer.stdin.take().unwrap();
    writeln!(input, "1").unwrap();
    let waited = (0..1000).find(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        ledger.run(&["buffer", "cat", "out"]).out == "1\n"
    });
    assert!(waited.is_some(), "a record is there before its writer ends");
    assert_eq!(ledger.ok(&["buffer", "ls", "out"]), "0-events\t9\t1\tin use\n");
    let reset = ledger.run(&["buffer", "reset", "out"]);
    assert_eq!(
        (reset.out.as_str(), reset.err.as_str()),
        ("deleted 0 files\n", "Note: 1 files are in use and stay\n")
    );
    drop(input);
    let mut said = String::new();
    std::io::BufReader::new(writer.stdout.take().unwrap()).read_line(&mut said).unwrap();
    assert_eq!(said, "appended 1 records\n");
    assert!(writer.wait().unwrap().success());
}
