//! `ledger buffer send --to-stream` into a daemon that runs as a process: exactly once, also when the sender is killed.

use std::collections::HashSet;
use std::io::Write as _;
use std::process::Stdio;
use std::time::Duration;

use crate::home::Home;

const ROUNDS: u64 = 6;
/// After so many, no kill in the middle of a file is no chance any more.
const MAX_ROUNDS: u64 = 100;

/// Appends records to the buffer in the home of a daemon.
fn append(home: &Home, records: impl Iterator<Item = String>) {
    let folder = home.path("out");
    let mut command =
        home.command(&["buffer", "append", folder.to_str().unwrap(), "--max-file-size", "20000"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    records.for_each(|record| writeln!(input, "{record}").unwrap());
    drop(input);
    assert!(child.wait().unwrap().success());
}

fn stream(home: &Home, address: &str) -> Vec<String> {
    let out = home.ok(&["stream", "read", "--stream", "s", "--all", "--addr", address]);
    out.lines().map(|line| line.split_once('\t').unwrap().1.to_owned()).collect()
}

fn send(home: &Home, address: &str) -> String {
    let folder = home.path("out");
    home.ok(&["buffer", "send", folder.to_str().unwrap(), "--to-stream", "s", "--addr", address])
}

#[test]
fn a_sender_that_is_killed_and_run_again_appends_nothing_twice_and_loses_nothing() {
    let home = Home::new();
    home.start();
    let address = home.address();
    let mut expected = Vec::new();
    let mut known = false;
    for round in 0..MAX_ROUNDS {
        if known && round >= ROUNDS {
            break;
        }
        let records: Vec<_> =
            (0..1500).map(|number| format!("{{\"round\":{round},\"number\":{number}}}")).collect();
        append(&home, records.iter().cloned());
        expected.extend(records);
        let folder = home.path("out");
        let arguments = ["buffer", "send", folder.to_str().unwrap(), "--to-stream", "s", "--addr", &address];
        let mut child = home.command(&arguments).stdout(Stdio::null()).spawn().unwrap();
        // A different moment each time, somewhere behind the first file.
        while home.path("out/0-events").exists() && child.try_wait().unwrap().is_none() {
            std::thread::yield_now();
        }
        std::thread::sleep(Duration::from_micros(round * 1709 % 20_000));
        child.kill().unwrap();
        child.wait().unwrap();
        known |= send(&home, &address).contains("were there already");
        let stored = stream(&home, &address);
        assert_eq!(stored.iter().collect::<HashSet<_>>().len(), stored.len(), "round {round}: none twice");
        assert!(stored == expected, "round {round}: {} of {}", stored.len(), expected.len());
    }
    assert!(known, "no kill came in the middle of a file");
}

/// Indices begin again at 0, and records may well be the same as before.
#[test]
fn the_same_records_in_a_later_file_of_the_same_name_are_new_records() {
    let home = Home::new();
    home.start();
    let address = home.address();
    for round in 1..=3 {
        append(&home, std::iter::once("\"heartbeat\"".to_owned()));
        assert_eq!(send(&home, &address), "appended 1 records from 1 files\n");
        assert_eq!(stream(&home, &address).len(), round);
    }
}

#[test]
fn a_daemon_that_is_away_is_waited_for() {
    let home = Home::new();
    home.start();
    let address = home.address();
    append(&home, (0..10).map(|number| number.to_string()));
    home.ok(&["stop"]);
    let folder = home.path("out");
    let gone = home.run(&[
        "buffer",
        "send",
        folder.to_str().unwrap(),
        "--to-stream",
        "s",
        "--addr",
        &address,
        "--retry-for",
        "1",
    ]);
    assert_eq!(gone.code, Some(1), "{gone:?}");
    home.start();
    assert_eq!(send(&home, &home.address()), "appended 10 records from 1 files\n");
}
