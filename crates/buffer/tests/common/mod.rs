//! What the tests share.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "for tests, of which each uses a part"
)]

use std::io::Read;
use std::path::{Path, PathBuf};

use ledger_buffer::{Fetched, LedgerConfig, LedgerOptions, LedgerReader, LedgerStore};
use tempfile::TempDir;

/// A folder with its files.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    /// All names in the folder, sorted.
    pub fn names(&self) -> Vec<String> {
        names(self.0.path())
    }

    pub fn write(&self, name: &str, bytes: impl AsRef<[u8]>) {
        std::fs::write(self.path(name), bytes).unwrap();
    }

    pub fn read(&self, name: &str) -> Vec<u8> {
        std::fs::read(self.path(name)).unwrap()
    }

    pub fn options(&self) -> LedgerOptions {
        LedgerStore::options(config(self.root(), 475_000))
    }

    pub fn open(&self) -> LedgerStore {
        self.options().open().unwrap()
    }

    /// A store whose every file takes one record.
    pub fn open_with_small_files(&self) -> LedgerStore {
        LedgerStore::new(config(self.root(), 100)).unwrap()
    }
}

pub fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// An envelope like that of the request's first example: `[`, payloads with commas, `]`.
pub fn config(folder: &Path, max_file_size: usize) -> LedgerConfig {
    LedgerConfig {
        storage_location: folder.to_owned(),
        base_filename: "events".into(),
        max_file_size,
        header: Box::new(|| b"[".to_vec()),
        footer: Box::new(|| b"]".to_vec()),
        separator: b",".to_vec(),
    }
}

/// A record as the request describes it, made here and not by the library.
pub fn record(payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap();
    [&length.to_le_bytes(), &crc32fast::hash(payload).to_le_bytes(), payload].concat()
}

pub fn records(payloads: &[&[u8]]) -> Vec<u8> {
    payloads.iter().flat_map(|payload| record(payload)).collect()
}

/// What a reader yields, after a look at the promise that goes with it.
#[track_caller]
pub fn body(reader: &mut LedgerReader) -> Vec<u8> {
    let mut body = Vec::new();
    reader.read_to_end(&mut body).unwrap();
    assert_eq!(body.len() as u64, reader.content_length(), "content length");
    body
}

/// The payloads of a reader, as text.
pub fn payloads(reader: &LedgerReader) -> Vec<String> {
    reader.records().map(|payload| String::from_utf8(payload.unwrap()).unwrap()).collect()
}

/// The payloads of everything fetched.
pub fn all_payloads(fetched: &Fetched) -> Vec<String> {
    fetched.data.iter().flat_map(payloads).collect()
}

/// Fetches, reads and removes until there is nothing left.
pub fn drain(store: &LedgerStore) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(mut fetched) = store.fetch(None, None).unwrap() {
        for reader in &mut fetched.data {
            body(reader);
        }
        all.extend(all_payloads(&fetched));
        store.remove(&fetched.removable).unwrap();
    }
    all
}
