//! The writer: what it writes verifies, and survives.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;

use std::{fs, sync::Arc, time::Duration};

use common::{record, settings, verify};
use ledger_chain::{
    WriteSet,
    verify::Verdict,
    writer::{Home, Ledger, LedgerError, Prepared, Profile, Settings},
};

#[test]
fn a_new_ledger_verifies_in_every_profile() {
    for (profile, raw, cose) in [(Profile::Dual, 3, 3), (Profile::Raw, 3, 0), (Profile::Cose, 0, 3)] {
        let home = tempfile::tempdir().unwrap();
        let ledger = Ledger::init(home.path(), Settings { profile, ..settings() }).unwrap();
        assert_eq!(ledger.append(&record("k", "v")).unwrap().txid.to_string(), "2.5");
        ledger.close().unwrap();
        let report = verify(&home.path().join("ledger"));
        assert_eq!(report.problems, []);
        assert_eq!((report.verdict, report.entries), (Verdict::Verified, 6));
        assert_eq!((report.raw_signatures, report.cose_signatures), (raw, cose));
        assert_eq!(report.verified_until.unwrap().to_string(), "2.6");
        assert_eq!(report.unsigned_tail, None);
    }
}

#[test]
fn appends_of_many_threads_get_positions_without_gaps_and_all_are_there_after_reopening() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Arc::new(
        Ledger::init(home.path(), Settings { sign_every_entries: 20, chunk_bytes: 20_000, ..settings() })
            .unwrap(),
    );
    let threads: Vec<_> = (0..8)
        .map(|thread| {
            let ledger = Arc::clone(&ledger);
            std::thread::spawn(move || {
                (0..50)
                    .map(|at| ledger.append(&record(&format!("{thread}-{at}"), "value")).unwrap().txid.seqno)
                    .collect::<Vec<_>>()
            })
        })
        .collect();
    let mut seqnos: Vec<_> = threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    seqnos.sort_unstable();
    seqnos.dedup();
    assert_eq!(seqnos.len(), 400);
    ledger.close().unwrap();
    drop(ledger);
    let report = verify(&home.path().join("ledger"));
    assert_eq!(report.problems, []);
    assert!(report.chunks > 3, "{}", report.chunks);
    assert_eq!(report.unsigned_tail, None);

    let ledger = Ledger::open(home.path(), settings()).unwrap();
    let again = ledger.append(&record("after", "reopening")).unwrap();
    assert_eq!((again.txid.view, again.txid.seqno), (3, report.entries + 1));
    let signature = ledger.sign().unwrap();
    ledger.close().unwrap();
    let report = verify(&home.path().join("ledger"));
    assert_eq!(report.problems, []);
    assert_eq!(report.verified_until, Some(signature));
}

#[test]
fn a_rollback_takes_back_what_is_not_committed_and_nothing_that_is() {
    let home = tempfile::tempdir().unwrap();
    let home = Home::create(home.path()).unwrap();
    let settings = Settings { chunk_bytes: 1, ..settings() };
    let mut engine = ledger_chain::writer::Engine::init(&home, &settings).unwrap();
    engine.flush().unwrap();
    engine.commit(4).unwrap();
    let prepared = |key: &str| Prepared::new(&record(key, "v"), None).unwrap();
    let at_four = engine.store().chunks();
    for key in ["a", "b"] {
        engine.propose(&prepared(key)).unwrap();
        engine.sign(false).unwrap();
    }
    engine.propose(&prepared("c")).unwrap();
    engine.flush().unwrap();
    assert_eq!(engine.last().seqno, 9);
    engine.rollback(7).unwrap();
    assert_eq!((engine.last().seqno, engine.last_signature().unwrap().seqno), (7, 6));
    engine.rollback(4).unwrap();
    assert_eq!(engine.store().chunks(), at_four);
    assert!(engine.rollback(3).is_err());
    engine.propose(&prepared("d")).unwrap();
    engine.sign(false).unwrap();
    engine.flush().unwrap();
    engine.pending_sync().run().unwrap();
    let report = ledger_chain::verify::Verifier::new().verify(&home.ledger()).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!((report.entries, report.verified_until.unwrap().seqno), (6, 6));
}

#[test]
fn only_one_process_writes() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(home.path(), settings()).unwrap();
    assert!(matches!(Ledger::open(home.path(), settings()), Err(LedgerError::Locked { .. })));
    drop(ledger);
    assert!(matches!(Ledger::init(home.path(), settings()), Err(LedgerError::Exists { .. })));
    Ledger::open(home.path(), settings()).unwrap();
}

#[test]
fn keys_of_another_ledger_are_refused() {
    let (home, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for (home, profile) in [(&home, Profile::Raw), (&other, Profile::Dual)] {
        drop(Ledger::init(home.path(), Settings { profile, ..settings() }).unwrap());
    }
    for (home, other) in [(&home, &other), (&other, &home)] {
        let keys = tempfile::tempdir().unwrap();
        for file in ["service_key.pem", "service_cert.pem", "node_key.pem", "node_cert.pem"] {
            fs::copy(home.path().join("keys").join(file), keys.path().join(file)).unwrap();
            fs::copy(other.path().join("keys").join(file), home.path().join("keys").join(file)).unwrap();
        }
        let error = Ledger::open(home.path(), settings()).unwrap_err();
        assert!(matches!(error, LedgerError::WrongKeys { .. }), "{error}");
        for file in ["service_key.pem", "service_cert.pem", "node_key.pem", "node_cert.pem"] {
            fs::copy(keys.path().join(file), home.path().join("keys").join(file)).unwrap();
        }
    }
}

#[test]
fn what_belongs_to_the_ledger_cannot_be_written_and_empty_entries_are_refused() {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(home.path(), settings()).unwrap();
    for map in ["public:ccf.gov.nodes.info", "public:ccf.internal.signatures"] {
        let mut writes = WriteSet::new();
        writes.put(map, "k", "v");
        assert!(matches!(ledger.append(&writes), Err(LedgerError::Reserved { .. })));
    }
    assert!(matches!(ledger.append(&WriteSet::new()), Err(LedgerError::Empty)));
    ledger.close().unwrap();
    assert!(matches!(ledger.append(&record("k", "v")), Err(LedgerError::Closed)));
}

#[cfg(unix)]
#[test]
fn secrets_are_readable_by_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let home = tempfile::tempdir().unwrap();
    drop(Ledger::init(home.path(), settings()).unwrap());
    for file in ["service_key.pem", "node_key.pem", "ledger_secrets"] {
        let mode = fs::metadata(home.path().join("keys").join(file)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{file}");
    }
}

#[test]
fn a_signature_follows_by_itself_after_a_while() {
    let home = tempfile::tempdir().unwrap();
    let ledger =
        Ledger::init(home.path(), Settings { sign_after: Duration::from_millis(1), ..settings() }).unwrap();
    let appended = ledger.append(&record("k", "v")).unwrap();
    let begin = std::time::Instant::now();
    while ledger.with_engine(|engine| engine.committed()) <= appended.txid.seqno {
        assert!(begin.elapsed() < Duration::from_secs(60), "no signature came");
        std::thread::sleep(Duration::from_millis(1));
    }
}
