//! JSON (specification §10). Fields that the original does not have are additions; none of its own is missing.

mod debug;
mod health;

use http::{Response, StatusCode};
use ledger_yard::Moment;
use serde_json::{Value, json};

pub(crate) use debug::{proxy_debug, proxy_roundtrip, trace_help};
pub(crate) use health::health;

use crate::answer::{self, Body};
use crate::picture::{self, Picture};
use crate::proxy::Found;
use crate::query;
use crate::routes::App;

/// `tagged-processes.json`.
pub(crate) async fn tagged_processes(app: &App) -> Response<Body> {
    let picture = app.live.picture().await;
    fine(&json!({
        "now": Moment::now(),
        "ledgerDir": ledger_dir(&picture),
        "count": picture.processes.len(),
        "taggedProcesses": picture.processes,
    }))
}

/// `reconcile.json`.
pub(crate) async fn reconcile(app: &App) -> Response<Body> {
    let picture = app.live.picture().await;
    let mut value = json!({ "now": Moment::now(), "ledgerDir": ledger_dir(&picture) });
    if let (Some(fields), Value::Object(found)) = (value.as_object_mut(), picture::reconciled(&picture.drift))
    {
        fields.extend(found);
    }
    fine(&value)
}

/// `proxy-table.json`.
pub(crate) async fn proxy_table(app: &App) -> Response<Body> {
    let picture = app.live.picture().await;
    let table = picture::proxy_table(&picture.table);
    fine(&json!({
        "now": Moment::now(),
        "ledgerDir": ledger_dir(&picture),
        "count": table.as_array().map_or(0, Vec::len),
        "proxyTable": table,
        "proxyConflicts": picture.table.conflicts(),
    }))
}

/// `proxy-resolve.json`.
pub(crate) async fn proxy_resolve(app: &App, query: Option<&str>) -> Response<Body> {
    let Some(asked) = Asked::of(query) else { return no_path() };
    let picture = app.live.picture().await;
    match asked.resolve(&picture) {
        None => fine(&json!({ "ok": false, "input": asked.input, "resolved": null })),
        Some((found, proxied)) => fine(&json!({
            "ok": true,
            "input": asked.input,
            "matchBasePath": found.entry.base_path(),
            "upstreamUrl": found.entry.url,
            "rest": found.rest_path(),
            "proxiedUrl": proxied,
        })),
    }
}

/// The path that a question is about.
struct Asked {
    input: String,
    /// The same as it stands in a request.
    target: http::uri::PathAndQuery,
}

impl Asked {
    /// The parameter `path`: a path, with a query if there is one; or a whole URL, of which only that counts.
    fn of(query: Option<&str>) -> Option<Self> {
        let input = query::value(query, "path").filter(|path| !path.is_empty())?;
        let path = match input.split_once("://") {
            Some((_, rest)) => rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or("/"),
            None => &input,
        };
        let path = path.split('#').next().unwrap_or_default();
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        // People write paths as they read them, with spaces and all.
        let in_url = percent_encoding::utf8_percent_encode(&path, crate::proxy::AS_TYPED).to_string();
        Some(Self { target: in_url.parse().ok()?, input })
    }

    /// The service, and the URL that it would be asked for.
    fn resolve<'p>(&'p self, picture: &'p Picture) -> Option<(Found<'p, 'p>, String)> {
        let found = picture.table.find(self.target.path())?;
        let target = found.target(&self.target).ok()?;
        Some((found, format!("{}{target}", found.entry.origin())))
    }
}

fn ledger_dir(picture: &Picture) -> Value {
    picture.home.to_string_lossy().into()
}

fn fine(value: &Value) -> Response<Body> {
    answer::json(StatusCode::OK, value)
}

fn no_path() -> Response<Body> {
    answer::json(StatusCode::BAD_REQUEST, &json!({ "ok": false, "error": "missing query param \"path\"" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_may_be_typed_as_it_is_read() {
        let target = |query| Asked::of(Some(query)).map(|asked| asked.target.to_string());
        assert_eq!(target("path=%2Fa%20b%2Fc%3Fq%3D1").as_deref(), Some("/a%20b/c?q=1"));
        assert_eq!(target("path=apps").as_deref(), Some("/apps"));
        assert_eq!(target("path=http%3A%2F%2Flocalhost%3A8787%2Fa%23x").as_deref(), Some("/a"));
        assert_eq!(target("path=%2Fa%2520b").as_deref(), Some("/a%20b"), "what is encoded already stays so");
        assert_eq!(target("path="), None);
        assert_eq!(target("other=1"), None);
    }
}
