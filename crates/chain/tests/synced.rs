//! What was acknowledged as synced and cannot be read any more is damage; what never was is cut off without a word.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;

use std::{fs, path::Path};

use common::{chunks, each_entry, record};
use ledger_chain::{
    store::{Recovered, StoreError},
    verify::Verdict,
    writer::{Engine, Home, Ledger, LedgerError, Settings},
};

fn settings() -> Settings {
    Settings { chunk_bytes: 9_000, ..common::settings() }
}

/// A closed chunk and an open one with signed entries, and two behind the last signature.
fn write() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(home.path(), settings()).unwrap();
    for at in 0..6 {
        ledger.append(&record(&format!("key-{at}"), "value")).unwrap();
        if at < 4 {
            ledger.sign().unwrap();
        }
    }
    // As after a kill: nothing is signed or closed at the end.
    let copy = tempfile::tempdir().unwrap();
    for folder in ["ledger", "keys", "."] {
        fs::create_dir_all(copy.path().join(folder)).unwrap();
        for entry in fs::read_dir(home.path().join(folder)).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_file() {
                fs::copy(entry.path(), copy.path().join(folder).join(entry.file_name())).unwrap();
            }
        }
    }
    copy
}

/// Sequence number, and first and last byte of every entry of the open chunk.
fn open_entries(home: &Path) -> (std::path::PathBuf, Vec<(u64, usize, usize)>) {
    let (name, path) = chunks(&home.join("ledger")).pop().unwrap();
    assert_eq!(name.end, None);
    let (mut at, mut spans) = (8, Vec::new());
    each_entry(&home.join("ledger"), |entry| {
        if entry.txid().seqno >= name.start {
            spans.push((entry.txid().seqno, at, at + entry.bytes.len()));
            at += entry.bytes.len();
        }
    });
    (path, spans)
}

/// Opens the ledger for writing and adds nothing.
fn open_engine(home: &Path) -> Recovered {
    Engine::open(&Home::open(home).unwrap(), &settings()).unwrap().1
}

fn lost(home: &Path) -> (String, u64, u64) {
    let before = fs::read_dir(home.join("ledger")).unwrap().count();
    match Ledger::open(home, settings()).map(|_| ()) {
        Err(LedgerError::Store(StoreError::Lost { chunk, offset, seqno, .. })) => {
            assert_eq!(fs::read_dir(home.join("ledger")).unwrap().count(), before, "nothing was touched");
            (chunk, offset, seqno)
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_synced_entry_that_was_changed_is_named_and_nothing_is_touched() {
    let home = write();
    let (path, spans) = open_entries(home.path());
    let whole = fs::read(&path).unwrap();
    let chunk = path.file_name().unwrap().to_str().unwrap().to_owned();
    assert!(spans.len() >= 3);
    for (seqno, start, end) in spans {
        for at in (start..end).step_by(37).chain([end - 1]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(lost(home.path()), (chunk.clone(), start as u64, seqno), "byte {at}");
            assert_eq!(fs::read(&path).unwrap(), bytes);
        }
    }
    fs::write(&path, whole).unwrap();
    drop(Ledger::open(home.path(), settings()).unwrap());
}

#[test]
fn synced_entries_that_are_gone_are_named() {
    let home = write();
    let (path, spans) = open_entries(home.path());
    let whole = fs::read(&path).unwrap();
    let chunk = path.file_name().unwrap().to_str().unwrap().to_owned();
    for (seqno, start, end) in &spans {
        for cut in [*start, start + 7, end - 1] {
            fs::write(&path, &whole[..cut]).unwrap();
            assert_eq!(lost(home.path()), (chunk.clone(), *start as u64, *seqno), "cut at {cut}");
        }
    }
    fs::remove_file(&path).unwrap();
    assert_eq!(lost(home.path()), (chunk, 0, spans[0].0));
}

#[test]
fn what_was_never_acknowledged_is_cut_off_without_a_word() {
    let home = write();
    let (path, spans) = open_entries(home.path());
    let whole = fs::read(&path).unwrap();
    let (_, start, end) = spans[0];
    for torn in [1, 7, 8, 20, 43, end - start - 1] {
        fs::write(&path, [&whole, &whole[start..start + torn]].concat()).unwrap();
        let recovered = open_engine(home.path());
        assert_eq!((recovered.cut_bytes, recovered.set_aside), (torn as u64, None));
        assert_eq!(fs::read(&path).unwrap(), whole);
    }
    assert_eq!(common::verify(&home.path().join("ledger")).verdict, Verdict::Verified);
}

#[test]
fn where_it_is_not_known_how_far_the_ledger_was_synced_the_tail_is_kept_aside() {
    let home = write();
    let (path, spans) = open_entries(home.path());
    let whole = fs::read(&path).unwrap();
    let (_, start, end) = spans[0];
    for torn in [1, 7, 8, 20, 43, end - start - 1] {
        let bytes = [&whole, &whole[start..start + torn]].concat();
        fs::write(&path, &bytes).unwrap();
        fs::remove_file(home.path().join("synced")).unwrap();
        let recovered = open_engine(home.path());
        assert_eq!(recovered.cut_bytes, torn as u64);
        let aside = home.path().join("ledger").join(recovered.set_aside.unwrap());
        assert_eq!(fs::read(&aside).unwrap(), bytes[whole.len()..]);
        assert_eq!(fs::read(&path).unwrap(), whole);
        fs::remove_file(aside).unwrap();
    }
}

#[test]
fn a_recovery_goes_on_with_what_is_left_and_says_what_is_lost() {
    let home = write();
    let (path, spans) = open_entries(home.path());
    let last = spans.last().unwrap().0;
    let (seqno, start, _) = spans[spans.len() - 2];
    let mut bytes = fs::read(&path).unwrap();
    bytes[start] = 0;
    fs::write(&path, &bytes).unwrap();
    assert_eq!(lost(home.path()).2, seqno);
    let place = Home::open(home.path()).unwrap();
    let (ledger, recovery) = Ledger::recover_in(&place, settings()).unwrap();
    assert_eq!(recovery.lost, Some((seqno, last)));
    let aside = home.path().join("ledger").join(recovery.set_aside.unwrap());
    assert_eq!(fs::read(aside).unwrap(), bytes[start..]);
    ledger.append(&record("goes", "on")).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    assert_eq!(common::verify(&home.path().join("ledger")).verdict, Verdict::Verified);
    drop(Ledger::open(home.path(), settings()).unwrap());
}
