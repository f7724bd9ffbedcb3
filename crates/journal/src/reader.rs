//! Reading the ledger as it stands: the walk (specification §2.4).
//!
//! A line ends at LF, CRLF or a lone CR; a last line without an end counts. What does not parse is passed over. Records come
//! in the order of the ledger, repeated ones included, with every member that the line has.

use std::io;
use std::path::Path;

use ledger_fs::Open;

use crate::home::{Home, LEDGER, if_found};
use crate::json::{Object, Value, parse, stringify};
use crate::jsonl::ChunkReader;
use crate::line::{Kind, Line};
use crate::stamp::{Enrichment, ReadStamp, TurnKey};

/// Which records are wanted. What is not set, or empty, is no condition.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// At this time or later.
    pub since: Option<String>,
    /// At this time or earlier.
    pub until: Option<String>,
    /// Turns whose project or project key is this.
    pub project: Option<String>,
    /// Of this session; relationships also when it is the other end.
    pub session_id: Option<String>,
    /// Of this source.
    pub source: Option<String>,
    /// Turns about which stamps say all of this.
    pub enrichment: Vec<(String, String)>,
}

impl Query {
    pub(crate) fn condition(value: &Option<String>) -> Option<&str> {
        value.as_deref().filter(|text| !text.is_empty())
    }
}

/// A turn and what stamps say about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TurnLine {
    /// The record as JSON.
    pub record: String,
    /// What stamps say.
    pub enrichment: Enrichment,
}

impl TurnLine {
    /// The record with one more member, `enrichment`.
    pub fn to_json(&self) -> String {
        let record = parse(&self.record).map(stringify).unwrap_or_default();
        let separator = if record == "{}" { "" } else { "," };
        let body = record.strip_suffix('}').unwrap_or_default();
        format!("{body}{separator}\"enrichment\":{}}}", self.enrichment.to_json())
    }
}

/// The turns that the query wants, in ledger order.
pub fn turns(home: &Home, query: &Query) -> io::Result<Vec<TurnLine>> {
    let mut stamps: Vec<(String, ReadStamp)> = Vec::new();
    walk(home, &mut |kind, line| {
        if kind == Kind::Stamp
            && let Some(stamp) = ReadStamp::new(line.get("selector"), line.get("enrichment"))
        {
            let ts = line.get("ts").and_then(Value::as_str).map(|ts| ts.decode().into_owned());
            stamps.push((ts.unwrap_or_default(), stamp));
        }
    })?;
    // Stable: of two stamps made at the same time, the later line wins.
    stamps.sort_by(|a, b| a.0.cmp(&b.0));
    let mut turns = Vec::new();
    each_record(home, Kind::Turn, &mut |record| {
        let text = |name: &str| record.get(name).and_then(Value::as_str).map(|text| text.decode());
        let (session, message, ts) = (text("sessionId"), text("messageId"), text("ts"));
        let is = |found: Option<&str>, wanted: &Option<String>| {
            Query::condition(wanted).is_none_or(|wanted| found == Some(wanted))
        };
        let in_project = is(text("project").as_deref(), &query.project)
            || is(text("projectKey").as_deref(), &query.project);
        if !(in_time(ts.as_deref(), query)
            && in_project
            && is(session.as_deref(), &query.session_id)
            && is(text("source").as_deref(), &query.source))
        {
            return;
        }
        let key = TurnKey { session: session.as_deref(), message: message.as_deref(), ts: ts.as_deref() };
        let mut enrichment = Enrichment::default();
        for (_, stamp) in stamps.iter().filter(|(_, stamp)| stamp.matcher.matches(key)) {
            enrichment.apply(stamp);
        }
        let wanted =
            query.enrichment.iter().all(|(name, value)| enrichment.text(name).as_ref() == Some(value));
        if wanted {
            turns.push(TurnLine { record: record.text().to_owned(), enrichment });
        }
    })?;
    Ok(turns)
}

fn in_time(ts: Option<&str>, query: &Query) -> bool {
    Query::condition(&query.since).is_none_or(|since| ts.is_some_and(|ts| ts >= since))
        && Query::condition(&query.until).is_none_or(|until| ts.is_some_and(|ts| ts <= until))
}

/// The records of a kind other than turns and stamps that the query wants, as JSON, in ledger order. Project and enrichment
/// do not concern them.
pub fn records(home: &Home, kind: Kind, query: &Query) -> io::Result<Vec<String>> {
    let mut found = Vec::new();
    each_record(home, kind, &mut |record| {
        let is = |name: &str, wanted: &str| {
            record.get(name).and_then(Value::as_str).is_some_and(|text| text.is(wanted))
        };
        let ts = record.get("ts").and_then(Value::as_str).map(|ts| ts.decode());
        // These two kinds may lack a time; a condition on the time then does not concern them.
        let timeless = matches!(kind, Kind::Relationship | Kind::ToolResultEvent)
            && ts.as_deref().unwrap_or_default().is_empty();
        let of_session = Query::condition(&query.session_id).is_none_or(|wanted| {
            is("sessionId", wanted) || (kind == Kind::Relationship && is("relatedSessionId", wanted))
        });
        let of_source = Query::condition(&query.source).is_none_or(|wanted| is("source", wanted));
        if (timeless || in_time(ts.as_deref(), query)) && of_session && of_source {
            found.push(record.text().to_owned());
        }
    })?;
    Ok(found)
}

fn each_record(home: &Home, wanted: Kind, each: &mut dyn FnMut(Object<'_>)) -> io::Result<()> {
    walk(home, &mut |kind, line| {
        if kind == wanted
            && let Some(Value::Object(record)) = line.get("record")
        {
            each(record);
        }
    })
}

/// Hands every line of a known kind to `each`.
pub fn walk(home: &Home, each: &mut dyn FnMut(Kind, Object<'_>)) -> io::Result<()> {
    let Some(dir) = home.existing()? else { return Ok(()) };
    let Some(file) = if_found(dir.open(Path::new(LEDGER), Open::READ))? else { return Ok(()) };
    let len = file.metadata()?.len;
    let mut reader = ChunkReader::new(file, 0, len);
    let mut chunk = Vec::new();
    while reader.next(&mut chunk)?.is_some() {
        walk_bytes(&chunk, each);
    }
    walk_bytes(reader.unterminated(), each);
    Ok(())
}

fn walk_bytes(bytes: &[u8], each: &mut dyn FnMut(Kind, Object<'_>)) {
    for line in bytes.split(|byte| matches!(byte, b'\n' | b'\r')) {
        if let Ok(Some(Line::Known(kind, line))) = Line::parse(&String::from_utf8_lossy(line)) {
            each(kind, line);
        }
    }
}
