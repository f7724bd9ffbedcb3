//! Events of a subscription.

use std::sync::Arc;

use bytes::Bytes;
use ledger_streams::{EntryId, Event, Filter, Position};
use prost::Message;

use super::entry::{EntryMessages, damaged, id_text, into_damaged, into_entry};
use super::{MalformedAnswer, optional_id, wire_count};
use crate::proto;
use crate::proto::subscribe_request::Position as WirePosition;
use crate::proto::subscribe_response as wire;
use crate::status::RequestError;

/// Size at which a batch of entries is sent, in bytes. Small entries are coalesced up to it, because peers may cut
/// off senders of many tiny frames; it stays well under what every client takes.
const BATCH_BYTES: usize = 1 << 20;

/// Where a client wants to begin.
///
/// # Errors
/// [`RequestError::InvalidCursor`], and [`RequestError::UnknownValue`] for a position of a later version.
pub fn into_position<Id: EntryId>(message: &proto::SubscribeRequest) -> Result<Position<Id>, RequestError> {
    if let Some(id) = optional_id(&message.after)? {
        return Ok(Position::After(id));
    }
    match WirePosition::try_from(message.position) {
        Ok(WirePosition::Start) => Ok(Position::Start),
        Ok(WirePosition::Now) => Ok(Position::Now),
        Err(_) => Err(RequestError::UnknownValue { field: "position", number: message.position }),
    }
}

/// The messages for events that follow each other, entries coalesced; those that do not meet `filter` are passed over.
/// `position` is the id behind which the subscription stands, empty at the beginning of the stream; it moves on with
/// the events.
pub fn subscribe_responses<Id: EntryId>(
    events: Vec<Event<Id, Bytes>>,
    filter: &Filter,
    position: &mut String,
) -> Vec<proto::SubscribeResponse> {
    let mut messages = Vec::new();
    let mut batch = Batch::default();
    let mut entries = EntryMessages::new(events.len());
    for event in events {
        let event = match event {
            Event::Entry(next) if !filter.matches(&next) => {
                batch.passed = Some(next.id.to_string());
                continue;
            }
            Event::Entry(next) => {
                batch.add(entries.message(next), position, &mut messages);
                continue;
            }
            Event::Damaged(record) => {
                batch.send(position, &mut messages);
                *position = record.id.to_string();
                wire::Event::Damaged(damaged(record))
            }
            Event::CaughtUp => wire::Event::CaughtUp(wire::CaughtUp {}),
            Event::Behind { at_least } => {
                wire::Event::Behind(wire::Behind { at_least: wire_count(at_least) })
            }
        };
        batch.send(position, &mut messages);
        messages.push(proto::SubscribeResponse { position: position.clone(), event: Some(event) });
    }
    if batch.send(position, &mut messages) {
        messages.push(proto::SubscribeResponse { position: position.clone(), event: None });
    }
    messages
}

/// Entries that wait to be sent together.
#[derive(Default)]
struct Batch {
    entries: Vec<proto::Entry>,
    bytes: usize,
    /// The entry behind the last of `entries` that was passed over last.
    passed: Option<String>,
}

impl Batch {
    fn add(
        &mut self,
        entry: proto::Entry,
        position: &mut String,
        messages: &mut Vec<proto::SubscribeResponse>,
    ) {
        let bytes = entry.encoded_len();
        if self.bytes.saturating_add(bytes) > BATCH_BYTES {
            self.send(position, messages);
        }
        self.bytes = self.bytes.saturating_add(bytes);
        self.entries.push(entry);
        self.passed = None;
    }

    /// Moves the position on; answers whether no message says so yet.
    fn send(&mut self, position: &mut String, messages: &mut Vec<proto::SubscribeResponse>) -> bool {
        let Self { entries, passed, .. } = std::mem::take(self);
        let is_silent = entries.is_empty() && passed.is_some();
        if let Some(reached) = passed.or_else(|| entries.last().map(id_text)) {
            *position = reached;
        }
        if !entries.is_empty() {
            let event = Some(wire::Event::Entries(wire::EntryBatch { entries }));
            messages.push(proto::SubscribeResponse { position: position.clone(), event });
        }
        is_silent
    }
}

/// The events in a message; none in a heartbeat, and none of a kind that a later version has added.
///
/// # Errors
/// [`MalformedAnswer`] if an id is of another type or a time is none.
pub fn into_events<Id: EntryId>(
    message: proto::SubscribeResponse,
) -> Result<Vec<Event<Id, Bytes>>, MalformedAnswer> {
    Ok(match message.event {
        Some(wire::Event::Entries(batch)) => {
            let mut stream: Arc<str> = "".into();
            let into_event = |message| into_entry(message, &mut stream).map(Event::Entry);
            batch.entries.into_iter().map(into_event).collect::<Result<_, _>>()?
        }
        Some(wire::Event::Damaged(record)) => vec![Event::Damaged(into_damaged(record)?)],
        Some(wire::Event::CaughtUp(_)) => vec![Event::CaughtUp],
        Some(wire::Event::Behind(behind)) => {
            vec![Event::Behind { at_least: usize::try_from(behind.at_least).unwrap_or_default() }]
        }
        Some(wire::Event::Heartbeat(_)) | None => Vec::new(),
    })
}
