//! Codecs: how a typed value becomes a stored payload and back.
//!
//! | codec | payload | feature |
//! |---|---|---|
//! | [`Json`] | compact JSON text | `json` (default) |
//! | `MessagePack` | MessagePack, structs as maps | `msgpack` |
//! | `Protobuf` | a `prost` message | `protobuf` |
//! | `Zstd<C>` | what `C` writes, compressed | `zstd` |
//!
//! A codec of your own is two functions:
//!
//! ```
//! use bytes::Bytes;
//! use ledger_streams::codec::{Codec, CodecError};
//!
//! #[derive(Clone)]
//! struct Utf8;
//!
//! impl Codec<String, Bytes> for Utf8 {
//!     fn encode(&self, value: &String) -> Result<Bytes, CodecError> {
//!         Ok(Bytes::from(value.clone()))
//!     }
//!     fn decode(&self, payload: &Bytes) -> Result<String, CodecError> {
//!         Ok(std::str::from_utf8(payload)?.to_owned())
//!     }
//! }
//! ```

mod json;
#[cfg(feature = "msgpack")]
mod msgpack;
#[cfg(feature = "protobuf")]
mod protobuf;
#[cfg(feature = "zstd")]
mod zstd;

pub use json::Json;
#[cfg(feature = "msgpack")]
pub use msgpack::MessagePack;
#[cfg(feature = "protobuf")]
pub use protobuf::Protobuf;
#[cfg(feature = "zstd")]
pub use zstd::{InvalidCompressionLevel, Zstd, ZstdError};

/// What a codec reports; the typed stream adds which entry it was.
pub type CodecError = Box<dyn std::error::Error + Send + Sync>;

/// Turns values of type `T` into payloads of type `P` and back.
pub trait Codec<T, P>: Send + Sync {
    /// Encodes a value.
    ///
    /// # Errors
    /// If the value has no encoding.
    fn encode(&self, value: &T) -> Result<P, CodecError>;

    /// Decodes a payload.
    ///
    /// # Errors
    /// If the payload is not an encoding of a `T`.
    fn decode(&self, payload: &P) -> Result<T, CodecError>;

    /// Takes off what is wrapped around the encoded value (compression), so that upcasters see the value itself.
    /// Only a codec around another one has something to do here.
    ///
    /// # Errors
    /// If the wrapping is broken.
    fn unpack(&self, payload: P) -> Result<P, CodecError> {
        Ok(payload)
    }

    /// Decodes a payload after [`unpack`](Codec::unpack) and upcasters.
    ///
    /// # Errors
    /// If the payload is not an encoding of a `T`.
    fn decode_unpacked(&self, payload: &P) -> Result<T, CodecError> {
        self.decode(payload)
    }
}
