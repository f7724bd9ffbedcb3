//! Which request means what (specification §10).

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{ALLOW, WWW_AUTHENTICATE};
use http::uri::Authority;
use http::{HeaderValue, Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use tokio::sync::{Semaphore, watch};

use crate::access::Access;
use crate::answer::{Body, Refusal, redirect, text};
use crate::live::Live;
use crate::proxy::{self, Proxy, Upstreams};
use crate::{BASE, api, events, files, page};

/// Everything that answering takes.
pub(crate) struct App {
    pub(crate) access: Access,
    pub(crate) live: Arc<Live>,
    pub(crate) proxy: Proxy,
    pub(crate) upstreams: Upstreams,
    /// Room for event streams.
    pub(crate) streams: Arc<Semaphore>,
    /// Whether the console is about to end: streams end then.
    pub(crate) stopping: watch::Receiver<bool>,
}

/// When the console is about to end.
pub(crate) async fn is_stopping(stopping: &mut watch::Receiver<bool>) {
    // That the sender is gone is an end, too.
    let _ = stopping.wait_for(|stopping| *stopping).await;
}

/// Answers a request, whatever happens.
pub(crate) async fn answer(app: Arc<App>, request: Request<Incoming>, peer: SocketAddr) -> Response<Body> {
    try_answer(&app, request, peer).await.unwrap_or_else(Response::from)
}

async fn try_answer(
    app: &Arc<App>,
    request: Request<Incoming>,
    peer: SocketAddr,
) -> Result<Response<Body>, Refusal> {
    let (parts, body) = request.into_parts();
    let host = app.access.host(&parts)?;
    let path = parts.uri.path();
    if path == page::LOGIN || page::needs_no_key(path) {
        return own(app, Request::from_parts(parts, body), peer, &host).await;
    }
    if !app.access.is_let_in(&parts.headers) {
        return Ok(locked(&parts));
    }
    let is_own = path == BASE || path.strip_prefix(BASE).is_some_and(|rest| rest.starts_with('/'));
    let is_front = path == "/" && (!app.proxy.is_on || app.live.at_once().await.table.find("/").is_none());
    let request = Request::from_parts(parts, body);
    if is_own || is_front {
        return own(app, request, peer, &host).await;
    }
    if !app.proxy.is_on {
        return Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("the proxy is off (--no-proxy); the console is at {BASE}/ui/"),
        ));
    }
    Ok(proxy::forward(app, request, peer, &host).await)
}

/// A request without the key: the form for a browser, a line for a program.
fn locked(parts: &http::request::Parts) -> Response<Body> {
    let accepts =
        parts.headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let asked = parts.uri.path_and_query().map_or("/", |asked| asked.as_str());
    let mut response = if accepts.contains("text/html") && parts.method == Method::GET {
        page::login_form(StatusCode::UNAUTHORIZED, asked, "")
    } else {
        text(StatusCode::UNAUTHORIZED, "the console is protected by a key: send Authorization: Bearer KEY\n")
    };
    response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer realm=\"yard\""));
    response
}

/// A request for something below [`BASE`].
async fn own(
    app: &Arc<App>,
    request: Request<Incoming>,
    peer: SocketAddr,
    host: &Authority,
) -> Result<Response<Body>, Refusal> {
    let path = request.uri().path().to_owned();
    if path == page::LOGIN && request.method() == Method::POST {
        return page::login(app, request, host).await;
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = text(StatusCode::METHOD_NOT_ALLOWED, "the console is read-only: GET and HEAD\n");
        response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return Ok(response);
    }
    let query = request.uri().query();
    let below = path.strip_prefix(BASE).unwrap_or_default();
    if let Some(file) = below.strip_prefix("/ledger.d/") {
        return files::browse(app, file).await;
    }
    if let Some(asset) = below.strip_prefix("/asset/") {
        return page::asset(asset);
    }
    match below {
        // `/` itself is here too: nothing of it stands below the base.
        "" | "/" | "/ui" => Ok(redirect(StatusCode::FOUND, &format!("{BASE}/ui/"))),
        "/ui/" => Ok(page::index()),
        "/login" => Ok(page::login_form(StatusCode::OK, "/", "")),
        "/ledger.d" => Ok(redirect(StatusCode::PERMANENT_REDIRECT, &format!("{BASE}/ledger.d/"))),
        "/api/events" => events::state(app),
        "/api/log-events" => events::logs(app, query).await,
        "/api/tagged-processes.json" => Ok(api::tagged_processes(app).await),
        "/api/reconcile.json" => Ok(api::reconcile(app).await),
        "/api/proxy-table.json" => Ok(api::proxy_table(app).await),
        "/api/proxy-resolve.json" => Ok(api::proxy_resolve(app, query).await),
        "/api/health.json" => Ok(api::health(app, query).await),
        "/api/proxy-debug.json" => Ok(api::proxy_debug(app, query, request.headers(), peer, host).await),
        "/api/proxy-roundtrip.json" => {
            Ok(api::proxy_roundtrip(app, query, request.headers(), peer, host).await)
        }
        "/api/trace-help.json" => Ok(api::trace_help()),
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, format!("Not found; the console is at {BASE}/ui/"))),
    }
}
