//! Strings: decoded on demand.

use std::borrow::Cow;

/// A checked JSON string without its quotes, as it stands in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Str<'a> {
    raw: &'a str,
    escaped: bool,
}

impl<'a> Str<'a> {
    pub(crate) const fn new(raw: &'a str, escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// The characters between the quotes, escapes untouched.
    pub const fn raw(self) -> &'a str {
        self.raw
    }

    /// Whether there is an escape in it; if not, [`Str::raw`] is the text.
    pub const fn is_escaped(self) -> bool {
        self.escaped
    }

    /// Whether it is the empty string.
    pub const fn is_empty(self) -> bool {
        self.raw.is_empty()
    }

    /// Whether it is this text.
    pub fn is(self, text: &str) -> bool {
        if self.escaped { self.decode() == text } else { self.raw == text }
    }

    /// The text, with U+FFFD in the place of lone surrogates.
    pub fn decode(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut text = String::with_capacity(self.raw.len());
        for unit in self.units() {
            text.push(unit.unwrap_or(char::REPLACEMENT_CHARACTER));
        }
        Cow::Owned(text)
    }

    /// The characters; a lone surrogate comes as `Err`.
    pub(crate) fn units(self) -> Units<'a> {
        Units { rest: self.raw }
    }
}

/// Iterator of [`Str::units`].
pub(crate) struct Units<'a> {
    rest: &'a str,
}

impl Units<'_> {
    fn step(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }

    /// The value of `\uXXXX` at the beginning of the rest.
    fn unicode(&self) -> Option<u16> {
        let digits = self.rest.strip_prefix("\\u")?.get(..4)?;
        u16::from_str_radix(digits, 16).ok()
    }
}

impl Iterator for Units<'_> {
    type Item = Result<char, u16>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = self.rest.chars().next()?;
        if first != '\\' {
            self.step(first.len_utf8());
            return Some(Ok(first));
        }
        if let Some(high) = self.unicode() {
            self.step(6);
            if let Some(Ok(character)) = char::decode_utf16([high]).next() {
                return Some(Ok(character));
            }
            let pair = self.unicode().and_then(|low| char::decode_utf16([high, low]).next()?.ok());
            if pair.is_some() {
                self.step(6);
            }
            return Some(pair.ok_or(high));
        }
        let character = match self.rest.as_bytes().get(1)? {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            &other => char::from(other),
        };
        self.step(2);
        Some(Ok(character))
    }
}

/// Removes what `String.prototype.trim` removes: Unicode white space (without U+0085, but with U+FEFF) at both ends.
pub fn trim(text: &str) -> &str {
    text.trim_matches(|c: char| c == '\u{feff}' || (c.is_whitespace() && c != '\u{85}'))
}
