//! `Read`, `Search`, `Count`, `Stat`, `ListStreamIDs`: to all of them a store or stream that is not there is empty.

use ledger_api::convert::{PageRequest, stat};
use ledger_api::metadata::check_given;
use ledger_api::proto::{
    CountRequest, CountResponse, ListStreamIDsRequest, ListStreamIDsResponse, ReadOptions, ReadRequest,
    ReadResponse, SearchRequest, SearchResponse, StatRequest, StatResponse,
};
use ledger_streams::limits::{DEFAULT_PAGE_ENTRIES, MAX_PAGE_ENTRIES};
use ledger_streams::{Page, Search, Stat, Store, StoreError};
use tonic::{Request, Status};

use super::{Calls, count, refuse};

impl Calls {
    pub(super) async fn read_page(&self, request: Request<ReadRequest>) -> Result<ReadResponse, Status> {
        let (metadata, _, message) = request.into_parts();
        check_given(&metadata, "stream", &message.stream)?;
        let page = self.page_request(message.options)?;
        let found = match self.existing_store(&metadata).await? {
            Some(store) => store.read(&message.stream, &page.read).await.map_err(refuse)?,
            None => Page::empty(),
        };
        Ok(page.answer(found).into())
    }

    pub(super) async fn search_payloads(
        &self,
        request: Request<SearchRequest>,
    ) -> Result<SearchResponse, Status> {
        let (metadata, _, message) = request.into_parts();
        check_given(&metadata, "query", &message.query)?;
        let page = self.page_request(message.options)?;
        let in_one = message.one_stream || !message.stream.is_empty();
        let stream = in_one.then_some(message.stream.as_str());
        let found = match self.existing_store(&metadata).await? {
            Some(store) => store.search(stream, &message.query, &page.read).await.map_err(refuse)?,
            None => Page::empty(),
        };
        Ok(page.answer(found).into())
    }

    pub(super) async fn count_entries(
        &self,
        request: Request<CountRequest>,
    ) -> Result<CountResponse, Status> {
        let (metadata, _, message) = request.into_parts();
        check_given(&metadata, "stream", &message.stream)?;
        let entries = match self.existing_store(&metadata).await? {
            Some(store) => store.count(&message.stream).await.map_err(refuse)?,
            None => 0,
        };
        Ok(CountResponse { count: count(entries) })
    }

    pub(super) async fn stat_stream(&self, request: Request<StatRequest>) -> Result<StatResponse, Status> {
        let (metadata, _, message) = request.into_parts();
        check_given(&metadata, "stream", &message.stream)?;
        let found = match self.existing_store(&metadata).await? {
            Some(store) => store.stat(&message.stream).await.map_err(refuse)?,
            None => Stat { stream: message.stream, count: 0, first_id: None, last_id: None },
        };
        Ok(stat(found))
    }

    pub(super) async fn list_names(
        &self,
        request: Request<ListStreamIDsRequest>,
    ) -> Result<ListStreamIDsResponse, Status> {
        let (metadata, _, message) = request.into_parts();
        let limit = usize::try_from(message.limit).ok().filter(|limit| *limit > 0);
        let limit = limit.unwrap_or(DEFAULT_PAGE_ENTRIES).min(MAX_PAGE_ENTRIES);
        // A client that means the name "" and one that means the beginning send the same.
        let after = Some(message.after.as_str()).filter(|after| !after.is_empty());
        let store = ledger_api::metadata::store_of(&metadata)?;
        let stream_ids = match self.context.registry.find(store).await {
            Ok(Some(store)) => store.list_streams(after, limit).await.map_err(refuse)?,
            // The original looks the name up without opening a store, so a bad name is one without streams.
            Ok(None) | Err(StoreError::InvalidStoreName(_)) => Vec::new(),
            Err(error) => return Err(refuse(error)),
        };
        let (found, stream_ids) = (stream_ids.len(), self.cut_names(stream_ids));
        Ok(ListStreamIDsResponse { cut_short: stream_ids.len() < found, stream_ids })
    }

    /// As many names as fit into a message; the client goes on behind the last.
    fn cut_names(&self, mut names: Vec<String>) -> Vec<String> {
        const FRAMING_BYTES: usize = 8;
        let mut room = self.context.max_message_bytes.min(ledger_api::convert::CLASSIC_MESSAGE_BYTES);
        let fits = |name: &String| {
            let bytes = name.len().saturating_add(FRAMING_BYTES);
            let fits = bytes <= room;
            room = room.saturating_sub(bytes);
            fits
        };
        let fitting = names
            .iter()
            .take_while({
                let mut fits = fits;
                move |name| fits(name)
            })
            .count();
        names.truncate(fitting.max(1));
        names
    }

    /// What to read; a page larger than a store gives is cut short, not refused.
    fn page_request(&self, options: Option<ReadOptions>) -> Result<PageRequest<i64>, Status> {
        let mut page = PageRequest::from_message(options, self.context.max_message_bytes)?;
        page.read.limit = page.read.limit.min(MAX_PAGE_ENTRIES);
        Ok(page)
    }
}
