//! The suite that every store must pass, on each way in which a store of this crate can be opened.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

use bytes::Bytes;
use ledger_sqlite::{SqliteStore, StreamNames};
use ledger_streams::Durability;
use ledger_streams::conformance::{Harness, Promised};

/// Opens stores in one folder, which goes when the tests end.
struct Sqlite {
    names: StreamNames,
    full_text_search: bool,
}

fn fresh_file() -> std::path::PathBuf {
    static FOLDER: std::sync::LazyLock<tempfile::TempDir> =
        std::sync::LazyLock::new(|| tempfile::tempdir().unwrap());
    static NEXT: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    FOLDER.path().join(format!("{}.db", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)))
}

impl Harness for Sqlite {
    type Store = SqliteStore;

    async fn open(&self) -> SqliteStore {
        let options = SqliteStore::open(fresh_file()).durability(Durability::Os);
        options.stream_names(self.names).full_text_search(self.full_text_search).build().await.unwrap()
    }

    fn promised(&self) -> Promised {
        Promised { rename: self.names == StreamNames::Mapped, ..Promised::EVERYTHING }
    }

    fn durability(&self) -> Durability {
        Durability::Os
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

mod names_as_they_are {
    use super::*;
    const STORE: Sqlite = Sqlite { names: StreamNames::Direct, full_text_search: false };
    ledger_streams::conformance_suite!(STORE);
    ledger_streams::conformance_suite_of_transactions!(STORE);
}

mod mapped_names {
    use super::*;
    const STORE: Sqlite = Sqlite { names: StreamNames::Mapped, full_text_search: false };
    ledger_streams::conformance_suite!(STORE);
    ledger_streams::conformance_suite_of_transactions!(STORE);
}

mod search_index {
    use super::*;
    const STORE: Sqlite = Sqlite { names: StreamNames::Direct, full_text_search: true };
    ledger_streams::conformance_suite!(STORE);
}
