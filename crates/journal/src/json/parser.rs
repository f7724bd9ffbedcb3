//! The parser: a cursor over a text that can be told to go in, to go on, or to skip.

use super::{Array, Object, Str, Value};

/// Where and why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not JSON at byte {at}: expected {expected}")]
pub struct SyntaxError {
    /// Offset in bytes from the beginning of the text.
    pub at: usize,
    /// What would have been right there.
    pub expected: &'static str,
}

/// A cursor over a JSON text.
///
/// The hot paths of the archive pull what they need from it: [`Parser::enter_object`], then [`Parser::next_name`] until
/// it answers `None`, and for each name exactly one of [`Parser::value`], [`Parser::skip`] or another `enter`.
#[derive(Clone, Debug)]
pub struct Parser<'a> {
    text: &'a str,
    at: usize,
    /// Right after an opening bracket: no comma is expected.
    fresh: bool,
}

impl<'a> Parser<'a> {
    /// Starts at the beginning of the text.
    pub const fn new(text: &'a str) -> Self {
        Self { text, at: 0, fresh: false }
    }

    #[inline]
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    const fn fail<T>(&self, expected: &'static str) -> Result<T, SyntaxError> {
        Err(SyntaxError { at: self.at, expected })
    }

    #[inline]
    fn blanks(&mut self) -> Option<u8> {
        loop {
            match self.peek() {
                // One comparison decides for nearly all bytes.
                Some(byte) if byte > b' ' => return Some(byte),
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                other => return other,
            }
        }
    }

    /// Only blanks may follow.
    pub fn end(&mut self) -> Result<(), SyntaxError> {
        if self.blanks().is_none() { Ok(()) } else { self.fail("nothing more") }
    }

    /// Whether the next value is an object.
    pub fn at_object(&mut self) -> bool {
        self.blanks() == Some(b'{')
    }

    /// Whether the next value is an array.
    pub fn at_array(&mut self) -> bool {
        self.blanks() == Some(b'[')
    }

    /// Steps over `{`.
    pub fn enter_object(&mut self) -> Result<(), SyntaxError> {
        self.enter(b'{', "an object")
    }

    /// Steps over `[`.
    pub fn enter_array(&mut self) -> Result<(), SyntaxError> {
        self.enter(b'[', "an array")
    }

    fn enter(&mut self, bracket: u8, expected: &'static str) -> Result<(), SyntaxError> {
        if self.blanks() == Some(bracket) {
            self.at += 1;
            self.fresh = true;
            Ok(())
        } else {
            self.fail(expected)
        }
    }

    /// The next member's name, with the cursor before its value; `None` after the closing brace.
    #[inline]
    pub fn next_name(&mut self) -> Result<Option<Str<'a>>, SyntaxError> {
        if !self.next_of(b'}')? {
            return Ok(None);
        }
        let name = self.string()?;
        if self.blanks() == Some(b':') {
            self.at += 1;
            Ok(Some(name))
        } else {
            self.fail("`:`")
        }
    }

    /// Whether there is another element, with the cursor before it; `false` after the closing bracket.
    pub fn next_item(&mut self) -> Result<bool, SyntaxError> {
        self.next_of(b']')
    }

    #[inline]
    fn next_of(&mut self, close: u8) -> Result<bool, SyntaxError> {
        let fresh = std::mem::take(&mut self.fresh);
        match self.blanks() {
            Some(byte) if byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !fresh => {
                self.at += 1;
                self.blanks();
                Ok(true)
            }
            Some(_) if fresh => Ok(true),
            _ => self.fail("`,` or the end of the container"),
        }
    }

    /// The next value; a container is checked to its end and handed out as its text.
    pub fn value(&mut self) -> Result<Value<'a>, SyntaxError> {
        let first = self.blanks();
        let start = self.at;
        match first {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{') => {
                self.skip_container()?;
                Ok(Value::Object(Object(self.since(start))))
            }
            Some(b'[') => {
                self.skip_container()?;
                Ok(Value::Array(Array(self.since(start))))
            }
            Some(b't') => self.word("true", Value::Bool(true)),
            Some(b'f') => self.word("false", Value::Bool(false)),
            Some(b'n') => self.word("null", Value::Null),
            _ => self.number().map(Value::Number),
        }
    }

    /// Steps over the next value and hands out its text.
    pub fn skip(&mut self) -> Result<&'a str, SyntaxError> {
        let first = self.blanks();
        let start = self.at;
        match first {
            Some(b'{' | b'[') => self.skip_container()?,
            _ => self.skip_scalar(first)?,
        }
        Ok(self.since(start))
    }

    #[inline]
    fn since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    fn skip_scalar(&mut self, first: Option<u8>) -> Result<(), SyntaxError> {
        match first {
            Some(b'"') => self.scan_string().map(drop).or_else(|expected| self.fail(expected.text())),
            Some(b't') => self.word("true", ()),
            Some(b'f') => self.word("false", ()),
            Some(b'n') => self.word("null", ()),
            _ => self.number_text().map(drop),
        }
    }

    /// Checks a container without recursion: a stack of its own, one bit per level.
    fn skip_container(&mut self) -> Result<(), SyntaxError> {
        let mut open = Nesting::default();
        loop {
            match self.blanks() {
                Some(b'{') => {
                    self.enter_object()?;
                    open.push(true);
                }
                Some(b'[') => {
                    self.enter_array()?;
                    open.push(false);
                }
                first => {
                    self.skip_scalar(first)?;
                    self.fresh = false;
                }
            }
            while let Some(object) = open.last() {
                let more = if object { self.next_name()?.is_some() } else { self.next_item()? };
                if more {
                    break;
                }
                open.pop();
            }
            if open.last().is_none() {
                return Ok(());
            }
        }
    }

    fn word<T>(&mut self, word: &'static str, value: T) -> Result<T, SyntaxError> {
        if self.text.as_bytes().get(self.at..).is_some_and(|rest| rest.starts_with(word.as_bytes())) {
            self.at += word.len();
            Ok(value)
        } else {
            self.fail("a value")
        }
    }

    #[inline]
    fn string(&mut self) -> Result<Str<'a>, SyntaxError> {
        let start = self.at + 1;
        match self.scan_string() {
            Ok(escaped) => Ok(Str::new(self.text.get(start..self.at - 1).unwrap_or_default(), escaped)),
            Err(expected) => self.fail(expected.text()),
        }
    }

    /// Steps over a string; whether there was an escape in it. The answer is small enough for a register: with a larger one
    /// half of the time of a pass went into handing it over.
    fn scan_string(&mut self) -> Result<bool, Expected> {
        if self.peek() != Some(b'"') {
            return Err(Expected::String);
        }
        self.at += 1;
        let mut escaped = false;
        loop {
            let rest = self.text.as_bytes().get(self.at..).unwrap_or_default();
            self.at += plain_len(rest);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    if !self.escape() {
                        return Err(Expected::Escape);
                    }
                }
                _ => return Err(Expected::Rest),
            }
        }
    }

    /// Steps over an escape, if it is one.
    fn escape(&mut self) -> bool {
        let rest = self.text.as_bytes().get(self.at + 1..).unwrap_or_default();
        match rest.first() {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => self.at += 2,
            Some(b'u') if rest.get(1..5).is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit)) => {
                self.at += 6;
            }
            _ => return false,
        }
        true
    }

    fn digits(&mut self) -> bool {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        self.at > start
    }

    fn number_text(&mut self) -> Result<&'a str, SyntaxError> {
        let start = self.at;
        if self.peek() == Some(b'-') {
            self.at += 1;
        }
        if self.peek() == Some(b'0') {
            self.at += 1;
        } else if !self.digits() {
            return self.fail("a value");
        }
        if self.peek() == Some(b'.') {
            self.at += 1;
            if !self.digits() {
                return self.fail("a digit");
            }
        }
        if let Some(b'e' | b'E') = self.peek() {
            self.at += 1;
            if let Some(b'+' | b'-') = self.peek() {
                self.at += 1;
            }
            if !self.digits() {
                return self.fail("a digit");
            }
        }
        Ok(self.since(start))
    }

    fn number(&mut self) -> Result<f64, SyntaxError> {
        let text = self.number_text()?;
        if text.len() < 10 && text.bytes().all(|byte| byte.is_ascii_digit()) {
            let value = text.bytes().fold(0_u32, |sum, digit| sum.wrapping_mul(10) + u32::from(digit - b'0'));
            return Ok(f64::from(value));
        }
        text.parse().or_else(|_| self.fail("a number"))
    }
}

/// What was expected where a string is wrong.
#[derive(Clone, Copy)]
enum Expected {
    String,
    Rest,
    Escape,
}

impl Expected {
    const fn text(self) -> &'static str {
        match self {
            Self::String => "a string",
            Self::Rest => "the rest of a string",
            Self::Escape => "an escape",
        }
    }
}

/// Length of the run of plain text at the beginning: up to a quote, a backslash or a control character.
#[inline]
fn plain_len(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::MAX / 255;
    let mut len = 0;
    // Eight bytes at a time: a byte is special if it is below 0x20, or equal to one of two others. Bytes from 0x80 on
    // never are; borrows between bytes can only make a later byte look special, and the first one is looked for.
    let mut rest = bytes;
    while let Some((chunk, after)) = rest.split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*chunk);
        let below = |word: u64, limit: u64| word.wrapping_sub(ONES * limit) & !word;
        let special = below(word, 0x20) | below(word ^ (ONES * 0x22), 1) | below(word ^ (ONES * 0x5c), 1);
        let marks = special & (ONES << 7);
        if marks != 0 {
            return len + (marks.trailing_zeros() / 8) as usize;
        }
        len += 8;
        rest = after;
    }
    len + rest.iter().position(|byte| matches!(byte, 0..0x20 | b'"' | b'\\')).unwrap_or(rest.len())
}

/// Which of the open containers are objects: a stack of bits.
#[derive(Default)]
struct Nesting {
    top: u64,
    depth: u32,
    below: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, object: bool) {
        if self.depth == 64 {
            self.below.push(self.top);
            self.depth = 0;
        }
        self.top = (self.top << 1) | u64::from(object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.top >>= 1;
        self.depth -= 1;
        if self.depth == 0
            && let Some(top) = self.below.pop()
        {
            self.top = top;
            self.depth = 64;
        }
    }

    const fn last(&self) -> Option<bool> {
        if self.depth == 0 { None } else { Some(self.top & 1 == 1) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_ends_at_the_first_special_byte_wherever_it_stands() {
        for special in 0..=255_u8 {
            for other in [b'a', 0x7f, 0x80, 0xa0, 0xa2, 0xdc, 0xff, b'!', b'#', b'[', b']', b' '] {
                for place in 0..20 {
                    let mut bytes = vec![other; 20];
                    bytes[place] = special;
                    let expected =
                        if special < 0x20 || special == b'"' || special == b'\\' { place } else { 20 };
                    assert_eq!(plain_len(&bytes), expected, "{special:#x} at {place} among {other:#x}");
                }
            }
        }
    }
}
