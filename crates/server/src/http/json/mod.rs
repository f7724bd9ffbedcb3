//! The JSON form of messages, as the protobuf project defines it for proto3.
//!
//! | type | in answers | in requests |
//! |---|---|---|
//! | field name | `lowerCamelCase` | that, or as in the `.proto` |
//! | `int64`, `uint64` | `"7"` | `"7"`, `7`, `7.0` |
//! | `bytes` | base64, padded | base64 of either alphabet, padded or not |
//! | `Timestamp` | RFC 3339, UTC, 0, 3, 6 or 9 digits of a second | RFC 3339 |
//! | map | keys in order | no key twice |
//! | field that is not set | its default (`""`, `"0"`, `[]`, `{}`), `null` for a time | missing, or `null` |
//! | unknown field | – | ignored |
//!
//! The types here say field by field how the generated messages look as JSON (serde's *remote* types), so a page goes
//! from the message to bytes in one pass. A generic transcoder would make a dynamic message of each entry first, and
//! generators of serde code leave unset times out. The tests compare both directions with such a transcoder.

mod answers;
mod facts;
mod requests;
mod values;

pub(super) use answers::ToJson;
pub(super) use facts::fact_of;
pub(super) use requests::FromJson;

use tonic::Status;

/// The JSON form of a message.
pub(super) fn to_json(message: &impl ToJson) -> Result<Vec<u8>, Status> {
    let mut json = Vec::new();
    append_json(message, &mut json)?;
    Ok(json)
}

/// The JSON form of a message, behind what is there.
pub(super) fn append_json(message: &impl ToJson, json: &mut Vec<u8>) -> Result<(), Status> {
    message
        .serialize(&mut serde_json::Serializer::new(json))
        .map_err(|error| Status::internal(format!("internal error: the answer has no JSON form: {error}")))
}

/// The message in a body; an empty body is an empty message.
pub(super) fn from_json<M: FromJson + Default>(body: &[u8]) -> Result<M, Status> {
    if body.iter().all(u8::is_ascii_whitespace) {
        return Ok(M::default());
    }
    let mut json = serde_json::Deserializer::from_slice(body);
    let parsed = M::deserialize(&mut json).and_then(|message| json.end().map(|()| message));
    parsed.map_err(|error| Status::invalid_argument(format!("malformed JSON: {error}")))
}

#[cfg(test)]
mod tests;
