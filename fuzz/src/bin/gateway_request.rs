//! Arbitrary requests to the HTTP gateway: each is a message or a refusal, never a panic, and what stands in the path
//! is what stands in the message.
//!
//! An input is a request as one would write it down: `METHOD TARGET`, headers `name: value`, an empty line, the body;
//! lines end with LF. What hyper would not let through as a request is passed over.
#![no_main]

use http::Request;
use http::request::Parts;
use ledger_server::http::{Message, decode};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((parts, body)) = request(input) else { return };
    match decode(&parts, body) {
        Ok(message) => check(&message, parts.uri.path()),
        Err(refusal) => {
            let http = refusal.http().as_u16();
            assert!([400, 404, 501].contains(&http), "{refusal:?}");
            assert!(!refusal.status().message().is_empty());
        }
    }
});

fn request(input: &[u8]) -> Option<(Parts, &[u8])> {
    let end = input.windows(2).position(|two| two == b"\n\n");
    let (head, body) = end.map_or((input, &b""[..]), |end| (&input[..end], &input[end + 2..]));
    let mut lines = head.split(|byte| *byte == b'\n');
    let first = lines.next()?;
    let space = first.iter().position(|byte| *byte == b' ')?;
    let mut request = Request::builder().method(&first[..space]).uri(&first[space + 1..]);
    for line in lines {
        let colon = line.iter().position(|byte| *byte == b':')?;
        request = request.header(&line[..colon], line[colon + 1..].trim_ascii());
    }
    Some((request.body(()).ok()?.into_parts().0, body))
}

fn check(message: &Message, path: &str) {
    let (stream, id) = match message {
        Message::Append(message) => (Some(&message.stream), None),
        Message::Read(message) => (Some(&message.stream), None),
        Message::Count(message) => (Some(&message.stream), None),
        Message::SetTags(message) => (Some(&message.stream), Some(&message.id)),
        Message::SetAnnotations(message) => (Some(&message.stream), Some(&message.id)),
        Message::Trim(message) => (Some(&message.stream), None),
        Message::RenameStream(message) => (Some(&message.name), None),
        Message::Stat(message) => (Some(&message.stream), None),
        Message::Search(message) => (Some(&message.stream), None),
        Message::Subscribe(message) => (Some(&message.stream), None),
        _ => (None, None),
    };
    for name in [stream, id].into_iter().flatten() {
        assert!(!name.contains('/'), "a slash has come out of a segment of {path}");
        // Escapes make a path longer, nothing makes it shorter.
        assert!(path.len() >= name.len(), "{name} did not come from {path}");
    }
}
