//! What a crash can leave at any moment, and what happens when any operation fails.
//!
//! `LEDGER_CHAIN_CRASH_ROUNDS` sets how often all moments are tried, with other random choices (default 2).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;

use std::time::Duration;

use common::record;
use ledger_chain::{
    format::Entry,
    verify::{Verdict, Verifier},
    writer::{Engine, Home, LedgerError, Prepared, Profile, Settings},
};
use ledger_fs::crash::{
    Cause, CrashFs, CrashPolicy, Fault, History, for_each_crash, for_each_crash_of, for_each_fault,
};

/// Other random choices in every round.
fn rounds() -> impl Iterator<Item = CrashPolicy> {
    let rounds =
        std::env::var("LEDGER_CHAIN_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    (0..rounds).map(|round: u64| CrashPolicy { seed: round, ..CrashPolicy::default() })
}

fn settings() -> Settings {
    Settings {
        profile: Profile::Raw,
        sign_after: Duration::from_secs(3600),
        chunk_bytes: 1_500,
        ..Settings::default()
    }
}

/// What the workload was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// The ledger exists.
    Made,
    /// The entry with this number and key is synced.
    Synced(u64, String),
}

/// Entries, signatures, closed and committed chunks, and a reopening in the middle.
fn work(fs: &CrashFs, history: &History<Told>) -> Result<(), LedgerError> {
    let home = Home::new(fs.dir());
    let mut engine = Engine::init(&home, &settings())?;
    sync(&mut engine)?;
    engine.commit(4)?;
    history.note(Told::Made);
    for at in 0..7u64 {
        if at == 4 {
            drop(engine);
            engine = Engine::open(&home, &settings())?.0;
        }
        let key = format!("key-{at}");
        let txid = engine.propose(&Prepared::new(&record(&key, "value"), None)?)?;
        let signature = if at % 2 == 1 { Some(engine.sign(false)?) } else { None };
        sync(&mut engine)?;
        history.note(Told::Synced(txid.seqno, key));
        if let Some(signature) = signature {
            engine.commit(signature.seqno)?;
        }
    }
    Ok(())
}

fn sync(engine: &mut Engine) -> Result<(), LedgerError> {
    engine.flush()?;
    Ok(engine.pending_sync().run()?)
}

/// The ledger opens without anybody's help, has everything that was told, verifies, and can be appended to.
fn check(fs: &CrashFs, told: &[Told]) {
    let home = Home::new(fs.dir());
    let mut engine = match Engine::open(&home, &settings()) {
        Ok((engine, _)) => engine,
        Err(error) if !told.contains(&Told::Made) => {
            // Nothing was promised yet; making the ledger again must work, or it is there already.
            match Engine::init(&home, &settings()) {
                Ok(engine) => engine,
                Err(again) => panic!("neither opens ({error:?}) nor can be made ({again:?})"),
            }
        }
        Err(error) => panic!("{error:?}"),
    };
    for told in told {
        let Told::Synced(seqno, key) = told else { continue };
        let bytes = engine.store().read(*seqno).unwrap();
        let (entry, _) = Entry::parse(&bytes).unwrap();
        assert_eq!(entry.txid().seqno, *seqno);
        assert!(bytes.windows(key.len()).any(|part| part == key.as_bytes()), "entry {seqno} is not {key}");
    }
    engine.propose(&Prepared::new(&record("after", "crash"), None).unwrap()).unwrap();
    let signature = engine.sign(false).unwrap();
    sync(&mut engine).unwrap();
    engine.commit(signature.seqno).unwrap();
    let report = Verifier::new().threads(1).verify(&home.ledger()).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!((report.verdict, report.verified_until), (Verdict::Verified, Some(signature)));
}

#[test]
fn no_crash_loses_an_acknowledged_entry_or_needs_a_human() {
    let mut images = 0;
    for policy in rounds() {
        let work = |fs: &CrashFs, history: &History<Told>| work(fs, history).unwrap();
        images += for_each_crash(policy, work, |crash| check(&crash.image.fs, crash.events)).images;
    }
    eprintln!("{images} images");
    assert!(images > 1_000, "{images}");
}

/// States after a power cut in the middle of the workload, with what was told by then.
fn cut_off() -> Vec<(CrashFs, Vec<Told>)> {
    let mut images = Vec::new();
    for_each_crash(
        CrashPolicy { images_per_point: 2, ..CrashPolicy::default() },
        |fs, history| work(fs, history).unwrap(),
        |crash| {
            if crash.cause == Cause::PowerCut && crash.events.len() > 2 {
                images.push((crash.image.fs.clone(), crash.events.to_vec()));
            }
        },
    );
    images
}

#[test]
fn a_crash_while_the_ledger_is_opened_after_a_crash_does_no_harm_either() {
    let images = cut_off();
    let step = (images.len() / 6).max(1);
    let mut tried = 0;
    for (image, told) in images.into_iter().step_by(step) {
        let result = for_each_crash_of(
            image,
            CrashPolicy { images_per_point: 2, ..CrashPolicy::default() },
            |fs, _: &History<()>| drop(Engine::open(&Home::new(fs.dir()), &settings()).unwrap()),
            |crash| check(&crash.image.fs, &told),
        );
        tried += result.images;
    }
    assert!(tried > 50, "{tried}");
}

#[test]
fn no_failing_operation_loses_an_acknowledged_entry() {
    let tried = for_each_fault(
        &[Fault::NoSpace, Fault::Io, Fault::FailedSync],
        |fs, history| _ = work(fs, history),
        |failure| check(&failure.fs.kill(), &failure.events),
    );
    eprintln!("{tried}");
}
