//! A process that appends under load is killed with SIGKILL, again and again. Every entry that it had acknowledged is
//! there, none is there twice, and retries with the same dedup keys do not change that.
//!
//! This program is its own child: the parent starts it again with the folder in its environment.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    reason = "a test"
)]

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use ledger_sqlite::SqliteStore;
use ledger_streams::{Append, Durability, Expect, Read, Store};

const FOLDER: &str = "LEDGER_KILL_FOLDER";
const ROUND: &str = "LEDGER_KILL_ROUND";
const ROUNDS: &str = "LEDGER_KILL_ROUNDS";
const CALLERS: u64 = 16;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match std::env::var(FOLDER) {
        Ok(folder) => runtime.block_on(append_until_killed(Path::new(&folder))),
        Err(_) => runtime.block_on(kill_again_and_again()),
    }
}

async fn open(folder: &Path, round: u64) -> SqliteStore {
    let durability = if round.is_multiple_of(2) { Durability::Synced } else { Durability::Os };
    SqliteStore::open(folder.join("kill.db")).durability(durability).build().await.unwrap()
}

/// The child: appends and tells its parent what was acknowledged.
async fn append_until_killed(folder: &Path) {
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let store = open(folder, round).await;
    let callers = (0..CALLERS).map(|caller| {
        let store = store.clone();
        tokio::spawn(async move {
            for number in 0.. {
                let batch: Vec<_> = (0..=number % 3).map(|part| entry(round, caller, number, part)).collect();
                let keys: Vec<_> = batch.iter().map(|entry| entry.dedup_key.clone()).collect();
                store.append("s", batch, Expect::Any).await.unwrap();
                let mut out = std::io::stdout().lock();
                writeln!(out, "{}", keys.join(" ")).unwrap();
                out.flush().unwrap();
            }
        })
    });
    for caller in callers.collect::<Vec<_>>() {
        caller.await.unwrap();
    }
}

fn entry(round: u64, caller: u64, number: u64, part: u64) -> Append<Bytes> {
    let key = format!("{round}-{caller}-{number}-{part}");
    Append::new(Bytes::from(format!("{{\"key\":\"{key}\",\"padding\":\"{}\"}}", "x".repeat(200))))
        .dedup_key(key)
}

async fn kill_again_and_again() {
    let rounds: u64 = std::env::var(ROUNDS).ok().map_or(50, |text| text.parse().expect(ROUNDS));
    let folder = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    let mut expected: HashMap<String, u32> = HashMap::new();
    for round in 0..rounds {
        let keys = run_and_kill(folder.path(), round);
        acknowledged += keys.len();
        let store = open(folder.path(), round).await;
        retry(&store, round, &keys).await;
        expected.extend(keys.into_iter().map(|key| (key, 0)));
        store.database().close().await;
    }
    assert!(acknowledged > 0, "nothing was acknowledged in {rounds} rounds");
    let store = open(folder.path(), 0).await;
    check_every_entry(&store, &mut expected).await;
    println!(
        "test killed_{rounds}_times_and_nothing_acknowledged_is_lost_or_doubled ({acknowledged} entries) ... ok"
    );
    println!("\n1 passed, 0 failed");
}

/// Runs a child, kills it in the middle, answers the keys that it had acknowledged.
fn run_and_kill(folder: &Path, round: u64) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .env(FOLDER, folder)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reading = std::thread::spawn(move || {
        // A line that the kill cut short was not an acknowledgement that anybody heard.
        let lines = output.lines().map_while(Result::ok).filter(|line| !line.is_empty());
        lines.flat_map(|line| line.split(' ').map(str::to_owned).collect::<Vec<_>>()).collect::<Vec<_>>()
    });
    // Different rounds are killed at different moments: some while opening, most under load.
    std::thread::sleep(Duration::from_millis(20 + round * 37 % 180));
    child.kill().unwrap();
    child.wait().unwrap();
    let mut keys = reading.join().unwrap();
    keys.retain(|key| key.split('-').count() == 4);
    keys
}

/// A client that does not know what became of its last requests sends them again.
async fn retry(store: &SqliteStore, round: u64, acknowledged: &[String]) {
    let last =
        acknowledged.iter().filter_map(|key| key.split('-').nth(2)?.parse::<u64>().ok()).max().unwrap_or(0);
    for caller in 0..CALLERS {
        for number in last.saturating_sub(2)..=last + 1 {
            let batch: Vec<_> = (0..=number % 3).map(|part| entry(round, caller, number, part)).collect();
            let size = batch.len();
            let answer = store.append("s", batch, Expect::Any).await.unwrap();
            // Batches are all or nothing, so a retry finds all of a batch or nothing of it.
            assert!(
                answer.duplicates.is_empty() || answer.duplicates.len() == size,
                "half a batch: {answer:?}"
            );
        }
    }
}

async fn check_every_entry(store: &SqliteStore, expected: &mut HashMap<String, u32>) {
    let mut read = Read::new().limit(10_000);
    let mut seen: HashMap<String, u32> = HashMap::new();
    loop {
        let page = store.read("s", &read).await.unwrap();
        assert_eq!(page.damaged, []);
        for entry in &page {
            assert!(
                entry.payload.starts_with(format!("{{\"key\":\"{}\"", entry.dedup_key).as_bytes()),
                "torn payload"
            );
            *seen.entry(entry.dedup_key.clone()).or_default() += 1;
        }
        match page.next {
            Some(next) => read = read.after(next),
            None => break,
        }
    }
    for key in expected.keys() {
        assert_eq!(seen.get(key), Some(&1), "acknowledged entry {key}");
    }
    assert!(seen.values().all(|times| *times == 1), "an entry is there twice");
}
