//! The calls, one file per group.

mod append;
mod consumers;
mod health;
mod maintain;
mod read;
mod session;
mod subscribe;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use ledger_api::metadata::store_of;
use ledger_api::proto::ledger_consumers_server::LedgerConsumersServer;
use ledger_api::proto::ledger_service_server::{LedgerService, LedgerServiceServer};
use ledger_api::proto::ledger_streaming_server::{LedgerStreaming, LedgerStreamingServer};
use ledger_api::status::to_status;
use ledger_api::{metadata, proto};
use ledger_sqlite::SqliteStore;
use ledger_streams::{EntryId, StoreError};
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Request, Response, Status};

pub(crate) use health::probes;

use crate::keys::Keyring;
use crate::metrics::Metrics;
use crate::registry::Registry;

/// What every call needs.
pub(crate) struct Context {
    pub(crate) registry: Registry,
    pub(crate) max_message_bytes: usize,
    /// True once the daemon is about to stop: calls without an end have to end.
    pub(crate) stopping: watch::Receiver<bool>,
    pub(crate) keys: watch::Receiver<Arc<Keyring>>,
    pub(crate) metrics: Arc<Metrics>,
    /// Bytes of appends under way in sessions.
    pub(crate) session_bytes: AtomicUsize,
}

/// The services of the protocol. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Calls {
    context: Arc<Context>,
}

impl Calls {
    pub(crate) fn new(context: Arc<Context>) -> Self {
        Self { context }
    }

    pub(crate) fn service(&self) -> LedgerServiceServer<Self> {
        LedgerServiceServer::new(self.clone()).max_decoding_message_size(self.context.max_message_bytes)
    }

    pub(crate) fn streaming(&self) -> LedgerStreamingServer<Self> {
        LedgerStreamingServer::new(self.clone()).max_decoding_message_size(self.context.max_message_bytes)
    }

    pub(crate) fn consumers(&self) -> LedgerConsumersServer<Self> {
        LedgerConsumersServer::new(self.clone()).max_decoding_message_size(self.context.max_message_bytes)
    }

    /// The store that a call reads; `None` if there is none of this name.
    async fn existing_store(&self, metadata: &MetadataMap) -> Result<Option<SqliteStore>, Status> {
        self.context.registry.find(store_of(metadata)?).await.map_err(refuse)
    }

    /// The store that a call appends to.
    async fn store_to_append(&self, metadata: &MetadataMap) -> Result<SqliteStore, Status> {
        self.context.registry.find_or_create(store_of(metadata)?).await.map_err(refuse)
    }
}

/// The status for an error of a store; what the client is not told goes into the log.
fn refuse(error: StoreError) -> Status {
    log_failure(&error);
    to_status(&error)
}

fn log_failure(error: &StoreError) {
    match error {
        StoreError::Backend(_)
        | StoreError::Corrupt(_)
        | StoreError::StorageFull(_)
        | StoreError::Locked(_) => {
            let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
            tracing::error!(err = %error, source, "request failed");
        }
        _ => {}
    }
}

/// Refuses an empty id.
fn check_id(field: &'static str, id: &str) -> Result<(), Status> {
    if id.is_empty() { Err(ledger_api::status::RequestError::Empty { field }.into()) } else { Ok(()) }
}

fn parse_id(id: &str) -> Result<i64, Status> {
    i64::parse(id).map_err(|error| to_status(&error.into()))
}

fn count(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[tonic::async_trait]
impl LedgerService for Calls {
    async fn append(
        &self,
        request: Request<proto::AppendRequest>,
    ) -> Result<Response<proto::AppendResponse>, Status> {
        self.append_batch(request).await.map(Response::new)
    }

    async fn read(
        &self,
        request: Request<proto::ReadRequest>,
    ) -> Result<Response<proto::ReadResponse>, Status> {
        self.read_page(request).await.map(Response::new)
    }

    async fn count(
        &self,
        request: Request<proto::CountRequest>,
    ) -> Result<Response<proto::CountResponse>, Status> {
        self.count_entries(request).await.map(Response::new)
    }

    async fn set_tags(
        &self,
        request: Request<proto::SetTagsRequest>,
    ) -> Result<Response<proto::SetTagsResponse>, Status> {
        self.replace_tags(request).await.map(Response::new)
    }

    async fn set_annotations(
        &self,
        request: Request<proto::SetAnnotationsRequest>,
    ) -> Result<Response<proto::SetAnnotationsResponse>, Status> {
        self.change_annotations(request).await.map(Response::new)
    }

    async fn trim(
        &self,
        request: Request<proto::TrimRequest>,
    ) -> Result<Response<proto::TrimResponse>, Status> {
        self.trim_stream(request).await.map(Response::new)
    }

    async fn list_stream_i_ds(
        &self,
        request: Request<proto::ListStreamIDsRequest>,
    ) -> Result<Response<proto::ListStreamIDsResponse>, Status> {
        self.list_names(request).await.map(Response::new)
    }

    async fn rename_stream(
        &self,
        request: Request<proto::RenameStreamRequest>,
    ) -> Result<Response<proto::RenameStreamResponse>, Status> {
        self.rename(request).await.map(Response::new)
    }

    async fn stat(
        &self,
        request: Request<proto::StatRequest>,
    ) -> Result<Response<proto::StatResponse>, Status> {
        self.stat_stream(request).await.map(Response::new)
    }

    async fn search(
        &self,
        request: Request<proto::SearchRequest>,
    ) -> Result<Response<proto::SearchResponse>, Status> {
        self.search_payloads(request).await.map(Response::new)
    }

    async fn health(
        &self,
        _: Request<proto::HealthRequest>,
    ) -> Result<Response<proto::HealthResponse>, Status> {
        let status = if self.context.is_ready().await { "ok" } else { "degraded" };
        Ok(Response::new(proto::HealthResponse { status: status.to_owned() }))
    }
}

#[tonic::async_trait]
impl LedgerStreaming for Calls {
    type AppendSessionStream = ReceiverStream<Result<proto::AppendSessionResponse, Status>>;
    type SubscribeStream = ReceiverStream<Result<proto::SubscribeResponse, Status>>;

    async fn append_session(
        &self,
        request: Request<tonic::Streaming<proto::AppendSessionRequest>>,
    ) -> Result<Response<Self::AppendSessionStream>, Status> {
        self.begin_session(request).await.map(Response::new)
    }

    async fn subscribe(
        &self,
        request: Request<proto::SubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        self.begin_subscription(request).await.map(Response::new)
    }
}

/// The end of a call without an end.
enum Ending {
    Stopping,
    Revoked,
}

impl From<Ending> for Status {
    fn from(ending: Ending) -> Self {
        match ending {
            Ending::Stopping => Self::unavailable("the daemon is stopping; connect again"),
            Ending::Revoked => crate::guard::unauthenticated(),
        }
    }
}

/// Waits until calls without an end have to end.
struct Endings {
    stopping: watch::Receiver<bool>,
    keys: watch::Receiver<Arc<Keyring>>,
    caller: Option<crate::guard::Caller>,
}

impl Endings {
    fn of<T>(context: &Context, request: &Request<T>) -> Self {
        Self {
            stopping: context.stopping.clone(),
            keys: context.keys.clone(),
            caller: request.extensions().get().cloned(),
        }
    }

    /// Cancel-safe.
    async fn wait(&mut self) -> Ending {
        loop {
            tokio::select! {
                _ = self.stopping.wait_for(|stopping| *stopping) => return Ending::Stopping,
                changed = self.keys.changed() => {
                    let keyring = self.keys.borrow_and_update().clone();
                    let is_known = |caller: &crate::guard::Caller| keyring.knows(&caller.0);
                    if changed.is_err() {
                        return Ending::Stopping;
                    }
                    if !self.caller.as_ref().is_some_and(is_known) {
                        return Ending::Revoked;
                    }
                }
            }
        }
    }
}

fn is_exact(metadata: &MetadataMap) -> bool {
    metadata::is_exact(metadata)
}
