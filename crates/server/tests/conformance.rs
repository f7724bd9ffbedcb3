//! The suite that every store must pass, by the client through a live daemon.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "daemon/support.rs"]
#[allow(dead_code, reason = "shared with the other tests of the daemon")]
mod support;

use std::sync::Mutex;

use bytes::Bytes;
use ledger_api::Client;
use ledger_streams::Durability;
use ledger_streams::conformance::{Harness, Promised};
use support::Daemon;

/// Daemons live as long as the case that they are for.
#[derive(Default)]
struct Live(Mutex<Vec<Daemon>>);

impl Harness for Live {
    type Store = Client<i64>;
    async fn open(&self) -> Client<i64> {
        let daemon = Daemon::start("max_message_bytes: 200000000\n").await;
        let client = Client::at(daemon.address.to_string()).store("orders").connect().await.unwrap();
        self.0.lock().unwrap().push(daemon);
        client
    }
    fn promised(&self) -> Promised {
        Promised { search_index: false, cursors: false, find_by_source: false, ..Promised::EVERYTHING }
    }
    fn durability(&self) -> Durability {
        Durability::Synced
    }
    fn is_remote(&self) -> bool {
        true
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

ledger_streams::conformance_suite!(Live::default());
