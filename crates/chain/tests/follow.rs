//! Following a ledger: every entry once, in order, as soon as it is signed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;

use std::{fs, path::Path, time::Duration};

use common::{chunks, fixture, open, record};
use ledger_chain::{
    follow::{Changes, Follower},
    format::PublicDomain,
    store::{ChunkStore, Reader, StoreError},
    verify::Secrets,
    writer::{Engine, Home, Ledger, LedgerError, Prepared, Settings},
};
use ledger_fs::crash::{CrashFs, CrashPolicy, History, for_each_crash};

fn settings() -> Settings {
    Settings {
        sign_every_entries: 7,
        sign_after: Duration::from_millis(20),
        chunk_bytes: 9_000,
        ..Settings::default()
    }
}

/// Number and value of every entry that is handed out in one round; `-` for those of the ledger itself.
fn poll(follower: &mut Follower) -> Result<Vec<(u64, String)>, StoreError> {
    let mut seen = Vec::new();
    follower.poll(|entry| {
        let domain = PublicDomain::parse(entry.public).unwrap();
        let map = domain.maps().map(Result::unwrap).find(|map| map.name == "public:app.records");
        let value = map.and_then(|map| map.iter().next().unwrap().1.map(<[u8]>::to_vec));
        seen.push((
            entry.txid().seqno,
            value.map_or("-".to_owned(), |value| String::from_utf8(value).unwrap()),
        ));
        Ok::<_, StoreError>(true)
    })?;
    Ok(seen)
}

fn propose(engine: &mut Engine, value: &str) -> u64 {
    engine.propose(&Prepared::new(&record("key", value), None).unwrap()).unwrap().seqno
}

fn engine(home: &Path) -> Engine {
    let mut engine = Engine::init(&Home::create(home).unwrap(), &settings()).unwrap();
    engine.flush().unwrap();
    engine.commit(engine.last().seqno).unwrap();
    engine
}

fn follower(home: &Path, from: u64) -> Follower {
    Follower::new(open(&home.join("ledger")), from)
}

#[test]
fn everything_a_writer_commits_is_handed_out_once_and_in_order_across_chunks_and_openings() {
    const ENTRIES: u64 = 400;
    let home = tempfile::tempdir().unwrap();
    // From before there is a ledger, and from within it.
    fs::create_dir(home.path().join("ledger")).unwrap();
    let follow = |from: u64| {
        let folder = home.path().to_owned();
        std::thread::spawn(move || {
            let (changes, mut follower) = (Changes::of(&folder.join("ledger")), follower(&folder, from));
            let mut seen = Vec::new();
            while !seen.iter().any(|(_, value)| value == "last") {
                assert!(changes.wait());
                seen.extend(poll(&mut follower).unwrap());
            }
            seen
        })
    };
    let followers = [1, 2, 150, 300].map(|from| (from, follow(from)));
    let mut appended = 0;
    drop(Ledger::init(home.path(), settings()).unwrap());
    while appended < ENTRIES {
        // Opened again and again: every time the last chunk goes on.
        let ledger = Ledger::open(home.path(), settings()).unwrap();
        for _ in 0..100 {
            appended += 1;
            let value = if appended == ENTRIES { "last".to_owned() } else { format!("value {appended}") };
            ledger.append(&record("key", &value)).unwrap();
        }
        ledger.close().unwrap();
    }
    let last = Reader::open(open(&home.path().join("ledger"))).unwrap().last();
    assert!(chunks(&home.path().join("ledger")).len() > 5);
    for (from, follower) in followers {
        let seen = follower.join().unwrap();
        let numbers: Vec<_> = seen.iter().map(|(seqno, _)| *seqno).collect();
        assert_eq!(numbers, (from..=*numbers.last().unwrap()).collect::<Vec<_>>());
        assert!(*numbers.last().unwrap() <= last);
        if from == 1 {
            let values = seen.iter().filter(|(_, value)| value.starts_with("value")).count();
            assert_eq!(values as u64, ENTRIES - 1);
        }
    }
}

#[test]
fn an_entry_is_handed_out_when_it_is_signed_and_not_before() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = engine(home.path());
    let mut follower = follower(home.path(), 5);
    assert_eq!(poll(&mut follower).unwrap(), []);
    let first = propose(&mut engine, "one");
    propose(&mut engine, "two");
    engine.flush().unwrap();
    assert_eq!(poll(&mut follower).unwrap(), []);
    engine.sign(false).unwrap();
    assert_eq!(poll(&mut follower).unwrap(), []);
    engine.flush().unwrap();
    let seen = poll(&mut follower).unwrap();
    assert_eq!(seen, [(first, "one".into()), (first + 1, "two".into()), (first + 2, "-".into())]);
    assert_eq!(follower.next(), first + 3);
    assert_eq!(poll(&mut follower).unwrap(), []);
}

#[test]
fn what_was_taken_back_is_not_handed_out_and_what_comes_instead_is() {
    for (end_chunk, counts) in
        [(false, (3, 3)), (false, (5, 2)), (false, (2, 9)), (true, (3, 3)), (true, (4, 1))]
    {
        let home = tempfile::tempdir().unwrap();
        let mut engine = engine(home.path());
        let mut follower = follower(home.path(), 1);
        propose(&mut engine, "kept");
        let signed = engine.sign(end_chunk).unwrap();
        engine.flush().unwrap();
        engine.commit(signed.seqno).unwrap();
        assert_eq!(poll(&mut follower).unwrap().len() as u64, signed.seqno);
        for number in 0..counts.0 {
            propose(&mut engine, &format!("taken back {number}"));
        }
        engine.flush().unwrap();
        assert_eq!(poll(&mut follower).unwrap(), []);
        engine.rollback(signed.seqno).unwrap();
        for number in 0..counts.1 {
            propose(&mut engine, &format!("instead {number}"));
        }
        engine.sign(false).unwrap();
        engine.flush().unwrap();
        // The first round may find out that the file is another one, the second reads it.
        let seen = [poll(&mut follower).unwrap(), poll(&mut follower).unwrap()].concat();
        let mut wanted: Vec<_> =
            (0..counts.1).map(|number| (signed.seqno + 1 + number, format!("instead {number}"))).collect();
        wanted.push((signed.seqno + 1 + counts.1, "-".into()));
        assert_eq!(seen, wanted, "{end_chunk} {counts:?}");
    }
}

#[test]
fn a_chunk_that_was_closed_and_opened_again_goes_on() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = engine(home.path());
    let mut follower = follower(home.path(), 1);
    let kept = engine.last().seqno;
    assert_eq!(poll(&mut follower).unwrap().len() as u64, kept);
    propose(&mut engine, "one");
    engine.sign(true).unwrap();
    engine.flush().unwrap();
    // Not looked at before it is taken back again, as it would be if another node had won.
    engine.rollback(kept).unwrap();
    propose(&mut engine, "another");
    engine.sign(true).unwrap();
    propose(&mut engine, "next chunk");
    engine.sign(false).unwrap();
    engine.flush().unwrap();
    let values: Vec<_> = poll(&mut follower).unwrap().into_iter().map(|(_, value)| value).collect();
    assert_eq!(values, ["another", "-", "next chunk", "-"]);
}

#[test]
fn half_an_entry_and_half_a_table_are_waited_for() {
    let home = tempfile::tempdir().unwrap();
    fs::create_dir(home.path().join("ledger")).unwrap();
    let mut follower = follower(home.path(), 1);
    assert_eq!(poll(&mut follower).unwrap(), []);
    // The chunk of a genuine ledger arrives byte by byte, and is closed and renamed at the end.
    let bytes = fs::read(fixture("valid/ledger/ledger_3-14.committed")).unwrap();
    let first = fs::read(fixture("valid/ledger/ledger_1-2.committed")).unwrap();
    fs::write(home.path().join("ledger/ledger_1-2.committed"), first).unwrap();
    assert_eq!(poll(&mut follower).unwrap().len(), 2);
    let path = home.path().join("ledger/ledger_3");
    let mut growing = bytes.clone();
    growing[..8].fill(0);
    let mut numbers = Vec::new();
    for length in (0..growing.len()).step_by(61).chain([growing.len()]) {
        let options = || fs::OpenOptions::new().create(true).truncate(false).write(true).open(&path).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&options(), &growing[..length], 0).unwrap();
        numbers.extend(poll(&mut follower).unwrap().into_iter().map(|(seqno, _)| seqno));
    }
    fs::write(&path, &bytes).unwrap();
    fs::rename(&path, home.path().join("ledger/ledger_3-14.committed")).unwrap();
    fs::copy(
        fixture("valid/ledger/ledger_15-28.committed"),
        home.path().join("ledger/ledger_15-28.committed"),
    )
    .unwrap();
    numbers.extend(poll(&mut follower).unwrap().into_iter().map(|(seqno, _)| seqno));
    assert_eq!(numbers, (3..=28).collect::<Vec<_>>());
}

#[test]
fn a_visitor_that_has_enough_is_asked_again_behind_what_it_took() {
    let mut follower = Follower::new(open(&fixture("valid/ledger")), 4);
    let mut numbers = Vec::new();
    for _ in 0..40 {
        follower
            .poll(|entry| {
                numbers.push(entry.txid().seqno);
                Ok::<_, StoreError>(false)
            })
            .unwrap();
    }
    // 35 is not signed.
    assert_eq!(numbers, (4..=34).collect::<Vec<_>>());
}

#[test]
fn what_is_not_there_and_what_is_damaged_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| fs::copy(fixture("valid/ledger").join(name), folder.path().join(name)).unwrap();
    copy("ledger_15-28.committed");
    let mut follower = Follower::new(open(folder.path()), 3);
    assert!(matches!(poll(&mut follower), Err(StoreError::Gone { seqno: 3, first: 15 })));
    let path = folder.path().join("ledger_15-28.committed");
    let mut bytes = fs::read(&path).unwrap();
    bytes[8] = 7;
    fs::write(&path, bytes).unwrap();
    let mut follower = Follower::new(open(folder.path()), 15);
    assert!(matches!(poll(&mut follower), Err(StoreError::Damaged { offset: 8, .. })));
}

/// A home whose first chunks are gone, and the first entry that is left.
fn without_first_chunks() -> (tempfile::TempDir, u64) {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(home.path(), settings()).unwrap();
    for at in 0..20 {
        ledger.append(&record("key", &format!("{at} {}", "x".repeat(900)))).unwrap();
    }
    let snapshot = ledger.snapshot().unwrap();
    ledger.append(&record("key", "behind")).unwrap();
    ledger.close().unwrap();
    for (chunk, path) in chunks(&home.path().join("ledger")) {
        if chunk.end.is_some_and(|end| end <= snapshot.seqno) {
            fs::remove_file(path).unwrap();
        }
    }
    (home, snapshot.seqno + 1)
}

#[test]
fn where_the_first_chunks_are_gone_it_says_so_and_begins_behind_them_when_told() {
    let (home, first) = without_first_chunks();
    for from in [1, first - 1] {
        let gone = poll(&mut follower(home.path(), from));
        assert!(matches!(gone, Err(StoreError::Gone { seqno, first: at }) if (seqno, at) == (from, first)));
    }
    let mut behind = follower(home.path(), first);
    let mut seen = poll(&mut behind).unwrap();
    let ledger = Ledger::open(home.path(), settings()).unwrap();
    for at in 0..20 {
        ledger.append(&record("key", &format!("later {at}"))).unwrap();
        seen.extend(poll(&mut behind).unwrap());
    }
    ledger.close().unwrap();
    seen.extend(poll(&mut behind).unwrap());
    let last = ledger.with_engine(|engine| engine.last()).seqno;
    assert_eq!(seen.iter().map(|(seqno, _)| *seqno).collect::<Vec<_>>(), (first..=last).collect::<Vec<_>>());
    assert!(seen.iter().any(|(_, value)| value == "behind"));
}

#[test]
fn chunks_that_are_moved_away_before_they_were_read_are_missed_aloud() {
    let home = tempfile::tempdir().unwrap();
    let mut engine = engine(home.path());
    let mut follower = follower(home.path(), 1);
    assert_eq!(poll(&mut follower).unwrap().len(), 4);
    for value in ["one", "two", "three"] {
        propose(&mut engine, value);
        engine.sign(true).unwrap();
    }
    engine.flush().unwrap();
    let all = chunks(&home.path().join("ledger"));
    // The first chunk is open here and read to its end; the second is moved away before anybody looks.
    let (name, path) = &all[1];
    let elsewhere = home.path().join(name.to_string());
    fs::rename(path, &elsewhere).unwrap();
    let mut seen = Vec::new();
    let gone = follower.poll(|entry| {
        seen.push(entry.txid().seqno);
        Ok::<_, StoreError>(true)
    });
    assert!(matches!(gone, Err(StoreError::Gone { seqno, .. }) if seqno == name.start), "{gone:?}");
    // Put back, everything follows.
    fs::rename(elsewhere, path).unwrap();
    follower
        .poll(|entry| {
            seen.push(entry.txid().seqno);
            Ok::<_, StoreError>(true)
        })
        .unwrap();
    assert_eq!(seen, (5..=engine.last().seqno).collect::<Vec<_>>());
}

#[test]
fn what_was_handed_out_survives_a_power_cut_although_the_writer_has_not_synced_it() {
    let work = |fs: &CrashFs, history: &History<u64>| -> Result<(), LedgerError> {
        let home = Home::new(fs.dir());
        let mut engine = Engine::init(&home, &settings())?;
        engine.flush()?;
        let mut follower = Follower::new(home.ledger(), 1);
        for round in 0..4 {
            propose(&mut engine, "value");
            engine.sign(round % 2 == 1)?;
            engine.flush()?;
            let (last, _) = poll(&mut follower)?.pop().unwrap();
            history.note(last);
        }
        Ok(())
    };
    let tried = for_each_crash(
        CrashPolicy::default(),
        |fs, history| work(fs, history).unwrap(),
        |crash| {
            let Some(last) = crash.events.last() else { return };
            let folder = Home::new(crash.image.fs.dir()).ledger();
            let (store, _) = ChunkStore::open(folder, &Secrets::none()).unwrap();
            assert!(store.last() >= *last, "{} of {last} are left", store.last());
        },
    );
    assert!(tried.images > 100, "{tried}");
}

#[test]
fn a_closed_chunk_that_lacks_entries_of_its_table_ends_with_an_error_and_not_never() {
    // The header says where the table is; four bytes for every entry that there should be.
    let without_entries = [8_u64.to_le_bytes().to_vec(), vec![0; 12]].concat();
    let without_anything = 8_u64.to_le_bytes().to_vec();
    for (contents, name) in [&without_entries, &without_anything]
        .into_iter()
        .flat_map(|contents| [(contents, "ledger_1"), (contents, "ledger_1-3.committed")])
    {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(name), contents).unwrap();
        let error = poll(&mut Follower::new(open(folder.path()), 1)).unwrap_err();
        assert!(matches!(error, StoreError::Damaged { .. }), "{name}, {} bytes: {error}", contents.len());
    }
}
