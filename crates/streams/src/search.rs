//! What it means for a payload to contain a text.

/// A search text, prepared for matching against payload bytes.
///
/// A payload matches if it contains the text as it is, or as it would stand inside a JSON string: so `say "hi"` finds
/// `{"text":"say \"hi\""}`, and `a<b` finds `"a\u003cb"` as some encoders write it. Letters of ASCII match in either
/// case; no character is a wildcard.
///
/// ```
/// let query = ledger_streams::Query::new("100%");
/// assert!(query.matches(br#"{"done":"100%"}"#));
/// assert!(!query.matches(br#"{"done":"1000"}"#));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    needles: Vec<String>,
}

impl Query {
    /// Prepares a search text.
    pub fn new(text: &str) -> Self {
        let mut needles = vec![text.to_owned()];
        for needle in [json_escaped(text, false), json_escaped(text, true)] {
            if !needles.contains(&needle) {
                needles.push(needle);
            }
        }
        Self { needles }
    }

    /// The texts of which one must be contained.
    pub fn needles(&self) -> &[String] {
        &self.needles
    }

    /// Whether a payload matches.
    pub fn matches(&self, payload: &[u8]) -> bool {
        self.needles.iter().any(|needle| contains_ignoring_case(payload, needle.as_bytes()))
    }
}

fn contains_ignoring_case(haystack: &[u8], needle: &[u8]) -> bool {
    needle.is_empty() || haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

/// The inside of a JSON string; `html` also escapes what encoders for web pages escape (specification §3.2).
fn json_escaped(text: &str, html: bool) -> String {
    let mut escaped = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '"' => escaped.push_str("\\\""),
            '\\' => escaped.push_str("\\\\"),
            '\n' => escaped.push_str("\\n"),
            '\r' => escaped.push_str("\\r"),
            '\t' => escaped.push_str("\\t"),
            '\u{8}' => escaped.push_str("\\b"),
            '\u{c}' => escaped.push_str("\\f"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' if html => push_unicode_escape(&mut escaped, character),
            control if control < ' ' => push_unicode_escape(&mut escaped, control),
            other => escaped.push(other),
        }
    }
    escaped
}

fn push_unicode_escape(escaped: &mut String, character: char) {
    escaped.push_str(&format!("\\u{:04x}", u32::from(character)));
}

#[cfg(test)]
mod tests {
    use super::Query;

    #[test]
    fn text_is_found_as_it_was_typed() {
        let payload = br#"{"text":"say \"hi\"\n to a\u003cb & c"}"#;
        for found in ["say \"hi\"", "SAY", "\"\n to", "a<b", "& c", ""] {
            assert!(Query::new(found).matches(payload), "{found:?}");
        }
        for missing in ["s_y", "%", "a>b", "say  "] {
            assert!(!Query::new(missing).matches(payload), "{missing:?}");
        }
        assert!(Query::new("b\0c").matches(b"a\0b\0c"));
        assert_eq!(Query::new("plain").needles().len(), 1);
    }
}
