//! JSON as `JSON.parse` and `JSON.stringify` of the original see it.
//!
//! A ledger is shared with a program written in JavaScript, so what a line *is* must be decided as that program decides
//! it. This parser therefore accepts exactly what `JSON.parse` accepts, which is more than common parsers of this
//! language do, and gives the same answers (specification §6.5):
//!
//! | input | answer |
//! |---|---|
//! | a member name twice | the last one counts |
//! | `1`, `1.0`, `1e0` | the same number, a double |
//! | `1e999` | infinity |
//! | a lone surrogate such as `\ud83d` | accepted; U+FFFD where text is wanted, kept as an escape by [`stringify()`] |
//! | nesting of any depth | accepted; nothing here recurses while it reads |
//!
//! Nothing is decoded that nobody asks for: a [`Value`] borrows from the line, containers are checked once and then
//! looked into again only where a caller does so, and a [`Str`] knows whether it holds an escape at all.

mod number;
mod parser;
mod stringify;
mod text;

pub use number::number_text;
pub use parser::{Parser, SyntaxError};
pub(crate) use stringify::{array_index_of_quoted, ordered_members};
pub use stringify::{quote, stringify};
pub use text::{Str, trim};

/// Parses one JSON text. White space around it is the caller's to remove (see [`trim`]).
pub fn parse(text: &str) -> Result<Value<'_>, SyntaxError> {
    let mut parser = Parser::new(text);
    let value = parser.value()?;
    parser.end()?;
    Ok(value)
}

/// A JSON value that borrows from the text it was parsed from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// Any number, as the double nearest to it.
    Number(f64),
    /// A string, decoded on demand.
    String(Str<'a>),
    /// An array; [`Array::items`] looks into it.
    Array(Array<'a>),
    /// An object; [`Object::get`] and [`Object::members`] look into it.
    Object(Object<'a>),
}

impl<'a> Value<'a> {
    /// The string, if it is one.
    pub const fn as_str(self) -> Option<Str<'a>> {
        if let Self::String(text) = self { Some(text) } else { None }
    }

    /// The object, if it is one.
    pub const fn as_object(self) -> Option<Object<'a>> {
        if let Self::Object(object) = self { Some(object) } else { None }
    }

    /// The array, if it is one.
    pub const fn as_array(self) -> Option<Array<'a>> {
        if let Self::Array(array) = self { Some(array) } else { None }
    }

    /// Whether JavaScript would take it for true in a condition.
    pub fn truthy(self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => value,
            Self::Number(value) => value != 0.0 && !value.is_nan(),
            Self::String(text) => !text.is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }
}

/// A checked array, brackets included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array<'a>(&'a str);

impl<'a> Array<'a> {
    /// The elements in order.
    pub fn items(self) -> impl Iterator<Item = Value<'a>> {
        let mut parser = Parser::new(self.0);
        // The text was checked when the array was made, so no step here can fail.
        let mut open = parser.enter_array().is_ok();
        std::iter::from_fn(move || {
            open = open && parser.next_item().unwrap_or(false);
            if open { parser.value().ok() } else { None }
        })
    }

    /// The text, brackets included.
    pub const fn text(self) -> &'a str {
        self.0
    }
}

/// A checked object, braces included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object<'a>(&'a str);

impl<'a> Object<'a> {
    /// The members in the order of the text, repeated names included.
    pub fn members(self) -> impl Iterator<Item = (Str<'a>, Value<'a>)> {
        let mut parser = Parser::new(self.0);
        let mut open = parser.enter_object().is_ok();
        std::iter::from_fn(move || {
            let name = if open { parser.next_name().ok().flatten() } else { None };
            open = name.is_some();
            name.and_then(|name| parser.value().ok().map(|value| (name, value)))
        })
    }

    /// The value of the last member of that name.
    pub fn get(self, name: &str) -> Option<Value<'a>> {
        self.members().filter(|(found, _)| found.is(name)).last().map(|(_, value)| value)
    }

    /// The text, braces included.
    pub const fn text(self) -> &'a str {
        self.0
    }
}
