//! Snapshots: taken by themselves and on demand, checked, and used in place of chunks that are gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod checking;
#[path = "../common/mod.rs"]
mod common;
#[path = "../common/python.rs"]
mod python;
mod standing_in;
mod taking;

use std::{fs, path::Path};

use common::{chunks, fixture, open, record};
use ledger_chain::{
    WriteSet,
    maps::Maps,
    receipt::Receipts,
    snapshot::{Snapshot, SnapshotError, SnapshotFile, SnapshotName, list},
    store::Reader,
    verify::{Check, Report, Secrets, Verdict, Verifier},
    writer::{Engine, Home, Ledger, LedgerError, Prepared, Profile, Settings},
};

fn settings(profile: Profile) -> Settings {
    Settings {
        profile,
        sign_every_entries: 5,
        chunk_bytes: 1 << 20,
        snapshot_tx_interval: 12,
        ..common::settings()
    }
}

fn fill(ledger: &Ledger, name: &str, count: u32) {
    for at in 0..count {
        let mut writes = record(&format!("{name}-{at}"), &format!("{name} {at} {}", "x".repeat(400)));
        writes.put("private", format!("{name}-{at}"), name).remove("public:app.records", format!("{at}"));
        ledger.append(&writes).unwrap();
    }
}

/// Waits until the snapshot that is under way, if one is, is committed.
fn settle(ledger: &Ledger) {
    while ledger.with_engine(Engine::snapshot_under_way) {
        ledger.sign().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
}

/// A ledger with several snapshots, closed.
fn write(profile: Profile) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(home.path(), settings(profile)).unwrap();
    ledger.append(&record("gone", "soon")).unwrap();
    for name in ["one", "two", "three"] {
        fill(&ledger, name, 40);
        let mut writes = WriteSet::new();
        writes.remove("public:app.records", "gone");
        ledger.append(&writes).unwrap();
        settle(&ledger);
    }
    ledger.close().unwrap();
    ledger.with_engine(|engine| assert!(engine.snapshot_problem().is_none()));
    home
}

/// A ledger with one snapshot, always at the same place.
fn write_one() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings { snapshot_tx_interval: 0, ..settings(Profile::Dual) };
    let ledger = Ledger::init(home.path(), settings).unwrap();
    fill(&ledger, "one", 20);
    ledger.snapshot().unwrap();
    fill(&ledger, "two", 3);
    ledger.close().unwrap();
    home
}

fn names(home: &Path) -> Vec<SnapshotName> {
    list(&*open(&home.join("snapshots"))).unwrap().committed
}

fn verifier(home: &Path) -> Verifier {
    Verifier::new().secrets(common::secrets(home))
}

fn verify_home(home: &Path) -> Report {
    verifier(home).verify_home(&Home::open(home).unwrap(), true).unwrap().0
}

/// Removes the chunks that the snapshot covers.
fn remove_chunks(home: &Path, covered: SnapshotName) -> usize {
    let all = chunks(&home.join("ledger"));
    let gone = all.iter().filter(|(name, _)| name.end.is_some_and(|end| end <= covered.seqno));
    gone.map(|(_, path)| fs::remove_file(path).unwrap()).count()
}

/// An engine with a key in its state that only this ledger has.
fn engine(home: &Path, value: &str) -> Engine {
    let settings = Settings { snapshot_tx_interval: 0, ..settings(Profile::Dual) };
    let mut engine = Engine::init(&Home::create(home).unwrap(), &settings).unwrap();
    engine.propose(&Prepared::new(&record("own", value), None).unwrap()).unwrap();
    engine
}

fn sign(engine: &mut Engine, end_chunk: bool) -> u64 {
    let signature = engine.sign(end_chunk).unwrap().seqno;
    engine.flush().unwrap();
    engine.pending_sync().run().unwrap();
    engine.commit(signature).unwrap();
    signature
}
