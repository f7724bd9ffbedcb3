//! A process that appends without pause is killed with SIGKILL at random moments, again and again. Every record whose
//! append returned is read back, in order, and nothing that was not appended.
//!
//! `LEDGER_KILL_ROUNDS` sets how often. This program is its own child: the parent starts it again with the folder in its
//! environment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a test"
)]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use common::{config, drain};
use ledger_buffer::LedgerStore;

const FOLDER: &str = "LEDGER_BUFFER_KILL_FOLDER";
const ROUND: &str = "LEDGER_BUFFER_KILL_ROUND";
const ROUNDS: &str = "LEDGER_KILL_ROUNDS";

fn main() {
    match std::env::var(FOLDER) {
        Ok(folder) => append_until_killed(Path::new(&folder), std::env::var(ROUND).unwrap().parse().unwrap()),
        Err(_) => kill_again_and_again(),
    }
}

fn payload(round: u64, number: u64) -> String {
    // Sizes up to some pages, so that kills hit writes too.
    let padding = (number * 7919 % 9000) as usize;
    format!("{round}:{number}:{}", "x".repeat(padding))
}

/// The child: says the number of each record as soon as its append has returned.
fn append_until_killed(folder: &Path, round: u64) {
    let store = LedgerStore::new(config(folder, 50_000)).unwrap();
    let mut out = std::io::stdout().lock();
    let mut number = 0;
    loop {
        let batch: Vec<_> = (0..1 + number % 3).map(|part| payload(round, number + part)).collect();
        match &batch[..] {
            [one] => store.append(one.as_bytes()).unwrap(),
            many => store.append_batch(many).unwrap(),
        }
        number += batch.len() as u64;
        writeln!(out, "{number}").unwrap();
        out.flush().unwrap();
    }
}

fn kill_again_and_again() {
    let rounds: u64 = std::env::var(ROUNDS).ok().map_or(200, |text| text.parse().expect(ROUNDS));
    let folder = tempfile::tempdir().unwrap();
    let mut total = 0;
    for round in 0..rounds {
        let acknowledged = run_and_kill(folder.path(), round);
        let store = LedgerStore::new(config(folder.path(), 50_000)).unwrap();
        let read = drain(&store);
        assert!(
            read.len() as u64 >= acknowledged,
            "round {round}: {acknowledged} acknowledged, {} read",
            read.len()
        );
        for (number, text) in read.iter().enumerate() {
            assert!(*text == payload(round, number as u64), "round {round}: record {number} is wrong");
        }
        assert!(!store.has_data(), "round {round}: {:?}", common::names(folder.path()));
        total += acknowledged;
    }
    assert!(total > rounds, "the children did next to nothing");
    println!("{rounds} kills, {total} acknowledged records, none lost, none wrong: ok");
}

/// Answers how many records were acknowledged.
fn run_and_kill(folder: &Path, round: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = lines.next().expect("the child appends").unwrap();
    // A different moment each time.
    std::thread::sleep(Duration::from_micros(round * 7919 % 20_000));
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may have been cut off.
    lines.map_while(Result::ok).filter_map(|line| line.parse().ok()).last().unwrap_or(first.parse().unwrap())
}
