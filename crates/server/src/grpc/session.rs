//! `AppendSession`: appends in a pipeline, answered in the order of the requests.

use std::pin::Pin;

use futures_util::stream::FuturesOrdered;
use futures_util::{FutureExt, StreamExt};
use ledger_api::convert::{appended, into_append};
use ledger_api::metadata::check_given;
use ledger_api::proto::append_session_response::Result as Answer;
use ledger_api::proto::{AppendSessionRequest, AppendSessionResponse};
use ledger_api::status::{RequestError, request_to_append_error, to_append_error};
use ledger_sqlite::SqliteStore;
use ledger_streams::Store;
use prost::Message;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request, Status, Streaming};

use super::{Calls, Endings, is_exact, log_failure};

/// Most appends of one session under way.
const MAX_PENDING: usize = 1024;
/// Bytes of appends under way above which no more are taken in.
const MAX_PENDING_BYTES: usize = 16 << 20;
/// Answers that wait for the client.
const MAX_WAITING_ANSWERS: usize = 64;

type Pending = Pin<Box<dyn Future<Output = (AppendSessionResponse, usize)> + Send>>;

impl Calls {
    pub(super) async fn begin_session(
        &self,
        request: Request<Streaming<AppendSessionRequest>>,
    ) -> Result<ReceiverStream<Result<AppendSessionResponse, Status>>, Status> {
        let store = self.store_to_append(request.metadata()).await?;
        let endings = Endings::of(&self.context, &request);
        let (metadata, _, requests) = request.into_parts();
        let (answers, stream) = mpsc::channel(MAX_WAITING_ANSWERS);
        let session = Session { store, metadata, pending: FuturesOrdered::new(), pending_bytes: 0 };
        tokio::spawn(session.run(requests, answers, endings));
        Ok(ReceiverStream::new(stream))
    }
}

struct Session {
    store: SqliteStore,
    metadata: MetadataMap,
    pending: FuturesOrdered<Pending>,
    pending_bytes: usize,
}

impl Session {
    /// Until the client has sent everything and has every answer, or is gone, or has to go.
    async fn run(
        mut self,
        mut requests: Streaming<AppendSessionRequest>,
        answers: mpsc::Sender<Result<AppendSessionResponse, Status>>,
        mut endings: Endings,
    ) {
        let mut end = None;
        while end.is_none() || !self.pending.is_empty() {
            let has_room = self.pending.len() < MAX_PENDING && self.pending_bytes < MAX_PENDING_BYTES;
            tokio::select! {
                () = answers.closed() => return,
                ending = endings.wait(), if end.is_none() => end = Some(Err(ending.into())),
                Some((answer, bytes)) = self.pending.next() => {
                    self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
                    if answers.send(Ok(answer)).await.is_err() {
                        return;
                    }
                }
                request = requests.message(), if has_room && end.is_none() => match request {
                    Ok(Some(request)) => self.take_in(request),
                    Ok(None) => end = Some(Ok(())),
                    Err(status) => end = Some(Err(as_clients_know_it(status))),
                },
            }
        }
        if let Some(Err(status)) = end {
            let _ = answers.send(Err(status)).await;
        }
    }

    /// Starts an append. It is polled once here, which puts it into the queue of the writer: so appends reach the
    /// writer in the order of the session.
    fn take_in(&mut self, request: AppendSessionRequest) {
        let bytes = request.encoded_len();
        let sequence = request.sequence;
        let metadata = &self.metadata;
        let checked = request.append.ok_or(RequestError::Empty { field: "append" }).and_then(|append| {
            check_given(metadata, "stream", &append.stream)?;
            into_append(append, is_exact(metadata))
        });
        let store = self.store.clone();
        let mut append: Pending = Box::pin(tokio::task::unconstrained(async move {
            let result = match checked {
                Err(error) => Answer::Error(request_to_append_error(error)),
                Ok((stream, entries, expect)) => match store.append(&stream, entries, expect).await {
                    Ok(answer) => Answer::Appended(appended(&answer)),
                    Err(error) => {
                        log_failure(&error);
                        Answer::Error(to_append_error(&error))
                    }
                },
            };
            (AppendSessionResponse { sequence, result: Some(result) }, bytes)
        }));
        self.pending_bytes = self.pending_bytes.saturating_add(bytes);
        match append.as_mut().now_or_never() {
            Some(answer) => self.pending.push_back(Box::pin(std::future::ready(answer))),
            None => self.pending.push_back(append),
        }
    }
}

/// A message over the limit is `RESOURCE_EXHAUSTED` to clients; the transport says `OUT_OF_RANGE`.
fn as_clients_know_it(status: Status) -> Status {
    if status.code() == Code::OutOfRange { Status::resource_exhausted(status.message()) } else { status }
}
