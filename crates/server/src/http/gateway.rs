//! Carries out requests: the same guard and the same calls as over gRPC, in this process.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use ledger_api::proto;
use ledger_api::proto::ledger_service_server::LedgerService;
use ledger_api::proto::ledger_streaming_server::LedgerStreaming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::json::{ToJson, to_json};
use super::refusal::Refusal;
use super::request::{Head, Message};
use super::{events, openapi};
use crate::admitted::Admitted;
use crate::grpc::{Calls, Context};
use crate::guard::{Caller, Guard};
use crate::metrics;

/// The body of an answer.
pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Requests that are worked on at once; more wait.
const MAX_REQUESTS: usize = 256;
/// Event streams that are open at once; more are refused.
const MAX_SUBSCRIPTIONS: usize = 16_384;
/// Bytes of bodies on their way in at once; more wait. One body always fits.
const MAX_BODY_BYTES_UNDER_WAY: usize = 256 << 20;
/// How long a body may take to arrive, its place in the queue included.
const MAX_BODY_TIME: Duration = Duration::from_secs(30);

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gateway {
    calls: Calls,
    context: Arc<Context>,
    guard: Guard,
    requests: Arc<Semaphore>,
    subscriptions: Arc<Semaphore>,
    body_bytes: Arc<Semaphore>,
}

impl Gateway {
    pub(crate) fn new(context: Arc<Context>, guard: Guard) -> Self {
        let body_bytes = MAX_BODY_BYTES_UNDER_WAY.max(context.max_message_bytes);
        Self {
            calls: Calls::new(context.clone()),
            context,
            guard,
            requests: Arc::new(Semaphore::new(MAX_REQUESTS)),
            subscriptions: Arc::new(Semaphore::new(MAX_SUBSCRIPTIONS)),
            body_bytes: Arc::new(Semaphore::new(body_bytes)),
        }
    }

    /// Answers a request, whatever happens.
    pub(super) async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        self.try_answer(request).await.unwrap_or_else(|refusal| refusal.into_response().map(whole))
    }

    async fn try_answer<B>(&self, request: Request<B>) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let head = Head::of(&parts)?;
        // Before a byte of the body is read: a stranger costs no more than a header.
        let mut admitted = self.guard.let_in(head.call.guarded_as(), &head.metadata, &parts.extensions)?;
        let answer = admitted.carry_out(head.timeout, self.answer_admitted(&admitted, head, body)).await;
        match answer.unwrap_or_else(|status| Err(status.into())) {
            Ok(Answer::Whole(response)) => {
                admitted.ends(Code::Ok);
                Ok(response)
            }
            Ok(Answer::Events { messages, place }) => {
                Ok(event_stream(messages, place, admitted.stays_open()))
            }
            Err(refusal) => {
                admitted.ends(refusal.status().code());
                Err(refusal)
            }
        }
    }

    async fn answer_admitted<B>(&self, admitted: &Admitted, head: Head, body: B) -> Result<Answer, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let envelope = Envelope { metadata: head.metadata.clone(), caller: admitted.caller() };
        let (body, _place) = if head.has_body { self.read_body(body).await? } else { (Bytes::new(), None) };
        let message = head.message(&body)?;
        drop(body);
        // Probes do not stand in a queue: they tell whether there is one.
        let is_probe = matches!(message, Message::Live | Message::Ready);
        let _turn = if is_probe { None } else { self.requests.acquire().await.ok() };
        self.carry_out(message, envelope).await
    }

    /// The body, bounded in size and time; and its place among the others.
    async fn read_body<B>(&self, body: B) -> Result<(Bytes, Option<OwnedSemaphorePermit>), Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let limit = self.context.max_message_bytes;
        // What is announced to be too large is refused before any of it is read.
        if body.size_hint().lower() > limit as u64 {
            return Err(too_large(limit));
        }
        let bytes = body.size_hint().upper().and_then(|bytes| u32::try_from(bytes).ok());
        let bytes = bytes.unwrap_or_else(|| u32::try_from(limit).unwrap_or(u32::MAX));
        let read = async {
            let place = self.body_bytes.clone().acquire_many_owned(bytes).await.ok();
            let body = Limited::new(body, limit).collect().await.map_err(|error| {
                if error.is::<LengthLimitError>() {
                    too_large(limit)
                } else {
                    Status::cancelled("the request ended before its body").into()
                }
            })?;
            Ok((body.to_bytes(), place))
        };
        tokio::time::timeout(MAX_BODY_TIME, read).await.unwrap_or_else(|_| {
            let status = Status::deadline_exceeded(format!("the body did not arrive in {MAX_BODY_TIME:?}"));
            Err(Refusal::with_http(StatusCode::REQUEST_TIMEOUT, status))
        })
    }

    async fn carry_out(&self, message: Message, envelope: Envelope) -> Result<Answer, Refusal> {
        let calls = &self.calls;
        let answer = match message {
            Message::Append(message) => json(calls.append(envelope.around(message)).await),
            Message::Read(message) => json(calls.read(envelope.around(message)).await),
            Message::Count(message) => json(calls.count(envelope.around(message)).await),
            Message::SetTags(message) => json(calls.set_tags(envelope.around(message)).await),
            Message::SetAnnotations(message) => json(calls.set_annotations(envelope.around(message)).await),
            Message::Trim(message) => json(calls.trim(envelope.around(message)).await),
            Message::ListStreamIDs(message) => json(calls.list_stream_i_ds(envelope.around(message)).await),
            Message::RenameStream(message) => json(calls.rename_stream(envelope.around(message)).await),
            Message::Stat(message) => json(calls.stat(envelope.around(message)).await),
            Message::Search(message) => json(calls.search(envelope.around(message)).await),
            Message::Subscribe(message) => return self.subscribe(envelope.around(message)).await,
            Message::Health => json(calls.health(envelope.around(proto::HealthRequest {})).await),
            Message::Live => probe(true),
            Message::Ready => probe(self.context.is_ready().await),
            Message::OpenApi => Ok(of_type("application/json", openapi::document())),
            Message::Metrics => Ok(of_type(metrics::CONTENT_TYPE, self.context.metrics.render().into())),
        };
        answer.map(Answer::Whole)
    }

    async fn subscribe(&self, request: tonic::Request<proto::SubscribeRequest>) -> Result<Answer, Refusal> {
        let place = self.subscriptions.clone().try_acquire_owned().map_err(|_| {
            Status::resource_exhausted(format!("there are {MAX_SUBSCRIPTIONS} event streams; no more fit"))
        })?;
        let messages = self.calls.subscribe(request).await?.into_inner();
        Ok(Answer::Events { messages, place })
    }
}

/// What a request is answered with.
enum Answer {
    /// All of it.
    Whole(Response<Body>),
    /// An event stream.
    Events { messages: <Calls as LedgerStreaming>::SubscribeStream, place: OwnedSemaphorePermit },
}

/// The answer that is an event stream; the call is open as long as it lives.
fn event_stream(
    messages: <Calls as LedgerStreaming>::SubscribeStream,
    place: OwnedSemaphorePermit,
    mut call: Admitted,
) -> Response<Body> {
    let messages = messages.inspect(move |message| {
        if let Err(status) = message {
            call.ends(status.code());
        }
    });
    let body = BodyExt::boxed_unsync(StreamBody::new(events::frames(messages, place)));
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(events::EVENT_STREAM));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // Proxies must not collect what is to be delivered at once.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// What goes with a message.
struct Envelope {
    metadata: HeaderMap,
    caller: Option<Caller>,
}

impl Envelope {
    fn around<T>(self, message: T) -> tonic::Request<T> {
        let mut extensions = tonic::Extensions::new();
        if let Some(caller) = self.caller {
            extensions.insert(caller);
        }
        tonic::Request::from_parts(MetadataMap::from_headers(self.metadata), extensions, message)
    }
}

fn too_large(limit: usize) -> Refusal {
    let message = format!("the body is larger than max_message_bytes, which is {limit}");
    Refusal::with_http(StatusCode::PAYLOAD_TOO_LARGE, Status::new(Code::ResourceExhausted, message))
}

fn json<T: ToJson>(answer: Result<tonic::Response<T>, Status>) -> Result<Response<Body>, Refusal> {
    let json = to_json(answer?.get_ref())?;
    let mut response = of_type("application/json", json.into());
    // Clients of the original may look for it.
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("grpc-metadata-content-type", grpc);
    Ok(response)
}

fn probe(is_fine: bool) -> Result<Response<Body>, Refusal> {
    if is_fine {
        Ok(of_type("application/json", Bytes::from_static(br#"{"status":"ok"}"#)))
    } else {
        Err(Status::unavailable("the daemon is stopping, or its database does not answer").into())
    }
}

fn of_type(media_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(whole(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

fn whole(body: Bytes) -> Body {
    BodyExt::boxed_unsync(Full::new(body))
}
