//! Two processes with four threads each append, fetch and remove in one folder at once: nothing is lost, nothing is sent
//! twice, nothing is interleaved.
//!
//! `LEDGER_WRITER_RECORDS` sets how many records each thread appends. This program is its own child.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test"
)]

mod common;

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{body, config, drain, payloads};
use ledger_buffer::LedgerStore;

const FOLDER: &str = "LEDGER_BUFFER_WRITERS_FOLDER";
const PROCESS: &str = "LEDGER_BUFFER_WRITERS_PROCESS";
const RECORDS: &str = "LEDGER_WRITER_RECORDS";
const PROCESSES: usize = 2;
const THREADS: usize = 4;

fn main() {
    match std::env::var(FOLDER) {
        Ok(folder) => append_and_send(Path::new(&folder), std::env::var(PROCESS).unwrap().parse().unwrap()),
        Err(_) => start_and_compare(),
    }
}

fn records() -> usize {
    std::env::var(RECORDS).ok().map_or(1500, |text| text.parse().expect(RECORDS))
}

/// The child. Two threads share a store, two have one of their own; each appends and sends. What was sent goes to
/// standard output.
fn append_and_send(folder: &Path, process: usize) {
    let open = || LedgerStore::new(config(folder, 2000)).unwrap();
    let shared = open();
    let left = AtomicUsize::new(THREADS);
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (shared, left) = (&shared, &left);
            scope.spawn(move || {
                let own = (thread >= THREADS / 2).then(open);
                let store = own.as_ref().unwrap_or(shared);
                for number in 0..records() {
                    let padding = "x".repeat(number * 31 % 400);
                    store.append(format!("{process}-{thread} {number} {padding}").as_bytes()).unwrap();
                    if number % 40 == thread {
                        send(store);
                    }
                }
                left.fetch_sub(1, Ordering::Relaxed);
                while left.load(Ordering::Relaxed) > 0 {
                    send(store);
                }
            });
        }
    });
}

fn send(store: &LedgerStore) {
    let Some(mut fetched) = store.fetch(Some(3), None).unwrap() else { return };
    for reader in &mut fetched.data {
        let body = body(reader);
        let records = payloads(reader);
        assert_eq!(body, format!("[{}]", records.join(",")).into_bytes());
        assert_eq!(reader.damage(), None);
        let lines: String = records.iter().map(|record| format!("{record}\n")).collect();
        std::io::stdout().lock().write_all(lines.as_bytes()).unwrap();
    }
    store.remove(&fetched.removable).unwrap();
}

fn start_and_compare() {
    let folder = tempfile::tempdir().unwrap();
    let children: Vec<_> = (0..PROCESSES)
        .map(|process| {
            let mut command = Command::new(std::env::current_exe().unwrap());
            command.env(FOLDER, folder.path()).env(PROCESS, process.to_string()).stdout(Stdio::piped());
            let child = command.spawn().unwrap();
            std::thread::spawn(move || child.wait_with_output().unwrap())
        })
        .collect();
    let mut seen: HashMap<String, Vec<usize>> = HashMap::new();
    let mut count = |record: &str| {
        let mut parts = record.split(' ');
        let (writer, number) = (parts.next().unwrap(), parts.next().unwrap().parse().unwrap());
        assert_eq!(parts.next().unwrap(), "x".repeat(number * 31 % 400), "interleaved");
        seen.entry(writer.to_owned()).or_default().push(number);
    };
    for child in children {
        let Output { status, stdout, .. } = child.join().unwrap();
        assert!(status.success());
        String::from_utf8(stdout).unwrap().lines().for_each(&mut count);
    }
    drain(&LedgerStore::new(config(folder.path(), 2000)).unwrap()).iter().for_each(|record| count(record));
    assert_eq!(seen.len(), PROCESSES * THREADS);
    for (writer, mut numbers) in seen {
        numbers.sort_unstable();
        assert_eq!(numbers, (0..records()).collect::<Vec<_>>(), "{writer}");
    }
    assert!(common::names(folder.path()).is_empty());
    println!("{PROCESSES} processes, {THREADS} threads each: nothing lost, nothing twice: ok");
}
