//! Carries out requests: the same guard and the same calls as over gRPC, in this process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE};
use http::{Extensions, HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited, StreamBody};
use ledger_api::proto;
use ledger_api::proto::ledger_service_server::LedgerService;
use ledger_api::proto::ledger_streaming_server::LedgerStreaming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::body::Body;
use tonic::metadata::MetadataMap;
use tonic::{Code, Status};

use super::json::{ToJson, to_json};
use super::refusal::Refusal;
use super::request::{Head, Message};
use super::{events, openapi};
use crate::calls::call_at;
use crate::grpc::{Calls, Context};
use crate::guard::{Caller, Guard};
use crate::limits::Kind;
use crate::open_call::OpenCall;

/// Bytes of bodies on their way in at once; more wait. One body always fits.
const MAX_BODY_BYTES_UNDER_WAY: usize = 256 << 20;
/// How long a body may take to arrive, its place in the queue included.
const MAX_BODY_TIME: Duration = Duration::from_secs(30);
/// Media type of JSON.
const JSON: &str = "application/json";
/// Media type of metrics.
pub(super) const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Answers requests. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Gateway {
    calls: Calls,
    context: Arc<Context>,
    guard: Guard,
    body_bytes: Arc<Semaphore>,
}

impl Gateway {
    pub(crate) fn new(context: Arc<Context>, guard: Guard) -> Self {
        let body_bytes = MAX_BODY_BYTES_UNDER_WAY.max(context.max_message_bytes);
        let body_bytes = Arc::new(Semaphore::new(body_bytes));
        Self { calls: Calls::new(context.clone()), context, guard, body_bytes }
    }

    /// Answers a request, whatever happens.
    pub(super) async fn answer<B>(self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        let answered = match Head::of(&parts) {
            Ok(head) => self.admit(head, &parts.extensions, body).await,
            Err(refusal) => Err(refusal),
        };
        answered.unwrap_or_else(|refusal| refusal.into_response().map(whole))
    }

    /// What the guard does with every call: checks, bounds, counts, contains.
    async fn admit<B>(&self, head: Head, extensions: &Extensions, body: B) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let begin = Instant::now();
        let path = head.call.guarded_as();
        let (call, metrics) = (call_at(path), self.context.metrics.clone());
        // Before a byte of the body is read: a stranger costs no more than a header.
        let answered = match self.guard.check(path, &head.metadata, extensions) {
            Err(status) => Err(status.into()),
            Ok((caller, slot)) => {
                let answer = self.guard.contain(call, head.timeout, self.take_in(head, caller, body));
                match answer.await {
                    Ok(Ok(answer)) if call.kind == Kind::Stream => {
                        return Ok(OpenCall::wrap(answer, call.name, metrics, slot));
                    }
                    Ok(answered) => answered,
                    Err(status) => Err(status.into()),
                }
            }
        };
        let code = answered.as_ref().map_or_else(|refusal| refusal.status().code(), |_| Code::Ok);
        metrics.answered(call.name, code, begin.elapsed());
        answered
    }

    /// Reads the body and carries out the request.
    async fn take_in<B>(&self, head: Head, caller: Option<Caller>, body: B) -> Result<Response<Body>, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let envelope = Envelope { metadata: head.metadata.clone(), caller };
        let (body, _place) = if head.has_body { self.read_body(body).await? } else { (Bytes::new(), None) };
        let message = head.message(&body)?;
        drop(body);
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

    async fn carry_out(&self, message: Message, envelope: Envelope) -> Result<Response<Body>, Refusal> {
        let calls = &self.calls;
        match message {
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
            Message::Subscribe(message) => self.subscribe(envelope.around(message)).await,
            Message::Health => json(calls.health(envelope.around(proto::HealthRequest {})).await),
            Message::Live => probe(true),
            Message::Ready => probe(self.context.is_ready().await),
            Message::OpenApi => Ok(of_type(JSON, openapi::document())),
            Message::Metrics => Ok(of_type(METRICS, self.context.metrics.render().into())),
        }
    }

    async fn subscribe(
        &self,
        request: tonic::Request<proto::SubscribeRequest>,
    ) -> Result<Response<Body>, Refusal> {
        let messages = self.calls.subscribe(request).await?.into_inner();
        let mut response = Response::new(Body::new(StreamBody::new(events::frames(messages))));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(events::EVENT_STREAM));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // Proxies must not collect what is to be delivered at once.
        headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
        Ok(response)
    }
}

/// What goes with a message.
struct Envelope {
    metadata: HeaderMap,
    caller: Option<Caller>,
}

impl Envelope {
    fn around<T>(self, message: T) -> tonic::Request<T> {
        let mut extensions = Extensions::new();
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
    let mut response = of_type(JSON, json.into());
    // Clients of the original may look for it.
    let grpc = HeaderValue::from_static("application/grpc");
    response.headers_mut().insert("grpc-metadata-content-type", grpc);
    Ok(response)
}

fn probe(is_fine: bool) -> Result<Response<Body>, Refusal> {
    if is_fine {
        Ok(of_type(JSON, Bytes::from_static(br#"{"status":"ok"}"#)))
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
    Body::new(Full::new(body))
}
