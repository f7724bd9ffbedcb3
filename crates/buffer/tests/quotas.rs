//! The bound on all files together.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod common;

use common::{Folder, all_payloads, config, drain, record};
use ledger_buffer::{AppendError, LedgerStore, WhenFull};

/// A store whose every file takes one of these records.
fn open(folder: &Folder, bytes: u64, when_full: WhenFull) -> LedgerStore {
    LedgerStore::options(config(folder.root(), 100)).max_total_size(bytes, when_full).open().unwrap()
}

/// A payload of which a record has 110 bytes.
fn payload(number: u32) -> Vec<u8> {
    format!("{number:0102}").into_bytes()
}

fn numbers(payloads: &[String]) -> Vec<u32> {
    payloads.iter().map(|payload| payload.parse().unwrap()).collect()
}

#[test]
fn a_full_folder_refuses_and_takes_again_once_something_was_sent() {
    let folder = Folder::new();
    let store = open(&folder, 350, WhenFull::Refuse);
    for number in 0..3 {
        store.append(&payload(number)).unwrap();
    }
    let error = store.append(&payload(3)).unwrap_err();
    assert!(matches!(error, AppendError::Full { used: 330, needed: 110, limit: 350, .. }), "{error:?}");
    assert!(error.to_string().ends_with("send and remove what is there, or raise the limit"), "{error}");
    store.append(b"small").unwrap();
    let fetched = store.fetch(Some(1), None).unwrap().unwrap();
    store.remove(&fetched.removable).unwrap();
    store.append(&payload(4)).unwrap();
    assert_eq!(store.dropped().files, 0);
}

#[test]
fn the_oldest_files_make_room_and_are_counted() {
    let folder = Folder::new();
    let store = open(&folder, 350, WhenFull::DropOldest);
    for number in 0..10 {
        store.append(&payload(number)).unwrap();
    }
    let dropped = store.dropped();
    assert_eq!((dropped.files, dropped.bytes, dropped.records), (7, 770, 7));
    assert_eq!(numbers(&drain(&store)), [7, 8, 9]);
}

#[test]
fn a_file_that_is_being_sent_or_written_by_another_store_is_not_dropped() {
    let folder = Folder::new();
    let store = open(&folder, 350, WhenFull::DropOldest);
    store.append(&payload(0)).unwrap();
    let sending = store.fetch(None, None).unwrap().unwrap();
    let other = folder.open();
    other.append(&payload(1)).unwrap();
    for number in 2..6 {
        store.append(&payload(number)).unwrap();
    }
    assert_eq!(store.dropped().files, 3);
    assert_eq!(numbers(&all_payloads(&sending)), [0]);
    store.remove(&sending.removable).unwrap();
    assert_eq!(numbers(&drain(&store)), [5]);
    assert_eq!(numbers(&drain(&other)), [1]);
}

#[test]
fn an_active_file_that_is_all_there_is_makes_room_too() {
    let folder = Folder::new();
    let options = LedgerStore::options(config(folder.root(), 100_000));
    let store = options.max_total_size(350, WhenFull::DropOldest).open().unwrap();
    for number in 0..5 {
        store.append(&payload(number)).unwrap();
    }
    assert_eq!(store.dropped().records, 3);
    assert_eq!(numbers(&drain(&store)), [3, 4]);
}

#[test]
fn a_record_that_never_fits_is_refused_and_drops_nothing() {
    let folder = Folder::new();
    let store = open(&folder, 350, WhenFull::DropOldest);
    store.append(&payload(0)).unwrap();
    assert!(matches!(store.append(&[b'x'; 400]).unwrap_err(), AppendError::Full { needed: 408, .. }));
    assert_eq!(numbers(&drain(&store)), [0]);
}

#[test]
fn the_quarantine_counts_and_goes_first() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("quarantine")).unwrap();
    folder.write("quarantine/0-events", [b'?'; 200]);
    folder.write("quarantine/other", [b'?'; 1000]);
    folder.write("unrelated", [b'?'; 1000]);
    let refusing = open(&folder, 300, WhenFull::Refuse);
    assert!(matches!(refusing.append(&payload(0)).unwrap_err(), AppendError::Full { used: 200, .. }));
    let store = open(&folder, 300, WhenFull::DropOldest);
    store.append(&payload(1)).unwrap();
    assert_eq!(common::names(&folder.path("quarantine")), ["other"]);
    assert_eq!((store.dropped().files, store.dropped().records), (1, 0));
    assert_eq!(numbers(&drain(&store)), [1]);
}

#[test]
fn files_of_other_stores_count() {
    let folder = Folder::new();
    let store = open(&folder, 350, WhenFull::Refuse);
    let other = folder.open();
    other.append_batch(&[payload(0), payload(1)]).unwrap();
    store.append(&payload(2)).unwrap();
    assert!(matches!(store.append(&payload(3)).unwrap_err(), AppendError::Full { used: 330, .. }));
    assert_eq!(record(&payload(0)).len(), 110);
}
