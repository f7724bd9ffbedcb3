//! A daemon's store as a store of this program.

mod builder;
mod capabilities;
mod connection;
mod failure;
mod pages;
mod retry;
mod session;
mod subscription;

use std::marker::PhantomData;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ledger_streams::limits::{check_attributes, check_batch, check_read};
use ledger_streams::{
    AnnotationChanges, Append, Appended, Capabilities, EntryId, Expect, Page, Read, Stat, Store, StoreError,
};
use tokio_stream::once;
use tonic::{Response, Status};

pub use builder::{ClientBuilder, ClientError};
#[cfg(feature = "tls")]
pub use builder::{Identity, Tls};
pub use session::{AppendSession, PendingAppend};

use self::connection::Connection;
use self::failure::{Call, Target};
use self::retry::Repeat;
use crate::convert::{append_request, into_appended, into_stat};
use crate::proto;
use crate::status::from_append_error;

/// A store behind a daemon. Cheap to clone; clones share one connection.
///
/// It does what every [`Store`] does, so a program moves from an embedded store to a served one by changing the line
/// that opens it. Ids are texts on the wire: `Client` takes those of any store as they are, `Client<i64>` has the ids
/// of stores on SQLite and PostgreSQL as numbers, in their order.
///
/// # When the daemon is away
///
/// The client connects anew by itself. Operations are tried again for a while ([`ClientBuilder::retry_for`]) if that
/// is safe: always if the request was never sent; after a broken connection only reads, changes that can be repeated,
/// and appends of which every entry has a dedup key or a source id. Such an append may be answered with the ids of its
/// first try as duplicates. Whatever is not safe fails with [`StoreError::Backend`], which says whether a write may
/// have happened (`outcome_unknown`).
///
/// # Daemons of the original
///
/// They are served as well: pages are cut and times filtered on this side, subscriptions poll. What they would ignore
/// to the caller's harm, expectations and origins of copies, and what they do not have, positions of consumers and
/// finding copies by their source, fails with [`StoreError::NotSupported`].
pub struct Client<Id = String> {
    connection: Arc<Connection>,
    id: PhantomData<fn() -> Id>,
}

impl<Id> Client<Id> {
    /// A client of the daemon at an address such as `localhost:50051` or `https://ledger.example.com:443`.
    ///
    /// ```no_run
    /// # async fn example() -> Result<(), ledger_api::ClientError> {
    /// let store = ledger_api::Client::<i64>::at("localhost:50051").store("orders").connect().await?;
    /// # Ok(()) }
    /// ```
    pub fn at(address: impl Into<String>) -> ClientBuilder<Id> {
        ClientBuilder::new(address)
    }

    fn new(connection: Arc<Connection>) -> Self {
        Self { connection, id: PhantomData }
    }

    /// The address of the daemon.
    pub fn address(&self) -> &str {
        &self.connection.address
    }
}

impl<Id> Clone for Client<Id> {
    fn clone(&self) -> Self {
        Self::new(self.connection.clone())
    }
}

impl<Id> std::fmt::Debug for Client<Id> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Connection { address, store, .. } = &*self.connection;
        formatter
            .debug_struct("Client")
            .field("address", address)
            .field("store", store)
            .finish_non_exhaustive()
    }
}

impl<Id: EntryId> Client<Id> {
    async fn send_append(
        &self,
        call: Call<'_>,
        repeat: Repeat,
        request: proto::AppendRequest,
    ) -> Result<proto::AppendResponse, StoreError> {
        let send = |request| {
            let mut service = self.connection.service();
            async move { service.append(request).await }
        };
        self.connection.call(call, repeat, request, send).await
    }

    /// Appends through a session of one request, because a daemon that would ignore what is special about the append
    /// has no sessions.
    async fn send_special_append(
        &self,
        call: Call<'_>,
        repeat: Repeat,
        request: proto::AppendRequest,
    ) -> Result<proto::AppendResponse, StoreError> {
        let send = |request: tonic::Request<proto::AppendRequest>| {
            let mut streaming = self.connection.streaming();
            let request =
                request.map(|append| once(proto::AppendSessionRequest { sequence: 1, append: Some(append) }));
            async move {
                let mut answers = streaming.append_session(request).await?.into_inner();
                let answer = answers.message().await?.and_then(|answer| answer.result);
                match answer {
                    Some(proto::append_session_response::Result::Appended(answer)) => {
                        Ok(Response::new(answer))
                    }
                    Some(proto::append_session_response::Result::Error(error)) => {
                        Err(from_append_error(error))
                    }
                    None => Err(Status::unknown("the session ended without an answer")),
                }
            }
        };
        self.connection.call(call, repeat, request, send).await
    }
}

/// Whether an append that is carried out twice writes its entries once.
fn repeat_of(entries: &[Append<Bytes>]) -> Repeat {
    let is_keyed = |entry: &Append<Bytes>| !entry.dedup_key.is_empty() || !entry.source_id().is_empty();
    if entries.iter().all(is_keyed) { Repeat::Harmless } else { Repeat::Harmful }
}

#[async_trait]
impl<Id: EntryId> Store for Client<Id> {
    type Id = Id;
    type Payload = Bytes;

    fn name(&self) -> &str {
        self.connection.store.as_str()
    }

    async fn append(
        &self,
        stream: &str,
        entries: Vec<Append<Bytes>>,
        expect: Expect<Id>,
    ) -> Result<Appended<Id>, StoreError> {
        let _write = self.connection.begin_write().await?;
        if !entries.is_empty() {
            check_batch(stream, &entries)?;
        }
        let is_special = expect != Expect::Any || entries.iter().any(|entry| entry.origin.is_some());
        let (call, repeat) = (Call::write("append", stream), repeat_of(&entries));
        let request = append_request(stream, entries, &expect);
        let answer = if is_special {
            let call = Call { operation: "append with an expectation or an origin", ..call };
            self.send_special_append(call, repeat, request).await?
        } else {
            self.send_append(call, repeat, request).await?
        };
        into_appended(answer).map_err(|error| self.connection.malformed(&call, error))
    }

    async fn read(&self, stream: &str, read: &Read<Id>) -> Result<Page<Id, Bytes>, StoreError> {
        self.connection.check_open()?;
        check_read(read)?;
        let call = Call::read("read", stream);
        let fetch = |options| async move {
            let request = proto::ReadRequest { stream: stream.to_owned(), options: Some(options) };
            let send = |request| {
                let mut service = self.connection.service();
                async move { service.read(request).await }
            };
            self.connection.call(call, Repeat::Harmless, request, send).await
        };
        self.walk(call, read, fetch).await
    }

    async fn count(&self, stream: &str) -> Result<u64, StoreError> {
        let request = proto::CountRequest { stream: stream.to_owned() };
        let send = |request| {
            let mut service = self.connection.service();
            async move { service.count(request).await }
        };
        let answer =
            self.connection.call(Call::read("count", stream), Repeat::Harmless, request, send).await?;
        Ok(u64::try_from(answer.count).unwrap_or_default())
    }

    async fn stat(&self, stream: &str) -> Result<Stat<Id>, StoreError> {
        let request = proto::StatRequest { stream: stream.to_owned() };
        let send = |request| {
            let mut service = self.connection.service();
            async move { service.stat(request).await }
        };
        let call = Call::read("stat", stream);
        let answer = self.connection.call(call, Repeat::Harmless, request, send).await?;
        into_stat(answer).map_err(|error| self.connection.malformed(&call, error))
    }

    async fn set_tags(&self, stream: &str, id: &Id, tags: Vec<String>) -> Result<(), StoreError> {
        let _write = self.connection.begin_write().await?;
        check_attributes(tags.iter().map(String::as_str))?;
        let id = id.to_string();
        let call = Call::write("set_tags", stream).on(Target::Entry(&id));
        let request = proto::SetTagsRequest { stream: stream.to_owned(), id: id.clone(), tags };
        let send = |request| {
            let mut service = self.connection.service();
            async move { service.set_tags(request).await }
        };
        self.connection.call(call, Repeat::Harmless, request, send).await.map(drop)
    }

    async fn set_annotations(
        &self,
        stream: &str,
        id: &Id,
        changes: AnnotationChanges,
    ) -> Result<(), StoreError> {
        let _write = self.connection.begin_write().await?;
        check_attributes(changes.iter().flat_map(|(key, value)| [key, value.unwrap_or_default()]))?;
        let id = id.to_string();
        let call = Call::write("set_annotations", stream).on(Target::Entry(&id));
        let mut request = proto::SetAnnotationsRequest {
            stream: stream.to_owned(),
            id: id.clone(),
            ..proto::SetAnnotationsRequest::default()
        };
        for (key, value) in changes.iter() {
            match value {
                Some(value) => drop(request.set.insert(key.to_owned(), value.to_owned())),
                None => request.delete.push(key.to_owned()),
            }
        }
        let send = |request| {
            let mut service = self.connection.service();
            async move { service.set_annotations(request).await }
        };
        self.connection.call(call, Repeat::Harmless, request, send).await.map(drop)
    }

    async fn trim(&self, stream: &str, up_to: &Id) -> Result<u64, StoreError> {
        let _write = self.connection.begin_write().await?;
        let before_id = up_to.to_string();
        let call = Call::write("trim", stream);
        let request = proto::TrimRequest { stream: stream.to_owned(), before_id };
        let send = |request| {
            let mut service = self.connection.service();
            async move { service.trim(request).await }
        };
        // Trimming twice deletes the same entries, but the second answer would say that there were none.
        let answer = self.connection.call(call, Repeat::Harmful, request, send).await?;
        Ok(u64::try_from(answer.deleted).unwrap_or_default())
    }

    async fn list_streams(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.connection.check_open()?;
        let limits: Read<Id> = Read::new().limit(limit);
        check_read(&limits)?;
        self.walk_streams(after, limits.limit).await
    }

    /// Closes this client and its clones, not the store behind the daemon.
    async fn close(&self) -> Result<(), StoreError> {
        self.connection.close().await;
        Ok(())
    }

    fn capabilities(&self) -> Capabilities<'_, Id, Bytes> {
        Capabilities {
            search: Some(self),
            health: Some(self),
            subscribe: Some(self),
            rename: Some(self),
            cursors: Some(self),
            find_by_source: Some(self),
            ..Capabilities::default()
        }
    }
}
