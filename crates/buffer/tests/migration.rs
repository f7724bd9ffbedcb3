//! Files of `transientdb`'s directory store: handed over as they are, before everything else.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod common;

use common::{Folder, body, drain, record};

const OLD: &[u8] = br#"{ "batch": [{"event":"old"}],"sentAt":"2026-11-21T10:00:00.000Z","writeKey":"k"}"#;

#[test]
fn batches_of_the_older_store_are_handed_over_verbatim_and_first() {
    let folder = Folder::new();
    folder.write("0-events", record(b"new"));
    folder.write("12-events.temp", OLD);
    folder.write("3-events.temp", b"{ \"batch\": [],\"sentAt\":\"\",\"writeKey\":\"k\"}");
    folder.write("4-others.temp", OLD);
    folder.write("05-events.temp", OLD);
    let store = folder.open();
    assert!(store.has_data());
    let mut fetched = store.fetch(None, None).unwrap().unwrap();
    let indices: Vec<_> = fetched.data.iter().map(|reader| (reader.is_legacy(), reader.index())).collect();
    assert_eq!(indices, [(true, 3), (true, 12), (false, 0)]);
    assert_eq!(body(&mut fetched.data[1]), OLD);
    assert_eq!(body(&mut fetched.data[2]), b"[new]");
    assert_eq!(fetched.data[1].records().count(), 0);
    store.remove(&fetched.removable).unwrap();
    assert_eq!(folder.names(), ["05-events.temp", "4-others.temp"]);
}

#[test]
fn only_one_store_sends_a_batch_of_the_older_store() {
    let folder = Folder::new();
    folder.write("0-events.temp", OLD);
    let (one, other) = (folder.open(), folder.open());
    let fetched = one.fetch(None, None).unwrap().unwrap();
    assert!(other.fetch(None, None).unwrap().is_none());
    drop(fetched);
    assert!(other.fetch(None, None).unwrap().is_some());
}

#[test]
fn the_numbers_of_the_older_store_do_not_count() {
    let folder = Folder::new();
    folder.write("41-events.temp", OLD);
    let store = folder.open();
    store.append(b"1").unwrap();
    assert_eq!(folder.names(), ["0-events", "41-events.temp"]);
    assert_eq!(drain(&store), ["1"]);
    assert!(folder.names().is_empty());
}

/// A file that the older store never finished has the name of one of ours: it is no file of records, and is kept.
#[test]
fn an_unfinished_file_of_the_older_store_is_set_aside_whole() {
    let folder = Folder::new();
    folder.write("0-events", br#"{ "batch": [{"event":"old"},{"event":"unfinished"}"#);
    let store = folder.open();
    assert_eq!(drain(&store), Vec::<String>::new());
    assert_eq!(folder.names(), ["quarantine"]);
    assert_eq!(common::names(&folder.path("quarantine")), ["0-events"]);
}

#[test]
fn reset_deletes_batches_of_the_older_store_too() {
    let folder = Folder::new();
    folder.write("0-events.temp", OLD);
    folder.write("0-others.temp", OLD);
    folder.open().reset().unwrap();
    assert_eq!(folder.names(), ["0-others.temp"]);
}
