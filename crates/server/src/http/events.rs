//! Server-sent events (WHATWG HTML §9.2): a subscription as `text/event-stream`.
//!
//! | block | when |
//! |---|---|
//! | `id: 7` `data: {…}` | an entry, as JSON; its id is that of the event |
//! | `event: damaged` `id: 8` `data: {…}` | a record that cannot be understood |
//! | `event: caught_up` `id: 8` `data: {}` | everything there was has been delivered |
//! | `event: behind` `id: 8` `data: {"atLeast":"9"}` | the client is slower than the writers |
//! | `event: end` `data: {"code":14,…}` | the daemon ends the stream, and why |
//! | `id: 9` | the subscription has passed entries that do not meet its conditions |
//! | `: heartbeat` | nothing has happened for 15 seconds |
//!
//! Every block says where the subscription stands, so whoever is cut off goes on with the last id it has seen, as
//! browsers do by themselves (`Last-Event-ID`). The id `start` is the beginning of a stream. Entries that are there
//! together are sent together: one message of a subscription is one chunk.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use http_body::Frame;
use ledger_api::proto::subscribe_response::Event;
use ledger_api::proto::{Entry, SubscribeResponse};
use tonic::Status;

use super::json::append_json;
use super::refusal;
use super::request::AT_START;

/// Media type of the answer.
pub(super) const EVENT_STREAM: &str = "text/event-stream";
/// Sent at once, so that the client knows that it is connected: how soon it comes back when it is cut off, in
/// milliseconds.
const FIRST: &[u8] = b"retry: 1000\n\n";

/// The body for a subscription; `kept` is dropped with it.
pub(super) fn frames<K: Send + 'static>(
    messages: impl Stream<Item = Result<SubscribeResponse, Status>> + Send + 'static,
    kept: K,
) -> impl Stream<Item = Result<Frame<Bytes>, Infallible>> + Send {
    let chunks = messages.map(move |message| {
        let _ = &kept;
        chunk(message)
    });
    futures_util::stream::once(std::future::ready(Bytes::from_static(FIRST)))
        .chain(chunks)
        .map(|chunk| Ok(Frame::data(chunk)))
}

/// The blocks for a message.
fn chunk(message: Result<SubscribeResponse, Status>) -> Bytes {
    let mut text = Vec::new();
    if let Err(status) = message.and_then(|message| push(message, &mut text)) {
        text.clear();
        text.extend_from_slice(b"event: end\ndata: ");
        text.extend(refusal::body(&status));
        text.extend_from_slice(b"\n\n");
    }
    text.into()
}

fn push(message: SubscribeResponse, text: &mut Vec<u8>) -> Result<(), Status> {
    let position = message.position;
    match message.event {
        Some(Event::Entries(batch)) => {
            for entry in &batch.entries {
                push_entry(entry, text)?;
            }
            if batch.entries.last().is_some_and(|last| last.id != position) {
                push_position(&position, text);
            }
        }
        Some(Event::Damaged(record)) => {
            open(text, "damaged", &position);
            append_json(&record, text)?;
            text.extend_from_slice(b"\n\n");
        }
        Some(Event::CaughtUp(_)) => {
            open(text, "caught_up", &position);
            text.extend_from_slice(b"{}\n\n");
        }
        Some(Event::Behind(behind)) => {
            open(text, "behind", &position);
            text.extend_from_slice(format!("{{\"atLeast\":\"{}\"}}\n\n", behind.at_least).as_bytes());
        }
        Some(Event::Heartbeat(_)) => text.extend_from_slice(b": heartbeat\n\n"),
        None => push_position(&position, text),
    }
    Ok(())
}

/// An id without data is no event, and yet where to go on.
fn push_position(position: &str, text: &mut Vec<u8>) {
    text.extend_from_slice(format!("id: {}\n\n", event_id(position)).as_bytes());
}

fn push_entry(entry: &Entry, text: &mut Vec<u8>) -> Result<(), Status> {
    text.extend_from_slice(b"id: ");
    text.extend_from_slice(&entry.id);
    text.extend_from_slice(b"\ndata: ");
    // JSON has no line breaks of its own, and those in texts are escaped.
    append_json(entry, text)?;
    text.extend_from_slice(b"\n\n");
    Ok(())
}

fn open(text: &mut Vec<u8>, name: &str, position: &str) {
    text.extend_from_slice(format!("event: {name}\nid: {}\ndata: ", event_id(position)).as_bytes());
}

fn event_id(position: &str) -> &str {
    if position.is_empty() { AT_START } else { position }
}

#[cfg(test)]
mod tests {
    use ledger_api::proto::DamagedEntry;
    use ledger_api::proto::subscribe_response::{Behind, CaughtUp, EntryBatch, Heartbeat};

    use super::*;

    fn text(position: &str, event: Option<Event>) -> String {
        let message = SubscribeResponse { position: position.to_owned(), event };
        String::from_utf8(chunk(Ok(message)).to_vec()).unwrap()
    }

    #[test]
    fn events_are_blocks_with_the_id_to_go_on_with() {
        let entry = |id: &str| Entry { id: id.to_owned().into(), stream: "a\nb".into(), ..Entry::default() };
        let batch = text("8", Some(Event::Entries(EntryBatch { entries: vec![entry("7"), entry("8")] })));
        let blocks: Vec<_> = batch.split_terminator("\n\n").collect();
        assert_eq!(blocks.len(), 2, "one chunk for both: {batch}");
        assert!(blocks[0].starts_with("id: 7\ndata: {\"id\":\"7\",\"stream\":\"a\\nb\","), "{batch}");
        assert!(blocks[1].starts_with("id: 8\ndata: {"), "{batch}");
        assert!(blocks.iter().all(|block| block.lines().count() == 2), "{batch}");

        assert_eq!(text("8", Some(Event::CaughtUp(CaughtUp {}))), "event: caught_up\nid: 8\ndata: {}\n\n");
        assert_eq!(text("", Some(Event::CaughtUp(CaughtUp {}))), "event: caught_up\nid: start\ndata: {}\n\n");
        let behind = Event::Behind(Behind { at_least: 9 });
        assert_eq!(text("8", Some(behind)), "event: behind\nid: 8\ndata: {\"atLeast\":\"9\"}\n\n");
        let damaged = DamagedEntry { id: "8".into(), reason: "why".into(), ..DamagedEntry::default() };
        let expected = "event: damaged\nid: 8\n\
                        data: {\"id\":\"8\",\"stream\":\"\",\"field\":\"\",\"reason\":\"why\"}\n\n";
        assert_eq!(text("8", Some(Event::Damaged(damaged))), expected);
        assert_eq!(text("8", Some(Event::Heartbeat(Heartbeat {}))), ": heartbeat\n\n");
        assert_eq!(text("8", None), "id: 8\n\n");
        let batch = text("9", Some(Event::Entries(EntryBatch { entries: vec![entry("7")] })));
        assert!(batch.ends_with("}\n\nid: 9\n\n"), "{batch}");
        let end = chunk(Err(Status::unavailable("stopping")));
        assert_eq!(
            &end[..],
            b"event: end\ndata: {\"code\":14,\"message\":\"stopping\",\"details\":[]}\n\n".as_slice()
        );
    }
}
