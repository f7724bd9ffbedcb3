//! Appends in a pipeline.

use std::collections::VecDeque;
use std::marker::PhantomData;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use ledger_streams::limits::check_batch;
use ledger_streams::{Append, Appended, EntryId, Expect, StoreError};
use prost::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_stream::StreamExt;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status, Streaming};

use super::Client;
use super::connection::{Connection, NoAnswer, WriteGuard};
use super::failure::Call;
use super::retry::Repeat;
use crate::convert::{append_request, into_appended};
use crate::proto::append_session_response::Result as Answer;
use crate::proto::{AppendRequest, AppendResponse, AppendSessionRequest, AppendSessionResponse};
use crate::status::from_append_error;

/// Most appends that are under way at a time.
const MAX_IN_FLIGHT: usize = 1024;
/// Most bytes of appends that are under way at a time; a larger one goes alone.
const MAX_BYTES_IN_FLIGHT: u32 = 16 << 20;

/// Appends without waiting for each other's acknowledgement, over one call to the daemon.
///
/// [`append`](Self::append) returns as soon as there is room among the appends under way; what it returns resolves
/// when the daemon acknowledges. Acknowledgements come in the order of the appends, and everything appended to a
/// stream stands there in this order. An append that fails does not keep those behind it from being carried out.
///
/// A session does not outlive its connection: when that breaks, every append under way fails with an error that says
/// `outcome_unknown`, later ones fail too, and the caller opens another session.
///
/// ```no_run
/// # use ledger_streams::{Append, Expect};
/// # async fn example(client: ledger_api::Client<i64>) -> Result<(), ledger_streams::StoreError> {
/// let session = client.append_session().await?;
/// let mut acknowledgements = Vec::new();
/// for n in 0..1000 {
///     let entry = Append::new(format!("{n}").into());
///     acknowledgements.push(session.append("numbers", vec![entry], Expect::Any).await?);
/// }
/// for acknowledgement in acknowledgements {
///     acknowledgement.await?;
/// }
/// # Ok(()) }
/// ```
pub struct AppendSession<Id = String> {
    connection: Arc<Connection>,
    queue: mpsc::Sender<Queued>,
    room: Arc<Semaphore>,
    room_bytes: Arc<Semaphore>,
    reader: JoinHandle<()>,
    id: PhantomData<fn() -> Id>,
}

/// An append of a session on its way: resolves with its acknowledgement. Dropping it does not undo the append.
#[must_use = "whether the append succeeded is known when this resolves"]
pub struct PendingAppend<Id = String> {
    connection: Arc<Connection>,
    stream: String,
    answer: oneshot::Receiver<Result<AppendResponse, Status>>,
    id: PhantomData<fn() -> Id>,
}

/// An append that waits to be sent.
struct Queued {
    append: AppendRequest,
    waiter: Waiter,
}

/// Who waits for an acknowledgement.
struct Waiter {
    reply: oneshot::Sender<Result<AppendResponse, Status>>,
    since: Instant,
    _room: (OwnedSemaphorePermit, OwnedSemaphorePermit),
    _write: WriteGuard,
}

/// The appends that were sent and wait for their acknowledgement, oldest first.
#[derive(Clone, Default)]
struct Sent(Arc<Mutex<SentState>>);

#[derive(Default)]
struct SentState {
    waiters: VecDeque<(u64, Waiter)>,
    last_sequence: u64,
    ended: Option<Status>,
}

impl<Id: EntryId> Client<Id> {
    /// Opens a session of appends.
    ///
    /// # Errors
    /// [`StoreError::NotSupported`] from a daemon of the original.
    pub async fn append_session(&self) -> Result<AppendSession<Id>, StoreError> {
        let connection = self.connection.clone();
        let send = |request: Request<()>| {
            let (queue, queued) = mpsc::channel::<Queued>(MAX_IN_FLIGHT);
            let sent = Sent::default();
            let requests = ReceiverStream::new(queued).map({
                let sent = sent.clone();
                move |queued| sent.begin(queued)
            });
            let mut streaming = connection.streaming();
            async move {
                let answers = streaming.append_session(request.map(|()| requests)).await?;
                Ok(answers.map(|answers| (queue, sent, answers)))
            }
        };
        let opening = connection.call(Call::open("append session", ""), Repeat::Harmless, (), send);
        let (queue, sent, answers) = opening.await?;
        let reader = tokio::spawn(read_answers(answers, sent, connection.clone()));
        Ok(AppendSession {
            connection,
            queue,
            room: Arc::new(Semaphore::new(MAX_IN_FLIGHT)),
            room_bytes: Arc::new(Semaphore::new(MAX_BYTES_IN_FLIGHT as usize)),
            reader,
            id: PhantomData,
        })
    }
}

impl<Id: EntryId> AppendSession<Id> {
    /// Sends an append as soon as there is room for it.
    ///
    /// # Errors
    /// Those that need no answer of the daemon: a batch out of bounds, a closed client, a session that has ended.
    pub async fn append(
        &self,
        stream: &str,
        entries: Vec<Append<Bytes>>,
        expect: Expect<Id>,
    ) -> Result<PendingAppend<Id>, StoreError> {
        let write = self.connection.begin_write().await?;
        if !entries.is_empty() {
            check_batch(stream, &entries)?;
        }
        let append = append_request(stream, entries, &expect);
        let bytes = u32::try_from(append.encoded_len()).unwrap_or(u32::MAX).min(MAX_BYTES_IN_FLIGHT);
        let ended = || self.connection.explain(&Call::read("append", stream), session_ended());
        let room = self.room.clone().acquire_owned().await.map_err(|_| ended())?;
        let room_bytes = self.room_bytes.clone().acquire_many_owned(bytes).await.map_err(|_| ended())?;
        let (reply, answer) = oneshot::channel();
        let waiter = Waiter { reply, since: Instant::now(), _room: (room, room_bytes), _write: write };
        self.queue.send(Queued { append, waiter }).await.map_err(|_| ended())?;
        let connection = self.connection.clone();
        Ok(PendingAppend { connection, stream: stream.to_owned(), answer, id: PhantomData })
    }

    /// Ends the session after everything under way has been acknowledged.
    pub async fn finish(self) {
        drop(self.queue);
        // It ends when the daemon has answered everything, or with the connection.
        let _ = self.reader.await;
    }
}

impl<Id: EntryId> Future for PendingAppend<Id> {
    type Output = Result<Appended<Id>, StoreError>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.get_mut();
        let call = Call::write("append", &this.stream);
        Pin::new(&mut this.answer).poll(context).map(|answer| match answer {
            Ok(Ok(answer)) => into_appended(answer).map_err(|error| this.connection.malformed(&call, error)),
            Ok(Err(status)) => Err(this.connection.explain(&call, status)),
            // It was dropped before it was sent.
            Err(_) => Err(this.connection.explain(&Call::read("append", &this.stream), session_ended())),
        })
    }
}

fn session_ended() -> Status {
    Status::unavailable("the session has ended, so nothing was sent; open another one")
}

impl Sent {
    fn state(&self) -> MutexGuard<'_, SentState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a request as it is sent.
    fn begin(&self, queued: Queued) -> AppendSessionRequest {
        let mut state = self.state();
        state.last_sequence = state.last_sequence.wrapping_add(1);
        let sequence = state.last_sequence;
        match &state.ended {
            // Nobody cares whether the caller still listens.
            Some(status) => drop(queued.waiter.reply.send(Err(status.clone()))),
            None => state.waiters.push_back((sequence, queued.waiter)),
        }
        AppendSessionRequest { sequence, append: Some(queued.append) }
    }

    /// Passes on an answer.
    fn answer(&self, answer: AppendSessionResponse) -> Result<(), Status> {
        let mut state = self.state();
        let Some((_, waiter)) = state.waiters.pop_front_if(|(sequence, _)| *sequence == answer.sequence)
        else {
            return Err(SessionEnded("the daemon has answered out of order".to_owned()).into());
        };
        drop(state);
        let result = match answer.result {
            Some(Answer::Appended(answer)) => Ok(answer),
            Some(Answer::Error(error)) => Err(from_append_error(error)),
            None => Err(Status::unknown("the answer of the daemon is empty")),
        };
        drop(waiter.reply.send(result));
        Ok(())
    }

    /// Whether an append has waited since before this time.
    fn is_overdue(&self, limit: Instant) -> bool {
        self.state().waiters.front().is_some_and(|(_, waiter)| waiter.since < limit)
    }

    /// Fails everything that waits, now and later.
    fn end(&self, status: Status) {
        let mut state = self.state();
        for (_, waiter) in state.waiters.drain(..) {
            drop(waiter.reply.send(Err(status.clone())));
        }
        state.ended = Some(status);
    }
}

/// The session ended before the daemon had answered. It says nothing about single appends, even if the daemon said why.
#[derive(Debug, thiserror::Error)]
#[error("the session has ended: {0}")]
struct SessionEnded(String);

impl From<SessionEnded> for Status {
    fn from(error: SessionEnded) -> Self {
        Self::from_error(Box::new(error))
    }
}

async fn read_answers(
    mut answers: Streaming<AppendSessionResponse>,
    sent: Sent,
    connection: Arc<Connection>,
) {
    let patience = connection.timing.request_timeout;
    let ended = loop {
        let began = Instant::now();
        match tokio::time::timeout(patience, answers.message()).await {
            Ok(Ok(Some(answer))) => match sent.answer(answer) {
                Ok(()) => {}
                Err(status) => break status,
            },
            Ok(Ok(None)) => break SessionEnded("the daemon goes down".to_owned()).into(),
            Ok(Err(status)) => break SessionEnded(status.to_string()).into(),
            Err(_) if sent.is_overdue(began) => break NoAnswer(patience).into(),
            Err(_) => {}
        }
    };
    sent.end(ended);
}
