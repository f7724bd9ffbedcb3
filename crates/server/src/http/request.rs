//! From a request over HTTP to a message of the protocol: path, query, headers and body, without any input or output,
//! so that it can be tested and fuzzed on its own.

use std::time::Duration;

use http::request::Parts;
use http::{HeaderMap, HeaderName};
use ledger_api::metadata::{API_KEY, EXACT, STORE};
use ledger_api::proto;
use tonic::Status;

use super::json::{FromJson, from_json};
use super::query::Query;
use super::refusal::Refusal;
use super::routes::{self, Call, NoRoute, Values};

/// The metadata that calls look at; other headers stay behind.
const FORWARDED: [&str; 3] = [STORE, API_KEY, EXACT];
/// What may stand before the name of metadata.
const PREFIX: &str = "grpc-metadata-";
/// Where an event stream was cut off (WHATWG HTML §9.2).
const LAST_EVENT_ID: &str = "last-event-id";
/// The event id of a subscription that has not had any entry and stands at the beginning of its stream.
pub(super) const AT_START: &str = "start";

/// A request without its body.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) call: Call,
    pub(super) has_body: bool,
    /// What gRPC metadata would hold.
    pub(super) metadata: HeaderMap,
    /// How long the caller waits.
    pub(super) timeout: Option<Duration>,
    values: Values,
    query: Query,
    last_event_id: Option<String>,
}

/// A request that the gateway understands.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs, reason = "the messages are documented in the protocol")]
pub enum Message {
    Append(proto::AppendRequest),
    Read(proto::ReadRequest),
    Count(proto::CountRequest),
    SetTags(proto::SetTagsRequest),
    SetAnnotations(proto::SetAnnotationsRequest),
    Trim(proto::TrimRequest),
    ListStreamIDs(proto::ListStreamIDsRequest),
    RenameStream(proto::RenameStreamRequest),
    Stat(proto::StatRequest),
    Search(proto::SearchRequest),
    Subscribe(proto::SubscribeRequest),
    Health,
    Live,
    Ready,
    OpenApi,
    Metrics,
}

/// Decodes a whole request.
///
/// ```
/// use ledger_server::http::{Message, decode};
///
/// let request = http::Request::post("/v1/streams/s1/entries:trim").body(()).unwrap();
/// let Message::Trim(trim) = decode(&request.into_parts().0, br#"{"beforeId":"7"}"#).unwrap() else { panic!() };
/// assert_eq!((trim.stream.as_str(), trim.before_id.as_str()), ("s1", "7"));
/// ```
///
/// # Errors
/// What the client is answered.
pub fn decode(parts: &Parts, body: &[u8]) -> Result<Message, Refusal> {
    Head::of(parts)?.message(body)
}

impl Head {
    /// Finds the route and reads the headers.
    pub(super) fn of(parts: &Parts) -> Result<Self, Refusal> {
        let (route, values) = routes::find(&parts.method, parts.uri.path())?;
        let query = Query::parse(parts.uri.query().unwrap_or_default()).map_err(NoRoute::Malformed)?;
        let last_event_id = parts.headers.get(LAST_EVENT_ID).map(|id| {
            id.to_str().map(str::to_owned).map_err(|_| Status::invalid_argument("Last-Event-ID is no id"))
        });
        Ok(Self {
            call: route.call,
            has_body: route.has_body,
            metadata: metadata(&parts.headers),
            timeout: crate::time_limit::time_limit(&parts.headers)?,
            values,
            query,
            last_event_id: last_event_id.transpose()?.filter(|id| !id.is_empty()),
        })
    }

    /// The message with the body of the request. What stands in the path wins over the body.
    pub(super) fn message(mut self, body: &[u8]) -> Result<Message, Refusal> {
        Ok(match self.call {
            Call::Append => Message::Append(
                self.with(body, |message: &mut proto::AppendRequest| [("stream", &mut message.stream)])?,
            ),
            Call::Read => {
                let stream = self.value("stream");
                Message::Read(proto::ReadRequest { stream, options: self.query.into_options()? })
            }
            Call::Count => Message::Count(proto::CountRequest { stream: self.value("stream") }),
            Call::SetTags => Message::SetTags(self.with(body, |message: &mut proto::SetTagsRequest| {
                [("stream", &mut message.stream), ("id", &mut message.id)]
            })?),
            Call::SetAnnotations => {
                Message::SetAnnotations(self.with(body, |message: &mut proto::SetAnnotationsRequest| {
                    [("stream", &mut message.stream), ("id", &mut message.id)]
                })?)
            }
            Call::Trim => Message::Trim(
                self.with(body, |message: &mut proto::TrimRequest| [("stream", &mut message.stream)])?,
            ),
            Call::ListStreamIDs => Message::ListStreamIDs(self.query.into_list()?),
            Call::RenameStream => Message::RenameStream(
                self.with(body, |message: &mut proto::RenameStreamRequest| [("name", &mut message.name)])?,
            ),
            Call::Stat => Message::Stat(proto::StatRequest { stream: self.value("stream") }),
            Call::Search => Message::Search(
                self.with(body, |message: &mut proto::SearchRequest| [("stream", &mut message.stream)])?,
            ),
            Call::Subscribe => Message::Subscribe(self.subscription()?),
            Call::Health => Message::Health,
            Call::Live => Message::Live,
            Call::Ready => Message::Ready,
            Call::OpenApi => Message::OpenApi,
            Call::Metrics => Message::Metrics,
        })
    }

    fn value(&mut self, name: &str) -> String {
        let value = self.values.iter_mut().find(|(other, _)| *other == name);
        value.map(|(_, value)| std::mem::take(value)).unwrap_or_default()
    }

    fn with<M: FromJson + Default, const N: usize>(
        &mut self,
        body: &[u8],
        in_path: impl FnOnce(&mut M) -> [(&'static str, &mut String); N],
    ) -> Result<M, Refusal> {
        let mut message = from_json(body)?;
        for (name, field) in in_path(&mut message) {
            *field = self.value(name);
        }
        Ok(message)
    }

    /// Whoever was cut off goes on behind the last event, whatever the address says.
    fn subscription(mut self) -> Result<proto::SubscribeRequest, Refusal> {
        let stream = self.value("stream");
        let mut request = proto::SubscribeRequest { stream, ..self.query.into_subscription()? };
        if let Some(last) = self.last_event_id {
            request.set_position(proto::subscribe_request::Position::Start);
            request.after = if last == AT_START { String::new() } else { last };
        }
        Ok(request)
    }
}

/// The metadata in headers: under its own name, or behind `Grpc-Metadata-`. The first value counts, and one under its
/// own name comes first.
fn metadata(headers: &HeaderMap) -> HeaderMap {
    let mut metadata = HeaderMap::new();
    for name in FORWARDED {
        let plain = headers.get(name);
        let value = plain.or_else(|| headers.get(format!("{PREFIX}{name}")));
        if let Some(value) = value {
            metadata.insert(HeaderName::from_static(name), value.clone());
        }
    }
    metadata
}

#[cfg(test)]
mod tests;
