//! Stamps: facts added to turns afterwards, which turns they mean, and what they come to together (specification §2.3).

use jiff::Timestamp;

use crate::json::{Object, Value, array_index_of_quoted, ordered_members, parse, quote, stringify};

/// Which turns a new stamp means: those that meet all the conditions that are set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selector {
    /// Turns of this session.
    pub session_id: Option<String>,
    /// The turn of this message.
    pub message_id: Option<String>,
    /// Turns in this stretch.
    pub range: Option<Range>,
}

/// A stretch of turns.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Range {
    /// Stored for other programs; nothing consults it, neither here nor in the original.
    pub from_message_id: Option<String>,
    /// Stored for other programs; nothing consults it, neither here nor in the original.
    pub to_message_id: Option<String>,
    /// Turns at this time or later.
    pub from_ts: Option<String>,
    /// Turns at this time or earlier.
    pub to_ts: Option<String>,
}

impl Selector {
    /// Selects a session.
    pub fn session(id: impl Into<String>) -> Self {
        Self { session_id: Some(id.into()), ..Self::default() }
    }

    /// Selects a message.
    pub fn message(id: impl Into<String>) -> Self {
        Self { message_id: Some(id.into()), ..Self::default() }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.session_id.is_none() && self.message_id.is_none() && self.range.is_none()
    }

    fn to_json(&self) -> String {
        let range = self.range.as_ref().map(|range| {
            object(&[
                ("fromMessageId", range.from_message_id.as_deref().map(quote)),
                ("toMessageId", range.to_message_id.as_deref().map(quote)),
                ("fromTs", range.from_ts.as_deref().map(quote)),
                ("toTs", range.to_ts.as_deref().map(quote)),
            ])
        });
        object(&[
            ("sessionId", self.session_id.as_deref().map(quote)),
            ("messageId", self.message_id.as_deref().map(quote)),
            ("range", range),
        ])
    }
}

fn object(members: &[(&str, Option<String>)]) -> String {
    let present = members.iter().filter_map(|(name, value)| Some(format!("\"{name}\":{}", value.as_ref()?)));
    format!("{{{}}}", present.collect::<Vec<_>>().join(","))
}

/// A stamp to be appended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// When it is made; of two stamps on a turn the later one wins.
    pub ts: String,
    /// The turns that it means.
    pub selector: Selector,
    /// The facts, in order.
    pub enrichment: Vec<(String, String)>,
}

impl Stamp {
    /// A stamp made now.
    pub fn now(selector: Selector, enrichment: Vec<(String, String)>) -> Self {
        Self { ts: now_iso(), selector, enrichment }
    }

    /// The value of a fact.
    pub(crate) fn fact(&self, key: &str) -> Option<&str> {
        self.enrichment.iter().rev().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    pub(crate) fn line(&self) -> String {
        let facts: Vec<String> =
            self.enrichment.iter().map(|(key, value)| format!("{}:{}", quote(key), quote(value))).collect();
        let enrichment = format!("{{{}}}", facts.join(","));
        // Sorts integer-like names first and keeps the last of equal ones.
        let enrichment = parse(&enrichment).map(stringify).unwrap_or(enrichment);
        format!(
            r#"{{"v":1,"kind":"stamp","ts":{},"selector":{},"enrichment":{enrichment}}}"#,
            quote(&self.ts),
            self.selector.to_json()
        )
    }
}

/// The time now as the original writes it: ISO 8601 with milliseconds and `Z`.
pub(crate) fn now_iso() -> String {
    format!("{:.3}", Timestamp::now())
}

/// What of a turn decides whether a stamp means it. A member that is no string matches nothing.
#[derive(Clone, Copy, Debug)]
pub(crate) struct TurnKey<'a> {
    pub(crate) session: Option<&'a str>,
    pub(crate) message: Option<&'a str>,
    pub(crate) ts: Option<&'a str>,
}

/// A stamp as it was read, ready to be compared with turns.
#[derive(Clone, Debug)]
pub(crate) struct ReadStamp {
    pub(crate) matcher: Matcher,
    /// Names and values as JSON texts, the names without quotes.
    pub(crate) facts: Vec<(String, String)>,
}

impl ReadStamp {
    /// `None` when selector or enrichment is no object.
    pub(crate) fn new(selector: Option<Value<'_>>, enrichment: Option<Value<'_>>) -> Option<Self> {
        let matcher = Matcher::new(selector?.as_object()?);
        let facts = ordered_members(enrichment?.as_object()?)
            .into_iter()
            .map(|(name, value)| (name.canonical(), stringify(value)))
            // A JavaScript object cannot be given a member of this name by assignment.
            .filter(|(name, _)| name != "__proto__")
            .collect();
        Some(Self { matcher, facts })
    }
}

/// The conditions of a selector.
#[derive(Clone, Debug)]
pub(crate) struct Matcher {
    pub(crate) session: Condition,
    pub(crate) message: Condition,
    /// Both ends inclusive; present when `range` is there and true in a condition.
    pub(crate) range: Option<(Condition, Condition)>,
    /// At least one of the three members is there, whatever its value.
    applies: bool,
}

/// A condition on a string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Condition {
    /// Not asked for.
    Any,
    /// A value that no string can meet.
    Never,
    Text(String),
}

impl Condition {
    fn new(value: Option<Value<'_>>) -> Self {
        match value {
            None => Self::Any,
            Some(Value::String(text)) => Self::Text(text.decode().into_owned()),
            Some(_) => Self::Never,
        }
    }

    /// For the ends of a range, where empty and null mean "open".
    fn bound(value: Option<Value<'_>>) -> Self {
        Self::new(value.filter(|value| value.truthy()))
    }

    fn allows(&self, value: Option<&str>, compare: impl Fn(&str, &str) -> bool) -> bool {
        match (self, value) {
            (Self::Any, _) => true,
            (Self::Text(text), Some(value)) => compare(value, text),
            _ => false,
        }
    }
}

impl Matcher {
    fn new(selector: Object<'_>) -> Self {
        let (session, message, range) =
            (selector.get("sessionId"), selector.get("messageId"), selector.get("range"));
        let bounds = range.filter(|range| range.truthy()).map(|range| {
            let member = |name| range.as_object().and_then(|range| range.get(name));
            (Condition::bound(member("fromTs")), Condition::bound(member("toTs")))
        });
        Self {
            session: Condition::new(session),
            message: Condition::new(message),
            range: bounds,
            applies: session.is_some() || message.is_some() || range.is_some(),
        }
    }

    pub(crate) fn matches(&self, turn: TurnKey<'_>) -> bool {
        self.applies
            && self.session.allows(turn.session, |value, text| value == text)
            && self.message.allows(turn.message, |value, text| value == text)
            && self.range.as_ref().is_none_or(|(from, to)| {
                from.allows(turn.ts, |value, text| value >= text)
                    && to.allows(turn.ts, |value, text| value <= text)
            })
    }
}

/// All that stamps say about a turn.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Enrichment {
    facts: Vec<(String, String)>,
}

impl Enrichment {
    /// Adds the facts of a stamp; they win over earlier ones.
    pub(crate) fn apply(&mut self, stamp: &ReadStamp) {
        for (name, value) in &stamp.facts {
            match self.facts.iter_mut().find(|(known, _)| known == name) {
                Some(fact) => fact.1.clone_from(value),
                None => self.facts.push((name.clone(), value.clone())),
            }
        }
    }

    /// The value of a fact, as JSON.
    pub fn json(&self, name: &str) -> Option<&str> {
        let quoted = quote(name);
        let name = quoted.get(1..quoted.len() - 1)?;
        self.facts.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The value of a fact, if it is a text.
    pub fn text(&self, name: &str) -> Option<String> {
        Some(parse(self.json(name)?).ok()?.as_str()?.decode().into_owned())
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.facts.is_empty()
    }

    /// As a JSON object: integer-like names first, then in the order of their first appearance.
    pub fn to_json(&self) -> String {
        let mut facts: Vec<&(String, String)> = self.facts.iter().collect();
        facts.sort_by_key(|(name, _)| array_index_of_quoted(name));
        let members: Vec<String> = facts.iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", members.join(","))
    }
}
