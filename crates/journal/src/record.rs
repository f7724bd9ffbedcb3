//! The records of a ledger, as programs write them (specification §2.2).
//!
//! What is read back is whatever the line holds, unknown members included (see [`reader`](crate::reader)); these types are
//! for those who append.

use serde::{Serialize, Serializer};

use crate::json::{number_text, parse, stringify};
use crate::line::Kind;

/// Something that can be appended to the ledger.
pub trait Record {
    /// Which kind of line it becomes.
    fn kind(&self) -> Kind;

    /// The record as a JSON object.
    fn to_json(&self) -> String;
}

/// A record that is JSON already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawRecord {
    kind: Kind,
    json: String,
}

impl RawRecord {
    /// Takes a JSON object and brings it into the form in which records are stored. `None` when it is no JSON object.
    pub fn new(kind: Kind, json: &str) -> Option<Self> {
        let value = parse(json).ok()?;
        value.as_object()?;
        Some(Self { kind, json: stringify(value) })
    }
}

impl Record for RawRecord {
    fn kind(&self) -> Kind {
        self.kind
    }

    fn to_json(&self) -> String {
        self.json.clone()
    }
}

/// A number as JavaScript has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Number(pub f64);

impl From<u32> for Number {
    fn from(value: u32) -> Self {
        Self(f64::from(value))
    }
}

impl Serialize for Number {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if !self.0.is_finite() {
            return serializer.serialize_none();
        }
        // Integers without a fraction, as JSON.stringify writes them.
        match number_text(self.0).parse::<i64>() {
            Ok(integer) => serializer.serialize_i64(integer),
            Err(_) => serializer.serialize_f64(self.0),
        }
    }
}

macro_rules! record {
    ($(#[$doc:meta])* $name:ident $kind:expr, { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize)]
        #[serde(rename_all = "camelCase")]
        pub struct $name {
            /// Version of the record's shape; see [`One`].
            pub v: One,
            $($(#[$field_doc])* pub $field: $type,)*
        }

        impl Record for $name {
            fn kind(&self) -> Kind {
                $kind
            }

            fn to_json(&self) -> String {
                to_json(self)
            }
        }
    };
}

/// The number 1, which is the only version there ever was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct One;

impl Serialize for One {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(1)
    }
}

fn to_json(record: &impl Serialize) -> String {
    // Plain data: serialisation of these types cannot fail, and an empty object is refused by the append.
    let text = serde_json::to_string(record).unwrap_or_default();
    parse(&text).map(stringify).unwrap_or_default()
}

record! {
    /// One exchange with a model.
    Turn Kind::Turn, {
        /// `claude-code`, `codex`, `opencode`, …
        source: String,
        /// The session.
        session_id: String,
        /// The message, unique within source and session.
        message_id: String,
        /// Position in the session.
        turn_index: Number,
        /// When: ISO 8601 with milliseconds and `Z`.
        ts: String,
        /// The model's name; may be empty.
        model: String,
        /// Tokens.
        usage: Usage,
        /// Calls of tools in order.
        tool_calls: Vec<ToolCall>,
        /// The source log.
        #[serde(skip_serializing_if = "Option::is_none")]
        session_path: Option<String>,
        /// Path of the project.
        #[serde(skip_serializing_if = "Option::is_none")]
        project: Option<String>,
        /// Name of the project, independent of the machine.
        #[serde(skip_serializing_if = "Option::is_none")]
        project_key: Option<String>,
        /// Files that were touched.
        #[serde(skip_serializing_if = "Option::is_none")]
        files_touched: Option<Vec<String>>,
        /// The subagent that took this turn.
        #[serde(skip_serializing_if = "Option::is_none")]
        subagent: Option<Subagent>,
        /// Why the model stopped.
        #[serde(skip_serializing_if = "Option::is_none")]
        stop_reason: Option<String>,
        /// How much of the truth the numbers show.
        #[serde(skip_serializing_if = "Option::is_none")]
        fidelity: Option<Fidelity>,
        /// What the turn was about.
        #[serde(skip_serializing_if = "Option::is_none")]
        activity: Option<String>,
        /// Failed attempts.
        #[serde(skip_serializing_if = "Option::is_none")]
        retries: Option<Number>,
        /// Whether files were edited.
        #[serde(skip_serializing_if = "Option::is_none")]
        has_edits: Option<bool>,
    }
}

/// Tokens of a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct Usage {
    /// Fresh input.
    pub input: Number,
    /// Output.
    pub output: Number,
    /// Of it, reasoning.
    pub reasoning: Number,
    /// Input read from the cache.
    #[serde(rename = "cacheRead")]
    pub cache_read: Number,
    /// Input written to the cache for 5 minutes.
    #[serde(rename = "cacheCreate5m")]
    pub cache_create_5m: Number,
    /// Input written to the cache for an hour.
    #[serde(rename = "cacheCreate1h")]
    pub cache_create_1h: Number,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ToolCall {
    /// Id of the call.
    pub id: String,
    /// The tool.
    pub name: String,
    /// What it worked on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Hash of its arguments.
    pub args_hash: String,
    /// Whether it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
    /// Hash of the file before an edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit_pre_hash: Option<String>,
    /// Hash of the file after an edit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub edit_post_hash: Option<String>,
    /// The skill that was used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill_name: Option<String>,
    /// The tools whose work this call stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced_tools: Option<Vec<String>>,
    /// The number of calls this one stands for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collapsed_calls: Option<Number>,
}

/// The subagent of a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Subagent {
    /// Beside the main conversation.
    pub is_sidechain: bool,
    /// The agent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<String>,
    /// Who started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_agent_id: Option<String>,
    /// The call that started it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent_tool_use_id: Option<String>,
    /// Its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subagent_type: Option<String>,
    /// Its task.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How much of the truth a turn's numbers show.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Fidelity {
    /// `per-turn`, `per-message`, `per-session-aggregate`, `cost-only`.
    pub granularity: String,
    /// What the source told.
    pub coverage: Coverage,
    /// `full`, `usage-only`, `aggregate-only`, `cost-only`, `partial`.
    pub class: String,
}

/// What a source told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "nine independent facts, as the format has them")]
pub struct Coverage {
    /// Input tokens.
    pub has_input_tokens: bool,
    /// Output tokens.
    pub has_output_tokens: bool,
    /// Reasoning tokens.
    pub has_reasoning_tokens: bool,
    /// Tokens read from the cache.
    pub has_cache_read_tokens: bool,
    /// Tokens written to the cache.
    pub has_cache_create_tokens: bool,
    /// Tool calls.
    pub has_tool_calls: bool,
    /// Results of tools.
    pub has_tool_result_events: bool,
    /// How sessions belong together.
    pub has_session_relationships: bool,
    /// The conversation itself.
    pub has_raw_content: bool,
}

record! {
    /// A session's context was condensed.
    Compaction Kind::Compaction, {
        /// The source.
        source: String,
        /// The session.
        session_id: String,
        /// When.
        ts: String,
        /// The message before.
        #[serde(skip_serializing_if = "Option::is_none")]
        preceding_message_id: Option<String>,
        /// Size of the context before.
        #[serde(skip_serializing_if = "Option::is_none")]
        tokens_before_compact: Option<Number>,
    }
}

record! {
    /// How a session belongs to another.
    Relationship Kind::Relationship, {
        /// The source.
        source: String,
        /// The session.
        session_id: String,
        /// The other session or agent.
        #[serde(skip_serializing_if = "Option::is_none")]
        related_session_id: Option<String>,
        /// `root`, `continuation`, `fork`, `subagent`.
        relationship_type: String,
        /// When.
        #[serde(skip_serializing_if = "Option::is_none")]
        ts: Option<String>,
        /// The session in the source.
        #[serde(skip_serializing_if = "Option::is_none")]
        source_session_id: Option<String>,
        /// Version of the source.
        #[serde(skip_serializing_if = "Option::is_none")]
        source_version: Option<String>,
        /// The call that started it.
        #[serde(skip_serializing_if = "Option::is_none")]
        parent_tool_use_id: Option<String>,
        /// The agent.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent_id: Option<String>,
        /// Its type.
        #[serde(skip_serializing_if = "Option::is_none")]
        subagent_type: Option<String>,
        /// Its task.
        #[serde(skip_serializing_if = "Option::is_none")]
        description: Option<String>,
    }
}

record! {
    /// Something became known about a tool's result.
    ToolResultEvent Kind::ToolResultEvent, {
        /// The source.
        source: String,
        /// The session.
        session_id: String,
        /// The message that holds the result.
        #[serde(skip_serializing_if = "Option::is_none")]
        message_id: Option<String>,
        /// The call.
        tool_use_id: String,
        /// Position of the call in its turn.
        #[serde(skip_serializing_if = "Option::is_none")]
        call_index: Option<Number>,
        /// Position of the event in its session. The archive needs it.
        event_index: Number,
        /// When.
        #[serde(skip_serializing_if = "Option::is_none")]
        ts: Option<String>,
        /// `running`, `completed`, `errored`, `cancelled`, `unknown`.
        status: String,
        /// `tool_result`, `subagent_notification`, `queue_event`, `progress_event`, `function_call_output`.
        event_source: String,
        /// Length of the result.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_length: Option<Number>,
        /// Hash of the result.
        #[serde(skip_serializing_if = "Option::is_none")]
        content_hash: Option<String>,
        /// Whether it failed.
        #[serde(skip_serializing_if = "Option::is_none")]
        is_error: Option<bool>,
        /// The session that the call started.
        #[serde(skip_serializing_if = "Option::is_none")]
        subagent_session_id: Option<String>,
        /// The agent that the call started.
        #[serde(skip_serializing_if = "Option::is_none")]
        agent_id: Option<String>,
    }
}

record! {
    /// What a user, or a tool on the user's behalf, said.
    UserTurn Kind::UserTurn, {
        /// The source.
        source: String,
        /// The session.
        session_id: String,
        /// Its id.
        user_uuid: String,
        /// When.
        ts: String,
        /// What it consists of.
        blocks: Vec<Block>,
        /// The message before.
        #[serde(skip_serializing_if = "Option::is_none")]
        preceding_message_id: Option<String>,
        /// The message after.
        #[serde(skip_serializing_if = "Option::is_none")]
        following_message_id: Option<String>,
    }
}

/// A part of a user turn.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Block {
    /// `tool_result` or `text`.
    pub kind: String,
    /// The call whose result it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_use_id: Option<String>,
    /// Length in bytes.
    pub byte_len: Number,
    /// Estimated tokens.
    pub approx_tokens: Number,
    /// Whether it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_error: Option<bool>,
}
