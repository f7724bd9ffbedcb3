//! A small daemon over a store in memory: enough of the protocol to test a client, and nothing else.
#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "it is test code")]

mod original;
mod service;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use ledger_api::proto::ledger_consumers_server::LedgerConsumersServer;
use ledger_api::proto::ledger_service_server::LedgerServiceServer;
use ledger_api::proto::ledger_streaming_server::LedgerStreamingServer;
use ledger_api::{Client, ClientBuilder};
use ledger_streams::MemoryStore;
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tonic::transport::Server;
use tonic::transport::server::{Router, TcpIncoming};

pub use original::Original;
pub use service::Service;

/// Larger than the largest batch.
const MAX_REQUEST_BYTES: usize = 160 << 20;

/// A daemon on a free port of this machine; dropped, it is gone with all its connections.
pub struct Daemon {
    pub address: SocketAddr,
    pub store: MemoryStore,
    /// Subscriptions that were asked for.
    pub subscriptions: Arc<AtomicUsize>,
    runtime: Option<Runtime>,
}

impl Daemon {
    pub async fn start() -> Self {
        Self::serve(Service::new(MemoryStore::new("orders").unwrap()), "127.0.0.1:0").await
    }

    pub async fn serve(service: Service, address: &str) -> Self {
        Self::serve_on(Server::builder(), service, address).await
    }

    /// A daemon on a server with settings of its own, such as TLS.
    pub async fn serve_on(mut server: Server, service: Service, address: &str) -> Self {
        let (store, subscriptions) = (service.store.clone(), service.subscriptions.clone());
        let streaming = LedgerStreamingServer::new(service.clone());
        let consumers = LedgerConsumersServer::new(service.clone());
        let routes = server
            .add_service(LedgerServiceServer::new(service).max_decoding_message_size(MAX_REQUEST_BYTES))
            .add_service(streaming.max_decoding_message_size(MAX_REQUEST_BYTES))
            .add_service(consumers);
        Self::run(routes, store, subscriptions, address).await
    }

    /// A daemon of the original: no services but the first, nothing of what was added.
    pub async fn original() -> Self {
        let store = MemoryStore::new("orders").unwrap();
        let service = Original(Service::new(store.clone()));
        let routes = Server::builder().add_service(LedgerServiceServer::new(service));
        Self::run(routes, store, Arc::default(), "127.0.0.1:0").await
    }

    async fn run(routes: Router, store: MemoryStore, subscriptions: Arc<AtomicUsize>, address: &str) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let address: SocketAddr = address.parse().unwrap();
        // The port of a daemon that was just killed may take a moment to become free.
        let listener = loop {
            match TcpListener::bind(address).await {
                Err(error) if error.kind() == ErrorKind::AddrInUse => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                listener => break listener.unwrap().into_std().unwrap(),
            }
        };
        let address = listener.local_addr().unwrap();
        runtime.spawn(async move {
            let incoming = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
            routes.serve_with_incoming(incoming).await.unwrap();
        });
        Self { address, store, subscriptions, runtime: Some(runtime) }
    }

    /// Kills the daemon and waits until it is gone.
    pub async fn kill(mut self) {
        let runtime = self.runtime.take().unwrap();
        tokio::task::spawn_blocking(move || runtime.shutdown_timeout(Duration::from_secs(60))).await.unwrap();
    }

    pub fn client<Id>(&self) -> ClientBuilder<Id> {
        Client::at(self.address.to_string()).store("orders")
    }
}

impl Drop for Daemon {
    /// The runtime takes all connections with it, as a killed process does.
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
