//! PEM (RFC 7468): the form of key files.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use zeroize::Zeroizing;

const LINE: usize = 64;

/// `der` between the lines that begin and end `label`.
pub(crate) fn encode(label: &str, der: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(BASE64_STANDARD.encode(der));
    // All of it is reserved at once, so that no copy of a secret stays behind where a string grew.
    let lines = body.len().div_ceil(LINE);
    let room = body.len().saturating_add(lines).saturating_add(2 * (label.len() + 20));
    let mut text = Zeroizing::new(String::with_capacity(room));
    let push = |text: &mut String, parts: &[&str]| parts.iter().for_each(|part| text.push_str(part));
    push(&mut text, &["-----BEGIN ", label, "-----\n"]);
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at_checked(LINE).unwrap_or((rest, ""));
        push(&mut text, &[line, "\n"]);
        rest = after;
    }
    push(&mut text, &["-----END ", label, "-----\n"]);
    text
}

/// What stands between the first lines that begin and end `label`.
pub(crate) fn decode(label: &str, text: &str) -> Option<Zeroizing<Vec<u8>>> {
    let (_, body) = text.split_once(&format!("-----BEGIN {label}-----"))?;
    let (body, _) = body.split_once(&format!("-----END {label}-----"))?;
    let mut packed = Zeroizing::new(Vec::with_capacity(body.len()));
    packed.extend(body.bytes().filter(|byte| !byte.is_ascii_whitespace()));
    BASE64_STANDARD.decode(&*packed).ok().map(Zeroizing::new)
}
