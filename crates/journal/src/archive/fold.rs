//! What stamps say about a turn, looked up in the archive (specification §2.3, §6.6).
//!
//! Stamps of the range that is applied are in the table before the first turn is folded. A session's stamps are read once;
//! those without a session are few, are kept, and are found by message id or compared by time.

use std::collections::HashMap;
use std::rc::Rc;

use rusqlite::types::Value as SqlValue;
use rusqlite::{Connection, Statement, params};

use super::field::Converter;
use crate::json::{Value, parse};
use crate::stamp::{Condition, Enrichment, ReadStamp, TurnKey};

/// Sessions whose stamps are remembered; then the memory starts anew.
const MAX_SESSIONS: usize = 1024;

/// The enrichment of a turn as columns.
#[derive(Debug)]
pub(super) struct Folded {
    /// `workflow_id`, `agent_id`, `persona`, `tier`
    pub(super) columns: [SqlValue; 4],
    pub(super) json: String,
}

impl Folded {
    fn new(enrichment: &Enrichment) -> Self {
        let column = |name| {
            enrichment.json(name).and_then(|json| parse(json).ok()).map_or(
                SqlValue::Null,
                |value| match value {
                    Value::String(text) => SqlValue::Text(text.decode().into_owned()),
                    Value::Number(number) => SqlValue::Real(number),
                    // No column can hold these; they are in the JSON all the same.
                    _ => SqlValue::Null,
                },
            )
        };
        Self { columns: ["workflowId", "agentId", "persona", "tier"].map(column), json: enrichment.to_json() }
    }
}

/// A stamp with its place in the order: by time, then by position in the ledger.
#[derive(Debug)]
struct Placed {
    ts: String,
    offset: i64,
    stamp: ReadStamp,
}

/// The stamps of a session.
struct OfSession {
    stamps: Vec<Placed>,
    /// What they come to when none of them looks at more than the session.
    always: Option<Rc<Folded>>,
}

/// Folds stamps for one turn after the other.
pub(super) struct Folder<'c> {
    pub(super) converter: Converter,
    of_session: Statement<'c>,
    sessions: HashMap<(String, String), Rc<OfSession>>,
    /// Turns of a session mostly come one after the other.
    last: Option<((String, String), Rc<OfSession>)>,
    by_message: HashMap<String, Vec<Placed>>,
    /// Those that name neither session nor message.
    others: Vec<Placed>,
}

impl<'c> Folder<'c> {
    pub(super) fn new(db: &'c Connection) -> rusqlite::Result<Self> {
        let mut folder = Self {
            converter: Converter::new()?,
            of_session: db.prepare(
                "SELECT ts, ledger_offset_bytes, selector_json, enrichment_json FROM stamps
                 WHERE source IN ('*', ?1) AND session_id = ?2 AND session_id <> '*' ORDER BY ts, ledger_offset_bytes",
            )?,
            sessions: HashMap::new(),
            last: None,
            by_message: HashMap::new(),
            others: Vec::new(),
        };
        let mut wildcards = db.prepare(
            "SELECT ts, ledger_offset_bytes, selector_json, enrichment_json FROM stamps
             WHERE source = '*' AND session_id = '*' ORDER BY ts, ledger_offset_bytes",
        )?;
        let mut rows = wildcards.query([])?;
        while let Some(row) = rows.next()? {
            let Some(placed) = read(row)? else { continue };
            match &placed.stamp.matcher.message {
                Condition::Text(id) => folder.by_message.entry(id.clone()).or_default().push(placed),
                Condition::Never => {}
                Condition::Any => folder.others.push(placed),
            }
        }
        Ok(folder)
    }

    pub(super) fn fold(&mut self, source: &str, turn: TurnKey<'_>) -> rusqlite::Result<Rc<Folded>> {
        let of_session = self.session(source, turn.session)?;
        let by_message = turn.message.and_then(|id| self.by_message.get(id)).map_or(&[][..], Vec::as_slice);
        let mut others = by_message
            .iter()
            .chain(&self.others)
            .filter(|placed| placed.stamp.matcher.matches(turn))
            .collect::<Vec<_>>();
        if others.is_empty()
            && let Some(always) = &of_session.always
        {
            return Ok(Rc::clone(always));
        }
        others.extend(of_session.stamps.iter().filter(|placed| placed.stamp.matcher.matches(turn)));
        others.sort_by(|a, b| (&a.ts, a.offset).cmp(&(&b.ts, b.offset)));
        let mut enrichment = Enrichment::default();
        others.iter().for_each(|placed| enrichment.apply(&placed.stamp));
        Ok(Rc::new(Folded::new(&enrichment)))
    }

    fn session(&mut self, source: &str, session: Option<&str>) -> rusqlite::Result<Rc<OfSession>> {
        let session = session.unwrap_or_default();
        if let Some((key, found)) = &self.last
            && key.0 == source
            && key.1 == session
        {
            return Ok(Rc::clone(found));
        }
        let key = (source.to_owned(), session.to_owned());
        let found = match self.sessions.get(&key) {
            Some(found) => Rc::clone(found),
            None => self.read_session(key.clone())?,
        };
        self.last = Some((key, Rc::clone(&found)));
        Ok(found)
    }

    fn read_session(&mut self, key: (String, String)) -> rusqlite::Result<Rc<OfSession>> {
        if self.sessions.len() >= MAX_SESSIONS {
            self.sessions.clear();
        }
        let mut stamps = Vec::new();
        let mut rows = self.of_session.query(params![key.0, key.1])?;
        while let Some(row) = rows.next()? {
            stamps.extend(read(row)?);
        }
        let simple = stamps.iter().all(|placed| {
            let matcher = &placed.stamp.matcher;
            matcher.message == Condition::Any && matcher.range.is_none()
        });
        let always = simple.then(|| {
            let mut enrichment = Enrichment::default();
            stamps.iter().for_each(|placed| enrichment.apply(&placed.stamp));
            Rc::new(Folded::new(&enrichment))
        });
        let found = Rc::new(OfSession { stamps, always });
        self.sessions.insert(key, Rc::clone(&found));
        Ok(found)
    }
}

/// A stamp that cannot be used (written by hand, or by a program that stores anything) says nothing.
fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Option<Placed>> {
    let (ts, offset): (String, i64) = (row.get(0)?, row.get(1)?);
    let (selector, enrichment): (Option<String>, String) = (row.get(2)?, row.get(3)?);
    let selector = selector.unwrap_or_default();
    let stamp = ReadStamp::new(parse(&selector).ok(), parse(&enrichment).ok());
    Ok(stamp.map(|stamp| Placed { ts, offset, stamp }))
}
