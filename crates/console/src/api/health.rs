//! `health.json`: whether the services answer.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, stream};
use http::header::{ACCEPT, HOST, LOCATION};
use http::{HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use ledger_yard::Moment;
use serde_json::{Value, json};

use super::fine;
use crate::answer::{Body, whole};
use crate::proxy::{Entry, Upstreams, reason};
use crate::query;
use crate::routes::App;

/// Services that are asked at once.
const MAX_AT_ONCE: usize = 16;
/// Redirects that are followed, each to the same service.
const MAX_REDIRECTS: usize = 5;
/// Most bytes of an answer that are read, so that its connection can be used again.
const MAX_DRAINED_BYTES: usize = 64 << 10;

/// `health.json`: asks every service that the proxy knows, each once.
pub(crate) async fn health(app: &App, query: Option<&str>) -> Response<Body> {
    let timeout_ms = query::number(query, "timeoutMs", 1500, [1, 30_000]);
    let max = query::number(query, "max", 50, [1, 1000]);
    let picture = app.live.picture().await;
    let mut entries = picture.table.entries();
    // Aliases lead to a service that has its prefix as well.
    let mut seen = std::collections::HashSet::new();
    entries.retain(|entry| seen.insert(&entry.url));
    entries.truncate(usize::try_from(max).unwrap_or(usize::MAX));
    let timeout = Duration::from_millis(timeout_ms);
    let checks: Vec<_> =
        entries.into_iter().map(|entry| check(app.upstreams.clone(), entry.clone(), timeout)).collect();
    let results: Vec<Value> = stream::iter(checks).buffered(MAX_AT_ONCE).collect().await;
    fine(
        &json!({ "now": Moment::now(), "timeoutMs": timeout_ms, "count": results.len(), "results": results }),
    )
}

async fn check(upstreams: Upstreams, entry: Entry, timeout: Duration) -> Value {
    let started = Instant::now();
    let answer = tokio::time::timeout(timeout, ask(&upstreams, &entry)).await;
    let ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let (base, url) = (entry.base_path(), &entry.url);
    match answer {
        Ok(Ok(status)) => {
            let is_fine = status.is_success();
            json!({ "basePath": base, "upstreamUrl": url, "ok": is_fine, "status": status.as_u16(), "ms": ms })
        }
        Ok(Err(error)) => {
            json!({ "basePath": base, "upstreamUrl": url, "ok": false, "error": error, "ms": ms })
        }
        Err(_) => {
            json!({ "basePath": base, "upstreamUrl": url, "ok": false, "error": "no answer in time", "ms": ms })
        }
    }
}

/// The status of the service's first page; redirects that lead to another host are not followed.
async fn ask(upstreams: &Upstreams, entry: &Entry) -> Result<StatusCode, String> {
    let mut uri: Uri = format!("{}{}/", entry.origin(), entry.own_prefix_in_url())
        .parse()
        .map_err(|error: http::uri::InvalidUri| error.to_string())?;
    for _ in 0..=MAX_REDIRECTS {
        let response = get(upstreams, &uri).await?;
        let status = response.status();
        let next = response.headers().get(LOCATION).and_then(|value| followed(&uri, value));
        let body = response.into_body();
        let _ = http_body_util::Limited::new(body, MAX_DRAINED_BYTES).collect().await;
        match next {
            Some(next) if status.is_redirection() => uri = next,
            _ => return Ok(status),
        }
    }
    Err(format!("more than {MAX_REDIRECTS} redirects"))
}

async fn get(upstreams: &Upstreams, uri: &Uri) -> Result<Response<Incoming>, String> {
    let host = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(uri).header(HOST, host).header(ACCEPT, "*/*").body(whole(""));
    let request = request.map_err(|error| error.to_string())?;
    upstreams.send(request, false).await.map_err(|error| reason(&error))
}

/// Where a redirect leads, if it is to a path of the same service.
fn followed(from: &Uri, location: &HeaderValue) -> Option<Uri> {
    let text = location.to_str().ok()?;
    let authority = from.authority()?;
    let absolute = if text.starts_with("//") {
        format!("http:{text}")
    } else if text.starts_with('/') {
        format!("http://{authority}{text}")
    } else if text.contains("://") {
        text.to_owned()
    } else {
        let folder = from.path().rsplit_once('/').map_or("", |(folder, _)| folder);
        format!("http://{authority}{folder}/{text}")
    };
    let to: Uri = absolute.parse().ok()?;
    (to.authority() == Some(authority)).then_some(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_followed_within_the_service() {
        let from: Uri = "http://127.0.0.1:3000/a/b".parse().unwrap();
        let to = |text: &str| followed(&from, &text.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(to("/x").as_deref(), Some("http://127.0.0.1:3000/x"));
        assert_eq!(to("x?y").as_deref(), Some("http://127.0.0.1:3000/a/x?y"));
        assert_eq!(to("http://127.0.0.1:3000/x").as_deref(), Some("http://127.0.0.1:3000/x"));
        assert_eq!(to("http://169.254.169.254/"), None);
        assert_eq!(to("//example.org/"), None);
    }
}
