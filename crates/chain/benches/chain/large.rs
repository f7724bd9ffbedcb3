//! A large ledger and one of a tenth of its size: time and memory of everything that goes through it.

use std::{
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use ledger_chain::{
    WriteSet,
    follow::Follower,
    format::Entry,
    maps::Maps,
    store::{Reader, StoreError},
    verify::{Verdict, Verifier},
    writer::{Engine, Home, Prepared, Settings},
};
use ledger_fs::{Dir, RealDir};

use crate::{machine, recording::folder};

const GIB: f64 = (1u64 << 30) as f64;

/// Its name, and what is done.
type Step = (&'static str, fn(&Bench));

/// What is done to a ledger, in this order, each in a process of its own, so that its memory is its own.
const STEPS: [Step; 10] = [
    ("append", append),
    ("index rebuild", build_index),
    ("open maps with index", open_maps),
    ("get 1,000 values", get),
    ("range of 1,000 rows", range),
    ("open for writing", open_for_writing),
    ("read all", read),
    ("follow from the start", follow),
    ("verify", verify),
    ("recover", recover),
];

/// Names the step to a process.
const STEP: &str = "LEDGER_BENCH_STEP";
const HOME: &str = "LEDGER_BENCH_HOME";
const ENTRIES: &str = "LEDGER_BENCH_ENTRIES";

struct Bench {
    home: Home,
    ledger: Arc<dyn Dir>,
    entries: u64,
}

pub fn open_and_recover() {
    let entries = std::env::var(ENTRIES).ok().and_then(|text| text.parse().ok()).unwrap_or(1_000_000);
    if let Ok(step) = std::env::var(STEP) {
        let home = Home::create(std::env::var(HOME).unwrap()).unwrap();
        let bench = Bench { ledger: home.ledger(), home, entries };
        STEPS.iter().filter(|(name, _)| *name == step).for_each(|(_, run)| run(&bench));
        println!("{}", machine::peak_memory_mb());
        return;
    }
    let (small, large) = (all_steps(entries / 10), all_steps(entries));
    println!("peak memory in MB at {} and at {entries} entries:", entries / 10);
    for ((step, _), (small, large)) in STEPS.iter().zip(small.iter().zip(&large)) {
        println!("  {step:<24} {small:>5} {large:>5}");
    }
}

/// The peak of memory of every step, in MB.
fn all_steps(entries: u64) -> Vec<u64> {
    println!("-- {entries} entries");
    let folder = folder();
    let run = |(step, _): &Step| {
        let program = std::env::current_exe().unwrap();
        let mut command = Command::new(program);
        command.arg("large").env(STEP, step).env(HOME, folder.path()).env(ENTRIES, entries.to_string());
        let output = command.output().unwrap();
        assert!(output.status.success(), "{step}: {}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        // Behind the name of the case, and before the peak.
        let lines: Vec<_> = text.lines().skip(1).collect();
        let (peak, said) = lines.split_last().unwrap();
        println!("{step}: {}, {peak} MB", said.join(", "));
        peak.parse().unwrap()
    };
    STEPS.iter().map(run).collect()
}

fn timed<T>(step: impl FnOnce() -> T) -> (T, Duration) {
    let begin = Instant::now();
    let made = step();
    (made, begin.elapsed())
}

const MAP: &str = "public:app.records";

fn key(number: u64) -> String {
    // Spread over the whole map, as keys of applications are; in order they would be sorted already.
    format!("key-{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// As a writer does it, snapshots included, but without waiting for the disk at every group.
fn append(bench: &Bench) {
    let (_, time) = timed(|| {
        let mut engine = Engine::init(&bench.home, &Settings::default()).unwrap();
        for number in 1..=bench.entries {
            let mut writes = WriteSet::new();
            writes.put(MAP, key(number), vec![b'x'; 256]);
            engine.propose(&Prepared::new(&writes, None).unwrap()).unwrap();
            if number % 1_000 == 0 {
                let signature = engine.sign(false).unwrap();
                engine.flush().unwrap();
                engine.commit(signature.seqno).unwrap();
                if let Some(job) = engine.snapshot_job() {
                    engine.record_snapshot(job.run()).unwrap();
                }
            }
        }
        engine.sign(false).unwrap();
        engine.flush().unwrap();
    });
    println!("{:.1} s", time.as_secs_f64());
}

fn build_index(bench: &Bench) {
    let secrets = bench.home.secrets().unwrap();
    let index: Arc<dyn Dir> = Arc::new(RealDir::open(bench.home.path().join("index")).unwrap());
    // The whole history: maps of a home would begin with the newest snapshot.
    let (maps, time) = timed(|| Maps::open_in(Arc::clone(&bench.ledger), &index, secrets).unwrap());
    let rate = bench.entries as f64 / 1e6 / time.as_secs_f64();
    println!("{:.2} s, {rate:.2} million entries/s (bar 1), {} files", time.as_secs_f64(), maps.run_count());
}

fn open_maps(bench: &Bench) {
    let (_, time) = timed(|| Maps::open(&bench.home).unwrap());
    println!("{:.0} ms (bar 200)", time.as_secs_f64() * 1e3);
}

fn get(bench: &Bench) {
    let maps = Maps::open(&bench.home).unwrap();
    let (_, time) = timed(|| {
        for number in (1..=bench.entries).step_by((bench.entries / 1_000) as usize) {
            assert!(maps.get(MAP, key(number).as_bytes()).unwrap().is_some());
        }
    });
    println!("{:.0} µs each", time.as_secs_f64() * 1e3);
}

fn range(bench: &Bench) {
    let maps = Maps::open(&bench.home).unwrap();
    let (rows, time) = timed(|| maps.range(MAP, b"key-8", b"", u64::MAX, 1_000).unwrap());
    assert_eq!(rows.len(), 1_000);
    println!("{:.1} ms", time.as_secs_f64() * 1e3);
}

fn open_for_writing(bench: &Bench) {
    let (_, time) = timed(|| Engine::open(&bench.home, &Settings::default()).unwrap());
    println!("{:.0} ms (bar 200)", time.as_secs_f64() * 1e3);
}

fn read(bench: &Bench) {
    let mut entries = 0;
    let count = |_, _: &[u8]| {
        entries += 1;
        Ok::<_, StoreError>(true)
    };
    let (_, time) = timed(|| Reader::open(Arc::clone(&bench.ledger)).unwrap().scan(1, count).unwrap());
    assert!(entries >= bench.entries);
    println!("{:.1} s", time.as_secs_f64());
}

fn follow(bench: &Bench) {
    let mut entries = 0;
    let count = |_: &Entry<'_>| {
        entries += 1;
        Ok::<_, StoreError>(true)
    };
    let (_, time) = timed(|| Follower::new(Arc::clone(&bench.ledger), 1).poll(count).unwrap());
    assert!(entries >= bench.entries);
    println!("{:.1} s", time.as_secs_f64());
}

fn verify(bench: &Bench) {
    let (report, time) = timed(|| Verifier::new().verify(&bench.ledger).unwrap());
    assert_eq!(report.verdict, Verdict::Verified);
    println!("{:.1} s, {} MB", time.as_secs_f64(), report.bytes >> 20);
}

fn recover(bench: &Bench) {
    let chunks = std::fs::read_dir(bench.home.path().join("ledger")).unwrap();
    let bytes: u64 = chunks.map(|chunk| chunk.unwrap().metadata().unwrap().len()).sum();
    let ((_, recovery), time) = timed(|| Engine::recover(&bench.home, &Settings::default()).unwrap());
    assert!(recovery.kept_until.seqno >= bench.entries);
    let each = time.as_secs_f64() * GIB / bytes as f64;
    println!("{:.1} s for {} MB, {each:.1} s for 1 GB (bar 15)", time.as_secs_f64(), bytes >> 20);
}
