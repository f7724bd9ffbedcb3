//! What the proxy would do, and what it does: `proxy-debug.json`, `proxy-roundtrip.json`, `trace-help.json`.
//!
//! Headers that carry secrets are shown as `(redacted)`, also those that the console itself takes out.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use http::header::CONTENT_TYPE;
use http::uri::Authority;
use http::{HeaderMap, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use ledger_yard::Moment;
use serde_json::{Map, Value, json};

use super::{Asked, fine, ledger_dir, no_path};
use crate::answer::{Body, json as answer_json, whole};
use crate::proxy::{TRACE_HEADER, TRACE_PARAMETER, reason, sent_headers};
use crate::routes::App;
use crate::{BASE, query};

/// Headers whose values are not shown.
const REDACTED: [&str; 7] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "set-cookie",
    "x-api-key",
    "x-amz-security-token",
    "x-forwarded-client-cert",
];
/// What is shown in their place.
const REDACTION: &str = "(redacted)";
/// Most characters of a body that are shown.
const MAX_PREVIEW: usize = 4000;
/// Most bytes of a body that are read for them.
const MAX_PREVIEW_BYTES: usize = 4 * MAX_PREVIEW;

/// `proxy-debug.json`.
pub(crate) async fn proxy_debug(
    app: &App,
    query: Option<&str>,
    headers: &HeaderMap,
    peer: SocketAddr,
    host: &Authority,
) -> Response<Body> {
    let Some(asked) = Asked::of(query) else { return no_path() };
    let picture = app.live.picture().await;
    let matched = asked.resolve(&picture).map(|(found, proxied)| {
        json!({
            "basePath": found.entry.base_path(),
            "upstreamUrl": found.entry.url,
            "rest": found.rest_path(),
            "proxiedUrl": proxied,
            "prefixIsKept": found.entry.own_prefix.is_some(),
        })
    });
    let note = if app.proxy.is_on {
        "The headers are those of this request, and those with which it would reach the service."
    } else {
        "The proxy is off (--no-proxy): nothing is forwarded."
    };
    fine(&json!({
        "ok": true,
        "now": Moment::now(),
        "ledgerDir": ledger_dir(&picture),
        "input": asked.input,
        "uiHint": format!("{BASE}/ui/"),
        "matched": matched,
        "proxyConflicts": picture.table.conflicts(),
        "inboundHeaders": shown(headers),
        "forwardedHeaders": shown(&sent_headers(app, headers.clone(), peer, host)),
        "note": note,
    }))
}

/// `proxy-roundtrip.json`: asks the service, and tells what it answered. Redirects are told, not followed.
pub(crate) async fn proxy_roundtrip(
    app: &App,
    query: Option<&str>,
    headers: &HeaderMap,
    peer: SocketAddr,
    host: &Authority,
) -> Response<Body> {
    let Some(asked) = Asked::of(query) else { return no_path() };
    let timeout = Duration::from_millis(query::number(query, "timeoutMs", 1500, [1, 30_000]));
    let picture = app.live.picture().await;
    let resolved = asked.resolve(&picture).filter(|_| app.proxy.is_on);
    let Some((found, proxied)) = resolved else {
        return answer_json(
            StatusCode::NOT_FOUND,
            &json!({ "ok": false, "input": asked.input, "resolved": null }),
        );
    };
    let started = Instant::now();
    let asking = ask(app, &proxied, sent_headers(app, headers.clone(), peer, host));
    let answer = match tokio::time::timeout(timeout, asking).await {
        Ok(answer) => answer,
        Err(_) => Err(format!("no answer within {} ms", timeout.as_millis())),
    };
    let facts = json!({
        "ok": answer.is_ok(),
        "now": Moment::now(),
        "input": asked.input,
        "matchedBasePath": found.entry.base_path(),
        "upstreamUrl": found.entry.url,
        "proxiedUrl": proxied,
        "ms": u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
    });
    let (status, added) = match answer {
        Ok((parts, preview)) => (
            StatusCode::OK,
            json!({
                "status": parts.status.as_u16(),
                "responseHeaders": shown(&parts.headers),
                "bodyPreview": preview,
            }),
        ),
        Err(error) => (StatusCode::BAD_GATEWAY, json!({ "error": error })),
    };
    answer_json(status, &joined(facts, added))
}

async fn ask(app: &App, url: &str, mut headers: HeaderMap) -> Result<(http::response::Parts, Value), String> {
    let uri: Uri = url.parse().map_err(|error: http::uri::InvalidUri| error.to_string())?;
    // The preview is read by people, and of the whole.
    for name in ["accept-encoding", "range", "if-none-match", "if-modified-since", "connection", "upgrade"] {
        headers.remove(name);
    }
    let mut request = Request::new(whole(""));
    *request.uri_mut() = uri;
    *request.headers_mut() = headers;
    let response = app.upstreams.send(request, false).await.map_err(|error| reason(&error))?;
    let (parts, body) = response.into_parts();
    let preview = if is_text(&parts.headers) { preview(body).await? } else { Value::Null };
    Ok((parts, preview))
}

fn is_text(headers: &HeaderMap) -> bool {
    let media_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let media_type = media_type.to_ascii_lowercase();
    media_type.starts_with("text/") || ["json", "xml", "html"].iter().any(|word| media_type.contains(word))
}

/// The beginning of a body; the rest is not read.
async fn preview(mut body: Incoming) -> Result<Value, String> {
    let mut bytes = Vec::new();
    let mut is_whole = true;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| error.to_string())?;
        bytes.extend_from_slice(frame.data_ref().map(AsRef::as_ref).unwrap_or_default());
        if bytes.len() > MAX_PREVIEW_BYTES {
            is_whole = false;
            break;
        }
    }
    let text = String::from_utf8_lossy(&bytes);
    let mut preview: String = text.chars().take(MAX_PREVIEW).collect();
    if !is_whole || text.chars().nth(MAX_PREVIEW).is_some() {
        preview.push_str("\n…(truncated)");
    }
    Ok(preview.into())
}

/// `trace-help.json`.
pub(crate) fn trace_help() -> Response<Body> {
    fine(&json!({
        "ok": true,
        "howTo": [
            format!("Add {TRACE_PARAMETER}=1 to the query of a proxied path, or the header {TRACE_HEADER}: 1."),
            "The answer then carries x-truth-yard-trace-id, -matched-basepath, -upstream and -rest.".to_owned(),
            "The console prints one line of JSON with the same facts, the status and the milliseconds.".to_owned(),
        ],
        "redaction": REDACTED,
    }))
}

/// Headers as an object; several of one name are joined.
fn shown(headers: &HeaderMap) -> Value {
    let mut shown = Map::new();
    for name in headers.keys() {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        let value = if REDACTED.contains(&name.as_str()) {
            REDACTION.to_owned()
        } else {
            values.collect::<Vec<_>>().join(", ")
        };
        shown.insert(name.to_string(), value.into());
    }
    shown.into()
}

fn joined(mut first: Value, second: Value) -> Value {
    if let (Some(fields), Value::Object(others)) = (first.as_object_mut(), second) {
        fields.extend(others);
    }
    first
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_headers_are_not_shown() {
        let mut headers = HeaderMap::new();
        for name in REDACTED {
            headers.insert(name, "hunter2".parse().unwrap());
        }
        headers.insert("x-other", "shown".parse().unwrap());
        let shown = shown(&headers);
        assert!(!shown.to_string().contains("hunter2"));
        assert_eq!((&shown["x-api-key"], &shown["x-other"]), (&json!(REDACTION), &json!("shown")));
    }
}
