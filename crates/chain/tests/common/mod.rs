//! What the tests of this crate share: the fixtures, and a walk over the entries of a directory.
#![allow(dead_code, reason = "every test file uses a part of it")]

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use ledger_chain::{
    WriteSet,
    format::{ChunkHeader, ChunkName, Entry, FileName},
    verify::{Report, Secrets, Verifier},
    writer::{Settings, load_secrets},
};
use ledger_fs::{Dir, RealDir};

pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The three ledgers of genuine services.
pub(crate) const REAL: [&str; 3] =
    ["real/acme_containing_service", "real/cose_flipflop_service", "real/eol_service"];

/// The chunks of a directory in the order of their entries.
pub(crate) fn chunks(folder: &Path) -> Vec<(ChunkName, PathBuf)> {
    let mut found: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter_map(|path| match FileName::parse(path.file_name().unwrap().to_str().unwrap()) {
            FileName::Chunk(name) => Some((name, path)),
            _ => None,
        })
        .collect();
    found.sort_by_key(|(name, _)| name.start);
    found
}

/// Calls `visit` with every entry of a directory.
pub(crate) fn each_entry(folder: &Path, mut visit: impl FnMut(Entry<'_>)) {
    for (_, path) in chunks(folder) {
        let bytes = fs::read(&path).unwrap();
        let header = ChunkHeader::parse(bytes[..8].try_into().unwrap(), bytes.len() as u64).unwrap();
        let mut rest = &bytes[8..header.entries_end as usize];
        while !rest.is_empty() {
            let (entry, after) = Entry::parse(rest).unwrap();
            visit(entry);
            rest = after;
        }
    }
}

pub(crate) fn expected() -> serde_json::Value {
    serde_json::from_slice(&fs::read(fixture("valid/expected.json")).unwrap()).unwrap()
}

pub(crate) fn open(path: &Path) -> Arc<dyn Dir> {
    Arc::new(RealDir::open(path).unwrap())
}

pub(crate) fn verify(path: &Path) -> Report {
    Verifier::new().verify(&open(path)).unwrap()
}

/// Signatures come by count or on demand, never by the clock.
pub(crate) fn settings() -> Settings {
    Settings { sign_after: Duration::from_secs(3600), ..Settings::default() }
}

/// The ledger secrets of a home.
pub(crate) fn secrets(home: &Path) -> Secrets {
    load_secrets(&*open(&home.join("keys"))).unwrap()
}

/// One public write.
pub(crate) fn record(key: &str, value: &str) -> WriteSet {
    let mut writes = WriteSet::new();
    writes.put("public:app.records", key, value);
    writes
}
