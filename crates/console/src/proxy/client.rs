//! Connections to services.
//!
//! A connection that is kept may be closed by the service in the moment in which a request is sent on it. Then nobody knows
//! whether the service has seen the request. So only requests that may be repeated (RFC 9110 §9.2.2: `GET`, `HEAD`, `OPTIONS`,
//! without a body) go out on kept connections, and are repeated once on a new one; all others get a new connection, so none
//! is ever carried out twice or lost that way.

use std::time::Duration;

use http::{Method, Request, Response};
use http_body::Body as _;
use hyper::body::Incoming;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{Client, Error};
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::answer::{Body, whole};

/// How long a connection may take to come about.
const MAX_CONNECT_TIME: Duration = Duration::from_secs(3);
/// How long an idle connection is kept: less than the 5 seconds after which common servers close theirs.
const MAX_IDLE_TIME: Duration = Duration::from_secs(4);
/// Idle connections that are kept for each service.
const MAX_IDLE_PER_SERVICE: usize = 32;
/// Largest head of an answer, in bytes.
const MAX_HEAD_BYTES: usize = 256 << 10;

/// Cheap to clone.
#[derive(Clone)]
pub(crate) struct Upstreams {
    kept: Client<HttpConnector, Body>,
    fresh: Client<HttpConnector, Body>,
}

impl Upstreams {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(MAX_CONNECT_TIME));
        connector.set_nodelay(true);
        let client = |max_idle: usize| {
            let mut builder = Client::builder(TokioExecutor::new());
            builder
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(MAX_IDLE_TIME)
                .pool_max_idle_per_host(max_idle)
                .http1_max_buf_size(MAX_HEAD_BYTES)
                .set_host(false);
            builder.build(connector.clone())
        };
        Self { kept: client(MAX_IDLE_PER_SERVICE), fresh: client(0) }
    }

    /// Sends a request, and waits for the head of the answer. How long the service takes is its own business: who does not
    /// want to wait closes the connection, and that to the service is closed with it.
    ///
    /// # Errors
    /// When there is no connection or no answer.
    pub(crate) async fn send(
        &self,
        request: Request<Body>,
        is_upgrade: bool,
    ) -> Result<Response<Incoming>, Error> {
        let may_repeat = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS)
            && request.body().is_end_stream()
            && !is_upgrade;
        if !may_repeat {
            return self.fresh.request(request).await;
        }
        let again = request_without_body(&request);
        match self.kept.request(request).await {
            Err(error) if !error.is_connect() => self.fresh.request(again).await,
            result => result,
        }
    }
}

/// Why there is no answer: the error and what caused it.
pub(crate) fn reason(error: &Error) -> String {
    let causes: Vec<String> = causes(error).map(ToString::to_string).collect();
    std::iter::once(error.to_string()).chain(causes).collect::<Vec<_>>().join(": ")
}

/// What caused an error, and what caused that.
pub(super) fn causes(error: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(error), |cause| cause.source())
}

fn request_without_body(request: &Request<Body>) -> Request<Body> {
    let mut again = Request::new(whole(""));
    *again.method_mut() = request.method().clone();
    *again.uri_mut() = request.uri().clone();
    again.headers_mut().clone_from(request.headers());
    again
}
