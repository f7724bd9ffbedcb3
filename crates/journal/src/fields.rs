//! One pass over a line that picks what is asked for: the hot path of the archive and of the index.

use crate::json::{Parser, SyntaxError, Value, trim};
use crate::line::{Kind, Line};

/// The picked members of a line's record, or what the line is instead.
#[derive(Debug)]
pub(crate) enum Picked<'a, const N: usize> {
    Blank,
    /// JSON, but nothing that concerns us.
    Other,
    Stamp,
    Record(Kind, [Option<Value<'a>>; N]),
    /// A line of a known kind whose record is no object.
    NoRecord(Kind),
}

/// Reads a line and picks the members that `names` lists for its kind.
pub(crate) fn pick_record<'a, const N: usize>(
    text: &'a str,
    names: impl Fn(Kind) -> &'static [&'static str; N],
) -> Result<Picked<'a, N>, SyntaxError> {
    if let Some(picked) = pick_common(text, &names) {
        return Ok(picked);
    }
    match Line::parse(text)? {
        None => Ok(Picked::Blank),
        Some(Line::Other) => Ok(Picked::Other),
        Some(Line::Known(Kind::Stamp, _)) => Ok(Picked::Stamp),
        Some(Line::Known(kind, line)) => match line.get("record") {
            Some(Value::Object(record)) => {
                Ok(Picked::Record(kind, pick(&mut Parser::new(record.text()), names(kind))?))
            }
            _ => Ok(Picked::NoRecord(kind)),
        },
    }
}

/// The shape that every line has which the original or we wrote: `{"v":1,"kind":"…","record":{…}}`. Anything else, and
/// anything wrong, is left to the careful way above.
fn pick_common<'a, const N: usize>(
    text: &'a str,
    names: &impl Fn(Kind) -> &'static [&'static str; N],
) -> Option<Picked<'a, N>> {
    let rest = trim_end(text).strip_prefix("{\"v\":1,\"kind\":\"")?;
    let (kind, rest) = rest.split_at_checked(memchr::memchr(b'"', rest.as_bytes())?)?;
    let kind = Kind::from_name(kind).filter(|kind| *kind != Kind::Stamp)?;
    let record = rest.strip_prefix("\",\"record\":")?.strip_suffix('}')?;
    let mut parser = Parser::new(record);
    let picked = pick(&mut parser, names(kind)).ok()?;
    parser.end().ok()?;
    Some(Picked::Record(kind, picked))
}

fn trim_end(text: &str) -> &str {
    if text.ends_with('}') { text } else { trim(text) }
}

/// The last value of each of these members of the object at the cursor.
pub(crate) fn pick<'a, const N: usize>(
    parser: &mut Parser<'a>,
    names: &[&str; N],
) -> Result<[Option<Value<'a>>; N], SyntaxError> {
    let mut found = [None; N];
    // Members mostly come in the order of the list: look first where the last one was found.
    let mut hint = 0;
    parser.enter_object()?;
    while let Some(name) = parser.next_name()? {
        let (before, after) = names.split_at_checked(hint).unwrap_or((names, &[]));
        let place = after
            .iter()
            .position(|other| name.is(other))
            .map(|place| place + hint)
            .or_else(|| before.iter().position(|other| name.is(other)));
        match place.and_then(|place| Some((place, found.get_mut(place)?))) {
            Some((place, slot)) => {
                *slot = Some(parser.value()?);
                hint = place + 1;
            }
            None => {
                parser.skip()?;
            }
        }
    }
    Ok(found)
}
