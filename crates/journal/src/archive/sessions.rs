//! The aggregates over the turns of a session (specification §6.6).

use rusqlite::{Connection, Row, Statement, params};

use super::load::text_of;
use crate::json::quote;

const COLUMNS: &str = "source, session_id, turn_index, ts, model, project, project_key, workflow_id, agent_id, \
     parent_subagent_id, is_sidechain, attribution_fidelity";

/// From the worst to the best.
const CLASSES: [&str; 5] = ["cost-only", "aggregate-only", "partial", "usage-only", "full"];

/// Brings the rows of these sessions up to date; sessions without turns get none. Returns how many rows are new.
pub(super) fn refresh<'s>(
    db: &Connection,
    sessions: impl Iterator<Item = &'s (String, String)>,
) -> rusqlite::Result<u64> {
    let mut read = db.prepare(&format!(
        "SELECT {COLUMNS} FROM turns WHERE source = ?1 AND session_id = ?2 ORDER BY turn_index, rowid"
    ))?;
    let mut known = db.prepare("SELECT 1 FROM sessions WHERE source = ?1 AND session_id = ?2")?;
    let mut write = Write::new(db)?;
    let mut added = 0;
    for (source, session) in sessions {
        let mut rows = read.query(params![source, session])?;
        let mut aggregate: Option<Aggregate> = None;
        while let Some(row) = rows.next()? {
            match &mut aggregate {
                Some(aggregate) => aggregate.add(row)?,
                none => *none = Some(Aggregate::new(row)?),
            }
        }
        if let Some(aggregate) = aggregate {
            added += u64::from(!known.exists(params![source, session])?);
            write.row(&aggregate)?;
        }
    }
    Ok(added)
}

/// Makes the rows of all sessions in one pass over the turns. Returns how many there are.
pub(super) fn fill(db: &Connection) -> rusqlite::Result<u64> {
    let mut read = db.prepare(&format!(
        "SELECT {COLUMNS} FROM turns INDEXED BY idx_turns_session ORDER BY source, session_id, turn_index, rowid"
    ))?;
    let mut write = Write::new(db)?;
    let mut rows = read.query([])?;
    let mut current: Option<Aggregate> = None;
    let mut count = 0;
    while let Some(row) = rows.next()? {
        match &mut current {
            Some(aggregate) if aggregate.is_of(row)? => aggregate.add(row)?,
            _ => {
                if let Some(done) = current.replace(Aggregate::new(row)?) {
                    write.row(&done)?;
                    count += 1;
                }
            }
        }
    }
    if let Some(done) = current {
        write.row(&done)?;
        count += 1;
    }
    Ok(count)
}

/// What is known of a session after some of its turns.
struct Aggregate {
    source: String,
    session: String,
    started: String,
    ended: String,
    turns: i64,
    models: Vec<String>,
    /// Smallest `project`, `project_key`, `workflow_id`, `agent_id`, `parent_subagent_id`.
    smallest: [Option<String>; 5],
    has_subagent: i64,
    worst_class: Option<usize>,
    classes: u64,
    full: u64,
}

impl Aggregate {
    fn new(row: &Row<'_>) -> rusqlite::Result<Self> {
        let mut aggregate = Self {
            source: text_of(row, 0)?,
            session: text_of(row, 1)?,
            started: text_of(row, 3)?,
            ended: text_of(row, 3)?,
            turns: 0,
            models: Vec::new(),
            smallest: Default::default(),
            has_subagent: 0,
            worst_class: None,
            classes: 0,
            full: 0,
        };
        aggregate.add(row)?;
        Ok(aggregate)
    }

    fn is_of(&self, row: &Row<'_>) -> rusqlite::Result<bool> {
        let same = |index, text: &str| {
            Ok::<_, rusqlite::Error>(row.get_ref(index)?.as_bytes().ok() == Some(text.as_bytes()))
        };
        Ok(same(1, &self.session)? && same(0, &self.source)?)
    }

    fn add(&mut self, row: &Row<'_>) -> rusqlite::Result<()> {
        self.turns += 1;
        if let Ok(ts) = row.get_ref(3)?.as_str() {
            if ts < self.started.as_str() {
                ts.clone_into(&mut self.started);
            }
            if ts > self.ended.as_str() {
                ts.clone_into(&mut self.ended);
            }
        }
        if let Ok(model) = row.get_ref(4)?.as_str()
            && !self.models.iter().any(|known| known == model)
        {
            self.models.push(model.to_owned());
        }
        for (index, smallest) in (5..).zip(&mut self.smallest) {
            if let Ok(Some(text)) = row.get_ref(index)?.as_str_or_null()
                && smallest.as_deref().is_none_or(|known| text < known)
            {
                *smallest = Some(text.to_owned());
            }
        }
        if let Some(sidechain) = row.get_ref(10)?.as_i64_or_null().ok().flatten() {
            self.has_subagent = self.has_subagent.max(sidechain);
        }
        if let Ok(Some(class)) = row.get_ref(11)?.as_str_or_null() {
            self.classes += 1;
            self.full += u64::from(class == "full");
            if let Some(rank) = CLASSES.iter().position(|known| *known == class) {
                self.worst_class = Some(self.worst_class.map_or(rank, |worst| worst.min(rank)));
            }
        }
        Ok(())
    }
}

struct Write<'c>(Statement<'c>);

impl<'c> Write<'c> {
    fn new(db: &'c Connection) -> rusqlite::Result<Self> {
        // An upsert, not a replacement: the row keeps its rowid.
        db.prepare(
            "INSERT INTO sessions (source, session_id, project, project_key, started_at, ended_at, turn_count,
               model_set_json, workflow_id, agent_id, parent_agent_id, has_subagent, min_fidelity, has_full_attribution)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT (source, session_id) DO UPDATE SET project = ?3, project_key = ?4, started_at = ?5,
               ended_at = ?6, turn_count = ?7, model_set_json = ?8, workflow_id = ?9, agent_id = ?10,
               parent_agent_id = ?11, has_subagent = ?12, min_fidelity = ?13, has_full_attribution = ?14",
        )
        .map(Self)
    }

    fn row(&mut self, session: &Aggregate) -> rusqlite::Result<()> {
        let models: Vec<String> = session.models.iter().map(|model| quote(model)).collect();
        let [project, project_key, workflow, agent, parent] = &session.smallest;
        let full = (session.classes > 0).then_some(i64::from(session.full == session.classes));
        self.0.execute(params![
            session.source,
            session.session,
            project,
            project_key,
            session.started,
            session.ended,
            session.turns,
            format!("[{}]", models.join(",")),
            workflow,
            agent,
            parent,
            session.has_subagent,
            session.worst_class.and_then(|rank| CLASSES.get(rank)),
            full,
        ])?;
        Ok(())
    }
}
