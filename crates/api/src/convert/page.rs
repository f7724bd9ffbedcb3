//! Reads and the pages that answer them.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use ledger_streams::limits::DEFAULT_PAGE_ENTRIES;
use ledger_streams::{Entry, EntryId, Filter, Order, Page, Read};
use prost::Message;

use super::append::optional_time;
use super::entry::{EntryMessages, damaged, id_text, into_damaged, into_entry};
use super::time::timestamp;
use super::{MalformedAnswer, answered_id, optional_id, wire_count};
use crate::proto;
use crate::status::RequestError;

/// Largest message that a client takes if it does not say otherwise (specification §5.9), in bytes.
pub const CLASSIC_MESSAGE_BYTES: usize = 4 << 20;
/// Bytes that a page's message may need beside its entries: cursor, flags, and framing.
const MESSAGE_RESERVE_BYTES: usize = 4 << 10;
/// Bytes that stand before an entry in a message, at most: field number and length.
const ENTRY_PREFIX_BYTES: usize = 11;

/// The message for what to read. `None` if no entry can match, because a key must have two values.
pub fn read_options<Id: EntryId>(read: &Read<Id>) -> Option<proto::ReadOptions> {
    let filter = &read.filter;
    // The field for a single tag is understood by every daemon, the one for several is not (specification §1.6).
    let (tag, all_tags) = match filter.tags.as_slice() {
        [only] if !only.is_empty() => (only.clone(), Vec::new()),
        tags => (String::new(), tags.to_vec()),
    };
    Some(proto::ReadOptions {
        after: read.after.as_ref().map_or_else(String::new, Id::to_string),
        limit: wire_count(read.limit),
        desc: read.order == Order::Descending,
        order_key: filter.order_key.clone(),
        tag,
        all_tags,
        metadata_filters: one_value_each(&filter.metadata)?,
        annotation_filters: one_value_each(&filter.annotations)?,
        since: filter.since.map(timestamp),
        until: filter.until.map(timestamp),
        max_bytes: wire_count(read.max_bytes),
    })
}

fn one_value_each(pairs: &[(String, String)]) -> Option<BTreeMap<String, String>> {
    let mut map = BTreeMap::new();
    for (key, value) in pairs {
        if map.insert(key.clone(), value.clone()).is_some_and(|other| other != *value) {
            return None;
        }
    }
    Some(map)
}

/// The conditions in a message.
///
/// # Errors
/// [`RequestError::InvalidTime`].
pub fn into_filter(options: proto::ReadOptions) -> Result<Filter, RequestError> {
    let tag = Some(options.tag).filter(|tag| !tag.is_empty());
    Ok(Filter {
        order_key: options.order_key,
        tags: tag.into_iter().chain(options.all_tags).collect(),
        metadata: options.metadata_filters.into_iter().collect(),
        annotations: options.annotation_filters.into_iter().collect(),
        since: optional_time("since", options.since)?,
        until: optional_time("until", options.until)?,
    })
}

/// What a client wants to read, and how large the answer may be.
#[derive(Clone, Debug, PartialEq)]
pub struct PageRequest<Id> {
    /// What to ask the store for.
    pub read: Read<Id>,
    /// The daemon bounds the payload bytes lower than the client asked.
    bounded: bool,
    /// Largest message for the answer.
    max_message_bytes: usize,
}

impl<Id: EntryId> PageRequest<Id> {
    /// The request in a message. `max_message_bytes` is the daemon's own bound; clients that do not say how much they
    /// take get messages of [`CLASSIC_MESSAGE_BYTES`].
    ///
    /// # Errors
    /// [`RequestError::InvalidTime`] and [`RequestError::InvalidCursor`].
    pub fn from_message(
        options: Option<proto::ReadOptions>,
        max_message_bytes: usize,
    ) -> Result<Self, RequestError> {
        let options = options.unwrap_or_default();
        let asked_bytes = usize::try_from(options.max_bytes).ok().filter(|bytes| *bytes > 0);
        let max_message_bytes = if asked_bytes.is_some() {
            max_message_bytes
        } else {
            max_message_bytes.min(CLASSIC_MESSAGE_BYTES)
        };
        let limit = usize::try_from(options.limit).ok().filter(|limit| *limit > 0);
        Ok(Self {
            bounded: asked_bytes.is_none_or(|asked| asked > max_message_bytes),
            max_message_bytes,
            read: Read {
                after: optional_id(&options.after)?,
                limit: limit.unwrap_or(DEFAULT_PAGE_ENTRIES),
                max_bytes: asked_bytes.map_or(max_message_bytes, |asked| asked.min(max_message_bytes)),
                order: if options.desc { Order::Descending } else { Order::Ascending },
                filter: into_filter(options)?,
            },
        })
    }

    /// The answer to this request: the page, cut where its message would become too large. It holds at least one
    /// record, however large.
    pub fn answer(&self, page: Page<Id, Bytes>) -> PageMessage {
        let wants_more = page.entries.len() < self.read.limit;
        let mut messages = EntryMessages::new(page.entries.len());
        let mut answer = PageMessage {
            entries: Vec::with_capacity(page.entries.len()),
            more: page.more,
            next: page.next.as_ref().map_or_else(String::new, Id::to_string),
            cut_short: page.more && self.bounded && wants_more,
            ..PageMessage::default()
        };
        let mut room = self.max_message_bytes.saturating_sub(MESSAGE_RESERVE_BYTES);
        let mut last_is_damaged = None;
        for record in page.into_records(self.read.order) {
            let record = record.map(|entry| messages.message(entry)).map_err(damaged);
            let bytes = record.as_ref().map_or_else(Message::encoded_len, Message::encoded_len);
            let bytes = bytes.saturating_add(ENTRY_PREFIX_BYTES);
            if bytes > room
                && let Some(last_is_damaged) = last_is_damaged
            {
                answer.next = answer.last_id(last_is_damaged);
                return PageMessage { more: true, cut_short: true, ..answer };
            }
            room = room.saturating_sub(bytes);
            last_is_damaged = Some(record.is_err());
            match record {
                Ok(entry) => answer.entries.push(entry),
                Err(record) => answer.damaged.push(record),
            }
        }
        answer
    }
}

/// The answer to a read or a search: their messages have the same fields.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PageMessage {
    entries: Vec<proto::Entry>,
    damaged: Vec<proto::DamagedEntry>,
    more: bool,
    next: String,
    cut_short: bool,
}

impl PageMessage {
    fn last_id(&self, is_damaged: bool) -> String {
        let id = match is_damaged {
            true => self.damaged.last().map(|record| record.id.clone()),
            false => self.entries.last().map(id_text),
        };
        id.unwrap_or_default()
    }
}

impl From<PageMessage> for proto::ReadResponse {
    fn from(page: PageMessage) -> Self {
        let PageMessage { entries, damaged, more, next, cut_short } = page;
        Self { entries, more: Some(more), next, damaged, cut_short }
    }
}

impl From<PageMessage> for proto::SearchResponse {
    fn from(page: PageMessage) -> Self {
        let PageMessage { entries, damaged, more, next, cut_short } = page;
        Self { entries, more: Some(more), next, damaged, cut_short }
    }
}

impl From<proto::SearchResponse> for proto::ReadResponse {
    fn from(found: proto::SearchResponse) -> Self {
        let proto::SearchResponse { entries, more, next, damaged, cut_short } = found;
        Self { entries, more, next, damaged, cut_short }
    }
}

/// The page in a message that answers `read`, and whether the daemon's own bound cut it short.
///
/// The original says neither whether there is more nor where to go on; there a full page is taken for a cut one.
///
/// # Errors
/// [`MalformedAnswer`] if an id is of another type or a time is none.
pub fn into_page<Id: EntryId>(
    message: proto::ReadResponse,
    read: &Read<Id>,
) -> Result<(Page<Id, Bytes>, bool), MalformedAnswer> {
    let mut stream: Arc<str> = "".into();
    let into_entry = |message| into_entry(message, &mut stream);
    let entries: Vec<_> = message.entries.into_iter().map(into_entry).collect::<Result<_, _>>()?;
    let damaged = message.damaged.into_iter().map(into_damaged).collect::<Result<_, _>>()?;
    let next = match message.more {
        Some(_) if message.next.is_empty() => None,
        Some(_) => Some(answered_id(&message.next)?),
        None => entries.last().map(|entry: &Entry<Id, Bytes>| entry.id.clone()),
    };
    let more = message.more.unwrap_or(entries.len() >= read.limit);
    Ok((Page { entries, damaged, next, more }, message.cut_short))
}
