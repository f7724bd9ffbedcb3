//! Appending: with many callers against the bare disk, and what tree and signatures cost.

use std::{
    io::Write as _,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use ledger_chain::{
    merkle::Tree,
    writer::{Engine, Home, Ledger, Prepared, Settings},
};
use ledger_fs::RealDir;
use sha2::{Digest as _, Sha256};

use crate::{
    entry,
    recording::{Done, Recording, folder},
};

const CALLERS: u64 = 64;
const EACH: u64 = 600;

/// 256-byte values, 64 callers, a signature every 1,000, synced; and the same without signatures.
pub fn concurrent() {
    let per_second = |time: Duration| (CALLERS * EACH) as f64 / time.as_secs_f64();
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for round in 1..=5 {
        let (ours, done) = run(Settings::default());
        let calibration = replay(&done);
        let syncs = done.iter().filter(|done| matches!(done, Done::Sync)).count();
        println!(
            "round {round}: {:.0} entries/s, calibration {:.0} ({syncs} syncs), ratio {:.2} (bar 0.6)",
            per_second(ours),
            per_second(calibration),
            calibration.as_secs_f64() / ours.as_secs_f64()
        );
        let never = Duration::from_secs(3_600);
        with.push(ours);
        without
            .push(run(Settings { sign_every_entries: u64::MAX, sign_after: never, ..Settings::default() }).0);
    }
    with.sort();
    without.sort();
    println!(
        "median with signatures {:.0} entries/s, without {:.0}: they cost {:.1} % (bar 15 % with the tree, see `signatures`)",
        per_second(with[2]),
        per_second(without[2]),
        (with[2].as_secs_f64() / without[2].as_secs_f64() - 1.0) * 100.0
    );
}

fn run(settings: Settings) -> (Duration, Vec<Done>) {
    let folder = folder();
    let done = Arc::new(Mutex::new(Vec::new()));
    let dir = Arc::new(RealDir::open(folder.path()).unwrap());
    let home = Home::new(Arc::new(Recording { dir, done: Arc::clone(&done) }));
    let ledger = Ledger::init_in(&home, settings).unwrap();
    done.lock().unwrap().clear();
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let ledger = &ledger;
            scope.spawn(move || {
                for number in 0..EACH {
                    ledger.append(&entry(caller * EACH + number, 256)).unwrap();
                }
            });
        }
    });
    let time = begin.elapsed();
    let done = done.lock().unwrap().clone();
    ledger.close().unwrap();
    (time, done)
}

/// The same bytes written and synced in the same groups, and hashed once.
fn replay(done: &[Done]) -> Duration {
    let folder = folder();
    let mut file = std::fs::File::create(folder.path().join("bytes")).unwrap();
    let bytes =
        vec![
            7u8;
            done.iter().map(|done| if let Done::Write(count) = done { *count } else { 0 }).max().unwrap_or(0)
        ];
    let begin = Instant::now();
    for done in done {
        match done {
            Done::Write(count) => {
                std::hint::black_box(Sha256::digest(&bytes[..*count]));
                file.write_all(&bytes[..*count]).unwrap();
            }
            Done::Sync => file.sync_data().unwrap(),
        }
    }
    begin.elapsed()
}

const ENTRIES: u64 = 200_000;

/// The engine alone, without waiting for the disk: with and without signatures; the tree apart.
pub fn signatures() {
    let run = |every: u64| {
        let folder = folder();
        // One chunk, so that closing chunks, which waits for the disk, is not counted as a cost of signing.
        let settings = Settings { chunk_bytes: u64::from(u32::MAX), ..Settings::default() };
        let mut engine = Engine::init(&Home::open(folder.path()).unwrap(), &settings).unwrap();
        let prepared = Prepared::new(&entry(1, 256), None).unwrap();
        let begin = Instant::now();
        for number in 1..=ENTRIES {
            engine.propose(&prepared).unwrap();
            if number % every == 0 {
                let signature = engine.sign(false).unwrap();
                engine.flush().unwrap();
                engine.commit(signature.seqno).unwrap();
            } else if number % 1_000 == 0 {
                engine.flush().unwrap();
            }
        }
        begin.elapsed()
    };
    let tree = {
        let mut tree = Tree::ledger();
        let begin = Instant::now();
        (0..ENTRIES).for_each(|_| tree.append([7; 32]));
        std::hint::black_box(tree.root());
        begin.elapsed()
    };
    for round in 1..=3 {
        let (with, without) = (run(1_000), run(u64::MAX));
        let bare = without.saturating_sub(tree);
        println!(
            "round {round}: {:.2} µs an entry with signatures, {:.2} without, tree {:.2}: tree and signatures take {:.2} µs",
            with.as_secs_f64() * 1e6 / ENTRIES as f64,
            without.as_secs_f64() * 1e6 / ENTRIES as f64,
            tree.as_secs_f64() * 1e6 / ENTRIES as f64,
            with.saturating_sub(bare).as_secs_f64() * 1e6 / ENTRIES as f64
        );
    }
}
