//! When a snapshot is taken, and what of.

use super::*;

#[test]
fn snapshots_are_taken_by_themselves_end_a_chunk_and_are_what_the_ledger_records() {
    for profile in [Profile::Dual, Profile::Raw, Profile::Cose] {
        let home = write(profile);
        let found = names(home.path());
        assert!(found.len() >= 2, "{profile:?} {found:?}");
        let ends: Vec<_> =
            chunks(&home.path().join("ledger")).iter().filter_map(|(name, _)| name.end).collect();
        assert!(found.iter().all(|name| ends.contains(&name.seqno)), "{found:?} {ends:?}");
        let report = verify_home(home.path());
        assert_eq!(report.problems, [], "{profile:?}");
        assert_eq!((report.verdict, report.snapshots), (Verdict::Verified, found.len() as u64));
        assert_eq!(report.resumed_at, None);
        let newest = home.path().join("snapshots").join(found[0].to_string());
        let theirs = python::snapshot(&newest);
        match profile {
            // Version 6 of the package knows no COSE receipts; the state it reads.
            Profile::Cose => {
                let bare = home
                    .path()
                    .join("snapshots")
                    .join(format!("snapshot_{}_{}", found[0].seqno, found[0].evidence));
                assert!(theirs.is_err(), "{theirs:?}");
                let bytes = fs::read(&newest).unwrap();
                fs::write(&bare, Snapshot::parse(&bytes).unwrap().entry.bytes).unwrap();
                assert!(python::snapshot(&bare).unwrap().starts_with(&format!("False {} ", found[0].seqno)));
                fs::remove_file(bare).unwrap();
            }
            _ => assert!(
                theirs.as_ref().unwrap().starts_with(&format!("True {} ", found[0].seqno)),
                "{theirs:?}"
            ),
        }
    }
}

#[test]
fn no_snapshot_is_taken_where_none_is_wanted_and_one_at_once_where_somebody_asks() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings { snapshot_tx_interval: 0, ..settings(Profile::Dual) };
    let ledger = Ledger::init(home.path(), settings.clone()).unwrap();
    fill(&ledger, "one", 40);
    assert_eq!(names(home.path()), []);
    let first = ledger.snapshot().unwrap();
    fill(&ledger, "two", 3);
    let second = ledger.snapshot().unwrap();
    assert_eq!(names(home.path()), [second, first]);
    ledger.close().unwrap();
    drop(ledger);
    assert_eq!(verify_home(home.path()).snapshots, 2);
    // It stays quiet after that: the entries of a snapshot do not call for another one.
    let ledger = Ledger::open(home.path(), Settings { snapshot_tx_interval: 1, ..settings }).unwrap();
    let last = ledger.with_engine(|engine| engine.last());
    ledger.close().unwrap();
    assert_eq!((ledger.with_engine(|engine| engine.last()), names(home.path()).len()), (last, 2));
}

#[test]
fn what_a_killed_writer_left_is_removed_and_the_snapshot_is_taken_later() {
    let home = tempfile::tempdir().unwrap();
    drop(Ledger::init(home.path(), settings(Profile::Dual)).unwrap());
    for name in ["snapshot_14.77-3.tmp", "snapshot_14_18"] {
        fs::write(home.path().join("snapshots").join(name), "half").unwrap();
    }
    let ledger = Ledger::open(home.path(), settings(Profile::Dual)).unwrap();
    fill(&ledger, "one", 40);
    ledger.close().unwrap();
    let left = fs::read_dir(home.path().join("snapshots")).unwrap().count();
    assert_eq!(left, names(home.path()).len());
    assert!(left > 0);
}

#[test]
fn every_step_of_a_snapshot_waits_until_what_it_is_about_is_committed() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = engine(home.path(), "value");
    engine.want_snapshot();
    let at = engine.sign(false).unwrap().seqno;
    engine.flush().unwrap();
    assert!(engine.snapshot_job().is_none());
    engine.commit(at).unwrap();
    let built = engine.snapshot_job().unwrap().run();
    engine.record_snapshot(built).unwrap();
    let evidence = engine.last().seqno;
    engine.flush().unwrap();
    // It is there, but not signed: no receipt yet.
    engine.commit(evidence).unwrap();
    assert!(engine.snapshot_under_way() && engine.snapshot_problem().is_none());
    assert_eq!(names(home.path()), []);
    sign(&mut engine, false);
    assert!(!engine.snapshot_under_way() && engine.snapshot_problem().is_none());
    assert_eq!(names(home.path()).len(), 1);
}

#[test]
fn a_snapshot_reads_nothing_before_the_last_one() {
    let home = write(Profile::Dual);
    let last = names(home.path())[0];
    let (_, path) = chunks(&home.path().join("ledger")).remove(0);
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(9).position(|part| part == b"one 3 xxx").unwrap();
    bytes[at] ^= 1;
    fs::write(&path, bytes).unwrap();
    let ledger = Ledger::open(home.path(), settings(Profile::Dual)).unwrap();
    assert!(ledger.snapshot().unwrap() > last);
    ledger.close().unwrap();
    assert_eq!(verify_home(home.path()).verdict, Verdict::Damaged);
}

#[test]
fn a_state_that_is_too_large_is_tried_again_when_there_is_twice_as_much_but_taken_when_somebody_asks() {
    let home = tempfile::tempdir().unwrap();
    let limited = Settings { max_snapshot_bytes: (1 << 20) + 30_000, ..settings(Profile::Raw) };
    let ledger = Ledger::init(home.path(), limited.clone()).unwrap();
    let mut known = 0;
    let mut tried = 0;
    for round in 0..40 {
        fill(&ledger, &format!("round-{round}"), 10);
        let state: u64 = chunks(&home.path().join("ledger")).len() as u64;
        (tried, known) = (tried + state - known, state);
    }
    ledger.with_engine(|engine| {
        assert!(matches!(engine.snapshot_problem(), Some(SnapshotError::TooLarge { max, .. }) if *max == limited.max_snapshot_bytes));
    });
    // A chunk ends at each try: those that succeeded, and one for every doubling of what was appended.
    let taken = names(home.path());
    assert!(!taken.is_empty() && tried < taken.len() as u64 + 6, "{tried} {taken:?}");
    ledger.close().unwrap();
    drop(ledger);
    for _ in 0..5 {
        let ledger = Ledger::open(home.path(), limited.clone()).unwrap();
        fill(&ledger, "again", 1);
        ledger.close().unwrap();
    }
    // Nor does every start try it.
    assert!(chunks(&home.path().join("ledger")).len() as u64 <= known + 1);
    assert_eq!(names(home.path()), taken);
    let ledger = Ledger::open(home.path(), limited).unwrap();
    let asked = ledger.snapshot().unwrap();
    ledger.close().unwrap();
    assert_eq!(names(home.path())[0], asked);
    assert_eq!(verify_home(home.path()).problems, []);
}

#[test]
fn the_entries_of_a_snapshot_do_not_call_for_another_one() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings { snapshot_tx_interval: 1, ..settings(Profile::Dual) };
    let mut engine = Engine::init(&Home::create(home.path()).unwrap(), &settings).unwrap();
    engine.propose(&Prepared::new(&record("k", "v"), None).unwrap()).unwrap();
    let mut taken = 0;
    while engine.unsigned() > 0 && taken < 5 {
        let signature = engine.sign(false).unwrap();
        engine.flush().unwrap();
        engine.pending_sync().run().unwrap();
        engine.commit(signature.seqno).unwrap();
        if let Some(job) = engine.snapshot_job() {
            engine.record_snapshot(job.run()).unwrap();
            taken += 1;
        }
    }
    assert_eq!((taken, names(home.path()).len()), (1, 1));
}

#[test]
fn without_the_secrets_of_before_no_snapshot_is_taken_that_would_lack_private_maps() {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings { snapshot_tx_interval: 0, ..settings(Profile::Dual) };
    let ledger = Ledger::init(home.path(), settings.clone()).unwrap();
    fill(&ledger, "one", 3);
    ledger.close().unwrap();
    drop(ledger);
    fs::remove_dir_all(home.path().join("keys")).unwrap();
    let place = Home::open(home.path()).unwrap();
    let (ledger, _) = Ledger::recover_in(&place, settings).unwrap();
    let error = ledger.snapshot().unwrap_err();
    assert!(matches!(error, LedgerError::Snapshot(SnapshotError::NoSecret { .. })), "{error}");
    ledger.append(&record("goes", "on")).unwrap();
    ledger.close().unwrap();
    let report = Verifier::new().secrets(Secrets::none()).verify_home(&place, true).unwrap().0;
    assert_eq!((report.verdict, report.snapshots), (Verdict::Verified, 0));
}
