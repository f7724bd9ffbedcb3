//! Traces of single requests (specification §10.2): asked for by the query `__truth_yard_trace=1` or the header
//! `x-truth-yard-trace`, told in headers of the answer and as a line of JSON on standard output.

use std::time::Instant;

use http::header::HeaderName;
use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use ledger_yard::Moment;
use percent_encoding::{CONTROLS, utf8_percent_encode};
use serde_json::json;

use super::table::Found;
use crate::query;

/// Query parameter that asks for a trace.
pub(crate) const PARAMETER: &str = "__truth_yard_trace";
/// Header that asks for one.
pub(crate) const HEADER: &str = "x-truth-yard-trace";
/// Header with the name of the trace, on the way in and out.
const ID: &str = "x-truth-yard-trace-id";
/// Most characters of such a name.
const MAX_ID_LENGTH: usize = 128;

/// A request that is traced.
pub(super) struct Trace {
    id: String,
    method: String,
    path: String,
    started: Instant,
}

impl Trace {
    /// `None` if nobody asked for it.
    pub(super) fn of(request: &Parts) -> Option<Self> {
        let is_yes = |value: &str| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes");
        let header = |name| request.headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let is_wanted = header(HEADER).is_some_and(is_yes)
            || query::value(request.uri.query(), PARAMETER).as_deref() == Some("1");
        let id = header(ID).filter(|id| !id.is_empty() && id.len() <= MAX_ID_LENGTH).map(str::to_owned);
        is_wanted.then(|| Self {
            id: id.unwrap_or_else(|| uuid::Uuid::new_v4().to_string()),
            method: request.method.to_string(),
            path: request.uri.path().to_owned(),
            started: Instant::now(),
        })
    }

    /// Tells it in the answer; the line for standard output.
    pub(super) fn tell(self, found: Option<Found<'_, '_>>, status: u16, headers: &mut HeaderMap) -> String {
        let base = found.map(|found| found.entry.base_path());
        let upstream = found.map(|found| found.entry.url.as_str());
        let rest = found.as_ref().map(Found::rest_path);
        for (name, value) in [
            (ID, Some(self.id.as_str())),
            ("x-truth-yard-matched-basepath", base),
            ("x-truth-yard-upstream", upstream),
            ("x-truth-yard-rest", rest),
        ] {
            let value = value.map(|value| utf8_percent_encode(value, CONTROLS).to_string());
            if let Some(value) = value.and_then(|value| HeaderValue::try_from(value).ok()) {
                headers.insert(HeaderName::from_static(name), value);
            }
        }
        let line = json!({
            "ts": Moment::now(),
            "traceId": self.id,
            "method": self.method,
            "path": self.path,
            "matchedBasePath": base,
            "upstreamUrl": upstream,
            "rest": rest,
            "status": status,
            "ms": u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX),
        });
        line.to_string()
    }
}
