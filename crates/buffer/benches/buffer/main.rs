//! `cargo xtask bench buffer`: what the buffer reaches, measured against bare system calls and against the directory store
//! of `transientdb` in the same run.
//!
//! Every case prints our figure, the calibration figure and their ratio, and all are written as JSON to
//! `target/bench-buffer.json`. Ratios compare across machines; absolute figures do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a measuring program")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a measuring program"
)]

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use ledger_buffer::{LedgerConfig, LedgerStore};
use serde_json::{Value, json};
use transientdb::{DataStore, DirectoryConfig, DirectoryStore};

#[path = "../../../cli/benches/common/report.rs"]
mod report;
use report::Report;

/// Short slices of ours and of the calibration take turns, so that the machine's moods fall on both.
const ROUNDS: usize = 15;
/// Records that are appended in a slice.
const SLICE_RECORDS: usize = 20_000;
/// The size of file that the request's example has.
const FILE_BYTES: usize = 475_000;

/// Names the folder that a child of this process fills.
const FILL: &str = "LEDGER_BENCH_FILL";

fn main() {
    if let Some(folder) = std::env::var_os(FILL) {
        fill(Path::new(&folder), 1000);
        return;
    }
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut report = Report::new("buffer");
    type Case = (&'static str, fn(&mut Report));
    let cases: &[Case] = &[
        // First, while the process is still small.
        ("memory", memory),
        ("append", append),
        ("batch", batch),
        ("fetch", fetch),
        ("directory", directory_store),
        ("files", many_files),
    ];
    for (name, case) in cases {
        if only.is_empty() || only == *name {
            eprintln!("… {name}");
            case(&mut report);
        }
    }
    report.write();
}

/// A fresh folder on the disk of the build, not in memory.
fn folder() -> tempfile::TempDir {
    let parent = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target");
    tempfile::Builder::new().prefix("bench-").tempdir_in(parent).unwrap()
}

/// 300 bytes of JSON.
fn payload() -> Vec<u8> {
    format!(r#"{{"event":"page_view","padding":"{}"}}"#, "x".repeat(300 - 34)).into_bytes()
}

fn config(folder: &Path, max_file_size: usize) -> LedgerConfig {
    LedgerConfig {
        storage_location: folder.to_owned(),
        base_filename: "events".into(),
        max_file_size,
        header: Box::new(|| br#"{"batch":["#.to_vec()),
        footer: Box::new(|| br#"],"writeKey":"key"}"#.to_vec()),
        separator: b",".to_vec(),
    }
}

/// The best rate of each: neighbours of this machine only ever make something slower.
fn settle(rounds: Vec<(f64, f64)>) -> (f64, f64) {
    rounds.into_iter().fold((0.0, 0.0), |(ours, theirs), round| (round.0.max(ours), round.1.max(theirs)))
}

/// Operations per second.
fn rate(operations: usize, action: impl FnOnce()) -> f64 {
    let start = Instant::now();
    action();
    operations as f64 / start.elapsed().as_secs_f64()
}

/// The calibration: the same bytes by `write(2)` alone, into one file.
fn bare_writes(path: &Path, record: &[u8], writes: usize) -> f64 {
    let mut file = OpenOptions::new().append(true).create(true).open(path).unwrap();
    rate(writes, || (0..writes).for_each(|_| file.write_all(record).unwrap()))
}

fn append(report: &mut Report) {
    let payload = payload();
    let record = [&[0; 8], &payload[..]].concat();
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let folder = folder();
        // One file, as the calibration has.
        let store = LedgerStore::new(config(&folder.path().join("ours"), usize::MAX)).unwrap();
        let ours =
            || rate(SLICE_RECORDS, || (0..SLICE_RECORDS).for_each(|_| store.append(&payload).unwrap()));
        let theirs = || bare_writes(&folder.path().join("bare"), &record, SLICE_RECORDS);
        rounds.push(in_turns(round, ours, theirs));
    }
    let (ours, theirs) = settle(rounds);
    report.rate("append, 300-byte payloads, durability none", ours, "bare write(2) loop", theirs, 0.85);
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let folder = folder();
        let store = LedgerStore::new(config(&folder.path().join("ours"), FILE_BYTES)).unwrap();
        let ours =
            || rate(SLICE_RECORDS, || (0..SLICE_RECORDS).for_each(|_| store.append(&payload).unwrap()));
        let theirs = || bare_writes(&folder.path().join("bare"), &record, SLICE_RECORDS);
        rounds.push(in_turns(round, ours, theirs));
    }
    let (ours, theirs) = settle(rounds);
    report.rate("append into files of 475 kB", ours, "bare write(2) loop, one file", theirs, 0.85);
}

/// Whoever comes first finds another disk cache, so they take turns in that too.
fn in_turns<T>(round: usize, ours: impl FnOnce() -> T, theirs: impl FnOnce() -> T) -> (T, T) {
    if round.is_multiple_of(2) {
        let theirs = theirs();
        (ours(), theirs)
    } else {
        let ours = ours();
        (ours, theirs())
    }
}

fn batch(report: &mut Report) {
    let payload = payload();
    let batch = vec![payload.as_slice(); 100];
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let folder = folder();
        // One file each, as in the case of `append`: what a new file costs is another question.
        let store = LedgerStore::new(config(&folder.path().join("batch"), usize::MAX)).unwrap();
        let single = LedgerStore::new(config(&folder.path().join("single"), usize::MAX)).unwrap();
        let ours = || {
            rate(SLICE_RECORDS, || (0..SLICE_RECORDS / 100).for_each(|_| store.append_batch(&batch).unwrap()))
        };
        let theirs =
            || rate(SLICE_RECORDS, || (0..SLICE_RECORDS).for_each(|_| single.append(&payload).unwrap()));
        rounds.push(in_turns(round, ours, theirs));
    }
    let (ours, theirs) = settle(rounds);
    report.rate("append_batch of 100 (records/s)", ours, "append of one", theirs, 8.0);
    let (mut rounds, mut bare) = (Vec::new(), Vec::new());
    let (record, hundred) = (vec![b'x'; 308], vec![b'x'; 30_800]);
    for round in 0..ROUNDS {
        let folder = folder();
        let store = LedgerStore::new(config(&folder.path().join("batch"), usize::MAX)).unwrap();
        let ours = || {
            rate(SLICE_RECORDS, || (0..SLICE_RECORDS / 100).for_each(|_| store.append_batch(&batch).unwrap()))
        };
        let theirs = || bare_writes(&folder.path().join("bare"), &hundred, SLICE_RECORDS / 100) * 100.0;
        let (ours, theirs) = in_turns(round, ours, theirs);
        rounds.push((ours, theirs));
        bare.push((theirs, bare_writes(&folder.path().join("single"), &record, SLICE_RECORDS)));
    }
    let (ours, theirs) = settle(rounds);
    report.rate("append_batch of 100 (records/s)", ours, "bare write(2) of 100 records", theirs, 0.5);
    let (many, one) = settle(bare);
    report.fact("what bare write(2) of 100 records gains over one at a time (times)", many / one);
}

/// Writes files of 475 kB; answers their bytes.
fn fill(folder: &Path, files: usize) -> u64 {
    let store = LedgerStore::new(config(folder, FILE_BYTES)).unwrap();
    let payload = payload();
    let batch = vec![payload.as_slice(); FILE_BYTES / 308 + 1];
    (0..files).for_each(|_| store.append_batch(&batch).unwrap());
    files as u64 * batch.len() as u64 * 308
}

/// Swallows bytes and computes their CRC-32.
struct Crc(crc32fast::Hasher);

impl Write for Crc {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Reads a body as an HTTP client would, in blocks.
fn read_body(reader: &mut impl Read, block: &mut [u8]) -> u64 {
    let mut total = 0;
    loop {
        match reader.read(block).unwrap() {
            0 => return total,
            bytes => total += bytes as u64,
        }
    }
}

fn fetch(report: &mut Report) {
    const FILES: usize = 100;
    let folder = folder();
    let bytes = fill(folder.path(), FILES) as usize;
    let store = LedgerStore::new(config(folder.path(), FILE_BYTES)).unwrap();
    let ours = |asks_first: bool, block: &mut [u8]| {
        rate(bytes, || {
            let fetched = store.fetch(None, None).unwrap().unwrap();
            assert_eq!(fetched.data.len(), FILES);
            for mut reader in fetched.data {
                let announced = asks_first.then(|| reader.content_length());
                let read = read_body(&mut reader, block);
                assert_eq!(read, announced.unwrap_or_else(|| reader.content_length()));
            }
        })
    };
    let theirs = || {
        rate(bytes, || {
            for index in 0..FILES {
                let mut file = File::open(folder.path().join(format!("{index}-events"))).unwrap();
                let mut crc = Crc(crc32fast::Hasher::new());
                io::copy(&mut file, &mut crc).unwrap();
                std::hint::black_box(crc.0.finalize());
            }
        })
    };
    let (mut rounds, mut announced, mut block) = (Vec::new(), Vec::new(), vec![0; 16 << 10]);
    for round in 0..ROUNDS {
        rounds.push(in_turns(round, || ours(false, &mut block), theirs));
        announced.push(in_turns(round, || ours(true, &mut block), theirs));
    }
    let calibration = "std::io::copy with CRC-32";
    let (ours, theirs) = settle(rounds);
    report.rate("fetch and read everything (bytes/s)", ours, calibration, theirs, 0.7);
    // Whoever announces the length first has the file checked before the first byte goes out.
    let (ours, theirs) = settle(announced);
    report.rate("fetch, announce the length, read (bytes/s)", ours, calibration, theirs, 0.5);
}

fn memory(report: &mut Report) {
    const FILES: usize = 1000;
    let folder = folder();
    // In a process of its own: memory that was used and given back would hide what is used later.
    let program = std::env::current_exe().unwrap();
    assert!(std::process::Command::new(program).env(FILL, folder.path()).status().unwrap().success());
    let idle = status_kib("VmRSS");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let store = LedgerStore::new(config(folder.path(), FILE_BYTES)).unwrap();
    let (mut block, mut total, mut files) = ([0; 4096], 0, 0);
    while let Some(fetched) = store.fetch(None, None).unwrap() {
        files += fetched.data.len();
        for mut reader in fetched.data {
            // Asked first, a reader needs the most.
            assert_eq!(reader.content_length(), read_body(&mut reader, &mut block));
            total += reader.content_length();
        }
        store.remove(&fetched.removable).unwrap();
    }
    assert_eq!(files, FILES);
    let peak = status_kib("VmHWM").saturating_sub(idle);
    report.fact("bytes streamed (MB)", total as f64 / 1e6);
    report.at_most("peak memory above idle while streaming 1,000 files of 475 kB (KiB)", peak as f64, 1024.0);
}

/// A line of `/proc/self/status`.
fn status_kib(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn directory_store(report: &mut Report) {
    const RECORDS: usize = 5000;
    let event: Value = json!({ "event": "page_view", "padding": "x".repeat(300 - 34) });
    let (mut appends, mut calls, mut wholes) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let folder = folder();
        let mut ours = LedgerStore::new(config(&folder.path().join("ours"), FILE_BYTES)).unwrap();
        let mut old = DirectoryStore::new(DirectoryConfig {
            write_key: "key".into(),
            storage_location: folder.path().join("old"),
            base_filename: "events".into(),
            max_file_size: FILE_BYTES,
        })
        .unwrap();
        let append = |store: &mut dyn Appends| {
            rate(RECORDS, || (0..RECORDS).for_each(|_| store.append_value(event.clone())))
        };
        appends.push(in_turns(round, || append(&mut ours), || append(&mut old)));
        let (ours, old) = in_turns(round, || fetch_ours(&mut ours), || fetch_old(&mut old));
        calls.push((1.0 / ours.0, 1.0 / old.0));
        wholes.push((RECORDS as f64 / ours.1, RECORDS as f64 / old.1));
    }
    let (ours, theirs) = settle(appends);
    report.rate("append of a JSON value", ours, "directory store of transientdb", theirs, 1.0);
    let (ours, theirs) = settle(calls);
    report.rate("fetch of 4 files (calls/s)", ours, "directory store of transientdb", theirs, 1.0);
    let (ours, theirs) = settle(wholes);
    report.rate("fetch, read, remove (records/s)", ours, "directory store, its files unchecked", theirs, 0.5);
}

/// Seconds of the fetch alone, and of everything up to the removal.
fn fetch_ours(store: &mut LedgerStore) -> (f64, f64) {
    let (start, mut block) = (Instant::now(), vec![0; 16 << 10]);
    let fetched = DataStore::fetch(store, None, None).unwrap().unwrap();
    let call = start.elapsed().as_secs_f64();
    let readers = fetched.data.unwrap();
    assert_eq!(readers.len(), 4);
    for mut reader in readers {
        read_body(&mut reader, &mut block);
    }
    DataStore::remove(store, &fetched.removable.unwrap()).unwrap();
    (call, start.elapsed().as_secs_f64())
}

fn fetch_old(store: &mut DirectoryStore) -> (f64, f64) {
    let (start, mut block) = (Instant::now(), vec![0; 16 << 10]);
    let fetched = store.fetch(None, None).unwrap().unwrap();
    let call = start.elapsed().as_secs_f64();
    let paths = fetched.data.unwrap();
    assert_eq!(paths.len(), 4);
    for path in paths {
        read_body(&mut File::open(path).unwrap(), &mut block);
    }
    store.remove(&fetched.removable.unwrap()).unwrap();
    (call, start.elapsed().as_secs_f64())
}

trait Appends {
    fn append_value(&mut self, event: Value);
}

impl<S: DataStore> Appends for S {
    fn append_value(&mut self, event: Value) {
        self.append(event).unwrap();
    }
}

fn many_files(report: &mut Report) {
    const FILES: u32 = 100_000;
    let folder = folder();
    let payload = payload();
    let record = [&300_u32.to_le_bytes()[..], &crc32fast::hash(&payload).to_le_bytes(), &payload].concat();
    for index in 0..FILES {
        std::fs::write(folder.path().join(format!("{index}-events")), &record).unwrap();
    }
    let names =
        || std::hint::black_box(std::fs::read_dir(folder.path()).unwrap().map(Result::unwrap).count());
    let idle = status_kib("VmRSS");
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let (mut open, mut first, mut bare) = (Duration::MAX, Duration::MAX, Duration::MAX);
    for _ in 0..ROUNDS {
        let start = Instant::now();
        names();
        bare = bare.min(start.elapsed());
        let start = Instant::now();
        let store = LedgerStore::new(config(folder.path(), FILE_BYTES)).unwrap();
        open = open.min(start.elapsed());
        let start = Instant::now();
        let fetched = store.fetch(Some(10), None).unwrap().unwrap();
        first = first.min(start.elapsed());
        assert_eq!(fetched.data[9].index(), 9);
    }
    let milliseconds = |time: Duration| time.as_secs_f64() * 1e3;
    report.fact("100,000 files: names alone, by std::fs::read_dir (ms)", milliseconds(bare));
    report.at_most("100,000 files: open (ms)", milliseconds(open), 100.0);
    report.at_most("100,000 files: first fetch of 10 (ms)", milliseconds(first), 200.0);
    let peak = status_kib("VmHWM").saturating_sub(idle);
    report.at_most("100,000 files: peak memory above idle (KiB)", peak as f64, 1024.0);
}
