//! Turns from the archive (specification §6.10).

use std::fmt::Write as _;

use rusqlite::types::{Value as SqlValue, ValueRef};
use rusqlite::{Connection, Row, params, params_from_iter};

use super::error::{ArchiveError, Context};
use super::load::text_of;
use super::stamps::sources;
use super::{Archive, open};
use crate::json::{Value, number_text, ordered_members, parse, quote, stringify};
use crate::reader::Query;

/// A turn as the archive has it.
///
/// Members of the record that the archive does not keep are not there: sessionPath, filesTouched, and of calls editPreHash,
/// editPostHash, skillName.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArchivedTurn {
    /// The source.
    pub source: String,
    /// The session.
    pub session_id: String,
    /// The message.
    pub message_id: String,
    /// Position in the session.
    pub turn_index: f64,
    /// When.
    pub ts: String,
    /// The model.
    pub model: String,
    /// input, output, reasoning, cacheRead, cacheCreate5m, cacheCreate1h
    pub usage: [f64; 6],
    /// Calls in order.
    pub tool_calls: Vec<ArchivedCall>,
    /// Path of the project.
    pub project: Option<String>,
    /// Name of the project.
    pub project_key: Option<String>,
    /// What the turn was about.
    pub activity: Option<String>,
    /// Why the model stopped.
    pub stop_reason: Option<String>,
    /// Whether files were edited.
    pub has_edits: Option<bool>,
    /// Failed attempts.
    pub retries: Option<f64>,
    /// The subagent.
    pub subagent: Option<ArchivedSubagent>,
    /// How much of the truth the numbers show.
    pub fidelity: Option<ArchivedFidelity>,
    /// What stamps say, texts only, in order.
    pub enrichment: Vec<(String, String)>,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ArchivedCall {
    /// Id of the call; empty when there is none.
    pub id: String,
    /// The tool.
    pub name: String,
    /// Hash of its arguments; empty when there is none.
    pub args_hash: String,
    /// What it worked on.
    pub target: Option<String>,
    /// Whether it failed.
    pub is_error: Option<bool>,
    /// The tools whose work it stands for.
    pub replaced_tools: Option<Vec<String>>,
    /// The number of calls it stands for.
    pub collapsed_calls: Option<f64>,
}

/// The subagent of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchivedSubagent {
    /// Beside the main conversation.
    pub is_sidechain: bool,
    /// agentId, parentAgentId, parentToolUseId, subagentType, description
    pub texts: [Option<String>; 5],
}

/// Fidelity as it can be told from what the archive keeps: the class is right, the coverage follows from it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ArchivedFidelity {
    /// The class.
    pub class: String,
    /// The numbers come from a cost alone.
    pub cost_only: bool,
    /// The source told tokens.
    pub tokens_present: bool,
}

const COLUMNS: &str = "source, session_id, message_id, turn_index, ts, model, input_tokens, output_tokens, reasoning_tokens, \
     cache_read_tokens, cache_create_5m_tokens, cache_create_1h_tokens, project, project_key, activity, stop_reason, \
     has_edits, retries, is_sidechain, subagent_id, parent_subagent_id, parent_tool_use_id, subagent_type, enrichment_json";
/// Not in archives of early releases; they are not changed by being read.
const LATER_COLUMNS: [&str; 4] =
    ["subagent_description", "attribution_fidelity", "tokens_present", "cost_present"];

impl Archive {
    /// The turns that the query wants, in the order of time and turn index. Without an archive there are none.
    pub fn turns(&self, query: &Query) -> Result<Vec<ArchivedTurn>, ArchiveError> {
        let mut turns = Vec::new();
        self.each_turn(query, &mut |turn| turns.push(turn))?;
        Ok(turns)
    }

    /// Hands the turns that the query wants to `each`, one after the other: memory does not depend on their number.
    pub fn each_turn(&self, query: &Query, each: &mut dyn FnMut(ArchivedTurn)) -> Result<(), ArchiveError> {
        let path = self.path();
        let Some(db) = open::for_reading(&path)? else { return Ok(()) };
        let context = Context { path: &path, operation: "query" };
        read_turns(&db, query, each).map_err(|error| context.wrap(error))
    }
}

fn read_turns(db: &Connection, query: &Query, each: &mut dyn FnMut(ArchivedTurn)) -> rusqlite::Result<()> {
    // An archive whose first build has not come to its end.
    if !exists(db, "SELECT 1 FROM sqlite_schema WHERE name = 'turns'")? {
        return Ok(());
    }
    let later: Vec<&str> = LATER_COLUMNS
        .into_iter()
        .map(|column| if has_column(db, "turns", column) { column } else { "NULL" })
        .collect();
    let (condition, values) = conditions(db, query, "")?;
    let sql = format!(
        "SELECT {COLUMNS}, {} FROM turns{condition} ORDER BY ts, turn_index, rowid",
        later.join(", ")
    );
    let replaced = if has_column(db, "tool_calls", "replaced_tools") {
        "replaced_tools, collapsed_calls"
    } else {
        "NULL, NULL"
    };
    let mut calls = db.prepare(&format!(
        "SELECT tool_use_id, tool_name, args_hash, target, is_error, {replaced} FROM tool_calls
         WHERE source = ?1 AND session_id = ?2 AND message_id = ?3 ORDER BY call_index"
    ))?;
    let mut statement = db.prepare(&sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let mut turn = read_turn(row)?;
        let found = calls.query_map(params![turn.source, turn.session_id, turn.message_id], read_call)?;
        turn.tool_calls = found.collect::<rusqlite::Result<_>>()?;
        each(turn);
    }
    Ok(())
}

fn exists(db: &Connection, sql: &str) -> rusqlite::Result<bool> {
    db.prepare(sql)?.exists([])
}

fn has_column(db: &Connection, table: &str, column: &str) -> bool {
    db.prepare(&format!("SELECT {column} FROM {table} LIMIT 0")).is_ok()
}

/// The WHERE clause and its values. `missing` is what an enrichment key that is not there compares as, if not NULL.
pub(super) fn conditions(
    db: &Connection,
    query: &Query,
    missing: &str,
) -> rusqlite::Result<(String, Vec<SqlValue>)> {
    let mut parts = Vec::new();
    let mut values: Vec<SqlValue> = Vec::new();
    let mut add = |part: &str, value: &str| {
        values.push(SqlValue::Text(value.to_owned()));
        parts.push(part.replace('#', &format!("?{}", values.len())));
    };
    let condition = Query::condition;
    condition(&query.since).into_iter().for_each(|value| add("ts >= #", value));
    condition(&query.until).into_iter().for_each(|value| add("ts <= #", value));
    condition(&query.project).into_iter().for_each(|value| add("(project = # OR project_key = #)", value));
    condition(&query.source).into_iter().for_each(|value| add("source = #", value));
    condition(&query.session_id).into_iter().for_each(|value| add("session_id = #", value));
    for (key, value) in &query.enrichment {
        let column = match key.as_str() {
            "workflowId" => "workflow_id",
            "agentId" => "agent_id",
            "persona" => "persona",
            "tier" => "tier",
            _ => {
                // The key as a member name, not as a path: a dot or a bracket in it is a character like any other.
                let read = "(SELECT value FROM json_each(turns.enrichment_json) WHERE key = #)";
                values.push(SqlValue::Text(key.clone()));
                let read = read.replace('#', &format!("?{}", values.len()));
                values.push(SqlValue::Text(value.clone()));
                let read = if missing.is_empty() { read } else { format!("coalesce({read}, '')") };
                parts.push(format!("{read} = ?{}", values.len()));
                continue;
            }
        };
        values.push(SqlValue::Text(value.clone()));
        parts.push(format!("{column} = ?{}", values.len()));
    }
    if condition(&query.session_id).is_some() && condition(&query.source).is_none() {
        // Every index that knows sessions begins with the source, and there are few of those.
        let mut list = String::new();
        for source in sources(db)? {
            values.push(SqlValue::Text(source));
            let separator = if list.is_empty() { "" } else { ", " };
            let _infallible = write!(list, "{separator}?{}", values.len());
        }
        parts.push(format!("source IN ({list})"));
    }
    let clause = if parts.is_empty() { String::new() } else { format!(" WHERE {}", parts.join(" AND ")) };
    Ok((clause, values))
}

fn optional(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<String>> {
    Ok(if row.get_ref(index)? == ValueRef::Null { None } else { Some(text_of(row, index)?) })
}

fn number(row: &Row<'_>, index: usize) -> rusqlite::Result<Option<f64>> {
    Ok(match row.get_ref(index)? {
        ValueRef::Null => None,
        // Beyond 2^53 the nearest double, as everywhere in a JSON ledger.
        #[expect(clippy::cast_precision_loss, reason = "JSON numbers are doubles")]
        ValueRef::Integer(value) => Some(value as f64),
        ValueRef::Real(value) => Some(value),
        ValueRef::Text(text) | ValueRef::Blob(text) => String::from_utf8_lossy(text).parse().ok(),
    })
}

fn read_turn(row: &Row<'_>) -> rusqlite::Result<ArchivedTurn> {
    let count = |index| Ok::<_, rusqlite::Error>(number(row, index)?.unwrap_or_default());
    let is_one = |index| Ok::<_, rusqlite::Error>(number(row, index)?.map(|value| value == 1.0));
    let subagent = {
        let texts = [
            optional(row, 19)?,
            optional(row, 20)?,
            optional(row, 21)?,
            optional(row, 22)?,
            optional(row, 24)?,
        ];
        let sidechain = is_one(18)?;
        let present = sidechain.is_some() || texts.iter().any(Option::is_some);
        present.then(|| ArchivedSubagent { is_sidechain: sidechain.unwrap_or(false), texts })
    };
    let fidelity = match optional(row, 25)? {
        None => None,
        Some(class) => Some(ArchivedFidelity {
            class,
            tokens_present: is_one(26)?.unwrap_or(false),
            cost_only: is_one(27)?.unwrap_or(false),
        }),
    };
    Ok(ArchivedTurn {
        source: text_of(row, 0)?,
        session_id: text_of(row, 1)?,
        message_id: text_of(row, 2)?,
        turn_index: count(3)?,
        ts: text_of(row, 4)?,
        model: text_of(row, 5)?,
        usage: [count(6)?, count(7)?, count(8)?, count(9)?, count(10)?, count(11)?],
        tool_calls: Vec::new(),
        project: optional(row, 12)?,
        project_key: optional(row, 13)?,
        activity: optional(row, 14)?,
        stop_reason: optional(row, 15)?,
        has_edits: is_one(16)?,
        retries: number(row, 17)?,
        subagent,
        fidelity,
        enrichment: texts_of(&optional(row, 23)?.unwrap_or_default()),
    })
}

/// The members of a JSON object that are texts.
fn texts_of(json: &str) -> Vec<(String, String)> {
    let Some(object) = parse(json).ok().and_then(Value::as_object) else { return Vec::new() };
    let texts = ordered_members(object).into_iter().filter_map(|(name, value)| {
        Some((name.decode().into_owned(), value.as_str()?.decode().into_owned()))
    });
    texts.collect()
}

fn read_call(row: &Row<'_>) -> rusqlite::Result<ArchivedCall> {
    let replaced = optional(row, 5)?.and_then(|json| {
        let texts: Vec<String> = parse(&json)
            .ok()?
            .as_array()?
            .items()
            .filter_map(|item| Some(item.as_str()?.decode().into_owned()))
            .filter(|text| !text.is_empty())
            .collect();
        (!texts.is_empty()).then_some(texts)
    });
    Ok(ArchivedCall {
        id: text_of(row, 0)?,
        name: text_of(row, 1)?,
        args_hash: text_of(row, 2)?,
        target: optional(row, 3)?,
        is_error: number(row, 4)?.map(|value| value == 1.0),
        replaced_tools: replaced,
        collapsed_calls: number(row, 6)?.filter(|count| *count > 0.0),
    })
}

/// Writes the members of a JSON object.
struct Members(String);

impl Members {
    const fn new() -> Self {
        Self(String::new())
    }

    fn json(&mut self, name: &str, json: &str) -> &mut Self {
        self.0.push(if self.0.is_empty() { '{' } else { ',' });
        let _infallible = write!(self.0, "\"{name}\":{json}");
        self
    }

    fn text(&mut self, name: &str, text: &str) -> &mut Self {
        self.json(name, &quote(text))
    }

    fn maybe(&mut self, name: &str, text: Option<&String>) -> &mut Self {
        if let Some(text) = text {
            self.text(name, text);
        }
        self
    }

    fn end(&mut self) -> String {
        if self.0.is_empty() {
            self.0.push('{');
        }
        self.0.push('}');
        std::mem::take(&mut self.0)
    }
}

fn list(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

impl ArchivedTurn {
    /// As JSON, with the members and the order of the original.
    pub fn to_json(&self) -> String {
        const USAGE: [&str; 6] =
            ["input", "output", "reasoning", "cacheRead", "cacheCreate5m", "cacheCreate1h"];
        let mut usage = Members::new();
        for (name, value) in USAGE.iter().zip(self.usage) {
            usage.json(name, &number_text(value));
        }
        let mut out = Members::new();
        out.json("v", "1")
            .text("source", &self.source)
            .text("sessionId", &self.session_id)
            .text("messageId", &self.message_id)
            .json("turnIndex", &number_text(self.turn_index))
            .text("ts", &self.ts)
            .text("model", &self.model)
            .json("usage", &usage.end())
            .json("toolCalls", &list(self.tool_calls.iter().map(ArchivedCall::to_json)))
            .maybe("project", self.project.as_ref())
            .maybe("projectKey", self.project_key.as_ref())
            .maybe("activity", self.activity.as_ref())
            .maybe("stopReason", self.stop_reason.as_ref());
        if let Some(has_edits) = self.has_edits {
            out.json("hasEdits", &has_edits.to_string());
        }
        if let Some(retries) = self.retries {
            out.json("retries", &number_text(retries));
        }
        if let Some(subagent) = &self.subagent {
            out.json("subagent", &subagent.to_json());
        }
        if let Some(fidelity) = &self.fidelity {
            out.json("fidelity", &fidelity.to_json());
        }
        let facts = self.enrichment.iter().map(|(key, value)| format!("{}:{}", quote(key), quote(value)));
        let facts = format!("{{{}}}", facts.collect::<Vec<_>>().join(","));
        out.json("enrichment", &parse(&facts).map(stringify).unwrap_or(facts)).end()
    }
}

impl ArchivedCall {
    fn to_json(&self) -> String {
        let mut out = Members::new();
        out.text("id", &self.id).text("name", &self.name).text("argsHash", &self.args_hash);
        out.maybe("target", self.target.as_ref());
        if let Some(is_error) = self.is_error {
            out.json("isError", &is_error.to_string());
        }
        if let Some(tools) = &self.replaced_tools {
            out.json("replacedTools", &list(tools.iter().map(|tool| quote(tool))));
        }
        if let Some(count) = self.collapsed_calls {
            out.json("collapsedCalls", &number_text(count));
        }
        out.end()
    }
}

impl ArchivedSubagent {
    fn to_json(&self) -> String {
        const NAMES: [&str; 5] =
            ["agentId", "parentAgentId", "parentToolUseId", "subagentType", "description"];
        let mut out = Members::new();
        out.json("isSidechain", if self.is_sidechain { "true" } else { "false" });
        for (name, text) in NAMES.iter().zip(&self.texts) {
            out.maybe(name, text.as_ref());
        }
        out.end()
    }
}

impl ArchivedFidelity {
    /// `per-turn` or `cost-only`: finer distinctions are not kept.
    pub const fn granularity(&self) -> &'static str {
        if self.cost_only { "cost-only" } else { "per-turn" }
    }

    /// What the source told, in the order of the format: input, output, reasoning, cache read, cache creation, then calls,
    /// results, relationships, content.
    pub fn coverage(&self) -> [bool; 9] {
        let tokens = self.tokens_present;
        match self.class.as_str() {
            "full" => [true; 9],
            "usage-only" => [tokens, tokens, false, tokens, tokens, false, false, false, false],
            "partial" => [tokens, tokens, false, false, false, false, false, false, false],
            _ => [false; 9],
        }
    }

    fn to_json(&self) -> String {
        const NAMES: [&str; 9] = [
            "hasInputTokens",
            "hasOutputTokens",
            "hasReasoningTokens",
            "hasCacheReadTokens",
            "hasCacheCreateTokens",
            "hasToolCalls",
            "hasToolResultEvents",
            "hasSessionRelationships",
            "hasRawContent",
        ];
        let mut coverage = Members::new();
        for (name, told) in NAMES.iter().zip(self.coverage()) {
            coverage.json(name, if told { "true" } else { "false" });
        }
        Members::new()
            .text("class", &self.class)
            .text("granularity", self.granularity())
            .json("coverage", &coverage.end())
            .end()
    }
}
