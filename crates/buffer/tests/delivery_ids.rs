//! Delivery ids: the same for every attempt of a file, never the same for two files.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod common;

use std::collections::HashSet;

use common::{Folder, config};
use ledger_buffer::LedgerStore;

fn next_id(store: &LedgerStore) -> String {
    store.fetch(Some(1), None).unwrap().unwrap().data[0].delivery_id().unwrap().to_string()
}

#[test]
fn a_file_keeps_its_id_over_attempts_and_restarts() {
    let folder = Folder::new();
    let store = folder.open();
    store.append(b"1").unwrap();
    let id = next_id(&store);
    assert_eq!(id.len(), 32);
    assert_eq!(next_id(&store), id);
    drop(store);
    assert_eq!(next_id(&folder.open()), id);
}

/// The same index, the same content, on many file systems the same inode.
#[test]
fn a_file_that_takes_over_index_and_content_of_an_earlier_one_gets_another_id() {
    let folder = Folder::new();
    let mut ids = HashSet::new();
    for _ in 0..50 {
        let store = folder.open();
        store.append(b"heartbeat").unwrap();
        assert_eq!(folder.names().iter().filter(|name| *name == "0-events").count(), 1);
        let fetched = store.fetch(None, None).unwrap().unwrap();
        assert!(ids.insert(fetched.data[0].delivery_id().unwrap().to_string()));
        store.remove(&fetched.removable).unwrap();
        assert!(common::names(&folder.path("sending")).is_empty());
    }
}

/// What is left if the sender is killed between the removal of a file and that of its id.
#[test]
fn an_id_that_was_left_behind_is_not_taken_for_that_of_a_new_file() {
    let folder = Folder::new();
    let store = folder.open();
    store.append(b"heartbeat").unwrap();
    let id = next_id(&store);
    std::fs::remove_file(folder.path("0-events")).unwrap();
    drop(store);
    // A clock of the file system may be as coarse as ten milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(20));
    let store = folder.open();
    store.append(b"heartbeat").unwrap();
    assert_eq!(folder.names(), ["0-events", "sending"]);
    assert_ne!(next_id(&store), id);
}

#[test]
fn a_damaged_id_is_replaced() {
    let folder = Folder::new();
    let store = folder.open();
    store.append(b"1").unwrap();
    let id = next_id(&store);
    for rubbish in [&b""[..], b"no id at all\n", &[0xff; 1000]] {
        folder.write("sending/0-events", rubbish);
        assert_ne!(next_id(&store), id);
    }
}

#[test]
fn ids_are_of_a_name_and_not_of_a_number_alone() {
    let folder = Folder::new();
    let other = LedgerStore::new(ledger_buffer::LedgerConfig {
        base_filename: "others".into(),
        ..config(folder.root(), 1000)
    })
    .unwrap();
    let store = folder.open();
    store.append(b"1").unwrap();
    other.append(b"1").unwrap();
    let (id, other_id) = (next_id(&store), next_id(&other));
    assert_ne!(id, other_id);
    assert_eq!((next_id(&store), next_id(&other)), (id, other_id));
}
