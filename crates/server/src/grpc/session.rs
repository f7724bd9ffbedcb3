//! `AppendSession`: appends in a pipeline, answered in the order of the requests.
//!
//! What a session holds is bounded whatever its client does: it takes in no more while enough is under way, in itself or
//! in all sessions together, and it ends when its client does not take the answers.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

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

use super::append::payload_bytes;
use super::{Calls, Context, Endings, is_exact, log_failure};

/// Most appends of one session under way.
const MAX_PENDING: usize = 1024;
/// Bytes of appends under way above which no more are taken in.
const MAX_PENDING_BYTES: usize = 16 << 20;
/// The same for all sessions together. Above it a session still has one append under way, so that all go on.
const MAX_PENDING_BYTES_OF_ALL: usize = 256 << 20;
/// Answers that wait for the client.
const MAX_WAITING_ANSWERS: usize = 64;
/// How long an answer may wait to be taken before the session ends.
const MAX_ANSWER_WAIT: Duration = Duration::from_secs(60);

type Pending = Pin<Box<dyn Future<Output = (AppendSessionResponse, usize)> + Send>>;

impl Calls {
    pub(super) async fn begin_session(
        &self,
        request: Request<Streaming<AppendSessionRequest>>,
    ) -> Result<ReceiverStream<Result<AppendSessionResponse, Status>>, Status> {
        let store = self.store_to_append(request.metadata()).await?;
        let endings = Endings::of(&self.context, &request);
        let (metadata, _, requests) = request.into_parts();
        // The last place is for the status that the session ends with: a client that is late with the answers before
        // it must not take the end for a good one.
        let (answers, stream) = mpsc::channel(MAX_WAITING_ANSWERS.saturating_add(1));
        let last =
            answers.clone().try_reserve_owned().map_err(|_| Status::internal("a new channel is full"))?;
        let context = self.context.clone();
        let session = Session { context, store, metadata, pending: FuturesOrdered::new(), pending_bytes: 0 };
        tokio::spawn(async move {
            if let Err(status) = session.run(requests, answers, endings, MAX_ANSWER_WAIT).await {
                last.send(Err(status));
            }
        });
        Ok(ReceiverStream::new(stream))
    }
}

struct Session {
    context: Arc<Context>,
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
        max_answer_wait: Duration,
    ) -> Result<(), Status> {
        let mut end = None;
        while end.is_none() || !self.pending.is_empty() {
            let has_room = self.has_room();
            tokio::select! {
                () = answers.closed() => return Ok(()),
                ending = endings.wait(), if end.is_none() => end = Some(Err(ending.into())),
                Some((answer, bytes)) = self.pending.next() => {
                    self.let_go_of(bytes);
                    deliver(answer, &answers, &mut endings, max_answer_wait).await?;
                }
                request = requests.message(), if has_room && end.is_none() => match request {
                    Ok(Some(request)) => self.take_in(request),
                    Ok(None) => end = Some(Ok(())),
                    Err(status) => end = Some(Err(as_clients_know_it(status))),
                },
            }
        }
        end.unwrap_or(Ok(()))
    }

    fn has_room(&self) -> bool {
        let of_all = self.context.session_bytes.load(Ordering::Relaxed);
        self.pending.is_empty()
            || (self.pending.len() < MAX_PENDING
                && self.pending_bytes < MAX_PENDING_BYTES
                && of_all < MAX_PENDING_BYTES_OF_ALL)
    }

    fn let_go_of(&mut self, bytes: usize) {
        self.pending_bytes = self.pending_bytes.saturating_sub(bytes);
        self.context.session_bytes.fetch_sub(bytes, Ordering::Relaxed);
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
        let (store, context) = (self.store.clone(), self.context.clone());
        let mut append: Pending = Box::pin(tokio::task::unconstrained(async move {
            let result = match checked {
                Err(error) => Answer::Error(request_to_append_error(error)),
                Ok((stream, entries, expect)) => {
                    let payload_bytes = payload_bytes(&entries);
                    match store.append(&stream, entries, expect).await {
                        Ok(answer) => {
                            context.metrics.appended(answer.ids.len(), payload_bytes);
                            Answer::Appended(appended(&answer))
                        }
                        Err(error) => {
                            log_failure(&error);
                            Answer::Error(to_append_error(&error))
                        }
                    }
                }
            };
            (AppendSessionResponse { sequence, result: Some(result) }, bytes)
        }));
        self.pending_bytes = self.pending_bytes.saturating_add(bytes);
        self.context.session_bytes.fetch_add(bytes, Ordering::Relaxed);
        match append.as_mut().now_or_never() {
            Some(answer) => self.pending.push_back(Box::pin(std::future::ready(answer))),
            None => self.pending.push_back(append),
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.context.session_bytes.fetch_sub(self.pending_bytes, Ordering::Relaxed);
    }
}

/// Hands an answer over as soon as its client takes one.
async fn deliver(
    answer: AppendSessionResponse,
    answers: &mpsc::Sender<Result<AppendSessionResponse, Status>>,
    endings: &mut Endings,
    max_wait: Duration,
) -> Result<(), Status> {
    tokio::select! {
        // A client that is gone is noticed by the caller.
        _ = answers.send(Ok(answer)) => Ok(()),
        ending = endings.wait() => Err(ending.into()),
        () = tokio::time::sleep(max_wait) => Err(Status::deadline_exceeded(
            "the session was ended because its answers were not taken; what was sent and not answered may have been \
             appended: repeat it only with dedup keys",
        )),
    }
}

/// A message over the limit is `RESOURCE_EXHAUSTED` to clients; the transport says `OUT_OF_RANGE`.
fn as_clients_know_it(status: Status) -> Status {
    if status.code() == Code::OutOfRange { Status::resource_exhausted(status.message()) } else { status }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::sync::watch;

    use super::*;
    use crate::keys::Keyring;
    use crate::{Config, KeyFile, Right};

    #[tokio::test]
    async fn an_answer_that_nobody_takes_ends_its_session_and_so_do_a_stop_and_a_revoked_key() {
        let (answers, mut taken) = mpsc::channel(1);
        answers.try_send(Ok(AppendSessionResponse::default())).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let ring = || Arc::new(Keyring::load(&Config::defaults(folder.path()), folder.path()).unwrap());
        let file = KeyFile::new(folder.path());
        let key =
            file.create("k", BTreeSet::new(), [Right::Write].into(), jiff::Timestamp::UNIX_EPOCH).unwrap();
        let caller = Some(crate::guard::Caller(ring().identify(key.as_bytes()).unwrap()));
        let (keys, latest_keys) = watch::channel(ring());
        let (stop, stopping) = watch::channel(false);
        let mut endings = Endings { stopping, keys: latest_keys, caller };
        let deliver = async |endings: &mut Endings, max_wait| {
            deliver(AppendSessionResponse::default(), &answers, endings, max_wait).await
        };
        let end = deliver(&mut endings, Duration::from_millis(20)).await;
        assert_eq!(end.unwrap_err().code(), Code::DeadlineExceeded);
        file.revoke("k").unwrap();
        keys.send_replace(ring());
        let end = deliver(&mut endings, Duration::MAX).await;
        assert_eq!(end.unwrap_err().code(), Code::Unauthenticated);
        stop.send_replace(true);
        let end = deliver(&mut endings, Duration::MAX).await;
        assert_eq!(end.unwrap_err().code(), Code::Unavailable);
        taken.recv().await.unwrap().unwrap();
    }
}
