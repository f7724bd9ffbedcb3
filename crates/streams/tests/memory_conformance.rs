//! The in-memory store passes the suite that every store must pass.
#![allow(clippy::unwrap_used, reason = "a test")]

use bytes::Bytes;
use ledger_streams::conformance::{Harness, Promised};
use ledger_streams::{Durability, MemoryStore};

struct Memory;

impl Harness for Memory {
    type Store = MemoryStore;

    async fn open(&self) -> MemoryStore {
        MemoryStore::new("conformance").unwrap()
    }

    fn promised(&self) -> Promised {
        Promised { search_index: false, ..Promised::EVERYTHING }
    }

    fn durability(&self) -> Durability {
        Durability::Memory
    }

    fn missing_id(&self) -> i64 {
        0
    }

    fn json(&self, text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn raw(&self, bytes: &[u8]) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(bytes))
    }
}

ledger_streams::conformance_suite!(Memory);
