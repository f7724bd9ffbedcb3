//! What a crash can leave at any moment, and what happens when any operation fails.
//!
//! `LEDGER_CHAIN_CRASH_ROUNDS` sets how often all moments are tried, with other random choices; by default as often as it takes for
//! 20,000 states (3 times while appending and while a snapshot is taken, twice in a recovery, once while keys are exchanged).
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;

use std::{collections::HashSet, path::Path};

use common::record;
use ledger_chain::{
    crypto::Curve,
    format::{Entry, PublicDomain, SINGLE_KEY},
    governance::SERVICE_INFO,
    snapshot::{SnapshotFile, list},
    verify::{Report, Verdict, Verifier},
    writer::{Engine, Home, LedgerError, Prepared, Profile, Settings},
};
use ledger_fs::crash::{
    Cause, CrashFs, CrashPolicy, Fault, History, for_each_crash, for_each_crash_of, for_each_fault,
};
use ledger_fs::{Kind, read_all};

/// Other random choices in every round.
fn rounds(default: u64) -> impl Iterator<Item = CrashPolicy> {
    let rounds = std::env::var("LEDGER_CHAIN_CRASH_ROUNDS").ok().and_then(|text| text.parse().ok());
    (0..rounds.unwrap_or(default)).map(|round: u64| CrashPolicy { seed: round, ..CrashPolicy::default() })
}

fn settings() -> Settings {
    Settings { profile: Profile::Raw, chunk_bytes: 1_500, snapshot_tx_interval: 0, ..common::settings() }
}

/// What the workload was told.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Told {
    /// The ledger exists.
    Made,
    /// The entry with this number and key is synced.
    Synced(u64, String),
    /// Everything up to this signature is synced.
    Signed(u64),
    /// The snapshot is committed.
    Snapshot(String),
    /// The keys are being changed.
    Recovering,
    /// The ledger has new keys.
    Recovered,
}

fn sync(engine: &mut Engine) -> Result<(), LedgerError> {
    engine.flush()?;
    Ok(engine.pending_sync().run()?)
}

fn make(fs: &CrashFs, history: &History<Told>) -> Result<Engine, LedgerError> {
    let mut engine = Engine::init(&Home::new(fs.dir()), &settings())?;
    sync(&mut engine)?;
    engine.commit(4)?;
    history.note(Told::Made);
    Ok(engine)
}

/// Adds an entry, signed or not.
fn add(engine: &mut Engine, history: &History<Told>, key: &str, sign: bool) -> Result<(), LedgerError> {
    let txid = engine.propose(&Prepared::new(&record(key, "value"), None)?)?;
    let signature = if sign { Some(engine.sign(false)?) } else { None };
    sync(engine)?;
    history.note(Told::Synced(txid.seqno, key.to_owned()));
    if let Some(signature) = signature {
        history.note(Told::Signed(signature.seqno));
        engine.commit(signature.seqno)?;
    }
    Ok(())
}

/// Entries, signatures, closed and committed chunks, and a reopening in the middle.
fn append(fs: &CrashFs, history: &History<Told>) -> Result<(), LedgerError> {
    let mut engine = make(fs, history)?;
    for at in 0..7u64 {
        if at == 4 {
            drop(engine);
            engine = Engine::open(&Home::new(fs.dir()), &settings())?.0;
        }
        add(&mut engine, history, &format!("key-{at}"), at % 2 == 1)?;
    }
    Ok(())
}

/// Two snapshots with entries between them and behind them.
fn snapshot(fs: &CrashFs, history: &History<Told>) -> Result<(), LedgerError> {
    let mut engine = make(fs, history)?;
    for at in 0..4u64 {
        add(&mut engine, history, &format!("key-{at}"), at % 2 == 0)?;
        if at % 2 == 1 {
            let taken = engine.take_snapshot()??;
            history.note(Told::Snapshot(taken.to_string()));
        }
    }
    add(&mut engine, history, "last", false)
}

/// Entries, some of them not signed; then the keys are lost, and another service goes on.
fn recover(fs: &CrashFs, history: &History<Told>) -> Result<(), LedgerError> {
    let mut engine = make(fs, history)?;
    add(&mut engine, history, "key-0", true)?;
    add(&mut engine, history, "key-1", false)?;
    drop(engine);
    history.note(Told::Recovering);
    let (mut engine, _) = Engine::recover(&Home::new(fs.dir()), &settings())?;
    history.note(Told::Recovered);
    add(&mut engine, history, "key-2", true)
}

/// New keys for the node, twice, and a new ledger secret, with entries between them.
fn rotate(fs: &CrashFs, history: &History<Told>) -> Result<(), LedgerError> {
    let home = Home::new(fs.dir());
    let mut engine = make(fs, history)?;
    for at in 0..2u64 {
        add(&mut engine, history, &format!("key-{at}"), false)?;
        let signature = engine.rotate_node_key(&home, Curve::P256)?;
        history.note(Told::Signed(signature.seqno));
        engine.commit(signature.seqno)?;
    }
    engine.rotate_ledger_secret(&home)?;
    add(&mut engine, history, "key-2", true)?;
    add(&mut engine, history, "key-3", false)
}

/// Opens the ledger as a program would, without anybody's help: makes it if nothing was promised yet, and repeats a recovery that
/// was cut off.
fn open(home: &Home, told: &[Told]) -> Engine {
    let error = match Engine::open(home, &settings()) {
        Ok((engine, _)) => return engine,
        Err(error) => error,
    };
    if told.contains(&Told::Recovering) && !told.contains(&Told::Recovered) {
        return Engine::recover(home, &settings()).unwrap().0;
    }
    assert!(!told.contains(&Told::Made), "{error:?}");
    // Making the ledger again must work, or it is there already.
    Engine::init(home, &settings())
        .unwrap_or_else(|again| panic!("neither opens ({error:?}) nor can be made ({again:?})"))
}

/// A digest of all files, and of what was told.
fn fingerprint(fs: &CrashFs, told: &[Told]) -> [u8; 32] {
    use sha2::Digest as _;
    let (dir, mut hash) = (fs.dir(), sha2::Sha256::new());
    hash.update(told.len().to_le_bytes());
    for folder in ["", "ledger", "keys", "snapshots"] {
        let Ok(entries) = dir.entries(Path::new(folder)) else { continue };
        let mut names: Vec<_> =
            entries.map(Result::unwrap).filter(|entry| entry.kind == Kind::File).collect();
        names.sort();
        for entry in names {
            let path = Path::new(folder).join(&entry.name);
            let bytes = read_all(&*dir, &path, 1 << 24).unwrap();
            hash.update(path.to_string_lossy().as_bytes());
            hash.update(bytes.len().to_le_bytes());
            hash.update(&bytes);
        }
    }
    hash.finalize().into()
}

/// Everything that was told is there, everything verifies, and more can be appended.
fn check(fs: &CrashFs, told: &[Told]) {
    let home = Home::new(fs.dir());
    let mut engine = open(&home, told);
    let mut kept = u64::MAX;
    if told.contains(&Told::Recovering) {
        // A recovery keeps what is signed.
        let signed = told.iter().take_while(|told| **told != Told::Recovering);
        kept = signed
            .filter_map(|told| if let Told::Signed(at) = told { Some(*at) } else { None })
            .last()
            .unwrap();
    }
    assert!(service_is_open(&engine));
    let recovered = told.iter().position(|told| *told == Told::Recovered);
    for (at, told) in told.iter().enumerate() {
        match told {
            Told::Synced(seqno, key)
                if *seqno <= kept || recovered.is_some_and(|recovered| at > recovered) =>
            {
                let bytes = engine.store().read(*seqno).unwrap();
                let (entry, _) = Entry::parse(&bytes).unwrap();
                assert_eq!(entry.txid().seqno, *seqno);
                assert!(
                    bytes.windows(key.len()).any(|part| part == key.as_bytes()),
                    "entry {seqno} is not {key}"
                );
            }
            Told::Snapshot(name) => {
                let found = list(&*home.snapshots()).unwrap().committed;
                let name = found.into_iter().find(|found| found.to_string() == *name);
                SnapshotFile::load(&*home.snapshots(), name.expect("the snapshot is there")).unwrap();
            }
            _ => {}
        }
    }
    engine.propose(&Prepared::new(&record("after", "crash"), None).unwrap()).unwrap();
    let signature = engine.sign(false).unwrap();
    sync(&mut engine).unwrap();
    engine.commit(signature.seqno).unwrap();
    let report = verify(&home);
    assert_eq!(report.problems, []);
    assert_eq!((report.verdict, report.verified_until), (Verdict::Verified, Some(signature)));
}

/// What the last entry about the service says.
fn service_is_open(engine: &Engine) -> bool {
    for seqno in (1..=engine.last().seqno).rev() {
        let bytes = engine.store().read(seqno).unwrap();
        let (entry, _) = Entry::parse(&bytes).unwrap();
        for map in PublicDomain::parse(entry.public).unwrap().maps().map(Result::unwrap) {
            if map.name == SERVICE_INFO {
                let info = map.get(&SINGLE_KEY).unwrap().unwrap();
                return info.windows(15).any(|part| part == br#""status":"Open""#);
            }
        }
    }
    false
}

fn verify(home: &Home) -> Report {
    Verifier::new().threads(1).verify_home(home, false).unwrap().0
}

/// Runs all moments of a workload, a share of the rounds on each processor.
fn crash_everywhere(
    default_rounds: u64,
    work: fn(&CrashFs, &History<Told>) -> Result<(), LedgerError>,
    at_least: usize,
) {
    let policies: Vec<_> = rounds(default_rounds).collect();
    let count = |policies: &[CrashPolicy]| {
        let each = policies.iter().map(|policy| {
            let work = |fs: &CrashFs, history: &History<Told>| work(fs, history).unwrap();
            // Many fates leave the same files; each state is checked once.
            let mut seen = HashSet::new();
            let tried = for_each_crash(*policy, work, |crash| {
                if seen.insert(fingerprint(&crash.image.fs, crash.events)) {
                    check(&crash.image.fs, crash.events);
                }
            });
            eprintln!("{tried}, {} of them different", seen.len());
            tried.images
        });
        each.sum::<usize>()
    };
    let images = std::thread::scope(|scope| {
        let half = policies.len().div_ceil(2).max(1);
        let threads: Vec<_> = policies.chunks(half).map(|part| scope.spawn(|| count(part))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no state breaks a promise")).sum::<usize>()
    });
    eprintln!("{images} images in {} rounds", policies.len());
    assert!(images >= at_least.saturating_mul(policies.len()), "{images}");
}

#[test]
fn no_crash_while_appending_loses_an_acknowledged_entry_or_needs_a_human() {
    crash_everywhere(3, append, 1_650);
}

#[test]
fn no_crash_while_a_snapshot_is_taken_loses_an_entry_or_a_committed_snapshot() {
    crash_everywhere(3, snapshot, 2_850);
}

#[test]
fn a_recovery_that_is_cut_off_anywhere_is_repeated_and_loses_nothing_that_is_signed() {
    crash_everywhere(2, recover, 2_250);
}

#[test]
fn no_crash_while_keys_are_exchanged_leaves_a_ledger_that_its_keys_do_not_open() {
    crash_everywhere(1, rotate, 2_500);
}

#[test]
fn a_ledger_opens_from_a_committed_snapshot_after_a_crash_when_the_chunks_before_it_are_gone() {
    let mut opened = 0;
    for_each_crash(
        CrashPolicy { images_per_point: 2, ..CrashPolicy::default() },
        |fs, history| snapshot(fs, history).unwrap(),
        |crash| {
            let Some(Told::Snapshot(_)) = crash.events.iter().find(|told| matches!(told, Told::Snapshot(_)))
            else {
                return;
            };
            let home = Home::new(crash.image.fs.dir());
            drop(open(&home, crash.events));
            let newest = list(&*home.snapshots()).unwrap().committed[0];
            for chunk in ledger_chain::directory::list(&*home.ledger()).unwrap().chunks {
                if chunk.name.end.is_some_and(|end| end <= newest.seqno) {
                    home.ledger().remove(Path::new(&chunk.file_name())).unwrap();
                }
            }
            let mut engine = open(&home, crash.events);
            engine.propose(&Prepared::new(&record("after", "crash"), None).unwrap()).unwrap();
            let signature = engine.sign(false).unwrap();
            sync(&mut engine).unwrap();
            engine.commit(signature.seqno).unwrap();
            let report = verify(&home);
            assert_eq!(report.problems, []);
            assert_eq!(
                (report.verified_until, report.resumed_at.unwrap().seqno),
                (Some(signature), newest.seqno)
            );
            opened += 1;
        },
    );
    assert!(opened > 50, "{opened}");
}

/// States after a power cut in the middle of the workload, with what was told by then.
fn cut_off() -> Vec<(CrashFs, Vec<Told>)> {
    let mut images = Vec::new();
    for_each_crash(
        CrashPolicy { images_per_point: 2, ..CrashPolicy::default() },
        |fs, history| append(fs, history).unwrap(),
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
    for (name, work) in [
        ("append", append as fn(&CrashFs, &History<Told>) -> Result<(), LedgerError>),
        ("snapshot", snapshot),
        ("recover", recover),
        ("rotate", rotate),
    ] {
        let tried = for_each_fault(
            &[Fault::NoSpace, Fault::Io, Fault::FailedSync],
            |fs, history| _ = work(fs, history),
            |failure| check(&failure.fs.kill(), &failure.events),
        );
        eprintln!("{name}: {tried}");
    }
}
