//! Pages and lists of any size, made of what the daemon sends at a time.

use bytes::Bytes;
use ledger_streams::limits::MAX_PAGE_ENTRIES;
use ledger_streams::{Entry, EntryId, Page, Read, StoreError};

use super::Client;
use super::failure::Call;
use super::retry::Repeat;
use crate::convert::{into_page, read_options};
use crate::proto;

impl<Id: EntryId> Client<Id> {
    /// Fetches one page as large as asked. A daemon bounds its messages; what it cuts short is continued.
    pub(super) async fn walk<F>(
        &self,
        call: Call<'_>,
        read: &Read<Id>,
        fetch: impl Fn(proto::ReadOptions) -> F + Send,
    ) -> Result<Page<Id, Bytes>, StoreError>
    where
        F: Future<Output = Result<proto::ReadResponse, StoreError>> + Send,
    {
        let mut rest = read.clone();
        let mut whole = Whole { page: Page::empty(), payload_bytes: 0 };
        loop {
            let Some(mut options) = read_options(&rest) else { return Ok(whole.page) };
            // 0 would mean that it is not set; a page of one byte is cut to nothing more on this side.
            options.max_bytes = options.max_bytes.max(1);
            let answer = fetch(options).await?;
            let page = into_page(answer, &rest).map_err(|error| self.connection.malformed(&call, error));
            let (page, cut_short) = page?;
            let is_done = whole.add(page, read);
            let page = &whole.page;
            let stands_still = page.next == rest.after;
            if is_done || !cut_short || stands_still || page.entries.len() >= read.limit {
                return Ok(whole.page);
            }
            rest.after.clone_from(&page.next);
            rest.limit = read.limit.saturating_sub(page.entries.len());
            rest.max_bytes = read.max_bytes.saturating_sub(whole.payload_bytes);
        }
    }

    /// Fetches as many names of streams as asked.
    pub(super) async fn walk_streams(
        &self,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>, StoreError> {
        // An empty cursor means the beginning to the daemon, where a stream without a name would stand.
        let mut unwanted = usize::from(after == Some(""));
        let mut cursor = after.unwrap_or_default().to_owned();
        let mut names: Vec<String> = Vec::new();
        loop {
            let missing = limit.saturating_sub(names.len());
            let asked = missing.saturating_add(unwanted).min(MAX_PAGE_ENTRIES);
            let answer = self.fetch_streams(&cursor, asked).await?;
            let Some(last) = answer.stream_ids.last() else { return Ok(names) };
            cursor.clone_from(last);
            let goes_on = answer.cut_short || answer.stream_ids.len() >= asked;
            let is_wanted = |name: &String| unwanted == 0 || !name.is_empty();
            names.extend(answer.stream_ids.into_iter().filter(is_wanted).take(missing));
            unwanted = 0;
            if !goes_on || names.len() >= limit || cursor.is_empty() {
                return Ok(names);
            }
        }
    }

    async fn fetch_streams(
        &self,
        after: &str,
        limit: usize,
    ) -> Result<proto::ListStreamIDsResponse, StoreError> {
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let request = proto::ListStreamIDsRequest { after: after.to_owned(), limit };
        let send = |request| {
            let mut service = self.connection.service();
            async move { service.list_stream_i_ds(request).await }
        };
        self.connection.call(Call::read("list_streams", ""), Repeat::Harmless, request, send).await
    }
}

/// The page as the caller wants it.
struct Whole<Id: EntryId> {
    page: Page<Id, Bytes>,
    payload_bytes: usize,
}

impl<Id: EntryId> Whole<Id> {
    /// Adds what the daemon sent; `true` if the page is as large as it may be. Holds the bounds and times itself,
    /// because the original knows neither.
    fn add(&mut self, part: Page<Id, Bytes>, read: &Read<Id>) -> bool {
        if self.page.is_end() && is_as_asked(&part, read) {
            self.payload_bytes = part.entries.iter().map(|entry| entry.payload.len()).sum();
            self.page = part;
            return false;
        }
        let (more, next) = (part.more, part.next.clone());
        for record in part.into_records(read.order) {
            match record {
                Ok(entry) if !is_in_time(&entry, read) => self.page.next = Some(entry.id),
                Ok(entry) => {
                    let bytes = self.payload_bytes.saturating_add(entry.payload.len());
                    if bytes > read.max_bytes && !self.page.entries.is_empty() {
                        self.page.more = true;
                        return true;
                    }
                    self.payload_bytes = bytes;
                    self.page.next = Some(entry.id.clone());
                    self.page.entries.push(entry);
                }
                Err(damaged) => {
                    self.page.next = Some(damaged.id.clone());
                    self.page.damaged.push(damaged);
                }
            }
        }
        if next.is_some() {
            self.page.next = next;
        }
        self.page.more = more;
        false
    }
}

/// Whether a part needs no work on this side, as those of our own daemon do not.
fn is_as_asked<Id: EntryId>(part: &Page<Id, Bytes>, read: &Read<Id>) -> bool {
    let payload_bytes: usize = part.entries.iter().map(|entry| entry.payload.len()).sum();
    part.next.is_some()
        && (payload_bytes <= read.max_bytes || part.entries.len() == 1)
        && part.entries.iter().all(|entry| is_in_time(entry, read))
}

fn is_in_time<Id, P>(entry: &Entry<Id, P>, read: &Read<Id>) -> bool {
    read.filter.since.is_none_or(|since| entry.created_at >= since)
        && read.filter.until.is_none_or(|until| entry.created_at < until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_daemon_that_never_ends_a_page_is_not_asked_for_ever() {
        let client = Client::<i64>::at("localhost:1").lazy().unwrap();
        let endless = |_| async {
            Ok(proto::ReadResponse { more: Some(true), cut_short: true, ..proto::ReadResponse::default() })
        };
        let page = client.walk(Call::read("read", "s"), &Read::new(), endless).await.unwrap();
        assert!(page.is_end());
    }
}
