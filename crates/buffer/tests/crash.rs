//! A scripted life of a buffer, stopped at every operation and in the middle of it, with every state that a killed
//! process or a power cut could leave; and the same life with every operation failing.
//!
//! `LEDGER_CRASH_IMAGES` sets how many states of each moment are looked at.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a test")]

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ledger_buffer::{
    AppendError, DamageKind, Durability, Fetched, FileInfo, LedgerConfig, LedgerStore, Salvaged, WhenFull,
};
use ledger_fs::crash::{
    Cause, Crash, CrashFs, CrashPolicy, Fault, History, Tried, for_each_crash, for_each_crash_of,
    for_each_fault,
};
use ledger_fs::{Dir, Kind, Open, append_all};

/// Payloads carry their number; that of the last record of all, appended after the crash.
const AFTERWARDS: u32 = 9999;

/// What the workload says of its records.
#[derive(Clone, Debug)]
enum Event {
    /// They are about to be appended.
    Appending(Range<u32>),
    /// The append has returned.
    Appended(Range<u32>),
    /// The append has failed, and said that nothing of it is left.
    Refused(Range<u32>),
    /// What was appended so far survives a power cut, at the level of `Durability::Interval`: it was finished.
    Finished,
    /// They are about to be removed, or may be dropped.
    Leaving(Vec<u32>),
    /// The removal has returned.
    Left(Vec<u32>),
    /// They were not dropped after all.
    Stayed(Vec<u32>),
}

/// What is expected of the records by what was said.
#[derive(Debug, Default)]
struct Expected {
    issued: BTreeSet<u32>,
    acknowledged: BTreeSet<u32>,
    /// Those of the acknowledged that were finished.
    finished: BTreeSet<u32>,
    leaving: BTreeSet<u32>,
    /// Removed or refused: must not be there unless a power cut undid it.
    gone: BTreeSet<u32>,
}

impl Expected {
    fn from(events: &[Event]) -> Self {
        let mut expected = Self::default();
        for event in events {
            match event {
                Event::Appending(numbers) => expected.issued.extend(numbers.clone()),
                Event::Appended(numbers) => expected.acknowledged.extend(numbers.clone()),
                Event::Refused(numbers) => expected.gone.extend(numbers.clone()),
                Event::Finished => expected.finished = expected.acknowledged.clone(),
                Event::Leaving(numbers) => expected.leaving.extend(numbers),
                Event::Left(numbers) => expected.gone.extend(numbers),
                Event::Stayed(numbers) => expected.leaving.retain(|number| !numbers.contains(number)),
            }
        }
        expected
    }

    /// The records that nothing may take away.
    fn promised(&self, durability: Durability, cause: Cause) -> BTreeSet<u32> {
        let kept = match (cause, durability) {
            (Cause::Kill, _) | (Cause::PowerCut, Durability::EveryAppend) => self.acknowledged.clone(),
            (Cause::PowerCut, Durability::Interval(_)) => self.finished.clone(),
            (Cause::PowerCut, Durability::None) => BTreeSet::new(),
        };
        kept.difference(&self.leaving).copied().collect()
    }
}

fn payload(number: u32) -> Vec<u8> {
    format!("{number:04}:{}", "x".repeat((number as usize * 7) % 40)).into_bytes()
}

fn number(payload: &[u8]) -> u32 {
    std::str::from_utf8(&payload[..4]).unwrap().parse().unwrap()
}

fn open(dir: Arc<dyn Dir>, durability: Durability, quota: Option<(u64, WhenFull)>) -> Option<LedgerStore> {
    let config = LedgerConfig {
        storage_location: "unused".into(),
        base_filename: "events".into(),
        max_file_size: 150,
        header: Box::new(|| b"[".to_vec()),
        footer: Box::new(|| b"]".to_vec()),
        separator: b",".to_vec(),
    };
    let options = LedgerStore::options(config).durability(durability);
    let options = match quota {
        Some((bytes, when_full)) => options.max_total_size(bytes, when_full),
        None => options,
    };
    options.open_in(dir).ok()
}

/// The payloads of what was fetched. The bodies are checked on the way.
fn payloads(fetched: Fetched) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    for mut reader in fetched.data {
        let records: Vec<Vec<u8>> = reader.records().map(Result::unwrap).collect();
        let mut body = Vec::new();
        reader.read_to_end(&mut body).unwrap();
        assert_eq!(body.len() as u64, reader.content_length());
        assert_eq!(body, [b"[".as_slice(), &records.join(b",".as_slice()), b"]"].concat());
        all.extend(records);
    }
    all
}

/// A file, and what is in it.
type Records = (FileInfo, Vec<u32>);

/// A workload: it bears failures of everything, and notes what it was told.
struct Life<'a> {
    fs: &'a CrashFs,
    history: &'a History<Event>,
    durability: Durability,
    next: u32,
}

impl Life<'_> {
    fn open(&self, quota: Option<(u64, WhenFull)>) -> Option<LedgerStore> {
        open(self.fs.dir(), self.durability, quota)
    }

    fn append(&mut self, store: &LedgerStore, count: u32) {
        let numbers = self.next..self.next + count;
        self.next += count;
        self.history.note(Event::Appending(numbers.clone()));
        let result = match count {
            1 => store.append(&payload(numbers.start)),
            _ => store.append_batch(&numbers.clone().map(payload).collect::<Vec<_>>()),
        };
        match result {
            Ok(()) => self.history.note(Event::Appended(numbers)),
            Err(AppendError::Write { cut_back: false, .. } | AppendError::Sync { written: true, .. }) => {}
            Err(_) => self.history.note(Event::Refused(numbers)),
        }
    }

    /// Fetches, reads and removes; `keep` files are not removed, as if sending them had failed.
    fn send(&self, store: &LedgerStore, count: usize, keep: usize) {
        let Ok(Some(fetched)) = store.fetch(Some(count), None) else { return };
        self.history.note(Event::Finished);
        let mut removable = fetched.removable;
        removable.truncate(removable.len().saturating_sub(keep));
        let mut numbers = Vec::new();
        for mut reader in fetched.data.into_iter().take(removable.len()) {
            // A program that cannot read a file has not sent it.
            let (Ok(_), Ok(records)) =
                (reader.read_to_end(&mut Vec::new()), reader.records().collect::<io::Result<Vec<_>>>())
            else {
                return;
            };
            numbers.extend(records.iter().map(|payload| number(payload)));
        }
        self.history.note(Event::Leaving(numbers.clone()));
        if store.remove(&removable).is_ok() {
            self.history.note(Event::Left(numbers));
        }
    }

    fn reset(&self, store: &LedgerStore) {
        self.history.note(Event::Leaving((0..self.next).collect()));
        if store.reset().is_ok() {
            self.history.note(Event::Left((0..self.next).collect()));
        }
    }

    /// Appends where the oldest files may be dropped to make room.
    fn append_dropping(&mut self, store: &LedgerStore) {
        let records = |file: FileInfo| {
            let reader = store.peek(&file)?;
            if reader.damage().is_some_and(|damage| matches!(damage.kind, DamageKind::Unreadable { .. })) {
                return Err(io::ErrorKind::Other.into());
            }
            let records = reader.records().collect::<io::Result<Vec<_>>>()?;
            Ok((file, records.iter().map(|payload| number(payload)).collect()))
        };
        let Ok(files) = store.files() else { return };
        let Ok(before): io::Result<Vec<Records>> = files.into_iter().map(records).collect() else { return };
        self.history.note(Event::Leaving(before.iter().flat_map(|(_, records)| records.clone()).collect()));
        self.append(store, 1);
        let Ok(after) = store.files() else { return };
        let (stayed, left): (Vec<_>, Vec<_>) = before.into_iter().partition(|(file, _)| after.contains(file));
        let numbers = |files: Vec<Records>| files.into_iter().flat_map(|(_, records)| records).collect();
        self.history.note(Event::Left(numbers(left)));
        self.history.note(Event::Stayed(numbers(stayed)));
    }

    fn close(&self, store: LedgerStore) {
        drop(store);
        self.history.note(Event::Finished);
    }
}

fn life(fs: &CrashFs, history: &History<Event>, durability: Durability) {
    let mut life = Life { fs, history, durability, next: 0 };
    if let Some(store) = life.open(None) {
        for _ in 0..7 {
            life.append(&store, 1);
        }
        life.append(&store, 5);
        life.append(&store, 1);
        life.send(&store, 2, 1);
        life.append(&store, 2);
        life.send(&store, 10, 0);
        for _ in 0..3 {
            life.append(&store, 1);
        }
        life.close(store);
    }
    if let Some(store) = life.open(None) {
        life.append(&store, 1);
        life.append(&store, 6);
        life.send(&store, 1, 0);
        life.reset(&store);
        life.append(&store, 1);
        life.close(store);
    }
    if let Some(store) = life.open(Some((600, WhenFull::DropOldest))) {
        for _ in 0..24 {
            life.append_dropping(&store);
        }
        life.close(store);
    }
    if let Some(store) = life.open(Some((800, WhenFull::Refuse))) {
        for _ in 0..8 {
            life.append(&store, 1);
        }
        life.send(&store, 3, 0);
        life.append(&store, 1);
    }
}

/// A shorter one, to be lived once for every operation in it.
fn short_life(fs: &CrashFs, history: &History<Event>, durability: Durability) {
    let mut life = Life { fs, history, durability, next: 0 };
    if let Some(store) = life.open(None) {
        for _ in 0..3 {
            life.append(&store, 1);
        }
        life.append(&store, 4);
        life.append(&store, 1);
        life.send(&store, 1, 0);
        life.append(&store, 1);
        life.close(store);
    }
    if let Some(store) = life.open(Some((300, WhenFull::DropOldest))) {
        for _ in 0..4 {
            life.append_dropping(&store);
        }
        life.send(&store, 2, 1);
        life.append(&store, 1);
        life.reset(&store);
        life.append(&store, 1);
        life.append(&store, 1);
    }
}

/// Whether the workload could read all the time. If not, files that it could not read are in the quarantine, whole.
#[derive(Clone, Copy)]
enum Reading {
    Works,
    Failed,
}

/// Starts again on what is left, as a program would: without looking, repairing or deciding anything.
fn restart(dir: &Arc<dyn Dir>, events: &[Event], durability: Durability, cause: Cause, reading: Reading) {
    let expected = Expected::from(events);
    let store = open(dir.clone(), durability, None).expect("the store opens");
    store.append(&payload(AFTERWARDS)).expect("it takes records");
    let mut found = Vec::new();
    while let Some(fetched) = store.fetch(Some(3), None).expect("it gives records") {
        let removable: Vec<_> = fetched.removable.iter().collect();
        store.remove(removable.iter().copied()).expect("files are removed");
        drop(removable);
        found.extend(payloads(fetched));
        assert!(found.len() < 1000, "what was removed is fetched again and again");
    }
    assert!(!store.has_data());
    for payload_found in found.iter().chain(&quarantined(dir)) {
        let number = number(payload_found);
        assert_eq!(*payload_found, payload(number), "a wrong payload");
        assert!(number == AFTERWARDS || expected.issued.contains(&number), "{number} was never appended");
    }
    let numbers: Vec<u32> = found.iter().map(|payload| number(payload)).collect();
    assert_eq!(numbers.last(), Some(&AFTERWARDS), "what is appended last comes last");
    let stayed: Vec<u32> =
        numbers.iter().copied().filter(|number| !expected.leaving.contains(number)).collect();
    assert!(stayed.is_sorted_by(|a, b| a < b), "twice, or out of order: {stayed:?}");
    let promised = expected.promised(durability, cause);
    let set_aside: Vec<u32> = match reading {
        Reading::Works => Vec::new(),
        Reading::Failed => quarantined(dir).iter().map(|payload| number(payload)).collect(),
    };
    let kept = |number: &u32| numbers.contains(number) || set_aside.contains(number);
    let missing: Vec<&u32> = promised.iter().filter(|number| !kept(number)).collect();
    assert!(missing.is_empty(), "lost: {missing:?} of {numbers:?}");
    if cause == Cause::Kill {
        let back: Vec<&u32> = numbers.iter().filter(|number| expected.gone.contains(number)).collect();
        assert!(back.is_empty(), "came back: {back:?}");
    }
}

/// Every intact record of the quarantine.
fn quarantined(dir: &Arc<dyn Dir>) -> Vec<Vec<u8>> {
    let folder = Path::new("quarantine");
    let Ok(entries) = dir.entries(folder) else { return Vec::new() };
    let mut payloads = Vec::new();
    for entry in entries.map(Result::unwrap).filter(|entry| entry.kind == Kind::File) {
        let bytes = ledger_fs::read_all(&**dir, &folder.join(entry.name), 1 << 20).unwrap();
        let copy = CrashFs::new();
        append_all(&*copy.dir().open(Path::new("0-events"), Open::APPEND.create_new()).unwrap(), &bytes, 0)
            .unwrap();
        let store = open(copy.dir(), Durability::None, None).unwrap();
        for part in store.peek(&store.files().unwrap()[0]).unwrap().salvage() {
            if let Salvaged::Record { payload, .. } = part.unwrap() {
                payloads.push(payload);
            }
        }
    }
    payloads
}

fn policy(images_per_point: usize) -> CrashPolicy {
    let wanted = std::env::var("LEDGER_CRASH_IMAGES").ok().and_then(|text| text.parse().ok());
    CrashPolicy { images_per_point: wanted.unwrap_or(images_per_point), ..CrashPolicy::default() }
}

const HOUR: Duration = Duration::from_secs(3600);
const LEVELS: [Durability; 3] = [Durability::None, Durability::Interval(HOUR), Durability::EveryAppend];

#[test]
fn no_crash_loses_what_was_promised_or_makes_a_wrong_payload() {
    let started = Instant::now();
    let mut all = Tried::default();
    let mut by_cause: BTreeMap<Cause, usize> = BTreeMap::new();
    for durability in LEVELS {
        let run = |fs: &CrashFs, history: &History<Event>| life(fs, history, durability);
        let check = |crash: &Crash<'_, Event>| {
            *by_cause.entry(crash.cause).or_default() += 1;
            restart(&crash.image.fs.dir(), crash.events, durability, crash.cause, Reading::Works);
        };
        let tried = for_each_crash(policy(64), run, check);
        all.points += tried.points;
        all.images += tried.images;
        println!("{durability:?}: {tried}");
    }
    println!("in all {all} in {:.1} s: {by_cause:?}", started.elapsed().as_secs_f64());
    assert!(all.images >= 20_000 || std::env::var_os("LEDGER_CRASH_IMAGES").is_some(), "only {all}");
}

#[test]
fn no_second_crash_loses_what_the_first_one_left() {
    let (mut images, mut tried) = (0, Tried::default());
    for durability in LEVELS {
        let check = |crash: &Crash<'_, Event>| {
            images += 1;
            if images % 25 != 0 {
                return;
            }
            let left = what_is_left(&Expected::from(crash.events), durability, crash.cause);
            let run = |fs: &CrashFs, history: &History<Event>| {
                let mut life = Life { fs, history, durability, next: 1000 };
                if let Some(store) = life.open(None) {
                    life.append(&store, 2);
                    life.send(&store, 1, 0);
                    life.append(&store, 1);
                }
            };
            let second = for_each_crash_of(crash.image.fs.clone(), policy(4), run, |second| {
                let events = [left.as_slice(), second.events].concat();
                restart(&second.image.fs.dir(), &events, durability, second.cause, Reading::Works);
            });
            tried.points += second.points;
            tried.images += second.images;
        };
        for_each_crash(policy(4), |fs, history| short_life(fs, history, durability), check);
    }
    println!("second crashes: {tried}");
    assert!(tried.images > 500);
}

/// What a crash must have left, said as if it had been appended just now; the rest of it may be there.
fn what_is_left(expected: &Expected, durability: Durability, cause: Cause) -> Vec<Event> {
    let promised = expected.promised(durability, cause);
    let mut events = vec![Event::Leaving(expected.issued.difference(&promised).copied().collect())];
    events.extend(expected.issued.iter().map(|number| Event::Appending(*number..*number + 1)));
    events.extend(promised.iter().map(|number| Event::Appended(*number..*number + 1)));
    events.push(Event::Finished);
    events
}

fn fail_everything(durability: Durability) {
    const FAULTS: [Fault; 6] = [
        Fault::NoSpace,
        Fault::Io,
        Fault::ShortWrite(0),
        Fault::ShortWrite(9),
        Fault::TornWrite(9),
        Fault::FailedSync,
    ];
    let (mut images, started) = (0, Instant::now());
    let run = |fs: &CrashFs, history: &History<Event>| short_life(fs, history, durability);
    let tried = for_each_fault(&FAULTS, run, |failure| {
        let reading = if failure.fault == Fault::Io { Reading::Failed } else { Reading::Works };
        restart(&failure.fs.kill().dir(), &failure.events, durability, Cause::Kill, reading);
        for image in failure.fs.images(policy(8)) {
            images += 1;
            restart(&image.fs.dir(), &failure.events, durability, Cause::PowerCut, reading);
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    println!(
        "{durability:?}: {} runs with a failure, {images} images behind them, in {seconds:.1} s",
        tried.images
    );
    assert!(tried.points > 100);
}

/// Holes H1 and H12 among others.
#[test]
fn no_failing_operation_loses_what_a_power_cut_must_not() {
    fail_everything(Durability::EveryAppend);
}

#[test]
fn no_failing_operation_loses_what_a_kill_must_not() {
    fail_everything(Durability::None);
}
