//! Snapshots: taken by themselves and on demand, checked, and used in place of chunks that are gone.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/python.rs"]
mod python;

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
fn snapshots_of_one_ledger_that_were_exchanged_are_noticed() {
    let home = write(Profile::Dual);
    let found = names(home.path());
    let (one, two) = (found[0].to_string(), found[1].to_string());
    let folder = home.path().join("snapshots");
    fs::copy(folder.join(two), folder.join(one)).unwrap();
    assert!(verify_home(home.path()).problems[0].reason.contains("it is about entry"));
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
