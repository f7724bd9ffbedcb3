//! Every bound of a stream store, and the checks that all stores share.

use std::collections::BTreeMap;

use crate::{Append, InvalidText, LimitExceeded, Payload, Read, StoreError};

/// Entries in a page when the caller does not say.
pub const DEFAULT_PAGE_ENTRIES: usize = 100;
/// Most entries in a page.
pub const MAX_PAGE_ENTRIES: usize = 100_000;
/// Most payload bytes in a page; a page always holds at least one entry.
pub const MAX_PAGE_BYTES: usize = 64 << 20;
/// Most bytes of one payload.
pub const MAX_PAYLOAD_BYTES: usize = 64 << 20;
/// Most bytes of one payload before compression and after decompression.
pub const MAX_DECOMPRESSED_BYTES: usize = 64 << 20;
/// Most entries in one append.
pub const MAX_BATCH_ENTRIES: usize = 100_000;
/// Most bytes of payloads and attributes in one append.
pub const MAX_BATCH_BYTES: usize = 128 << 20;
/// Most bytes of a stream name.
pub const MAX_STREAM_NAME_BYTES: usize = 1024;
/// Most bytes of an ordering key, deduplication key, source id or cursor name.
pub const MAX_KEY_BYTES: usize = 4096;
/// Most bytes of all metadata, tags and annotations of an entry together.
pub const MAX_ATTRIBUTE_BYTES: usize = 1 << 20;
/// Most bytes of a search text.
pub const MAX_QUERY_BYTES: usize = 64 << 10;

const ATTRIBUTE_BYTES: &str = "size of metadata, tags and annotations in bytes";

/// Fails if a value passes its bound.
pub fn check_limit(what: &'static str, actual: usize, limit: usize) -> Result<(), LimitExceeded> {
    if actual > limit { Err(LimitExceeded { what, limit, actual }) } else { Ok(()) }
}

/// Fails if a text holds U+0000, which not every backend can keep.
pub fn check_text(what: &'static str, text: &str) -> Result<(), InvalidText> {
    match text.find('\0') {
        Some(at) => Err(InvalidText { what, at }),
        None => Ok(()),
    }
}

/// Checks a stream name that is about to be written.
pub fn check_stream_name(name: &str) -> Result<(), StoreError> {
    check_limit("length of the stream name in bytes", name.len(), MAX_STREAM_NAME_BYTES)?;
    check_text("stream name", name)?;
    Ok(())
}

/// Checks a key: text and length.
pub fn check_key(what: &'static str, key: &str) -> Result<(), StoreError> {
    check_limit(what, key.len(), MAX_KEY_BYTES)?;
    check_text(what, key)?;
    Ok(())
}

/// Checks a batch before anything is done with it.
pub fn check_batch<P: Payload>(stream: &str, entries: &[Append<P>]) -> Result<(), StoreError> {
    check_stream_name(stream)?;
    check_limit("number of entries in the batch", entries.len(), MAX_BATCH_ENTRIES)?;
    let mut batch_bytes: usize = 0;
    for entry in entries {
        let payload_bytes = entry.payload.size_bytes();
        check_limit("size of the payload in bytes", payload_bytes, MAX_PAYLOAD_BYTES)?;
        batch_bytes = batch_bytes.saturating_add(payload_bytes).saturating_add(check_attributes_of(entry)?);
    }
    check_limit("size of the batch in bytes", batch_bytes, MAX_BATCH_BYTES)?;
    Ok(())
}

fn check_attributes_of<P>(entry: &Append<P>) -> Result<usize, StoreError> {
    check_key("ordering key (bytes)", &entry.order_key)?;
    check_key("deduplication key (bytes)", &entry.dedup_key)?;
    check_key("source id (bytes)", entry.source_id())?;
    let annotations = entry.origin.as_deref().map(|origin| &origin.annotations);
    let pairs = entry.metadata.iter().chain(annotations.into_iter().flatten());
    let texts = pairs.flat_map(|(key, value)| [key.as_str(), value.as_str()]);
    let bytes = check_attributes(texts.chain(entry.tags.iter().map(String::as_str)))?;
    let keys = [&entry.order_key, &entry.dedup_key, entry.source_id()];
    Ok(keys.iter().fold(bytes, |sum, key| sum.saturating_add(key.len())))
}

/// Checks the texts of tags, metadata or annotations; answers their size in bytes.
pub fn check_attributes<'a>(texts: impl Iterator<Item = &'a str>) -> Result<usize, StoreError> {
    let mut bytes: usize = 0;
    for text in texts {
        check_text("tag, metadata or annotation", text)?;
        bytes = bytes.saturating_add(text.len());
    }
    check_limit(ATTRIBUTE_BYTES, bytes, MAX_ATTRIBUTE_BYTES)?;
    Ok(bytes)
}

/// Checks what a change is about to leave an entry with: metadata, tags and annotations together.
pub fn check_changed_entry(
    metadata: &BTreeMap<String, String>,
    tags: &[String],
    annotations: &BTreeMap<String, String>,
) -> Result<(), LimitExceeded> {
    let pairs = metadata.iter().chain(annotations).flat_map(|(key, value)| [key.len(), value.len()]);
    let bytes = pairs.chain(tags.iter().map(String::len)).fold(0, usize::saturating_add);
    check_limit(ATTRIBUTE_BYTES, bytes, MAX_ATTRIBUTE_BYTES)
}

/// Checks the bounds of a page.
pub fn check_read<Id>(read: &Read<Id>) -> Result<(), LimitExceeded> {
    check_limit("number of entries in the page", read.limit, MAX_PAGE_ENTRIES)?;
    check_limit("size of the page in bytes", read.max_bytes, MAX_PAGE_BYTES)
}

/// Checks a search: its text and the bounds of its page.
pub fn check_search<Id>(query: &str, read: &Read<Id>) -> Result<(), LimitExceeded> {
    check_limit("length of the search text in bytes", query.len(), MAX_QUERY_BYTES)?;
    check_read(read)
}
