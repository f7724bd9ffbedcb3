//! The way of a request to the daemon and of its answer back: headers, time limits, further attempts, errors.

use std::sync::Arc;
use std::time::Duration;

use ledger_streams::{StoreClosed, StoreError, StoreName};
use tokio::sync::{OwnedRwLockReadGuard, RwLock, watch};
use tokio::time::Instant;
use tonic::metadata::MetadataMap;
use tonic::transport::Channel;
use tonic::{Request, Response, Status};

use super::failure::Call;
use super::retry::{Backoff, Repeat};
use crate::proto::ledger_consumers_client::LedgerConsumersClient;
use crate::proto::ledger_service_client::LedgerServiceClient;
use crate::proto::ledger_streaming_client::LedgerStreamingClient;

/// Largest message that is taken from a daemon, in bytes: the largest payload with its attributes, and a page around
/// it.
const MAX_MESSAGE_BYTES: usize = 256 << 20;

/// Durations that govern a client; [`ClientBuilder`](super::ClientBuilder) explains them.
#[derive(Clone, Copy, Debug)]
pub(super) struct Timing {
    pub(super) request_timeout: Duration,
    pub(super) retry_for: Duration,
    pub(super) silence_timeout: Duration,
    pub(super) poll_interval: Duration,
}

/// What all clones of a client share.
pub(super) struct Connection {
    pub(super) address: String,
    pub(super) store: StoreName,
    pub(super) timing: Timing,
    channel: Channel,
    headers: MetadataMap,
    closed: watch::Sender<bool>,
    /// Held shared by writes under way, so that closing can wait for them.
    writes: Arc<RwLock<()>>,
}

impl Connection {
    pub(super) fn new(
        address: String,
        store: StoreName,
        channel: Channel,
        headers: MetadataMap,
        timing: Timing,
    ) -> Self {
        let closed = watch::Sender::new(false);
        Self { address, store, timing, channel, headers, closed, writes: Arc::default() }
    }

    /// Calls of one answer each.
    pub(super) fn service(&self) -> LedgerServiceClient<Channel> {
        LedgerServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Calls of many answers.
    pub(super) fn streaming(&self) -> LedgerStreamingClient<Channel> {
        LedgerStreamingClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// Calls for programs that process or copy streams.
    pub(super) fn consumers(&self) -> LedgerConsumersClient<Channel> {
        LedgerConsumersClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    /// A request with the headers of this client.
    pub(super) fn request<Q>(&self, message: Q) -> Request<Q> {
        Request::from_parts(self.headers.clone(), tonic::Extensions::default(), message)
    }

    pub(super) fn check_open(&self) -> Result<(), StoreError> {
        if *self.closed.borrow() { Err(self.closed_error()) } else { Ok(()) }
    }

    fn closed_error(&self) -> StoreError {
        StoreClosed { store: self.store.to_string() }.into()
    }

    /// Keeps [`close`](Self::close) waiting until the guard is dropped.
    pub(super) async fn begin_write(&self) -> Result<WriteGuard, StoreError> {
        let guard = self.writes.clone().read_owned().await;
        self.check_open()?;
        Ok(guard)
    }

    /// Refuses new operations, ends subscriptions, waits for writes.
    pub(super) async fn close(&self) {
        self.closed.send_replace(true);
        drop(self.writes.write().await);
    }

    /// Waits until the client is closed.
    pub(super) async fn closed(&self) {
        // The sender lives as long as this connection, so waiting cannot fail.
        let _ = self.closed.subscribe().wait_for(|closed| *closed).await;
    }

    /// Carries out a call, again where the failure allows it, and says what a failure means.
    pub(super) async fn call<Q, A, F>(
        &self,
        call: Call<'_>,
        repeat: Repeat,
        message: Q,
        send: impl Fn(Request<Q>) -> F + Send,
    ) -> Result<A, StoreError>
    where
        Q: Clone + Send,
        F: Future<Output = Result<Response<A>, Status>> + Send,
    {
        let deadline = Instant::now() + self.timing.retry_for;
        let mut backoff = Backoff::new();
        loop {
            self.check_open()?;
            let mut request = self.request(message.clone());
            let time_limit = self.timing.request_timeout;
            if !call.stays_open {
                request.set_timeout(time_limit);
            }
            let status = match tokio::time::timeout(time_limit, send(request)).await {
                Ok(Ok(answer)) => return Ok(answer.into_inner()),
                Ok(Err(status)) => status,
                Err(_) => return Err(self.explain(&call, NoAnswer(time_limit).into())),
            };
            if !repeat.allows(&status) || !backoff.wait_until(deadline).await {
                return Err(self.explain(&call, status));
            }
        }
    }
}

/// A write under way.
pub(super) type WriteGuard = OwnedRwLockReadGuard<()>;

/// Nobody answered in time.
#[derive(Debug, thiserror::Error)]
#[error("no answer within {0:?}")]
pub(super) struct NoAnswer(pub(super) Duration);

impl From<NoAnswer> for Status {
    fn from(error: NoAnswer) -> Self {
        Self::from_error(Box::new(error))
    }
}
