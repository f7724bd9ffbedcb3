//! Every state in which a crash could leave ledger and index, and every operation failing once.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(clippy::cast_precision_loss, reason = "a test")]

use std::path::Path;
use std::sync::{Arc, Mutex};

use ledger_fs::Dir;
use ledger_fs::crash::{CrashFs, CrashPolicy, Fault, for_each_crash, for_each_fault};
use relayburn_ledger::line::Kind;
use relayburn_ledger::record::RawRecord;
use relayburn_ledger::{Home, Ledger, reader};

fn record(number: usize) -> RawRecord {
    let json = format!(r#"{{"source":"x","sessionId":"s","userUuid":"u{number}","ts":"t","blocks":[]}}"#);
    RawRecord::new(Kind::UserTurn, &json).unwrap()
}

fn home(fs: &CrashFs) -> Home {
    Home::in_dir(fs.dir())
}

/// The ids in the ledger, in order.
fn found(home: &Home) -> Vec<String> {
    let mut found = Vec::new();
    reader::walk(home, &mut |_, line| {
        let record = line.get("record").unwrap().as_object().unwrap();
        found.push(record.get("userUuid").unwrap().as_str().unwrap().decode().into_owned());
    })
    .unwrap();
    found
}

/// What a restart finds is what was acknowledged and perhaps what was under way, and everything can be appended again
/// without being doubled.
fn check(fs: &CrashFs, acknowledged: usize) {
    let dir: Arc<dyn Dir> = fs.dir();
    // The holder is dead; that its lock grows old is another test's subject.
    for lock in LOCKS {
        let _ = dir.remove(Path::new(lock));
    }
    let home = home(fs);
    let before = found(&home);
    assert!(before.len() >= acknowledged, "acknowledged {acknowledged}, found {before:?}");
    let all: Vec<RawRecord> = (0..RECORDS).map(record).collect();
    assert_eq!(Ledger::new(home.clone()).append(&all).unwrap(), RECORDS - before.len(), "{before:?}");
    let mut after = found(&home);
    after.sort();
    after.dedup();
    assert_eq!(after.len(), RECORDS);
    assert_eq!(found(&home).len(), RECORDS, "none is there twice");
}

/// All these file systems have the same path, so the two tests would queue for each other's locks.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

const LOCKS: [&str; 2] = ["ledger.lock", "ledger-index.lock"];
const RECORDS: usize = 3;

fn work(fs: &CrashFs, note: &mut dyn FnMut(usize)) -> Result<(), relayburn_ledger::LedgerError> {
    let ledger = Ledger::new(home(fs));
    for number in 0..RECORDS {
        ledger.append(&[record(number)])?;
        note(number + 1);
        // A lock whose removal failed is an orphan; waiting until it is old is not this test's subject.
        if LOCKS.iter().any(|lock| fs.dir().metadata(Path::new(lock)).is_ok()) {
            return Ok(());
        }
        if number == 1 {
            ledger.rebuild_index()?;
        }
    }
    Ok(())
}

#[test]
fn no_crash_loses_an_acknowledged_record_or_doubles_one() {
    let _alone = ONE_AT_A_TIME.lock();
    let policy = CrashPolicy::default();
    let tried = for_each_crash(
        policy,
        |fs, history| work(fs, &mut |count| history.note(count)).unwrap(),
        |crash| check(&crash.image.fs, crash.events.last().copied().unwrap_or(0)),
    );
    assert!(tried.images > 500, "{}", tried.images);
}

#[test]
fn no_failing_operation_loses_an_acknowledged_record_or_doubles_one() {
    let _alone = ONE_AT_A_TIME.lock();
    for_each_fault(
        &[Fault::NoSpace, Fault::Io, Fault::ShortWrite(0), Fault::ShortWrite(7)],
        |fs, history| {
            // The first failure ends the process.
            let _ = work(fs, &mut |count| history.note(count));
        },
        |failure| check(&failure.fs, failure.events.last().copied().unwrap_or(0)),
    );
}
