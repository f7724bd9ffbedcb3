//! What a line of the ledger is (specification §2.1).
//!
//! ```text
//! 00000000  7b 22 76 22 3a 31 2c 22  6b 69 6e 64 22 3a 22 73  |{"v":1,"kind":"s|
//! 00000010  74 61 6d 70 22 2c 22 74  73 22 3a 22 32 30 32 36  |tamp","ts":"2026|
//! 00000020  2d 30 34 2d 32 30 54 30  38 3a 35 39 3a 35 35 2e  |-04-20T08:59:55.|
//! 00000030  30 30 30 5a 22 2c 22 73  65 6c 65 63 74 6f 72 22  |000Z","selector"|
//! 00000040  3a 7b 22 73 65 73 73 69  6f 6e 49 64 22 3a 22 73  |:{"sessionId":"s|
//! 00000050  2d 31 22 7d 2c 22 65 6e  72 69 63 68 6d 65 6e 74  |-1"},"enrichment|
//! 00000060  22 3a 7b 22 74 69 65 72  22 3a 22 62 65 73 74 22  |":{"tier":"best"|
//! 00000070  7d 7d 0a                                          |}}.|
//! ```
//!
//! One compact JSON object per line, ended by LF. A line is of a kind when it is an object whose `v` is the number 1 and
//! whose `kind` is one of [`Kind`]'s names; all else about it is looked at only by those who need it.

use crate::json::{Object, SyntaxError, Value, parse, trim};

/// The kinds of lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// One exchange with a model, with its use of tokens and its tool calls.
    Turn,
    /// Facts that are added to turns afterwards.
    Stamp,
    /// A session's context was condensed.
    Compaction,
    /// How two sessions belong together.
    Relationship,
    /// Something became known about a tool's result.
    ToolResultEvent,
    /// What a user, or a tool on the user's behalf, said.
    UserTurn,
}

impl Kind {
    /// The value of the member `kind`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Stamp => "stamp",
            Self::Compaction => "compaction",
            Self::Relationship => "relationship",
            Self::ToolResultEvent => "tool_result_event",
            Self::UserTurn => "user_turn",
        }
    }

    /// The kind of that name.
    pub fn from_name(name: &str) -> Option<Self> {
        let kinds = [
            Self::Turn,
            Self::Stamp,
            Self::Compaction,
            Self::Relationship,
            Self::ToolResultEvent,
            Self::UserTurn,
        ];
        kinds.into_iter().find(|kind| kind.name() == name)
    }
}

/// A line that parsed.
#[derive(Clone, Copy, Debug)]
pub enum Line<'a> {
    /// A line of a known kind; the object is the whole line.
    Known(Kind, Object<'a>),
    /// Any other JSON value: an unknown kind, another version, a bare value.
    Other,
}

impl<'a> Line<'a> {
    /// Parses a line; white space around it is of no importance. `Ok(None)` for a blank line.
    pub fn parse(text: &'a str) -> Result<Option<Self>, SyntaxError> {
        let text = trim(text);
        if text.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self::classify(parse(text)?)))
    }

    fn classify(value: Value<'a>) -> Self {
        let Value::Object(object) = value else { return Self::Other };
        let mut version = None;
        let mut kind = None;
        for (name, value) in object.members() {
            if name.is("v") {
                version = Some(value);
            } else if name.is("kind") {
                kind = Some(value);
            }
        }
        let kind = match (version, kind) {
            (Some(Value::Number(1.0)), Some(Value::String(kind))) => Kind::from_name(&kind.decode()),
            _ => None,
        };
        kind.map_or(Self::Other, |kind| Self::Known(kind, object))
    }
}

/// The line of a record: `{"v":1,"kind":…,"record":…}` without its LF.
pub(crate) fn record_line(kind: Kind, record: &str) -> String {
    format!(r#"{{"v":1,"kind":"{}","record":{record}}}"#, kind.name())
}
