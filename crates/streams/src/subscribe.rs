//! Subscriptions: catch up from a position, then follow live.
//!
//! A subscription pulls: it reads pages from the store and waits for the store's bell only when it has read
//! everything. It holds at most one page, so a slow consumer costs no memory and misses nothing; when it falls
//! behind it is told so ([`Event::Behind`]).

use std::collections::VecDeque;
use std::sync::Arc;

use async_trait::async_trait;

use crate::{Damaged, Entry, EntryId, Order, Payload, Read, Store, StoreError, Watch};

/// Most entries that a subscription holds.
const PAGE_ENTRIES: usize = 256;
/// Most payload bytes that a subscription holds, if a single payload is not larger.
const PAGE_BYTES: usize = 1 << 20;

/// Where a subscription begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Position<Id> {
    /// At the oldest entry.
    Start,
    /// At the end: only entries appended after the call to subscribe.
    Now,
    /// Behind this id, which need not exist.
    After(Id),
}

/// What a subscription delivers.
#[derive(Clone, Debug, PartialEq)]
pub enum Event<Id: std::fmt::Display, P> {
    /// The next entry, in order, exactly once.
    Entry(Entry<Id, P>),
    /// A stored record that cannot be understood; the subscription goes on behind it.
    Damaged(Damaged<Id>),
    /// Everything there was has been delivered; the next entry will be a new one.
    CaughtUp,
    /// Having caught up once, the consumer is now slower than the writers: at least this many entries wait for it.
    /// Nothing is lost. Told once until it has caught up again.
    Behind {
        /// Entries read from the store and not yet taken; more may follow them.
        at_least: usize,
    },
}

impl<Id: std::fmt::Display, P> From<Result<Entry<Id, P>, Damaged<Id>>> for Event<Id, P> {
    fn from(record: Result<Entry<Id, P>, Damaged<Id>>) -> Self {
        record.map_or_else(Self::Damaged, Self::Entry)
    }
}

/// A live sequence of entries. Dropping it ends it.
pub struct Subscription<Id: std::fmt::Display, P> {
    source: Box<dyn Source<Id, P>>,
    ready: VecDeque<Event<Id, P>>,
}

/// Where the events of a subscription come from.
#[async_trait]
pub trait Source<Id: std::fmt::Display, P>: Send {
    /// Waits for the next events, at least one; `None` once the store is closed.
    ///
    /// Must not lose events if the returned future is dropped before it is ready.
    async fn next_batch(&mut self) -> Result<Option<Vec<Event<Id, P>>>, StoreError>;
}

impl<Id: EntryId, P: Payload> Subscription<Id, P> {
    /// A subscription to a source of events.
    pub fn new(source: impl Source<Id, P> + 'static) -> Self {
        Self { source: Box::new(source), ready: VecDeque::new() }
    }

    /// Waits for the next event; `None` once the store is closed.
    ///
    /// Cancel-safe: if the future is dropped (in `select!`, by a time-out), no event is lost.
    ///
    /// # Errors
    /// Those of [`Store::read`]. The subscription stays where it is: calling again tries again.
    pub async fn next(&mut self) -> Result<Option<Event<Id, P>>, StoreError> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            match self.source.next_batch().await? {
                Some(batch) => self.ready.extend(batch),
                None => return Ok(None),
            }
        }
    }

    /// Waits for the next events, all that are at hand, at least one; `None` once the store is closed. For whoever
    /// hands them on in bulk. Cancel-safe.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn next_batch(&mut self) -> Result<Option<Vec<Event<Id, P>>>, StoreError> {
        if self.ready.is_empty() {
            return self.source.next_batch().await;
        }
        Ok(Some(std::mem::take(&mut self.ready).into()))
    }

    /// Waits for the next entry, passing over everything else; `None` once the store is closed.
    ///
    /// # Errors
    /// Those of [`Store::read`].
    pub async fn next_entry(&mut self) -> Result<Option<Entry<Id, P>>, StoreError> {
        loop {
            match self.next().await? {
                Some(Event::Entry(entry)) => return Ok(Some(entry)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

/// The [`Source`] of stores that ring a bell in this process: reads pages, waits for the bell in between.
pub struct Follow<Id, P> {
    store: Arc<dyn Store<Id = Id, Payload = P>>,
    stream: Arc<str>,
    watch: Watch,
    after: Option<Id>,
    state: State,
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    /// Reading what was there at the beginning.
    CatchingUp,
    /// Everything has been read and the consumer knows.
    Live,
    /// Was live and fell behind; the consumer knows.
    Behind,
}

impl<Id: EntryId, P: Payload> Follow<Id, P> {
    /// Begins at a position. The watch must have been taken before this call, so that nothing falls in between.
    ///
    /// # Errors
    /// Those of [`Store::read`].
    pub async fn begin(
        store: Arc<dyn Store<Id = Id, Payload = P>>,
        stream: &str,
        watch: Watch,
        position: Position<Id>,
    ) -> Result<Self, StoreError> {
        let after = match position {
            Position::Start => None,
            Position::After(id) => Some(id),
            Position::Now => store.read(stream, &Read::new().descending().limit(1)).await?.next,
        };
        Ok(Self { store, stream: stream.into(), watch, after, state: State::CatchingUp })
    }
}

#[async_trait]
impl<Id: EntryId, P: Payload> Source<Id, P> for Follow<Id, P> {
    async fn next_batch(&mut self) -> Result<Option<Vec<Event<Id, P>>>, StoreError> {
        loop {
            self.watch.mark_seen();
            let read =
                Read { after: self.after.clone(), ..Read::new().limit(PAGE_ENTRIES).max_bytes(PAGE_BYTES) };
            let mut page = match self.store.read(&self.stream, &read).await {
                Err(StoreError::Closed(_)) => return Ok(None),
                read => read?,
            };
            let more = page.more;
            let mut events = Vec::with_capacity(page.entries.len().saturating_add(1));
            if let Some(next) = page.next.take() {
                self.after = Some(next);
                if more && self.state == State::Live {
                    self.state = State::Behind;
                    events.push(Event::Behind { at_least: page.entries.len() });
                }
                events.extend(page.into_records(Order::Ascending).map(Event::from));
            }
            if !more && self.state != State::Live {
                self.state = State::Live;
                events.push(Event::CaughtUp);
            }
            if !events.is_empty() {
                return Ok(Some(events));
            }
            if !self.watch.changed().await {
                return Ok(None);
            }
        }
    }
}
