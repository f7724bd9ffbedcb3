//! From lines to rows: what of a line goes into which column, and when a line is refused (specification §6.6).
//!
//! Lines are parsed on other threads than the one that inserts. A [`Batch`] therefore owns its text, and a [`Cell`] says
//! where in it a value stands instead of borrowing it.

use std::mem;
use std::ops::Range;

use rusqlite::ToSql;
use rusqlite::types::{ToSqlOutput, Value as SqlValue, ValueRef};

use super::report::{Problem, SkippedLine};
use crate::fields::{Picked, pick, pick_record};
use crate::json::{Array, Object, Parser, Str, Value, stringify};
use crate::jsonl::lines;
use crate::line::Kind;
use crate::parallel::Piece;

/// A JSON value for a column. Numbers are doubles, as the original binds them: 5 becomes the text `5.0` in a text column
/// and the integer 5 in an integer column.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Cell {
    Null,
    Bool(bool),
    Number(f64),
    Text(Span),
}

/// Where a string stands in the text of its batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Span {
    start: u32,
    len: u32,
    escaped: bool,
}

impl Cell {
    /// For a member that must be there.
    fn required(base: &str, member: &'static str, value: Option<Value<'_>>) -> Result<Self, Problem> {
        match value {
            None => Err(Problem::Missing(member)),
            Some(Value::Null) => Err(Problem::Null(member)),
            _ => Self::optional(base, member, value),
        }
    }

    /// For a member that may be missing or null.
    fn optional(base: &str, member: &'static str, value: Option<Value<'_>>) -> Result<Self, Problem> {
        match value {
            None | Some(Value::Null) => Ok(Self::Null),
            Some(Value::Number(number)) => Ok(Self::Number(number)),
            Some(Value::String(text)) => {
                Span::of(base, text).map(Self::Text).ok_or(Problem::WrongType(member))
            }
            Some(_) => Err(Problem::WrongType(member)),
        }
    }

    const fn flag(value: Option<bool>) -> Self {
        match value {
            Some(value) => Self::Bool(value),
            None => Self::Null,
        }
    }

    /// Whether both are the same value; texts are those of one batch.
    pub(super) fn is_same(self, other: Self, text: &str) -> bool {
        match (self, other) {
            (Self::Text(one), Self::Text(other)) => {
                one == other || (one.len == other.len && one.get(text) == other.get(text))
            }
            (one, other) => one == other,
        }
    }

    pub(super) const fn bind(self, text: &str) -> Bound<'_> {
        Bound { cell: self, text }
    }

    /// The string, if it is one.
    pub(super) fn text(self, text: &str) -> Option<std::borrow::Cow<'_, str>> {
        if let Self::Text(span) = self { Some(span.get(text).decode()) } else { None }
    }
}

impl Span {
    /// Lines are far shorter than 4 GB, and so are batches.
    fn of(base: &str, text: Str<'_>) -> Option<Self> {
        let start = (text.raw().as_ptr() as usize).checked_sub(base.as_ptr() as usize)?;
        let (start, len) = (u32::try_from(start).ok()?, u32::try_from(text.raw().len()).ok()?);
        Some(Self { start, len, escaped: text.is_escaped() })
    }

    fn get(self, base: &str) -> Str<'_> {
        let start = self.start as usize;
        Str::new(base.get(start..start + self.len as usize).unwrap_or_default(), self.escaped)
    }
}

/// A cell with its text, for SQLite.
pub(super) struct Bound<'t> {
    cell: Cell,
    text: &'t str,
}

impl ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(match self.cell {
            Cell::Null => ToSqlOutput::Borrowed(ValueRef::Null),
            Cell::Bool(value) => ToSqlOutput::Borrowed(ValueRef::Integer(i64::from(value))),
            Cell::Number(value) => ToSqlOutput::Borrowed(ValueRef::Real(value)),
            Cell::Text(span) => {
                let text = span.get(self.text);
                if text.is_escaped() {
                    ToSqlOutput::Owned(SqlValue::Text(text.decode().into_owned()))
                } else {
                    ToSqlOutput::Borrowed(ValueRef::Text(text.raw().as_bytes()))
                }
            }
        })
    }
}

/// The columns of `turns` that come from the line, in the order of [`TURN_COLUMNS`](super::load::TURN_COLUMNS).
pub(super) const TURN_CELLS: usize = 27;

/// A turn line.
#[derive(Debug)]
pub(super) struct TurnRow {
    pub(super) cells: [Cell; TURN_CELLS],
    /// Its calls among those of the batch.
    pub(super) calls: Range<usize>,
}

impl TurnRow {
    /// `source`, `session_id`, `message_id`
    pub(super) const fn key(&self) -> [Cell; 3] {
        let [source, session, message, ..] = self.cells;
        [source, session, message]
    }
}

/// A call of a turn.
#[derive(Debug)]
pub(super) struct CallRow {
    /// `tool_use_id`, `tool_name`, `target`, `args_hash`, `is_error`
    pub(super) cells: [Cell; 5],
    pub(super) replaced_tools: Option<String>,
    pub(super) collapsed_calls: Cell,
}

/// What is to be applied of some lines.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) text: String,
    pub(super) turns: Vec<TurnRow>,
    pub(super) calls: Vec<CallRow>,
    /// Columns of `compactions` in their order.
    pub(super) compactions: Vec<[Cell; 5]>,
    /// Columns of `tool_result_events` in their order.
    pub(super) events: Vec<[Cell; 14]>,
    pub(super) skipped: Vec<SkippedLine>,
    pub(super) counts: LineCounts,
    /// Bytes of the lines that parsed.
    pub(super) scanned_bytes: u64,
    /// Where the batch ends in the ledger.
    pub(super) end: u64,
}

/// What status wants to know of the lines that were read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct LineCounts {
    /// Turn lines, repeated ones included.
    pub(crate) turns: u64,
    /// Of them, those with an activity.
    pub(crate) classified: u64,
    /// User-turn lines.
    pub(crate) user_turns: u64,
    /// Lines that are no JSON.
    pub(crate) malformed: u64,
}

impl LineCounts {
    pub(crate) const fn add(&mut self, other: Self) {
        self.turns += other.turns;
        self.classified += other.classified;
        self.user_turns += other.user_turns;
        self.malformed += other.malformed;
    }
}

const MEMBERS: usize = 16;
const ACTIVITY: usize = 12;

const fn members(kind: Kind) -> &'static [&'static str; MEMBERS] {
    match kind {
        Kind::Turn => &[
            "source",
            "sessionId",
            "messageId",
            "turnIndex",
            "ts",
            "model",
            "usage",
            "toolCalls",
            "project",
            "projectKey",
            "stopReason",
            "fidelity",
            "activity",
            "retries",
            "hasEdits",
            "subagent",
        ],
        Kind::ToolResultEvent => &[
            "source",
            "sessionId",
            "toolUseId",
            "callIndex",
            "eventIndex",
            "status",
            "eventSource",
            "messageId",
            "ts",
            "contentLength",
            "contentHash",
            "isError",
            "subagentSessionId",
            "agentId",
            "",
            "",
        ],
        Kind::Compaction => &[
            "source",
            "sessionId",
            "ts",
            "precedingMessageId",
            "tokensBeforeCompact",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
        ],
        Kind::Stamp | Kind::Relationship | Kind::UserTurn => &[""; MEMBERS],
    }
}

/// Parses the lines of a piece of the ledger. The batch takes the bytes for its text; [`Batch::give_back`] returns them.
pub(super) fn parse_piece(piece: &mut Piece<Batch>) {
    let (offset, end) = (piece.offset, piece.end());
    let batch = &mut piece.result;
    batch.clear(end);
    match String::from_utf8(mem::take(&mut piece.bytes)) {
        Ok(text) => {
            for (at, line) in lines(text.as_bytes(), offset) {
                let start = usize::try_from(at - offset).unwrap_or(usize::MAX);
                let (len, line) = (line.len() as u64 + 1, text.get(start..start + line.len()));
                batch.line(&text, line.unwrap_or_default(), at, len);
            }
            batch.text = text;
        }
        // Bytes that are no UTF-8 become U+FFFD; offsets still count the bytes of the file.
        Err(error) => {
            let bytes = error.into_bytes();
            let (mut text, mut ranges) = (String::with_capacity(bytes.len()), Vec::new());
            for (at, line) in lines(&bytes, offset) {
                let start = text.len();
                text.push_str(&String::from_utf8_lossy(line));
                ranges.push((at, line.len() as u64 + 1, start..text.len()));
            }
            for (at, len, range) in ranges {
                batch.line(&text, text.get(range).unwrap_or_default(), at, len);
            }
            batch.text = text;
        }
    }
}

impl Batch {
    fn clear(&mut self, end: u64) {
        self.turns.clear();
        self.calls.clear();
        self.compactions.clear();
        self.events.clear();
        self.skipped.clear();
        (self.counts, self.scanned_bytes, self.end) = (LineCounts::default(), 0, end);
    }

    /// Makes the piece ready for other lines.
    pub(super) fn give_back(piece: &mut Piece<Self>) {
        piece.bytes = mem::take(&mut piece.result.text).into_bytes();
    }

    fn line(&mut self, base: &str, line: &str, offset: u64, len: u64) {
        let (kind, outcome) = match pick_record(line, members) {
            Err(_) => {
                self.counts.malformed += 1;
                return;
            }
            Ok(Picked::Blank) => return,
            Ok(Picked::Other | Picked::Stamp) => {
                self.scanned_bytes += len;
                return;
            }
            Ok(Picked::NoRecord(kind)) => (kind, Err(Problem::Missing("record"))),
            Ok(Picked::Record(kind, picked)) => {
                let outcome = match kind {
                    Kind::Turn => self.turn(base, &picked),
                    Kind::Compaction => self.compaction(base, &picked),
                    Kind::ToolResultEvent => self.event(base, &picked),
                    Kind::Stamp | Kind::Relationship | Kind::UserTurn => Ok(()),
                };
                if kind == Kind::Turn && matches!(picked[ACTIVITY], Some(Value::String(_))) {
                    self.counts.classified += 1;
                }
                (kind, outcome)
            }
        };
        self.scanned_bytes += len;
        self.counts.turns += u64::from(kind == Kind::Turn);
        self.counts.user_turns += u64::from(kind == Kind::UserTurn);
        let archived = !matches!(kind, Kind::Relationship | Kind::UserTurn);
        if let Err(problem) = outcome
            && archived
        {
            self.skipped.push(SkippedLine { offset, kind, problem });
        }
    }

    fn turn(&mut self, base: &str, picked: &[Option<Value<'_>>; MEMBERS]) -> Result<(), Problem> {
        let [
            source,
            session,
            message,
            index,
            ts,
            model,
            usage,
            calls,
            project,
            key,
            stop,
            fidelity,
            activity,
            retries,
            has_edits,
            subagent,
        ] = *picked;
        let required = |member, value| Cell::required(base, member, value);
        let optional = |member, value| Cell::optional(base, member, value);
        let [input, output, reasoning, cache_read, cache_5m, cache_1h] = usage_cells(base, usage)?;
        let [sidechain, agent, parent_agent, parent_tool, agent_type, description] =
            subagent_cells(base, subagent)?;
        let [class, tokens, cost] = fidelity_cells(base, fidelity)?;
        let cells = [
            required("source", source)?,
            required("sessionId", session)?,
            required("messageId", message)?,
            required("turnIndex", index)?,
            required("ts", ts)?,
            required("model", model)?,
            optional("project", project)?,
            optional("projectKey", key)?,
            optional("activity", activity)?,
            optional("stopReason", stop)?,
            Cell::flag(has_edits.map(Value::truthy)),
            optional("retries", retries)?,
            sidechain,
            agent,
            parent_agent,
            parent_tool,
            agent_type,
            description,
            input,
            output,
            reasoning,
            cache_read,
            cache_5m,
            cache_1h,
            class,
            tokens,
            cost,
        ];
        let first = self.calls.len();
        let calls = match calls {
            None => return Err(Problem::Missing("toolCalls")),
            Some(Value::Null) => return Err(Problem::Null("toolCalls")),
            Some(Value::Array(calls)) => calls,
            Some(_) => return Err(Problem::WrongType("toolCalls")),
        };
        if let Err(problem) = self.tool_calls(base, calls) {
            self.calls.truncate(first);
            return Err(problem);
        }
        self.turns.push(TurnRow { cells, calls: first..self.calls.len() });
        Ok(())
    }

    fn tool_calls(&mut self, base: &str, calls: Array<'_>) -> Result<(), Problem> {
        const NAMES: [&str; 7] =
            ["id", "name", "argsHash", "target", "isError", "replacedTools", "collapsedCalls"];
        let mut parser = Parser::new(calls.text());
        // The array was checked when its line was read, so only the elements can be of the wrong kind.
        let wrong = |_| Problem::WrongType("toolCalls");
        parser.enter_array().map_err(wrong)?;
        while parser.next_item().map_err(wrong)? {
            let [id, name, args, target, is_error, replaced, collapsed] =
                pick(&mut parser, &NAMES).map_err(wrong)?;
            self.calls.push(CallRow {
                cells: [
                    Cell::optional(base, "toolCalls.id", id)?,
                    Cell::required(base, "toolCalls.name", name)?,
                    Cell::optional(base, "toolCalls.target", target)?,
                    Cell::optional(base, "toolCalls.argsHash", args)?,
                    Cell::flag(is_error.map(Value::truthy)),
                ],
                replaced_tools: replaced.filter(|value| has_length(*value)).map(stringify),
                collapsed_calls: match collapsed {
                    Some(Value::Number(count)) if count > 0.0 => Cell::Number(count),
                    _ => Cell::Null,
                },
            });
        }
        Ok(())
    }

    fn compaction(&mut self, base: &str, picked: &[Option<Value<'_>>; MEMBERS]) -> Result<(), Problem> {
        let [source, session, ts, preceding, tokens, ..] = *picked;
        self.compactions.push([
            Cell::required(base, "source", source)?,
            Cell::required(base, "sessionId", session)?,
            Cell::required(base, "ts", ts)?,
            Cell::optional(base, "precedingMessageId", preceding)?,
            Cell::optional(base, "tokensBeforeCompact", tokens)?,
        ]);
        Ok(())
    }

    fn event(&mut self, base: &str, picked: &[Option<Value<'_>>; MEMBERS]) -> Result<(), Problem> {
        let [
            source,
            session,
            tool_use,
            call_index,
            index,
            status,
            event_source,
            message,
            ts,
            length,
            hash,
            is_error,
            subagent,
            agent,
            ..,
        ] = *picked;
        let required = |member, value| Cell::required(base, member, value);
        let optional = |member, value| Cell::optional(base, member, value);
        let call_index = match optional("callIndex", call_index)? {
            Cell::Null => Cell::Number(0.0),
            index => index,
        };
        let message = match optional("messageId", message)? {
            Cell::Null => Cell::Text(Span { start: 0, len: 0, escaped: false }),
            id => id,
        };
        self.events.push([
            required("source", source)?,
            required("sessionId", session)?,
            message,
            required("toolUseId", tool_use)?,
            call_index,
            required("eventIndex", index)?,
            required("status", status)?,
            optional("contentLength", length)?,
            optional("contentHash", hash)?,
            Cell::flag(is_error.map(Value::truthy)),
            optional("subagentSessionId", subagent)?,
            optional("agentId", agent)?,
            required("eventSource", event_source)?,
            optional("ts", ts)?,
        ]);
        Ok(())
    }
}

fn has_length(value: Value<'_>) -> bool {
    match value {
        Value::Array(array) => array.items().next().is_some(),
        Value::String(text) => !text.is_empty(),
        _ => false,
    }
}

fn object_of<'a>(member: &'static str, value: Option<Value<'a>>) -> Result<Option<Object<'a>>, Problem> {
    match value {
        None => Err(Problem::Missing(member)),
        Some(Value::Null) => Err(Problem::Null(member)),
        Some(Value::Object(object)) => Ok(Some(object)),
        // Any other value has no members, as in JavaScript.
        Some(_) => Ok(None),
    }
}

fn pick_of<'a, const N: usize>(object: Option<Object<'a>>, names: &[&str; N]) -> [Option<Value<'a>>; N] {
    object.and_then(|object| pick(&mut Parser::new(object.text()), names).ok()).unwrap_or([None; N])
}

fn usage_cells(base: &str, usage: Option<Value<'_>>) -> Result<[Cell; 6], Problem> {
    const NAMES: [&str; 6] = ["input", "output", "reasoning", "cacheRead", "cacheCreate5m", "cacheCreate1h"];
    let [input, output, reasoning, cache_read, cache_5m, cache_1h] =
        pick_of(object_of("usage", usage)?, &NAMES);
    Ok([
        Cell::required(base, "usage.input", input)?,
        Cell::required(base, "usage.output", output)?,
        Cell::required(base, "usage.reasoning", reasoning)?,
        Cell::required(base, "usage.cacheRead", cache_read)?,
        Cell::required(base, "usage.cacheCreate5m", cache_5m)?,
        Cell::required(base, "usage.cacheCreate1h", cache_1h)?,
    ])
}

/// `is_sidechain`, then the five texts.
fn subagent_cells(base: &str, subagent: Option<Value<'_>>) -> Result<[Cell; 6], Problem> {
    const NAMES: [&str; 6] =
        ["isSidechain", "agentId", "parentToolUseId", "subagentType", "description", "parentAgentId"];
    let Some(subagent) = subagent.filter(|subagent| subagent.truthy()) else { return Ok([Cell::Null; 6]) };
    let [sidechain, agent, parent_tool, agent_type, description, parent] =
        pick_of(subagent.as_object(), &NAMES);
    Ok([
        Cell::Bool(sidechain.is_some_and(Value::truthy)),
        Cell::optional(base, "subagent.agentId", agent)?,
        Cell::optional(base, "subagent.parentAgentId", parent)?,
        Cell::optional(base, "subagent.parentToolUseId", parent_tool)?,
        Cell::optional(base, "subagent.subagentType", agent_type)?,
        Cell::optional(base, "subagent.description", description)?,
    ])
}

/// `attribution_fidelity`, `tokens_present`, `cost_present`
fn fidelity_cells(base: &str, fidelity: Option<Value<'_>>) -> Result<[Cell; 3], Problem> {
    const NAMES: [&str; 3] = ["granularity", "coverage", "class"];
    const TOKENS: [&str; 3] = ["hasInputTokens", "hasOutputTokens", "hasReasoningTokens"];
    let Some(fidelity) = fidelity.filter(|fidelity| fidelity.truthy()) else { return Ok([Cell::Null; 3]) };
    let [granularity, coverage, class] = pick_of(fidelity.as_object(), &NAMES);
    let tokens = pick_of(object_of("fidelity.coverage", coverage)?, &TOKENS);
    let cost_only =
        granularity.and_then(Value::as_str).is_some_and(|granularity| granularity.is("cost-only"));
    Ok([
        Cell::required(base, "fidelity.class", class)?,
        Cell::Bool(tokens.into_iter().flatten().any(Value::truthy)),
        Cell::Bool(cost_only),
    ])
}
