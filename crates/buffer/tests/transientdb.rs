//! The store behind the published crate `transientdb`: the lifecycle of the request, and code that was written for that
//! crate's directory store.
#![cfg(feature = "transientdb")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

mod common;

use std::io::{self, Read};

use common::{Folder, config};
use ledger_buffer::{LedgerConfig, LedgerReader, LedgerStore};
use serde_json::{Value, json};
use transientdb::{DataStore, DirectoryConfig, DirectoryStore, Equivalent, TransientDB};

/// Stands for an HTTP client.
struct Request {
    content_length: Option<String>,
}

impl Request {
    fn set(mut self, name: &str, value: &str) -> Self {
        assert_eq!(name, "Content-Length");
        self.content_length = Some(value.to_owned());
        self
    }

    fn send(self, mut body: impl Read) -> io::Result<Value> {
        let mut text = String::new();
        body.read_to_string(&mut text)?;
        assert_eq!(self.content_length, Some(text.len().to_string()));
        Ok(serde_json::from_str(&text)?)
    }
}

#[test]
fn the_lifecycle_of_the_request_works() -> Result<(), Box<dyn std::error::Error>> {
    let folder = Folder::new();
    let write_key = "key".to_owned();
    let config = LedgerConfig {
        storage_location: folder.path("events"),
        base_filename: "events".into(),
        max_file_size: 475_000,
        header: Box::new(|| br#"{"batch":["#.to_vec()),
        footer: Box::new(move || format!(r#"],"sentAt":"now","writeKey":"{write_key}"}}"#).into_bytes()),
        separator: b",".to_vec(),
    };
    let mut sent = Vec::new();

    // Full lifecycle through TransientDB
    let db = TransientDB::new(LedgerStore::new(config)?);
    // append side
    db.append(json!({"event": "page_view"}))?;
    db.append(json!({"event": "button_click"}))?;
    // send side
    if let Some(result) = db.fetch(None, None)? {
        let readers = result.data.unwrap();
        let removable = result.removable.unwrap();
        for reader in readers {
            let request = Request { content_length: None };
            sent.push(request.set("Content-Length", &reader.content_length().to_string()).send(reader)?);
        }
        // all sent successfully — delete the files
        db.remove(&removable)?;
    }

    let batch = json!([{"event": "page_view"}, {"event": "button_click"}]);
    assert_eq!(sent, [json!({"batch": batch, "sentAt": "now", "writeKey": "key"})]);
    assert!(!db.has_data());
    Ok(())
}

/// A consumer that knows the trait alone: only the constructor decides which store it uses.
fn flush<T>(
    store: &mut dyn DataStore<Output = Vec<T>>,
    read: impl Fn(T) -> Vec<u8>,
) -> io::Result<Vec<Value>> {
    store.append(json!({"event": "one"}))?;
    store.append(json!({"event": "two"}))?;
    let mut batches = Vec::new();
    while let Some(result) = store.fetch(Some(5), Some(1_000_000))? {
        for item in result.data.unwrap_or_default() {
            batches.push(serde_json::from_slice::<Value>(&read(item))?["batch"].take());
        }
        store.remove(&result.removable.unwrap_or_default())?;
    }
    assert!(!store.has_data());
    store.append(json!({"event": "three"}))?;
    store.reset();
    Ok(batches)
}

fn read_all(mut reader: LedgerReader) -> Vec<u8> {
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn code_for_the_directory_store_gets_the_same_from_ours() {
    let (old, new) = (Folder::new(), Folder::new());
    let mut directory = DirectoryStore::new(DirectoryConfig {
        write_key: "key".into(),
        storage_location: old.root().to_owned(),
        base_filename: "events".into(),
        max_file_size: 1000,
    })
    .unwrap();
    let mut ours = LedgerStore::new(LedgerConfig {
        header: Box::new(|| br#"{"batch":["#.to_vec()),
        footer: Box::new(|| b"]}".to_vec()),
        ..config(new.root(), 1000)
    })
    .unwrap();
    let by_old = flush(&mut directory, |path| std::fs::read(path).unwrap()).unwrap();
    assert_eq!(flush(&mut ours, read_all).unwrap(), by_old);
    assert_eq!(by_old, [json!([{"event": "one"}, {"event": "two"}])]);
}

#[test]
fn batches_that_the_directory_store_left_are_sent_first() {
    let folder = Folder::new();
    let mut directory = DirectoryStore::new(DirectoryConfig {
        write_key: "key".into(),
        storage_location: folder.root().to_owned(),
        base_filename: "events".into(),
        max_file_size: 1000,
    })
    .unwrap();
    directory.append(json!({"event": "old"})).unwrap();
    directory.fetch(None, None).unwrap();
    assert_eq!(folder.names(), ["1-events.temp"]);
    let db = TransientDB::new(folder.open());
    db.append(json!({"event": "new"})).unwrap();
    let fetched = db.fetch(None, None).unwrap().unwrap();
    let mut readers = fetched.data.unwrap().into_iter();
    let old: Value = serde_json::from_slice(&read_all(readers.next().unwrap())).unwrap();
    assert_eq!((&old["batch"], &old["writeKey"]), (&json!([{"event": "old"}]), &json!("key")));
    assert_eq!(read_all(readers.next().unwrap()), br#"[{"event":"new"}]"#);
    db.remove(&fetched.removable.unwrap()).unwrap();
    assert!(folder.names().is_empty());
}

#[test]
fn removable_items_compare_by_file_and_foreign_ones_are_refused() {
    let folder = Folder::new();
    let mut store = folder.open();
    DataStore::append(&mut store, json!(1)).unwrap();
    let fetched = DataStore::fetch(&mut store, None, None).unwrap().unwrap();
    let removable = fetched.removable.unwrap();
    assert!(removable[0].equals(&*removable[0]));
    let path: Box<dyn Equivalent> = Box::new(folder.path("0-events"));
    assert!(!removable[0].equals(&*path));
    let error = DataStore::remove(&mut store, &[path]).unwrap_err();
    assert!(error.to_string().starts_with("an item was not returned by fetch()"), "{error}");
    assert_eq!(folder.names(), ["0-events"]);
    DataStore::remove(&mut store, &removable).unwrap();
    assert!(folder.names().is_empty());
}

#[test]
fn a_panic_of_a_callback_does_not_poison_the_crates_lock() {
    let folder = Folder::new();
    let first = std::sync::atomic::AtomicBool::new(true);
    let db = TransientDB::new(
        LedgerStore::new(LedgerConfig {
            header: Box::new(move || {
                assert!(!first.swap(false, std::sync::atomic::Ordering::Relaxed), "on purpose");
                Vec::new()
            }),
            ..config(folder.root(), 1000)
        })
        .unwrap(),
    );
    db.append(json!(1)).unwrap();
    assert!(db.fetch(None, None).unwrap_err().to_string().contains("header callback panicked"));
    assert!(db.fetch(None, None).unwrap().is_some());
}
