//! The way of a request to a service and of its answer back (specification §10.2; §15, 40–42).
//!
//! Bodies are handed on piece by piece as they come, in both directions; whoever is slower sets the pace, and nothing is
//! collected. A change of protocol (WebSockets) joins the two connections until one of them ends.

mod client;
mod headers;
mod rewrite;
mod table;
mod trace;

use std::net::SocketAddr;

use http::header::{CONTENT_LENGTH, HeaderName, REFERER};
use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body::Body as _;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::answer::{Body, redirect, text};
use crate::routes::App;
use crate::{BASE, TraceSink};

pub(crate) use client::{Upstreams, reason};
pub(crate) use table::{AS_TYPED, Entry, Found, Table};
pub(crate) use trace::{HEADER as TRACE_HEADER, PARAMETER as TRACE_PARAMETER};

/// Largest body of a request, in bytes.
const MAX_REQUEST_BYTES: usize = 1 << 30;

/// The switch of the proxy and what it tells.
pub(crate) struct Proxy {
    pub(crate) is_on: bool,
    pub(crate) tell_trace: TraceSink,
}

/// Answers a request for a path that is not the console's own.
pub(crate) async fn forward(
    app: &App,
    request: Request<Incoming>,
    peer: SocketAddr,
    host: &Authority,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    if parts.method == Method::CONNECT {
        return text(StatusCode::METHOD_NOT_ALLOWED, "this is no forward proxy\n");
    }
    let trace = trace::Trace::of(&parts);
    let path = parts.uri.path().to_owned();
    let mut picture = app.live.at_once().await;
    if picture.table.find(&path).is_none() {
        picture = app.live.fresh().await;
    }
    let found = picture.table.find(&path);
    let mut response = match found {
        None => nowhere(&parts, &picture.table, host),
        Some(found) if wants_slash(&parts, found) => {
            let query = parts.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
            redirect(StatusCode::PERMANENT_REDIRECT, &format!("{path}/{query}"))
        }
        Some(found) => deliver(app, parts, body, found, peer, host).await,
    };
    if let Some(trace) = trace {
        let status = response.status().as_u16();
        let line = trace.tell(found, status, response.headers_mut());
        (app.proxy.tell_trace)(&line);
    }
    response
}

/// A page at `/a` of a service that knows nothing of `/a` would look for its files beside it, in place of below it.
fn wants_slash(parts: &Parts, found: Found<'_, '_>) -> bool {
    found.rest.is_empty()
        && found.entry.own_prefix.is_none()
        && matches!(parts.method, Method::GET | Method::HEAD)
        && headers::upgrade(&parts.headers).is_none()
}

/// Nobody has that path. A page of a service may have asked for it without its prefix: then the browser is told the right one.
fn nowhere(parts: &Parts, table: &Table, host: &Authority) -> Response<Body> {
    let path = parts.uri.path();
    let referer = parts.headers.get(REFERER).and_then(|value| value.to_str().ok()?.parse::<Uri>().ok());
    let referer = referer.filter(|referer| {
        referer.authority().is_some_and(|authority| authority.as_str().eq_ignore_ascii_case(host.as_str()))
    });
    let base = referer.and_then(|referer| Some(table.find(referer.path())?.entry.base_in_url()));
    if let Some(base) = base.filter(|base| !base.is_empty() && path.starts_with('/')) {
        let asked = parts.uri.path_and_query().map_or(path, |asked| asked.as_str());
        return redirect(StatusCode::TEMPORARY_REDIRECT, &format!("{base}{asked}"));
    }
    text(StatusCode::BAD_GATEWAY, format!("No upstream mapping for {path:?}. Try {BASE}/ui/\n"))
}

async fn deliver(
    app: &App,
    parts: Parts,
    body: Incoming,
    found: Found<'_, '_>,
    peer: SocketAddr,
    host: &Authority,
) -> Response<Body> {
    if body.size_hint().lower() > MAX_REQUEST_BYTES as u64 {
        return too_large(found.entry);
    }
    let mut request = match outgoing(app, &parts, found, peer, host) {
        Ok(request) => request.map(|()| Limited::new(body, MAX_REQUEST_BYTES).boxed_unsync()),
        Err(error) => {
            return text(StatusCode::BAD_REQUEST, format!("the path cannot be handed on: {error}\n"));
        }
    };
    let client_upgrade = headers::upgrade(&parts.headers).and_then(|_| {
        let mut extensions = parts.extensions;
        extensions.remove::<OnUpgrade>()
    });
    *request.version_mut() = http::Version::HTTP_11;
    match app.upstreams.send(request, client_upgrade.is_some()).await {
        Ok(response) => incoming(app, response, found.entry, host, client_upgrade),
        Err(error) => dead(found.entry, &error),
    }
}

/// The head of the request to the service.
fn outgoing(
    app: &App,
    parts: &Parts,
    found: Found<'_, '_>,
    peer: SocketAddr,
    host: &Authority,
) -> Result<Request<()>, http::Error> {
    let asked =
        parts.uri.path_and_query().cloned().unwrap_or_else(|| http::uri::PathAndQuery::from_static("/"));
    let uri = Uri::builder()
        .scheme(http::uri::Scheme::HTTP)
        .authority(found.entry.authority.clone())
        .path_and_query(found.target(&asked)?)
        .build()?;
    let mut request = Request::new(());
    *request.method_mut() = parts.method.clone();
    *request.uri_mut() = uri;
    *request.headers_mut() = sent_headers(app, parts.headers.clone(), peer, host);
    Ok(request)
}

/// The headers that a service receives.
pub(crate) fn sent_headers(
    app: &App,
    mut headers: HeaderMap,
    peer: SocketAddr,
    host: &Authority,
) -> HeaderMap {
    app.access.conceal(&mut headers);
    headers::to_service(&mut headers, peer, host);
    headers
}

/// The answer of a service, for the client.
fn incoming(
    app: &App,
    mut response: Response<Incoming>,
    entry: &Entry,
    host: &Authority,
    client_upgrade: Option<OnUpgrade>,
) -> Response<Body> {
    let is_upgraded = response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if is_upgraded {
        let Some(client) = client_upgrade else {
            return text(StatusCode::BAD_GATEWAY, format!("{} changed the protocol unasked\n", entry.url));
        };
        tokio::spawn(join(client, hyper::upgrade::on(&mut response)));
    }
    let (mut parts, body) = response.into_parts();
    headers::to_client(&mut parts.headers, is_upgraded);
    rewrite::rewrite(&mut parts.headers, entry, host);
    app.access.keep_cookie(&mut parts.headers);
    let mut answer = Response::new(body.map_err(Into::into).boxed_unsync());
    *answer.status_mut() = parts.status;
    *answer.headers_mut() = parts.headers;
    if is_upgraded {
        answer.headers_mut().remove(CONTENT_LENGTH);
    }
    answer
}

/// Hands on what comes from either side until one ends.
async fn join(client: OnUpgrade, service: OnUpgrade) {
    // A connection that breaks is the business of its two ends.
    if let (Ok(client), Ok(service)) = tokio::join!(client, service) {
        let (mut client, mut service) = (TokioIo::new(client), TokioIo::new(service));
        let _ = tokio::io::copy_bidirectional(&mut client, &mut service).await;
    }
}

fn too_large(entry: &Entry) -> Response<Body> {
    let what = format!(
        "a request has at most {MAX_REQUEST_BYTES} bytes here; larger ones go to {} directly\n",
        entry.url
    );
    text(StatusCode::PAYLOAD_TOO_LARGE, what)
}

/// A service that does not answer: what happened, and what to do.
fn dead(entry: &Entry, error: &hyper_util::client::legacy::Error) -> Response<Body> {
    if client::causes(error).any(|cause| cause.is::<LengthLimitError>()) {
        return too_large(entry);
    }
    let Entry { service, url, state, .. } = entry;
    let what = format!("{service} ({url}, {state}) does not answer: {}", reason(error));
    let todo = match state.as_str() {
        "starting" | "restarting" => "It is being started: try again in a moment.".to_owned(),
        _ => format!(
            "`ledger yard ps` says how it is, `ledger yard logs {service}` what it printed, \
             `ledger yard restart {service}` starts it again. All services: {BASE}/ui/"
        ),
    };
    let mut response = text(StatusCode::BAD_GATEWAY, format!("{what}\n{todo}\n"));
    response.headers_mut().insert(HeaderName::from_static("retry-after"), HeaderValue::from_static("2"));
    response
}
