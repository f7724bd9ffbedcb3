//! `Subscribe`: catches up, then follows.
//!
//! A subscription holds at most a page and a few messages, however slow the client is: nothing is read from the store
//! before the client has taken what was read before.

use bytes::Bytes;
use ledger_api::HEARTBEAT_INTERVAL;
use ledger_api::convert::{into_filter, into_position, subscribe_responses};
use ledger_api::metadata::{check_given, store_of};
use ledger_api::proto::subscribe_response as wire;
use ledger_api::proto::{SubscribeRequest, SubscribeResponse};
use ledger_sqlite::SqliteStore;
use ledger_streams::{Event, Filter, Position, Read, Store, Subscribe, Subscription};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Status};

use super::{Calls, Endings, refuse};
use crate::registry::NewStores;

/// Messages that wait for the client, beside the status that the subscription ends with.
const MAX_WAITING_MESSAGES: usize = 2;

type Messages = mpsc::Sender<Result<SubscribeResponse, Status>>;

impl Calls {
    pub(super) async fn begin_subscription(
        &self,
        request: Request<SubscribeRequest>,
    ) -> Result<ReceiverStream<Result<SubscribeResponse, Status>>, Status> {
        let endings = Endings::of(&self.context, &request);
        let (metadata, _, message) = request.into_parts();
        check_given(&metadata, "stream", &message.stream)?;
        let position = into_position(&message)?;
        let filter = into_filter(message.options.unwrap_or_default())?;
        let new_stores = self.context.registry.watch_new();
        let start = match self.existing_store(&metadata).await? {
            Some(store) => Start::of(&store, &message.stream, position).await?,
            None => Start::WithoutStore { position, new_stores },
        };
        // The last place is for that status: a client that is late must not take the end for a good one.
        let (messages, stream) = mpsc::channel(MAX_WAITING_MESSAGES.saturating_add(1));
        let last = messages.clone().try_reserve_owned();
        let last = last.map_err(|_| Status::internal("a new channel is full"))?;
        let store = store_of(&metadata)?.to_owned();
        let follower =
            Follower { calls: self.clone(), store, stream: message.stream, filter, messages, endings };
        tokio::spawn(async move {
            if let Err(status) = follower.run(start).await {
                last.send(Err(status));
            }
        });
        Ok(ReceiverStream::new(stream))
    }
}

/// How a subscription begins.
enum Start {
    /// At a known position, which is told with the first message.
    Subscribed { subscription: Subscription<i64, Bytes>, position: String },
    /// There is no such store yet. A read does not make it, so the subscription waits until somebody else does.
    WithoutStore { position: Position<i64>, new_stores: NewStores },
}

impl Start {
    async fn of(store: &SqliteStore, stream: &str, position: Position<i64>) -> Result<Self, Status> {
        let position = match position {
            // Found out here, so that the client knows its position before the first entry.
            Position::Now => {
                let last = store.read(stream, &Read::new().descending().limit(1)).await.map_err(refuse)?.next;
                last.map_or(Position::Start, Position::After)
            }
            position => position,
        };
        let text = match &position {
            Position::After(id) => id.to_string(),
            _ => String::new(),
        };
        let subscription = store.subscribe(stream, position).await.map_err(refuse)?;
        Ok(Self::Subscribed { subscription, position: text })
    }
}

struct Follower {
    calls: Calls,
    store: String,
    stream: String,
    filter: Filter,
    messages: Messages,
    endings: Endings,
}

impl Follower {
    /// Until the client is gone, or has to go.
    async fn run(mut self, start: Start) -> Result<(), Status> {
        let mut endings = Endings {
            stopping: self.endings.stopping.clone(),
            keys: self.endings.keys.clone(),
            caller: self.endings.caller.take(),
        };
        let messages = self.messages.clone();
        tokio::select! {
            () = messages.closed() => Ok(()),
            ending = endings.wait() => Err(ending.into()),
            end = self.follow(start) => end,
        }
    }

    /// Delivers until the store is closed, or the client is gone.
    async fn follow(&mut self, start: Start) -> Result<(), Status> {
        let (mut subscription, mut position) = match start {
            Start::Subscribed { subscription, position } => (subscription, position),
            Start::WithoutStore { position, new_stores } => self.wait_for_store(position, new_stores).await?,
        };
        loop {
            let batch = tokio::time::timeout(HEARTBEAT_INTERVAL, subscription.next_batch()).await;
            let batch = match batch {
                Err(_) => {
                    let event = Some(wire::Event::Heartbeat(wire::Heartbeat {}));
                    vec![SubscribeResponse { position: position.clone(), event }]
                }
                Ok(Ok(Some(events))) => subscribe_responses(events, &self.filter, &mut position),
                Ok(Ok(None)) => return Err(Status::unavailable("store closed")),
                Ok(Err(error)) => return Err(refuse(error)),
            };
            for message in batch {
                if self.messages.send(Ok(message)).await.is_err() {
                    return Ok(());
                }
            }
        }
    }

    /// Says that there is nothing yet, and waits until there is a store.
    async fn wait_for_store(
        &mut self,
        position: Position<i64>,
        mut new_stores: NewStores,
    ) -> Result<(Subscription<i64, Bytes>, String), Status> {
        // What is appended to a store that is not there yet is new, so "now" is its beginning.
        let position = if position == Position::Now { Position::Start } else { position };
        let mut told = match &position {
            Position::After(id) => id.to_string(),
            _ => String::new(),
        };
        let mut first = subscribe_responses(vec![Event::<i64, Bytes>::CaughtUp], &self.filter, &mut told);
        loop {
            for message in first.drain(..) {
                let _ = self.messages.send(Ok(message)).await;
            }
            match tokio::time::timeout(HEARTBEAT_INTERVAL, new_stores.next()).await {
                Err(_) => {
                    let event = Some(wire::Event::Heartbeat(wire::Heartbeat {}));
                    first.push(SubscribeResponse { position: told.clone(), event });
                }
                Ok(false) => return Err(Status::unavailable("store closed")),
                Ok(true) => {
                    let store = self.calls.context.registry.find(&self.store).await.map_err(refuse)?;
                    if let Some(store) = store {
                        let start = Start::of(&store, &self.stream, position.clone()).await?;
                        if let Start::Subscribed { subscription, position } = start {
                            return Ok((subscription, position));
                        }
                    }
                }
            }
        }
    }
}
