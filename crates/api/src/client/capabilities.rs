//! What a daemon can do beyond a store's duties.

use async_trait::async_trait;
use bytes::Bytes;
use ledger_streams::limits::{check_read, check_stream_name};
use ledger_streams::{
    Backend, CursorStore, EntryId, FindBySource, Health, Page, Position, Read, RenameStream, Search, Store,
    StoreError, Subscribe, Subscription,
};
use tonic::Response;

use super::Client;
use super::failure::{Call, Target};
use super::retry::Repeat;
use super::subscription::Following;
use crate::convert::answered_id;
use crate::proto;

#[async_trait]
impl<Id: EntryId> Search for Client<Id> {
    async fn search(
        &self,
        stream: Option<&str>,
        query: &str,
        read: &Read<Id>,
    ) -> Result<Page<Id, Bytes>, StoreError> {
        self.connection.check_open()?;
        check_read(read)?;
        let call = Call::read("search", stream.unwrap_or_default());
        let fetch = |options| async move {
            let request = proto::SearchRequest {
                stream: stream.unwrap_or_default().to_owned(),
                query: query.to_owned(),
                options: Some(options),
                one_stream: stream.is_some(),
            };
            let send = |request| {
                let mut service = self.connection.service();
                async move { Ok(Response::new(service.search(request).await?.into_inner().into())) }
            };
            self.connection.call(call, Repeat::Harmless, request, send).await
        };
        self.walk(call, read, fetch).await
    }
}

#[async_trait]
impl<Id: EntryId> Health for Client<Id> {
    async fn health(&self) -> Result<(), StoreError> {
        let send = |request| {
            let mut service = self.connection.service();
            async move { service.health(request).await }
        };
        let (call, request) = (Call::read("health", ""), proto::HealthRequest {});
        let answer = self.connection.call(call, Repeat::Harmless, request, send).await?;
        if answer.status == "ok" {
            return Ok(());
        }
        Err(Backend {
            backend: "daemon",
            step: format!("health of {}", self.address()),
            advice: format!("the daemon is {}; its log says why", answer.status),
            outcome_unknown: false,
            source: None,
        }
        .into())
    }
}

#[async_trait]
impl<Id: EntryId> RenameStream for Client<Id> {
    async fn rename_stream(&self, from: &str, to: &str) -> Result<(), StoreError> {
        let _write = self.connection.begin_write().await?;
        check_stream_name(to)?;
        let call = Call::write("rename", from).on(Target::NewName(to));
        let request = proto::RenameStreamRequest { name: from.to_owned(), new_name: to.to_owned() };
        let send = |request| {
            let mut service = self.connection.service();
            async move { service.rename_stream(request).await }
        };
        // The second of two renames would not find the old name.
        self.connection.call(call, Repeat::Harmful, request, send).await.map(drop)
    }
}

#[async_trait]
impl<Id: EntryId> Subscribe for Client<Id> {
    /// As on every store. While the daemon is away the subscription waits and connects anew by itself.
    async fn subscribe(
        &self,
        stream: &str,
        position: Position<Id>,
    ) -> Result<Subscription<Id, Bytes>, StoreError> {
        self.connection.check_open()?;
        let after = match position {
            Position::Start => None,
            Position::After(id) => Some(id),
            // Found out here once, so that a subscription that has to connect anew still begins where it did.
            Position::Now => self.read(stream, &Read::new().descending().limit(1)).await?.next,
        };
        Ok(Subscription::new(Following::begin(self.clone(), stream, after).await?))
    }
}

#[async_trait]
impl<Id: EntryId> CursorStore for Client<Id> {
    async fn get_cursor(&self, name: &str) -> Result<Option<String>, StoreError> {
        let send = |request| {
            let mut consumers = self.connection.consumers();
            async move { consumers.get_cursor(request).await }
        };
        let (call, request) =
            (Call::read("get_cursor", ""), proto::GetCursorRequest { name: name.to_owned() });
        Ok(self.connection.call(call, Repeat::Harmless, request, send).await?.position)
    }

    /// As on every store. After a broken connection it is tried again; then it may answer that nothing moved although
    /// the first try has moved it.
    async fn set_cursor(&self, name: &str, position: &str) -> Result<bool, StoreError> {
        let _write = self.connection.begin_write().await?;
        let request = proto::SetCursorRequest { name: name.to_owned(), position: position.to_owned() };
        let send = |request| {
            let mut consumers = self.connection.consumers();
            async move { consumers.set_cursor(request).await }
        };
        let call = Call::write("set_cursor", "");
        Ok(self.connection.call(call, Repeat::Harmless, request, send).await?.moved)
    }
}

#[async_trait]
impl<Id: EntryId> FindBySource for Client<Id> {
    async fn find_by_source(&self, stream: &str, source_id: &str) -> Result<Option<Id>, StoreError> {
        let request =
            proto::FindBySourceRequest { stream: stream.to_owned(), source_id: source_id.to_owned() };
        let send = |request| {
            let mut consumers = self.connection.consumers();
            async move { consumers.find_by_source(request).await }
        };
        let call = Call::read("find_by_source", stream);
        let answer = self.connection.call(call, Repeat::Harmless, request, send).await?;
        let id = answer.id.as_deref().map(answered_id).transpose();
        id.map_err(|error| self.connection.malformed(&call, error))
    }
}
