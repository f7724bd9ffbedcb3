//! Typed handles: a store, a name and a codec.

use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use crate::codec::{CodecError, Json};
use crate::schema::Upcasters;
use crate::{
    AnnotationChanges, Append, Appended, Codec, Damaged, Entry, EntryId, Event, Expect, NotSupported, Order,
    Page, Position, Read, Stat, Store, StoreError, Subscription, UpcastError, Upcaster,
};

type IdOf<R> = <<R as Deref>::Target as Store>::Id;
type PayloadOf<R> = <<R as Deref>::Target as Store>::Payload;
type Entries<T, R> = Vec<Entry<IdOf<R>, T>>;
type EntryResults<T, R> = Vec<Result<Entry<IdOf<R>, T>, EntryError<IdOf<R>>>>;

/// A typed view of one stream of a store.
///
/// Cheap: making one touches no database, and nothing needs closing. `R` is anything that dereferences to a store:
/// `&SqliteStore`, `Arc<SqliteStore>`, `Arc<dyn Store<…>>`, a transaction.
pub struct Stream<T, R: Deref<Target: Store>, C = Json> {
    store: R,
    name: Arc<str>,
    codec: C,
    schema_version: u32,
    upcasters: Upcasters<PayloadOf<R>>,
    value: PhantomData<fn() -> T>,
}

#[cfg(feature = "json")]
impl<T, R> Stream<T, R>
where
    R: Deref<Target: Store<Payload = bytes::Bytes>>,
    T: serde::Serialize + serde::de::DeserializeOwned,
{
    /// A stream of JSON payloads.
    pub fn json(store: R, name: impl Into<Arc<str>>) -> Self {
        Self::new(store, name, Json)
    }
}

impl<T, R: Deref<Target: Store>, C: Codec<T, PayloadOf<R>>> Stream<T, R, C> {
    /// A stream with a codec of your choice, at schema version 1 and without upcasters.
    pub fn new(store: R, name: impl Into<Arc<str>>, codec: C) -> Self {
        let upcasters = Upcasters::default();
        Self { store, name: name.into(), codec, schema_version: 1, upcasters, value: PhantomData }
    }

    /// Sets the version of `T`: new entries are stamped with it, older ones are brought up to it. 0 keeps it.
    #[must_use]
    pub fn schema_version(mut self, version: u32) -> Self {
        if version > 0 {
            self.schema_version = version;
        }
        self
    }

    /// Registers an upcaster. Of several chains that lead to the stream's version the shortest is taken, whatever the
    /// order of registration. Upcasters see what the innermost codec wrote, never compressed bytes.
    #[must_use]
    pub fn upcaster(mut self, upcaster: impl Upcaster<PayloadOf<R>> + 'static) -> Self {
        self.upcasters.push(upcaster);
        self
    }

    /// The same stream without the means to write.
    pub fn read_only(self) -> ReadOnlyStream<T, R, C> {
        ReadOnlyStream { stream: self }
    }

    /// Name of the stream.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Version of `T`.
    pub fn current_schema_version(&self) -> u32 {
        self.schema_version
    }

    /// Appends values, all or nothing.
    ///
    /// # Errors
    /// [`StreamError::Encode`] if a value has no encoding (nothing is written), else those of [`Store::append`].
    pub async fn append(
        &self,
        entries: impl IntoIterator<Item = Append<T>>,
    ) -> Result<Appended<IdOf<R>>, StreamError<IdOf<R>>> {
        self.append_expecting(Expect::Any, entries).await
    }

    /// Appends values if the stream is as expected: [`StoreError::Conflict`] carries the actual last id if not.
    ///
    /// # Errors
    /// Those of [`append`](Stream::append).
    pub async fn append_expecting(
        &self,
        expect: Expect<IdOf<R>>,
        entries: impl IntoIterator<Item = Append<T>>,
    ) -> Result<Appended<IdOf<R>>, StreamError<IdOf<R>>> {
        let batch = self.encode(entries)?;
        Ok(self.store.append(&self.name, batch, expect).await?)
    }

    fn encode(
        &self,
        entries: impl IntoIterator<Item = Append<T>>,
    ) -> Result<Vec<Append<PayloadOf<R>>>, StreamError<IdOf<R>>> {
        let encode = |(index, entry): (usize, Append<T>)| {
            entry
                .schema_version(i64::from(self.schema_version))
                .try_map(|value| self.codec.encode(&value))
                .map_err(|source| StreamError::Encode { index, source })
        };
        entries.into_iter().enumerate().map(encode).collect()
    }

    /// Reads one page. Fails if any entry cannot be understood; [`read_each`](Stream::read_each) does not.
    ///
    /// # Errors
    /// [`StreamError::Entry`] names the first entry that could not be decoded, else those of [`Store::read`].
    pub async fn read(&self, read: Read<IdOf<R>>) -> Result<Entries<T, R>, StreamError<IdOf<R>>> {
        let page = self.store.read(&self.name, &read).await?;
        self.decode_page(page, read.order).map(|entry| entry.map_err(StreamError::from)).collect()
    }

    /// Reads one page, each entry on its own: decoded, or the error that says which entry it is and what is wrong.
    /// `.flatten()` skips the bad ones.
    ///
    /// # Errors
    /// Those of [`Store::read`].
    pub async fn read_each(&self, read: Read<IdOf<R>>) -> Result<EntryResults<T, R>, StoreError> {
        let page = self.store.read(&self.name, &read).await?;
        Ok(self.decode_page(page, read.order).collect())
    }

    /// One page of entries whose payload, as stored, contains a text; each entry on its own as in
    /// [`read_each`](Stream::read_each).
    ///
    /// # Errors
    /// [`StoreError::NotSupported`] if the store cannot search, else those of [`Search`](crate::Search).
    pub async fn search(&self, query: &str, read: Read<IdOf<R>>) -> Result<EntryResults<T, R>, StoreError> {
        let search = self.store.capabilities().search.ok_or_else(|| self.not_supported("search"))?;
        let page = search.search(Some(&self.name), query, &read).await?;
        Ok(self.decode_page(page, read.order).collect())
    }

    fn decode_page(
        &self,
        page: Page<IdOf<R>, PayloadOf<R>>,
        order: Order,
    ) -> impl Iterator<Item = Result<Entry<IdOf<R>, T>, EntryError<IdOf<R>>>> {
        page.into_records(order).map(|record| match record {
            Ok(entry) => self.decode(entry),
            Err(damaged) => Err(EntryError::Damaged(damaged)),
        })
    }

    fn decode(&self, entry: Entry<IdOf<R>, PayloadOf<R>>) -> Result<Entry<IdOf<R>, T>, EntryError<IdOf<R>>> {
        let id = entry.id.clone();
        let stored = entry.schema_version;
        entry.try_map(|payload| {
            let undecodable = |source| EntryError::Decode { id: id.clone(), source };
            let payload = self.codec.unpack(payload).map_err(undecodable)?;
            let payload = self
                .upcasters
                .upcast(payload, stored, self.schema_version)
                .map_err(|source| EntryError::Upcast { id: id.clone(), source })?;
            self.codec.decode_unpacked(&payload).map_err(undecodable)
        })
    }

    /// Number of entries.
    ///
    /// # Errors
    /// Those of [`Store::count`].
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.store.count(&self.name).await
    }

    /// Number, first and last id of the entries.
    ///
    /// # Errors
    /// Those of [`Store::stat`].
    pub async fn stat(&self) -> Result<Stat<IdOf<R>>, StoreError> {
        self.store.stat(&self.name).await
    }

    /// Replaces the tags of an entry.
    ///
    /// # Errors
    /// Those of [`Store::set_tags`].
    pub async fn set_tags<S: Into<String>>(
        &self,
        id: &IdOf<R>,
        tags: impl IntoIterator<Item = S>,
    ) -> Result<(), StoreError> {
        self.store.set_tags(&self.name, id, tags.into_iter().map(Into::into).collect()).await
    }

    /// Sets and deletes annotations of an entry.
    ///
    /// # Errors
    /// Those of [`Store::set_annotations`].
    pub async fn set_annotations(&self, id: &IdOf<R>, changes: AnnotationChanges) -> Result<(), StoreError> {
        self.store.set_annotations(&self.name, id, changes).await
    }

    /// Deletes the entries up to and including this id; answers how many they were.
    ///
    /// # Errors
    /// Those of [`Store::trim`].
    pub async fn trim(&self, up_to: &IdOf<R>) -> Result<u64, StoreError> {
        self.store.trim(&self.name, up_to).await
    }

    /// Delivers the entries behind a position, then new ones as they come.
    ///
    /// # Errors
    /// [`StoreError::NotSupported`] if the store has no subscriptions, else those of [`Store::read`].
    pub async fn subscribe(
        &self,
        position: Position<IdOf<R>>,
    ) -> Result<StreamSubscription<T, R, C>, StoreError>
    where
        R: Clone,
        C: Clone,
    {
        let subscribe = self.store.capabilities().subscribe.ok_or_else(|| self.not_supported("subscribe"))?;
        let subscription = subscribe.subscribe(&self.name, position).await?;
        Ok(StreamSubscription { subscription, stream: self.clone() })
    }

    fn not_supported(&self, operation: &'static str) -> NotSupported {
        NotSupported { operation, store: self.store.name().to_owned() }
    }
}

impl<T, R: Deref<Target: Store> + Clone, C: Clone> Clone for Stream<T, R, C> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            name: self.name.clone(),
            codec: self.codec.clone(),
            schema_version: self.schema_version,
            upcasters: self.upcasters.clone(),
            value: PhantomData,
        }
    }
}

/// A [`Stream`] that can only be read: it has no methods that write.
///
/// ```
/// # use ledger_streams::{Append, MemoryStore, Read, Stream};
/// # async fn example(store: &MemoryStore) -> Result<(), Box<dyn std::error::Error>> {
/// let orders = Stream::<String, _>::json(store, "user-123");
/// orders.append([Append::new("o-1".to_owned())]).await?;
/// let orders = orders.read_only();
/// orders.read(Read::new()).await?;
/// # Ok(()) }
/// ```
///
/// ```compile_fail,E0599
/// # use ledger_streams::{Append, MemoryStore, Read, Stream};
/// # async fn example(store: &MemoryStore) -> Result<(), Box<dyn std::error::Error>> {
/// let orders = Stream::<String, _>::json(store, "user-123");
/// let orders = orders.read_only();
/// orders.append([Append::new("o-1".to_owned())]).await?; // no such method
/// # Ok(()) }
/// ```
pub struct ReadOnlyStream<T, R: Deref<Target: Store>, C = Json> {
    stream: Stream<T, R, C>,
}

impl<T, R: Deref<Target: Store>, C: Codec<T, PayloadOf<R>>> ReadOnlyStream<T, R, C> {
    /// Name of the stream.
    pub fn name(&self) -> &str {
        self.stream.name()
    }

    /// Version of `T`.
    pub fn current_schema_version(&self) -> u32 {
        self.stream.current_schema_version()
    }

    /// As [`Stream::read`].
    ///
    /// # Errors
    /// Those of [`Stream::read`].
    pub async fn read(&self, read: Read<IdOf<R>>) -> Result<Entries<T, R>, StreamError<IdOf<R>>> {
        self.stream.read(read).await
    }

    /// As [`Stream::read_each`].
    ///
    /// # Errors
    /// Those of [`Store::read`].
    pub async fn read_each(&self, read: Read<IdOf<R>>) -> Result<EntryResults<T, R>, StoreError> {
        self.stream.read_each(read).await
    }

    /// As [`Stream::search`].
    ///
    /// # Errors
    /// Those of [`Stream::search`].
    pub async fn search(&self, query: &str, read: Read<IdOf<R>>) -> Result<EntryResults<T, R>, StoreError> {
        self.stream.search(query, read).await
    }

    /// As [`Stream::count`].
    ///
    /// # Errors
    /// Those of [`Store::count`].
    pub async fn count(&self) -> Result<u64, StoreError> {
        self.stream.count().await
    }

    /// As [`Stream::stat`].
    ///
    /// # Errors
    /// Those of [`Store::stat`].
    pub async fn stat(&self) -> Result<Stat<IdOf<R>>, StoreError> {
        self.stream.stat().await
    }

    /// As [`Stream::subscribe`].
    ///
    /// # Errors
    /// Those of [`Stream::subscribe`].
    pub async fn subscribe(
        &self,
        position: Position<IdOf<R>>,
    ) -> Result<StreamSubscription<T, R, C>, StoreError>
    where
        R: Clone,
        C: Clone,
    {
        self.stream.subscribe(position).await
    }
}

/// A [`Subscription`] whose entries are decoded.
pub struct StreamSubscription<T, R: Deref<Target: Store>, C = Json> {
    subscription: Subscription<IdOf<R>, PayloadOf<R>>,
    stream: Stream<T, R, C>,
}

/// What a [`StreamSubscription`] delivers.
#[derive(Debug)]
pub enum TypedEvent<Id: EntryId, T> {
    /// The next entry.
    Entry(Entry<Id, T>),
    /// An entry that cannot be understood; the subscription goes on behind it.
    Undecodable(EntryError<Id>),
    /// Everything there was has been delivered.
    CaughtUp,
    /// The consumer is slower than the writers; see [`Event::Behind`].
    Behind {
        /// Entries that wait at least.
        at_least: usize,
    },
}

impl<T, R: Deref<Target: Store>, C: Codec<T, PayloadOf<R>>> StreamSubscription<T, R, C> {
    /// Waits for the next event; `None` once the store is closed. Cancel-safe.
    ///
    /// # Errors
    /// Those of [`Subscription::next`].
    pub async fn next(&mut self) -> Result<Option<TypedEvent<IdOf<R>, T>>, StoreError> {
        Ok(self.subscription.next().await?.map(|event| match event {
            Event::Entry(entry) => match self.stream.decode(entry) {
                Ok(entry) => TypedEvent::Entry(entry),
                Err(error) => TypedEvent::Undecodable(error),
            },
            Event::Damaged(record) => TypedEvent::Undecodable(EntryError::Damaged(record)),
            Event::CaughtUp => TypedEvent::CaughtUp,
            Event::Behind { at_least } => TypedEvent::Behind { at_least },
        }))
    }

    /// Waits for the next entry; `None` once the store is closed. Cancel-safe.
    ///
    /// # Errors
    /// [`StreamError::Entry`] for an entry that cannot be understood: calling again goes on behind it.
    pub async fn next_entry(&mut self) -> Result<Option<Entry<IdOf<R>, T>>, StreamError<IdOf<R>>> {
        loop {
            match self.next().await? {
                Some(TypedEvent::Entry(entry)) => return Ok(Some(entry)),
                Some(TypedEvent::Undecodable(error)) => return Err(error.into()),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }
}

/// Why an operation of a typed stream failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError<Id: EntryId> {
    /// A value has no encoding; nothing was written.
    #[error("ledger: encode failed: value {index} of the batch: {source}")]
    Encode {
        /// Position in the input, from 0.
        index: usize,
        /// What the codec said.
        source: CodecError,
    },
    /// An entry could not be understood.
    #[error(transparent)]
    Entry(#[from] EntryError<Id>),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why one entry could not be understood.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EntryError<Id: EntryId> {
    /// The stored record is broken.
    #[error("ledger: {0}")]
    Damaged(Damaged<Id>),
    /// It could not be brought up to the stream's schema version.
    #[error("entry {id}: {source}")]
    Upcast {
        /// Which entry.
        id: Id,
        /// Why.
        source: UpcastError,
    },
    /// The codec does not understand the payload.
    #[error("ledger: decode failed: entry {id}: {source}")]
    Decode {
        /// Which entry.
        id: Id,
        /// What the codec said.
        source: CodecError,
    },
}

impl<Id: EntryId> EntryError<Id> {
    /// Which entry it is.
    pub fn id(&self) -> &Id {
        match self {
            Self::Damaged(record) => &record.id,
            Self::Upcast { id, .. } | Self::Decode { id, .. } => id,
        }
    }
}
