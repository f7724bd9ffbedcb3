//! The file `.env` beside a database: variables for its service (specification §2.3).
//!
//! Lines end in LF or CRLF. Blank lines and lines that start with `#` are skipped, an `export ` in front is removed, the
//! first `=` separates, a line whose name is no name is dropped. A value in quotes loses them; `\n`, `\r`, `\t`, `\"` and
//! `\\` are unescaped in double quotes, `\'` and `\\` in single ones. Nothing is expanded; a `#` behind a value stays.

use std::collections::BTreeMap;

/// Reads the text of a `.env` file.
pub(crate) fn parse(text: &str) -> BTreeMap<String, String> {
    text.lines().filter_map(variable).collect()
}

fn variable(line: &str) -> Option<(String, String)> {
    let line = line.trim();
    if line.starts_with('#') {
        return None;
    }
    let line = line.strip_prefix("export ").unwrap_or(line);
    let (name, value) = line.split_once('=')?;
    let name = name.trim();
    is_name(name).then(|| (name.to_owned(), unquoted(value.trim())))
}

fn is_name(name: &str) -> bool {
    let mut characters = name.chars();
    let first = characters.next().is_some_and(|first| first.is_ascii_alphabetic() || first == '_');
    first && characters.all(|other| other.is_ascii_alphanumeric() || other == '_')
}

fn unquoted(value: &str) -> String {
    let inside = |quote: char| value.strip_prefix(quote)?.strip_suffix(quote);
    if let Some(text) = inside('"') {
        return unescaped(text, &[('n', '\n'), ('r', '\r'), ('t', '\t'), ('"', '"'), ('\\', '\\')]);
    }
    match inside('\'') {
        Some(text) => unescaped(text, &[('\'', '\''), ('\\', '\\')]),
        None => value.to_owned(),
    }
}

fn unescaped(text: &str, escapes: &[(char, char)]) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        let meaning = characters
            .peek()
            .filter(|_| character == '\\')
            .and_then(|next| escapes.iter().find(|(escape, _)| escape == next).map(|(_, meaning)| *meaning));
        if meaning.is_some() {
            characters.next();
        }
        plain.push(meaning.unwrap_or(character));
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_reads_as_its_readme_says() {
        let text = include_str!("../../tests/fixtures/cargo.d/with-env/.env");
        let expected = [
            ("YARD_SAMPLE_PLAIN", "one two"),
            ("YARD_SAMPLE_DQ", "line1\nline2 \"q\""),
            ("YARD_SAMPLE_SQ", "it is $LITERAL"),
            ("YARD_SAMPLE_EMPTY", ""),
            ("YARD_SAMPLE_EQ", "a=b=c"),
            ("YARD_SAMPLE_TRAIL", "spaced # kept"),
            ("SQLPAGE_ENVIRONMENT", "production"),
        ];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(parse(text), BTreeMap::from(expected));
    }

    #[test]
    fn a_lone_quote_is_a_value() {
        assert_eq!(parse("A=\"\r\nB='\\'\n").into_values().collect::<Vec<_>>(), ["\"", "\\"]);
    }
}
