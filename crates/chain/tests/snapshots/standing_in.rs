//! Ledgers and recoveries with a snapshot in place of chunks that are gone.

use super::*;

#[test]
fn a_ledger_goes_on_without_the_chunks_that_a_snapshot_stands_for() {
    for profile in [Profile::Dual, Profile::Raw, Profile::Cose] {
        let home = write(profile);
        let before = verify_home(home.path());
        let base = names(home.path())[0];
        assert!(remove_chunks(home.path(), base) >= 2);
        let report = verify_home(home.path());
        assert_eq!(report.problems, [], "{profile:?}");
        assert_eq!(report.verified_until, before.verified_until);
        assert_eq!(report.resumed_at.unwrap().seqno, base.seqno);
        assert!(report.notes[0].contains(&base.to_string()), "{:?}", report.notes);

        let ledger = Ledger::open(home.path(), settings(profile)).unwrap();
        let own = ledger.append(&record("after", "the gap")).unwrap().txid;
        fill(&ledger, "four", 40);
        let taken = ledger.snapshot().unwrap();
        ledger.close().unwrap();
        let report = verify_home(home.path());
        assert_eq!(report.problems, [], "{profile:?}");
        assert!(report.verified_until > before.verified_until);
        assert!(names(home.path()).contains(&taken));
        let reader = Reader::open_tail(open(&home.path().join("ledger"))).unwrap();
        assert_eq!(reader.first(), base.seqno + 1);
        let secrets = common::secrets(home.path());
        if profile.raw() {
            Receipts::new(&reader, &secrets).json(own.seqno).unwrap();
        }
        let maps = Maps::open(&Home::open(home.path()).unwrap()).unwrap();
        let value =
            |key: &str| maps.get("public:app.records", key.as_bytes()).unwrap().unwrap().value.unwrap();
        assert!(value("one-3").starts_with(b"one 3"));
        assert!(value("four-3").starts_with(b"four 3"));
        assert_eq!(maps.get("private", b"two-7").unwrap().unwrap().value.unwrap(), b"two");
        assert_eq!(maps.get("public:app.records", b"gone").unwrap(), None);
    }
}

#[test]
fn without_snapshot_missing_chunks_stay_what_they_are_and_a_changed_entry_behind_one_is_noticed() {
    let home = write(Profile::Dual);
    let base = names(home.path())[0];
    remove_chunks(home.path(), base);
    let (_, path) = chunks(&home.path().join("ledger")).remove(0);
    let whole = fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let report = Verifier::new().verify_home(&Home::open(home.path()).unwrap(), false).unwrap().0;
    assert_eq!(report.verdict, Verdict::Damaged);
    assert!(
        report.problems[0].reason.contains(&format!("entry {} ", base.seqno + 1)),
        "{:?}",
        report.problems
    );
    fs::write(&path, whole).unwrap();
    fs::remove_dir_all(home.path().join("snapshots")).unwrap();
    let report = verify_home(home.path());
    assert_eq!(report.verdict, Verdict::Damaged);
    assert!(
        report.problems.iter().any(|problem| problem.reason.contains("are missing")),
        "{:?}",
        report.problems
    );
    assert!(Ledger::open(home.path(), settings(Profile::Dual)).is_err());
}

#[test]
fn a_service_recovers_from_a_snapshot_and_the_chunks_behind_it_or_from_a_snapshot_alone() {
    for alone in [false, true] {
        let home = write(Profile::Dual);
        let base = names(home.path())[0];
        let copy = tempfile::tempdir().unwrap();
        for folder in ["ledger", "snapshots", "keys"] {
            fs::create_dir(copy.path().join(folder)).unwrap();
        }
        let name = format!("snapshots/{base}");
        fs::copy(home.path().join(&name), copy.path().join(&name)).unwrap();
        fs::copy(home.path().join("keys/ledger_secrets"), copy.path().join("keys/ledger_secrets")).unwrap();
        for (chunk, path) in chunks(&home.path().join("ledger")) {
            if !alone && chunk.start > base.seqno {
                fs::copy(&path, copy.path().join("ledger").join(chunk.to_string())).unwrap();
            }
        }
        let until = if alone { base.seqno } else { verify_home(home.path()).verified_until.unwrap().seqno };
        let place = Home::open(copy.path()).unwrap();
        let (ledger, recovery) = Ledger::recover_in(&place, settings(Profile::Dual)).unwrap();
        assert_eq!((recovery.kept_until.seqno, recovery.from_snapshot), (until, Some(base)));
        fill(&ledger, "after", 40);
        ledger.snapshot().unwrap();
        ledger.close().unwrap();
        drop(ledger);
        let report = verify_home(copy.path());
        assert_eq!(report.problems, [], "{alone}");
        assert!(report.snapshots >= 2);
        let maps = Maps::open(&place).unwrap();
        for key in ["one-3", "after-3"] {
            assert!(maps.get("public:app.records", key.as_bytes()).unwrap().is_some(), "{key}");
            assert!(maps.get("private", key.as_bytes()).unwrap().is_some(), "{key}");
        }
        // And it opens again with its new keys.
        drop(Ledger::open(copy.path(), settings(Profile::Dual)).unwrap());
    }
}
