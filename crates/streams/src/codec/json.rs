//! JSON text.

#[cfg(feature = "json")]
use super::{Codec, CodecError};

/// Compact JSON by `serde_json`; the default codec of a [`Stream`](crate::Stream). Needs the feature `json`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Json;

#[cfg(feature = "json")]
impl<T: serde::Serialize + serde::de::DeserializeOwned> Codec<T, bytes::Bytes> for Json {
    fn encode(&self, value: &T) -> Result<bytes::Bytes, CodecError> {
        Ok(serde_json::to_vec(value)?.into())
    }

    fn decode(&self, payload: &bytes::Bytes) -> Result<T, CodecError> {
        Ok(serde_json::from_slice(payload)?)
    }
}
