//! A subscription over the network: pushed by the daemon, resumed behind the last entry when the connection breaks,
//! polled where the daemon cannot push.

use std::mem;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use ledger_streams::{Backend, EntryId, Event, Order, Read, Source, Store, StoreError};
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

use super::Client;
use super::connection::NoAnswer;
use super::failure::Call;
use super::retry::{Backoff, Fate, Repeat, fate};
use crate::convert::into_events;
use crate::proto::{SubscribeRequest, SubscribeResponse};

/// Entries and payload bytes of a page while polling.
const PAGE_ENTRIES: usize = 256;
const PAGE_BYTES: usize = 1 << 20;

type Opening = BoxFuture<'static, Result<Streaming<SubscribeResponse>, Status>>;

/// The [`Source`] of subscriptions to a daemon.
///
/// Everything under way is kept in the fields, so a dropped `next_batch` loses neither an event nor an attempt to
/// connect.
pub(super) struct Following<Id> {
    client: Client<Id>,
    stream: String,
    /// The last entry that was delivered.
    after: Option<Id>,
    state: State,
    backoff: Backoff,
    /// The consumer knows that it has everything. A new connection must not tell it again.
    caught_up: bool,
}

enum State {
    /// Connecting, maybe after a wait.
    Opening(Opening),
    /// The daemon pushes, and is given up if it stays silent until the deadline.
    Pushed { pushed: Box<Streaming<SubscribeResponse>>, deadline: Instant },
    /// The daemon cannot push: ask it at this time.
    Polled(Instant),
}

impl State {
    fn pushed(pushed: Streaming<SubscribeResponse>, silence_timeout: Duration) -> Self {
        Self::Pushed { pushed: Box::new(pushed), deadline: Instant::now() + silence_timeout }
    }
}

impl<Id: EntryId> Following<Id> {
    /// Begins behind an id, or at the oldest entry.
    pub(super) async fn begin(
        client: Client<Id>,
        stream: &str,
        after: Option<Id>,
    ) -> Result<Self, StoreError> {
        let request = request(stream, after.as_ref());
        let send = |request| {
            let mut streaming = client.connection.streaming();
            async move { streaming.subscribe(request).await }
        };
        let call = Call::open("subscribe", stream);
        let state = match client.connection.call(call, Repeat::Harmless, request, send).await {
            Ok(pushed) => State::pushed(pushed, client.connection.timing.silence_timeout),
            Err(StoreError::NotSupported(_)) => State::Polled(Instant::now()),
            Err(error) => return Err(error),
        };
        let (stream, backoff) = (stream.to_owned(), Backoff::new());
        Ok(Self { client, stream, after, state, backoff, caught_up: false })
    }

    /// Connects anew behind the last entry, after a wait.
    fn reopen(&mut self) {
        let connection = self.client.connection.clone();
        let message = request(&self.stream, self.after.as_ref());
        let wait = self.backoff.next_wait();
        self.state = State::Opening(Box::pin(async move {
            tokio::time::sleep(wait).await;
            // No time limit travels with it: it would end the subscription itself.
            let mut streaming = connection.streaming();
            let opening = streaming.subscribe(connection.request(message));
            match tokio::time::timeout(connection.timing.request_timeout, opening).await {
                Ok(answer) => answer.map(tonic::Response::into_inner),
                Err(_) => Err(NoAnswer(connection.timing.request_timeout).into()),
            }
        }));
    }

    /// Goes on as the failure demands; answers the error that the caller has to know.
    fn recover(&mut self, status: Status) -> Option<StoreError> {
        let answered = fate(&status) == Fate::Answered;
        if answered && status.code() == Code::Unimplemented {
            self.state = State::Polled(Instant::now());
            return None;
        }
        self.reopen();
        let passes = !answered
            || matches!(
                status.code(),
                Code::Unavailable | Code::Cancelled | Code::Unknown | Code::DeadlineExceeded | Code::Aborted
            );
        if passes {
            tracing::debug!(stream = self.stream, %status, "subscription interrupted; connecting anew");
            return None;
        }
        Some(self.client.connection.explain(&Call::read("subscribe", &self.stream), status))
    }

    /// The events that the consumer should get, and the position behind them.
    fn take(&mut self, events: Vec<Event<Id, Bytes>>) -> Vec<Event<Id, Bytes>> {
        let mut news = Vec::with_capacity(events.len());
        for event in events {
            match &event {
                Event::Entry(entry) => self.after = Some(entry.id.clone()),
                Event::Damaged(record) => self.after = Some(record.id.clone()),
                Event::CaughtUp if mem::replace(&mut self.caught_up, true) => continue,
                Event::Behind { .. } if !mem::replace(&mut self.caught_up, false) => continue,
                Event::CaughtUp | Event::Behind { .. } => {}
            }
            news.push(event);
        }
        news
    }

    /// One step: events, an error, or nothing yet.
    async fn step(&mut self) -> Result<Vec<Event<Id, Bytes>>, StoreError> {
        let silence_timeout = self.client.connection.timing.silence_timeout;
        match &mut self.state {
            State::Opening(opening) => match opening.await {
                Ok(pushed) => {
                    self.state = State::pushed(pushed, silence_timeout);
                    Ok(Vec::new())
                }
                Err(status) => self.recover(status).map_or(Ok(Vec::new()), Err),
            },
            State::Pushed { pushed, deadline } => {
                match tokio::time::timeout_at(*deadline, pushed.message()).await {
                    Ok(Ok(Some(message))) => {
                        *deadline = Instant::now() + silence_timeout;
                        self.receive(message)
                    }
                    Ok(Err(status)) => self.recover(status).map_or(Ok(Vec::new()), Err),
                    Ok(Ok(None)) | Err(_) => {
                        self.reopen();
                        Ok(Vec::new())
                    }
                }
            }
            State::Polled(next_poll) => {
                tokio::time::sleep_until(*next_poll).await;
                self.poll().await
            }
        }
    }

    fn receive(&mut self, message: SubscribeResponse) -> Result<Vec<Event<Id, Bytes>>, StoreError> {
        self.backoff = Backoff::new();
        match into_events(message) {
            Ok(events) => Ok(self.take(events)),
            Err(error) => {
                self.reopen();
                Err(self.client.connection.malformed(&Call::read("subscribe", &self.stream), error))
            }
        }
    }

    async fn poll(&mut self) -> Result<Vec<Event<Id, Bytes>>, StoreError> {
        let read =
            Read { after: self.after.clone(), ..Read::new().limit(PAGE_ENTRIES).max_bytes(PAGE_BYTES) };
        let mut page = match self.client.read(&self.stream, &read).await {
            Err(StoreError::Backend(failure)) if is_interruption(&failure) => {
                self.reopen();
                return Ok(Vec::new());
            }
            page => page?,
        };
        let (more, next) = (page.more, page.next.take());
        let mut events = Vec::new();
        if more && !page.entries.is_empty() {
            events.push(Event::Behind { at_least: page.entries.len() });
        }
        events.extend(page.into_records(Order::Ascending).map(Event::from));
        if !more {
            events.push(Event::CaughtUp);
            self.state = State::Polled(Instant::now() + self.client.connection.timing.poll_interval);
        }
        let news = self.take(events);
        if next.is_some() {
            self.after = next;
        }
        Ok(news)
    }
}

/// Whether the daemon was away, so that it is worth waiting for it.
fn is_interruption(failure: &Backend) -> bool {
    let status = failure.source.as_deref().and_then(|source| source.downcast_ref::<Status>());
    status.is_some_and(|status| fate(status) != Fate::Answered)
}

fn request<Id: EntryId>(stream: &str, after: Option<&Id>) -> SubscribeRequest {
    let after = after.map_or_else(String::new, Id::to_string);
    SubscribeRequest { stream: stream.to_owned(), after, ..SubscribeRequest::default() }
}

#[async_trait]
impl<Id: EntryId> Source<Id, Bytes> for Following<Id> {
    async fn next_batch(&mut self) -> Result<Option<Vec<Event<Id, Bytes>>>, StoreError> {
        let connection = self.client.connection.clone();
        loop {
            let news = tokio::select! {
                biased;
                () = connection.closed() => return Ok(None),
                step = self.step() => step?,
            };
            if !news.is_empty() {
                return Ok(Some(news));
            }
        }
    }
}
