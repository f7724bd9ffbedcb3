//! Reading page after page, in constant memory.

use bytes::Bytes;
use clap::Args;
use ledger_streams::limits::DEFAULT_PAGE_ENTRIES;
use ledger_streams::{EntryId, Filter, NotSupported, Order, Page, Read, Store};

use crate::args::page_limit;
use crate::errors::Failure;

/// Entries in one page.
const PAGE_ENTRIES: usize = 1000;
/// Payload bytes in one page, if a single payload is not larger.
const PAGE_BYTES: usize = 4 << 20;

/// Where to read, and how much.
#[derive(Args, Clone, Debug)]
pub(crate) struct PageArgs {
    /// Only entries behind this id; with --desc, before it
    #[arg(long, value_name = "ID", default_value = "", hide_default_value = true)]
    after: String,
    /// Print at most this many entries; 0 stands for 100
    #[arg(long, value_name = "N", default_value = "0", hide_default_value = true, value_parser = page_limit)]
    limit: usize,
    /// Print every entry, however many
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// Newest first
    #[arg(long)]
    desc: bool,
}

impl PageArgs {
    /// Where to begin, and which entries.
    ///
    /// # Errors
    /// [`Failure::Store`] if the cursor is no id of this store.
    pub(crate) fn read<Id: EntryId>(&self, filter: Filter) -> Result<Read<Id>, Failure> {
        read_from(&self.after, self.desc, filter)
    }

    /// How many entries to print, `None` for all.
    pub(crate) fn limit(&self) -> Option<usize> {
        match self.limit {
            _ if self.all => None,
            0 => Some(DEFAULT_PAGE_ENTRIES),
            limit => Some(limit),
        }
    }
}

/// A read behind a cursor; an empty cursor is none.
///
/// # Errors
/// [`Failure::Store`] if the cursor is no id of this store.
pub(crate) fn read_from<Id: EntryId>(
    after: &str,
    descending: bool,
    filter: Filter,
) -> Result<Read<Id>, Failure> {
    let after = if after.is_empty() { None } else { Some(Id::parse(after)?) };
    let order = if descending { Order::Descending } else { Order::Ascending };
    Ok(Read { after, order, filter, ..Read::new() })
}

/// Where pages come from.
#[derive(Clone, Copy)]
pub(crate) enum Source<'a> {
    /// All entries of a stream.
    Stream(&'a str),
    /// The entries that contain a text, of one stream or of all.
    Search {
        /// The stream; `None` for all.
        stream: Option<&'a str>,
        /// The text.
        query: &'a str,
    },
}

/// Hands the entries of a source over page by page: at most `limit`, or all that were there at the beginning.
///
/// # Errors
/// Those of the store, and of `show`.
pub(crate) async fn each_page<S: Store<Payload = Bytes> + ?Sized>(
    store: &S,
    source: Source<'_>,
    mut read: Read<S::Id>,
    limit: Option<usize>,
    mut show: impl FnMut(Page<S::Id, Bytes>) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let end = if limit.is_none() { end_of(store, source, read.order).await? } else { None };
    let mut wanted = limit.unwrap_or(usize::MAX);
    while wanted > 0 {
        read.limit = wanted.min(PAGE_ENTRIES);
        read.max_bytes = PAGE_BYTES;
        let mut page = one_page(store, source, &read).await?;
        let is_past_end = |id: &S::Id| end.as_ref().is_some_and(|end| id.is_behind(end));
        let is_last = !page.more
            || page.next.is_none()
            || page.next == end
            || page.next.as_ref().is_some_and(is_past_end);
        if is_last {
            page.entries.retain(|entry| !is_past_end(&entry.id));
        }
        wanted = wanted.saturating_sub(page.entries.len());
        read.after = page.next.clone().or(read.after);
        show(page)?;
        if is_last {
            break;
        }
    }
    Ok(())
}

async fn one_page<S: Store<Payload = Bytes> + ?Sized>(
    store: &S,
    source: Source<'_>,
    read: &Read<S::Id>,
) -> Result<Page<S::Id, Bytes>, Failure> {
    match source {
        Source::Stream(stream) => Ok(store.read(stream, read).await?),
        Source::Search { stream, query } => match store.capabilities().search {
            Some(search) => Ok(search.search(stream, query, read).await?),
            None => Err(NotSupported { operation: "search", store: store.name().to_owned() }.into()),
        },
    }
}

/// The last id that there is now: where reading everything ends, so that it does end while others append.
async fn end_of<S: Store<Payload = Bytes> + ?Sized>(
    store: &S,
    source: Source<'_>,
    order: Order,
) -> Result<Option<S::Id>, Failure> {
    match (source, order) {
        (Source::Stream(stream), Order::Ascending) => {
            Ok(store.read(stream, &Read::new().descending().limit(1)).await?.next)
        }
        _ => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use ledger_streams::{Append, Expect, MemoryStore};

    use super::*;

    /// Reads everything while somebody appends at least as fast; answers how many entries were shown.
    fn shown_while_others_append(order: Order) -> usize {
        let store = MemoryStore::new("busy").unwrap();
        let append = |entries: usize| {
            let entries = vec![Append::new(Bytes::from_static(b"1")); entries];
            store.append("s", entries, Expect::Any).now_or_never().unwrap().unwrap();
        };
        append(3 * PAGE_ENTRIES / 2);
        let mut shown = 0;
        let show = |page: Page<i64, Bytes>| {
            shown += page.entries.len();
            append(PAGE_ENTRIES);
            Ok(())
        };
        let read = Read { order, ..Read::new() };
        each_page(&store, Source::Stream("s"), read, None, show).now_or_never().unwrap().unwrap();
        shown
    }

    #[test]
    fn reading_everything_ends_while_others_append() {
        assert_eq!(shown_while_others_append(Order::Ascending), 3 * PAGE_ENTRIES / 2);
        assert_eq!(shown_while_others_append(Order::Descending), 3 * PAGE_ENTRIES / 2);
    }

    #[test]
    fn a_stream_without_entries_shows_nothing() {
        let store = MemoryStore::new("empty").unwrap();
        let show = |page: Page<i64, Bytes>| {
            assert!(page.entries.is_empty());
            Ok(())
        };
        each_page(&store, Source::Stream("s"), Read::new(), None, show).now_or_never().unwrap().unwrap();
    }
}
