//! Failures that a daemon has to be brought to from inside, as clients see them (specification §5.5).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use ledger_api::Client;
use ledger_api::proto::ledger_service_client::LedgerServiceClient;
use ledger_sqlite::{Access, Database};
use ledger_streams::{
    AnnotationChanges, Append, Expect, Position, Read, RenameStream as _, Store as _, StoreError,
    Subscribe as _,
};
use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic::{Code, Request};

use super::*;
use crate::Config;
use crate::listener::Admission;

/// Serves what is in a database.
async fn serve(database: Database) -> (SocketAddr, Arc<Context>) {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keyring::load(&Config::defaults(folder.path()), folder.path()).unwrap();
    let metrics = Metrics::new(Admission::new(10), database.clone());
    let context = Arc::new(Context {
        registry: Registry::new(database),
        max_message_bytes: 1 << 20,
        stopping: watch::channel(false).1,
        keys: watch::channel(Arc::new(keys)).1,
        metrics,
        session_bytes: AtomicUsize::new(0),
    });
    let calls = Calls::new(context.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tonic::transport::Server::builder()
        .add_service(calls.service())
        .add_service(calls.streaming())
        .serve_with_incoming(TcpIncoming::from(listener));
    tokio::spawn(server);
    (address, context)
}

async fn client(address: SocketAddr) -> Client<i64> {
    let client = Client::at(address.to_string()).store("orders").retry_for(Duration::ZERO);
    client.connect().await.unwrap()
}

fn entry() -> Vec<Append<Bytes>> {
    vec![Append::new(Bytes::from_static(b"a"))]
}

/// Code and message of an append by a generated client.
async fn refusal(address: SocketAddr) -> (Code, String) {
    let channel = tonic::transport::Channel::from_shared(format!("http://{address}")).unwrap();
    let mut service = LedgerServiceClient::new(channel.connect().await.unwrap());
    let entries = vec![proto::EntryInput { payload: "a".into(), ..Default::default() }];
    let message = proto::AppendRequest { stream: "s".to_owned(), entries, expect: None };
    let mut request = Request::new(message);
    request.metadata_mut().insert(metadata::STORE, "orders".parse().unwrap());
    let status = service.append(request).await.unwrap_err();
    (status.code(), status.message().to_owned())
}

#[tokio::test]
async fn a_closed_store_is_unavailable() {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(folder.path().join("ledger.db")).connect().await.unwrap();
    let (address, context) = serve(database).await;
    let client = client(address).await;
    client.append("s", entry(), Expect::Any).await.unwrap();
    let mut live = client.subscribe("s", Position::Start).await.unwrap();
    live.next().await.unwrap();

    context.registry.close().await;
    assert_eq!(refusal(address).await, (Code::Unavailable, "store closed".to_owned()));
    let closed = |error: StoreError| assert!(matches!(error, StoreError::Closed(_)), "{error:?}");
    closed(client.append("s", entry(), Expect::Any).await.unwrap_err());
    closed(client.read("s", &Read::new()).await.unwrap_err());
    closed(client.count("s").await.unwrap_err());
    closed(client.stat("s").await.unwrap_err());
    closed(client.trim("s", &1).await.unwrap_err());
    closed(client.set_tags("s", &1, Vec::new()).await.unwrap_err());
    closed(client.set_annotations("s", &1, AnnotationChanges::new()).await.unwrap_err());
    closed(client.rename_stream("s", "t").await.unwrap_err());
    closed(client.list_streams(None, 1).await.unwrap_err());
}

#[tokio::test]
async fn a_store_that_may_only_be_read_refuses_writes_and_serves_reads() {
    let folder = tempfile::tempdir().unwrap();
    let open = |access| Database::open(folder.path().join("ledger.db")).access(access).connect();
    let database = open(Access::Create).await.unwrap();
    let store =
        database.store("orders").stream_names(ledger_sqlite::StreamNames::Mapped).open().await.unwrap();
    store.append("s", entry(), Expect::Any).await.unwrap();
    database.close().await;

    let (address, _context) = serve(open(Access::ReadOnly).await.unwrap()).await;
    let client = client(address).await;
    assert_eq!(refusal(address).await, (Code::FailedPrecondition, "stream is read-only".to_owned()));
    let refused = |error: StoreError| assert!(matches!(error, StoreError::ReadOnly(_)), "{error:?}");
    refused(client.append("s", entry(), Expect::Any).await.unwrap_err());
    refused(client.trim("s", &1).await.unwrap_err());
    refused(client.set_tags("s", &1, Vec::new()).await.unwrap_err());
    refused(client.set_annotations("s", &1, AnnotationChanges::new()).await.unwrap_err());
    refused(client.rename_stream("s", "t").await.unwrap_err());
    assert_eq!(client.count("s").await.unwrap(), 1);
    assert_eq!(client.read("s", &Read::new()).await.unwrap().len(), 1);
}
