//! The suite that every store must pass, by the client through a live daemon: in clear, over TLS and over mutual TLS,
//! with ids as numbers and as the texts that they are on the wire.
#![allow(clippy::unwrap_used, missing_docs, reason = "a test")]

#[path = "daemon/certificates.rs"]
mod certificates;
#[path = "daemon/support.rs"]
#[allow(dead_code, reason = "shared with the other tests of the daemon")]
mod support;

use std::marker::PhantomData;
use std::sync::Mutex;

use bytes::Bytes;
use certificates::Authority;
use ledger_api::{Client, ClientBuilder, Tls};
use ledger_streams::conformance::{Harness, Promised};
use ledger_streams::{Durability, EntryId};
use support::{Daemon, Folder};

const CONFIG: &str = "max_message_bytes: 200000000\n";

/// How client and daemon are connected.
#[derive(Clone, Copy, PartialEq)]
enum Connection {
    Clear,
    /// The daemon shows a certificate.
    Tls,
    /// The client shows one too.
    MutualTls,
}

/// Daemons live as long as the case that they are for.
struct Live<Id> {
    connection: Connection,
    daemons: Mutex<Vec<Daemon>>,
    id: PhantomData<fn() -> Id>,
}

impl<Id: EntryId> Live<Id> {
    fn over(connection: Connection) -> Self {
        Self { connection, daemons: Mutex::default(), id: PhantomData }
    }

    async fn start(&self) -> (Daemon, ClientBuilder<Id>) {
        if self.connection == Connection::Clear {
            let daemon = Folder::new(CONFIG).start().await;
            let client = Client::at(daemon.address.to_string());
            return (daemon, client);
        }
        let authority = Authority::new();
        let is_mutual = self.connection == Connection::MutualTls;
        let daemon = authority.folder(CONFIG, is_mutual).start().await;
        let identity = is_mutual.then(|| authority.issue());
        let tls = Tls { ca: Some(authority.pem().into_bytes()), identity, domain: None };
        let client = Client::at(format!("localhost:{}", daemon.address.port())).tls(tls);
        (daemon, client)
    }
}

impl<Id: EntryId> Harness for Live<Id> {
    type Store = Client<Id>;
    async fn open(&self) -> Client<Id> {
        let (daemon, client) = self.start().await;
        let client = client.store("orders").connect().await.unwrap();
        let scheme = if self.connection == Connection::Clear { "http://" } else { "https://" };
        assert!(client.address().starts_with(scheme), "{}", client.address());
        self.daemons.lock().unwrap().push(daemon);
        client
    }
    fn promised(&self) -> Promised {
        Promised { search_index: false, ..Promised::EVERYTHING }
    }
    fn durability(&self) -> Durability {
        Durability::Synced
    }
    fn is_remote(&self) -> bool {
        true
    }
    fn missing_id(&self) -> Id {
        Id::parse("0").unwrap()
    }
    fn json(&self, text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }
    fn raw(&self, bytes: &[u8]) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(bytes))
    }
}

mod numbers_in_clear {
    use super::*;
    ledger_streams::conformance_suite!(Live::<i64>::over(Connection::Clear));
}

mod numbers_over_tls {
    use super::*;
    ledger_streams::conformance_suite!(Live::<i64>::over(Connection::Tls));
}

mod texts_over_mutual_tls {
    use super::*;
    ledger_streams::conformance_suite!(Live::<String>::over(Connection::MutualTls));
}
