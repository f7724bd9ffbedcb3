//! `ledger stream …` without a database file: the same commands, answered by a daemon.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::home::{Home, Wire};

#[test]
fn streams_of_a_daemon_are_used_as_those_of_a_file() {
    let wire = Wire::start();
    assert_eq!(wire.ok(&["append", "--stream", "s", "text <b>", "--tag", "t", "--meta", "k=v"]), "1\n");
    assert_eq!(wire.ok(&["append", "--stream", "s", "--json", "{\"a\":1}", "--dedup-key", "d"]), "2\n");
    assert_eq!(wire.ok(&["append", "--stream", "s", "--json", "{\"a\":1}", "--dedup-key", "d"]), "");
    assert_eq!(wire.ok(&["read", "--stream", "s"]), "1\ttext <b>\n2\t{\"a\":1}\n");
    assert_eq!(wire.ok(&["read", "--stream", "s", "--tag", "t", "--meta", "k=v"]), "1\ttext <b>\n");
    assert_eq!(wire.ok(&["search", "TEXT"]), "1\ttext <b>\n");
    assert_eq!(wire.ok(&["count", "--stream", "s"]), "2\n");
    assert_eq!(wire.ok(&["stat", "--stream", "s"]), "Stream:  s\nCount:   2\nFirstID: 1\nLastID:  2\n");
    wire.ok(&["tag", "--stream", "s", "--id", "2", "--tag", "new"]);
    wire.ok(&["annotate", "--stream", "s", "--id", "2", "--set", "note=x"]);
    assert_eq!(
        wire.ok(&["read", "--stream", "s", "--tag", "new", "--annotation", "note=x"]),
        "2\t{\"a\":1}\n"
    );
    assert_eq!(wire.ok(&["rename", "--stream", "s", "--to", "r"]), "stream \"s\" renamed to \"r\"\n");
    assert_eq!(wire.ok(&["list"]), "r\n");
    assert_eq!(wire.ok(&["trim", "--stream", "r", "--before", "1"]), "trimmed 1 entries\n");
    assert_eq!(wire.ok(&["read", "--stream", "unknown"]), "");
    let conflict = wire.home.run(&wire.with_address(&["append", "--stream", "r", "x", "--expect-last", "1"]));
    assert_eq!(conflict.code, Some(1));
    assert!(conflict.err.contains("its last entry is 2"), "{conflict:?}");
}

#[test]
fn ids_that_are_numbers_are_read_and_exported_in_their_order() {
    let wire = Wire::start();
    let lines: String = (1..=1200).map(|number| format!("{{\"n\":{number}}}\n")).collect();
    let file = wire.home.path("lines.jsonl");
    std::fs::write(&file, &lines).unwrap();
    let file = file.to_str().unwrap().to_owned();
    assert_eq!(wire.ok(&["append", "--json", "--input", &file]), "appended 1200 entries\n");
    let expected: Vec<String> = (1..=1200).map(|number| format!("{number}\t{{\"n\":{number}}}")).collect();
    assert_eq!(wire.ok(&["read", "--all"]).lines().collect::<Vec<_>>(), expected);
    assert_eq!(wire.ok(&["read", "--all", "--after", "9"]).lines().collect::<Vec<_>>(), expected[9..]);
    let exported = wire.home.path("export.jsonl");
    let exported = exported.to_str().unwrap().to_owned();
    wire.ok(&["export", "--output", &exported]);
    assert_eq!(std::fs::read_to_string(&exported).unwrap().lines().count(), 1200);
    assert_eq!(wire.ok(&["import", "--stream", "copy", &exported]), "imported 1200 entries\n");
    assert_eq!(wire.ok(&["count", "--stream", "copy"]), "1200\n");
}

#[test]
fn following_survives_a_restart_of_the_daemon() {
    let wire = Wire::start();
    // A daemon that comes back has to be found again: give it the same port.
    std::fs::write(wire.home.path("config.yaml"), format!("listen: {}\n", wire.address)).unwrap();
    wire.ok(&["append", "one"]);
    let mut command = wire.home.command(&wire.with_address(&["tail"]));
    let mut tail = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(tail.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(lines.next().unwrap(), "1\tone");
    wire.home.ok(&["restart"]);
    wire.ok(&["append", "two"]);
    assert_eq!(lines.next().unwrap(), "2\ttwo");
    wire.ok(&["append", "three"]);
    assert_eq!(lines.next().unwrap(), "3\tthree");
    tail.kill().unwrap();
    tail.wait().unwrap();
}

#[test]
fn a_key_opens_the_daemon() {
    let home = Home::new();
    let key = home.ok(&["key", "create", "app"]).trim().to_owned();
    home.ok(&["start"]);
    let wire = Wire { address: home.address(), home };
    let refused = wire.home.run(&wire.with_address(&["append", "x"]));
    assert_eq!(refused.code, Some(1));
    assert_eq!(wire.ok(&["append", "x", "--api-key", &key]), "1\n");
    let mut command = wire.home.command(&wire.with_address(&["count"]));
    assert_eq!(command.env("LEDGER_API_KEY", &key).output().unwrap().stdout, b"1\n");
}
