//! The conformance suite through a client and a live daemon.
#![allow(clippy::unwrap_used, clippy::panic, reason = "it is test code")]

mod common;

use std::sync::Mutex;

use bytes::Bytes;
use common::{Daemon, Service};
use ledger_api::Client;
use ledger_streams::conformance::{Harness, Promised};
use ledger_streams::{Durability, MemoryStore};

/// Daemons with this bound for their messages; small ones cut every page and list short.
struct Served {
    max_message_bytes: usize,
    max_streams: usize,
    daemons: Mutex<Vec<Daemon>>,
}

impl Served {
    fn with(max_message_bytes: usize, max_streams: usize) -> Self {
        Self { max_message_bytes, max_streams, daemons: Mutex::default() }
    }
}

impl Harness for Served {
    type Store = Client<i64>;

    async fn open(&self) -> Client<i64> {
        let service = Service::new(MemoryStore::new("orders").unwrap());
        let service =
            Service { max_message_bytes: self.max_message_bytes, max_streams: self.max_streams, ..service };
        let daemon = Daemon::serve(service, "127.0.0.1:0").await;
        let client = daemon.client().connect().await.unwrap();
        self.daemons.lock().unwrap().push(daemon);
        client
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

    fn is_remote(&self) -> bool {
        true
    }

    fn json(&self, text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }

    fn raw(&self, bytes: &[u8]) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(bytes))
    }
}

mod with_large_messages {
    use super::*;
    ledger_streams::conformance_suite!(Served::with(96 << 20, usize::MAX));
}

mod with_small_messages {
    use super::*;
    ledger_streams::conformance_suite!(Served::with(64 << 10, 3));
}
