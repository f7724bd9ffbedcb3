//! Whether a snapshot is whole, belongs to its ledger, and says what the entries say.

use super::*;

#[test]
fn snapshots_of_others_are_whole_and_belong_to_their_ledgers() {
    for (folder, ledger, name) in [
        ("valid/snapshots", "valid/ledger", "snapshot_14_18.committed"),
        ("valid/snapshots_cose", "valid/ledger", "snapshot_14_18.committed"),
        ("real/eol_service/snapshots", "real/eol_service/ledger", "snapshot_493_494.committed"),
    ] {
        let name = SnapshotName::parse(name).unwrap();
        let file = SnapshotFile::load(&*open(&fixture(folder)), name).unwrap();
        let reader = Reader::open(open(&fixture(ledger))).unwrap();
        assert!(file.belongs_to(&reader).unwrap());
        let other = Reader::open(open(&fixture("real/cose_flipflop_service/ledger"))).unwrap();
        // That ledger is shorter, or has another entry there.
        let belongs = file.belongs_to(&other);
        assert!(matches!(belongs, Ok(false) | Err(SnapshotError::Foreign { .. })), "{belongs:?}");
    }
}

#[test]
fn a_snapshot_with_any_byte_changed_is_called_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let name = SnapshotName::parse("snapshot_14_18.committed").unwrap();
    for source in ["valid/snapshots", "valid/snapshots_cose"] {
        let bytes = fs::read(fixture(source).join(name.to_string())).unwrap();
        let path = folder.path().join(name.to_string());
        for at in (0..bytes.len()).step_by(5) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            fs::write(&path, changed).unwrap();
            let loaded = SnapshotFile::load(&*open(folder.path()), name);
            // What surrounds the values in the JSON text may change without changing what it says.
            let harmless =
                loaded.as_ref().is_ok_and(|_| at >= Snapshot::parse(&bytes).unwrap().entry.bytes.len());
            assert!(harmless || matches!(loaded, Err(SnapshotError::Damaged { .. })), "{source} byte {at}");
        }
        for end in [0, 7, 44, 100, bytes.len() - 1] {
            fs::write(&path, &bytes[..end]).unwrap();
            let loaded = SnapshotFile::load(&*open(folder.path()), name);
            assert!(matches!(loaded, Err(SnapshotError::Damaged { .. })), "cut at {end}");
        }
    }
}

#[test]
fn the_hexdump_of_the_documentation_is_a_snapshot() {
    let bytes = fs::read(fixture("valid/snapshots/snapshot_14_18.committed")).unwrap();
    let source = fs::read_to_string(fixture("../../src/snapshot/mod.rs")).unwrap();
    let dump = source.lines().filter_map(|line| line.strip_prefix("//! ")?.split_once("  "));
    let mut compared = 0;
    for (offset, rest) in dump {
        let Ok(offset) = usize::from_str_radix(offset, 16) else { continue };
        let hex = rest.split("  ").next().unwrap().split(" \"").next().unwrap();
        for (at, byte) in hex.split_whitespace().take_while(|byte| *byte != "…").enumerate() {
            assert_eq!(bytes[offset + at], u8::from_str_radix(byte, 16).unwrap(), "{offset:x} + {at}");
            compared += 1;
        }
    }
    assert!(compared > 130, "{compared}");
}

#[test]
fn a_damaged_snapshot_is_named_set_aside_and_the_one_before_is_used() {
    let home = write(Profile::Dual);
    let found = names(home.path());
    let path = home.path().join("snapshots").join(found[0].to_string());
    let mut bytes = fs::read(&path).unwrap();
    bytes[300] ^= 1;
    fs::write(&path, &bytes).unwrap();
    let report = verify_home(home.path());
    assert_eq!((report.verdict, report.problems[0].check), (Verdict::Damaged, Check::Snapshot));
    assert_eq!(report.problems[0].chunk, found[0].to_string());
    let ledger = Ledger::open(home.path(), settings(Profile::Dual)).unwrap();
    fill(&ledger, "four", 1);
    let taken = ledger.snapshot().unwrap();
    let aside = format!("snapshot_{}_{}.ignored", found[0].seqno, found[0].evidence);
    ledger.with_engine(|engine| assert_eq!(engine.snapshots_set_aside(), [aside.as_str()]));
    assert_eq!(fs::read(home.path().join("snapshots").join(aside)).unwrap(), bytes);
    ledger.close().unwrap();
    assert_eq!(names(home.path())[0], taken);
    assert_eq!(verify_home(home.path()).problems, []);
}

#[test]
fn a_snapshot_of_another_ledger_is_refused() {
    let (one, two) = (write_one(), write_one());
    let (own, foreign) = (names(one.path())[0], names(two.path())[0]);
    for name in names(one.path()) {
        fs::remove_file(one.path().join("snapshots").join(name.to_string())).unwrap();
    }
    let from = two.path().join("snapshots").join(foreign.to_string());
    fs::copy(from, one.path().join("snapshots").join(foreign.to_string())).unwrap();
    let report = verify_home(one.path());
    assert_eq!((report.verdict, report.problems[0].check), (Verdict::Damaged, Check::Snapshot));
    assert!(report.problems[0].reason.contains("another ledger"), "{:?}", report.problems);
    // Nor does it stand for chunks that are gone.
    assert_eq!(own, foreign);
    assert!(remove_chunks(one.path(), own) > 0);
    let error = Ledger::open(one.path(), settings(Profile::Dual)).unwrap_err();
    assert!(matches!(error, LedgerError::Snapshot(SnapshotError::Foreign { .. })), "{error}");
    assert_eq!(verify_home(one.path()).verdict, Verdict::Damaged);
}

#[test]
fn entries_tell_a_foreign_snapshot_whether_its_signature_or_its_evidence_is_there() {
    let make = |value: &str| {
        let home = tempfile::tempdir().unwrap();
        let mut engine = engine(home.path(), value);
        engine.want_snapshot();
        let at = sign(&mut engine, false);
        let built = engine.snapshot_job().unwrap().run();
        // A chunk between the signature and the evidence.
        engine.propose(&Prepared::new(&record("between", "them"), None).unwrap()).unwrap();
        let between = sign(&mut engine, true);
        engine.record_snapshot(built).unwrap();
        sign(&mut engine, false);
        (home, at, between)
    };
    let ((one, at, between), (two, ..)) = (make("one"), make("two"));
    let name = names(two.path())[0];
    assert!(name.seqno == at && name.evidence > between, "{name}");
    let file = |home: &Path| SnapshotFile::load(&*open(&home.join("snapshots")), name).unwrap();
    let only = |wanted: &dyn Fn(u64) -> bool| {
        let folder = tempfile::tempdir().unwrap();
        for (chunk, path) in chunks(&one.path().join("ledger")) {
            if wanted(chunk.start) {
                fs::copy(path, folder.path().join(chunk.to_string())).unwrap();
            }
        }
        let reader = Reader::open_tail(open(folder.path())).unwrap();
        (folder, reader)
    };
    for ((_folder, reader), reason) in [
        // Up to the signature only, and from the evidence on only.
        (only(&|start| start <= at), "the entries of the ledger up to"),
        (only(&|start| start > between), "does not record its digest"),
    ] {
        let error = file(two.path()).belongs_to(&reader).unwrap_err();
        assert!(matches!(error, SnapshotError::Foreign { .. }), "{error}");
        assert!(error.to_string().contains(reason), "{error}");
        assert!(file(one.path()).belongs_to(&reader).unwrap());
    }
}

#[test]
fn a_receipt_of_another_entry_or_snapshot_is_no_receipt() {
    let home = write(Profile::Dual);
    let found = names(home.path());
    let folder = home.path().join("snapshots");
    let load = |bytes: &[u8], name: SnapshotName| {
        fs::write(folder.join(name.to_string()), bytes).unwrap();
        let error = SnapshotFile::load(&*open(&folder), name).unwrap_err();
        assert!(matches!(error, SnapshotError::Damaged { .. }), "{error}");
        error.to_string()
    };
    let (newer, older) = (found[0], found[1]);
    let bytes = |name: SnapshotName| fs::read(folder.join(name.to_string())).unwrap();
    let (newer_bytes, older_bytes) = (bytes(newer), bytes(older));
    let entry = Snapshot::parse(&newer_bytes).unwrap().entry.bytes;
    // Whole and signed, but by its name about the entry behind the evidence.
    let name = SnapshotName { evidence: newer.evidence + 1, ..newer };
    assert!(load(&newer_bytes, name).contains("its receipt is about entry"));
    fs::remove_file(folder.join(name.to_string())).unwrap();
    // The receipt of the other snapshot, and one of an entry that is no evidence.
    let other = Snapshot::parse(&older_bytes).unwrap().receipt;
    assert!(load(&[entry, other].concat(), newer).contains("not the snapshot for which"));
    let reader = Reader::open(open(&home.path().join("ledger"))).unwrap();
    let secrets = common::secrets(home.path());
    let plain = Receipts::new(&reader, &secrets).json(5).unwrap().to_json();
    assert!(load(&[entry, plain.as_bytes()].concat(), newer).contains("not the snapshot for which"));
    assert!(load(entry, newer).contains("it has no receipt"));
    // Whose service is another one's.
    let stranger = write(Profile::Dual);
    let name = names(stranger.path())[0];
    let theirs = fs::read(stranger.path().join("snapshots").join(name.to_string())).unwrap();
    let theirs = Snapshot::parse(&theirs).unwrap().receipt;
    assert!(load(&[entry, theirs].concat(), newer).contains("its receipt does not hold"));
}

#[test]
fn a_snapshot_that_is_newer_than_the_ledger_proves_that_its_end_is_missing_and_is_not_used() {
    let home = write(Profile::Dual);
    let newest = names(home.path())[0];
    for (chunk, path) in chunks(&home.path().join("ledger")) {
        if chunk.start >= newest.seqno || chunk.end.is_none_or(|end| end >= newest.seqno) {
            fs::remove_file(path).unwrap();
        }
    }
    let reader = Reader::open(open(&home.path().join("ledger"))).unwrap();
    assert!(reader.last() > 0 && reader.last() < newest.seqno);
    let report = verify_home(home.path());
    assert_eq!(report.verdict, Verdict::Damaged);
    assert!(report.problems.iter().all(|problem| problem.check == Check::Expected), "{:?}", report.problems);
    assert_eq!(report.problems.last().unwrap().seqno, Some(newest.evidence));
    // Maps begin with the one before.
    let maps = Maps::open(&Home::open(home.path()).unwrap()).unwrap();
    assert_eq!(maps.last(), reader.last());
    assert!(maps.get("public:app.records", b"one-3").unwrap().is_some());
    assert_eq!(maps.get("public:app.records", b"three-39").unwrap(), None);
    drop(maps);
    // A recovery goes on without what is missing, and then nothing accuses the ledger any more.
    let place = Home::open(home.path()).unwrap();
    let (ledger, recovery) = Ledger::recover_in(&place, settings(Profile::Dual)).unwrap();
    let aside = format!("snapshot_{}_{}.ignored", newest.seqno, newest.evidence);
    assert_eq!(recovery.snapshots_set_aside, [aside.as_str()]);
    assert!(home.path().join("snapshots").join(aside).is_file());
    for round in 0..3 {
        assert_eq!(verify_home(home.path()).problems, [], "{round}");
        fill(&ledger, &format!("after-{round}"), 40);
        ledger.sign().unwrap();
    }
    ledger.close().unwrap();
    assert_eq!(verify_home(home.path()).problems, []);
}

#[test]
fn a_snapshot_whose_evidence_was_taken_back_in_the_same_view_is_foreign_and_another_one_is_taken() {
    let (home, fork) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mut engine = engine(home.path(), "value");
    engine.want_snapshot();
    let at = sign(&mut engine, false);
    let built = engine.snapshot_job().unwrap().run();
    engine.record_snapshot(built).unwrap();
    engine.sign(false).unwrap();
    engine.flush().unwrap();
    // Whoever decides what is committed has seen this, but decides for something else.
    for (chunk, path) in chunks(&home.path().join("ledger")) {
        fs::copy(path, fork.path().join(chunk.to_string())).unwrap();
    }
    let fork = Reader::open(open(fork.path())).unwrap();
    engine.rollback(at).unwrap();
    assert!(!engine.snapshot_under_way());
    engine.propose(&Prepared::new(&record("something", "else"), None).unwrap()).unwrap();
    sign(&mut engine, false);
    assert_eq!(names(home.path()), []);

    let recorded = SnapshotName::parse(&format!("snapshot_{at}_{}", at + 1)).unwrap();
    let mut bytes = fs::read(home.path().join("snapshots").join(recorded.to_string())).unwrap();
    let secrets = common::secrets(home.path());
    bytes.extend(Receipts::new(&fork, &secrets).json(at + 1).unwrap().to_json().into_bytes());
    let name = SnapshotName { committed: true, ..recorded };
    fs::write(home.path().join("snapshots").join(name.to_string()), bytes).unwrap();
    let file = SnapshotFile::load(&*open(&home.path().join("snapshots")), name).unwrap();
    assert!(file.belongs_to(&fork).unwrap());
    let error = file.belongs_to(&Reader::open(open(&home.path().join("ledger"))).unwrap()).unwrap_err();
    assert!(error.to_string().contains("does not record its digest"), "{error}");
    fs::remove_file(home.path().join("snapshots").join(name.to_string())).unwrap();

    let taken = engine.take_snapshot().unwrap().unwrap();
    assert_eq!(names(home.path()), [taken]);
    assert_eq!(verify_home(home.path()).problems, []);
}

#[test]
fn a_recovery_without_the_evidence_of_its_snapshot_is_not_accused_of_a_missing_end() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = engine(home.path(), "value");
    engine.want_snapshot();
    let at = sign(&mut engine, false);
    let built = engine.snapshot_job().unwrap().run();
    for number in 0..20 {
        engine.propose(&Prepared::new(&record("meanwhile", &number.to_string()), None).unwrap()).unwrap();
    }
    engine.record_snapshot(built).unwrap();
    sign(&mut engine, false);
    drop(engine);
    for (chunk, path) in chunks(&home.path().join("ledger")) {
        if chunk.start > at {
            fs::remove_file(path).unwrap();
        }
    }
    let check = verify_home(home.path()).problems[0].check;
    assert_eq!(check, Check::Expected);
    let place = Home::open(home.path()).unwrap();
    let (ledger, recovery) = Ledger::recover_in(&place, settings(Profile::Dual)).unwrap();
    assert_eq!(recovery.kept_until.seqno, at);
    assert!(ledger.with_engine(|engine| engine.last()).seqno < names(home.path())[0].evidence);
    ledger.close().unwrap();
    assert_eq!(verify_home(home.path()).problems, []);
}

#[test]
fn rows_are_compared_with_the_entries_when_somebody_asks() {
    let home = tempfile::tempdir().unwrap();
    for folder in ["ledger", "snapshots"] {
        fs::create_dir(home.path().join(folder)).unwrap();
        for entry in fs::read_dir(fixture("valid").join(folder)).unwrap().map(Result::unwrap) {
            fs::copy(entry.path(), home.path().join(folder).join(entry.file_name())).unwrap();
        }
    }
    let path = home.path().join("ledger/ledger_3-14.committed");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(7).position(|part| part == b"value 3").unwrap();
    bytes[at] = b'V';
    fs::write(&path, bytes).unwrap();
    for rows in [false, true] {
        let report = Verifier::new().verify_home(&Home::open(home.path()).unwrap(), rows).unwrap().0;
        let named = report.problems.iter().any(|problem| problem.reason.contains("map \"public:records\""));
        assert_eq!(named, rows, "{:?}", report.problems);
    }
}

#[test]
fn snapshots_of_one_ledger_that_were_exchanged_are_noticed() {
    let home = write(Profile::Dual);
    let found = names(home.path());
    let (one, two) = (found[0].to_string(), found[1].to_string());
    let folder = home.path().join("snapshots");
    fs::copy(folder.join(two), folder.join(one)).unwrap();
    assert!(verify_home(home.path()).problems[0].reason.contains("it is about entry"));
}
