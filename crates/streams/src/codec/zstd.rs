//! zstd around another codec (specification §3.2).
//!
//! # Format
//!
//! The first byte of a payload says what follows. *Plain* is what the inner codec writes.
//!
//! | payload | meaning |
//! |---|---|
//! | `01`, then exactly one zstd frame | plain, compressed; what [`Zstd`] writes |
//! | `00`, then plain | plain as it is; understood, never written |
//! | plain, beginning with any other byte | an entry from before compression was switched on |
//! | nothing | an error |
//!
//! Frames carry a checksum and the size of their content. When read, neither has to be there; what is there has to be
//! right. A frame with a dictionary, a skippable frame and bytes behind the frame are errors.
//!
//! The JSON text `{"a":1}`, as it is written here:
//!
//! ```text
//! 00000000  01 28 b5 2f fd 24 07 39  00 00 7b 22 61 22 3a 31  |.(./.$.9..{"a":1|
//! 00000010  7d 48 8b fc 32                                    |}H..2|
//! ```
//!
//! and as the program wrote it whose data must stay readable (a window size in place of the content size):
//!
//! ```text
//! 00000000  01 28 b5 2f fd 04 00 39  00 00 7b 22 61 22 3a 31  |.(./...9..{"a":1|
//! 00000010  7d 48 8b fc 32                                    |}H..2|
//! ```
//!
//! # Switching a stream with entries to `Zstd`
//!
//! Old plain entries stay readable as long as none of them begins with `00` or `01`, or is empty. JSON text never
//! does, nor does a MessagePack map (a struct); a Protobuf message does not either, but is empty if all its fields
//! have their default values. A MessagePack payload that is nothing but the number 0 or 1 is ambiguous, and so may be
//! whatever a codec of your own writes: leave such a stream as it is and write compressed entries to a new one.
//!
//! # Memory
//!
//! Content above [`MAX_DECOMPRESSED_BYTES`] is refused, when writing too. While reading, the buffer grows with the
//! content that really appears, up to that bound; what a frame claims about itself allocates nothing.

use std::io::Cursor;
use std::ops::RangeInclusive;

use bytes::{Buf, Bytes};
use zstd::zstd_safe::zstd_sys::ZSTD_ErrorCode;
use zstd::zstd_safe::{self, CCtx, CParameter, DCtx, SafeResult};

use super::{Codec, CodecError};
use crate::limits::MAX_DECOMPRESSED_BYTES;

/// First byte of a payload: plain follows.
const PLAIN: u8 = 0x00;
/// First byte of a payload: a frame follows.
const COMPRESSED: u8 = 0x01;
/// First bytes of a frame.
const FRAME_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// The buffer is first made for content this many times larger than its frame: enough for nearly all real data.
const LIKELY_RATIO: usize = 16;
/// How much larger the buffer becomes when that was not enough.
const GROWTH: usize = 4;

/// Compresses what another codec writes; also reads plain entries, so a stream can be switched over. Needs the feature
/// `zstd`.
///
/// The first byte of a payload tells compressed from plain (specification §3.2): 1 means that a zstd frame follows,
/// 0 that plain follows, any other byte that it is itself the beginning of plain, and an empty payload is an error.
/// *Plain* is what the inner codec writes. Entries from before the switch are read as they are, unless their plain
/// bytes are empty or begin with 0 or 1: JSON and MessagePack structs never do, but a MessagePack payload that is just
/// the number 0 or 1 is ambiguous, and a Protobuf message may be empty.
///
/// Upcasters see plain payloads. A search looks at payloads as they are stored, so it finds nothing in compressed ones.
///
/// ```
/// use ledger_streams::codec::{Json, MessagePack, Zstd};
/// use ledger_streams::{Append, MemoryStore, Read, Stream};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let store = MemoryStore::new("logs")?;
/// let logs = Stream::<String, _, _>::new(&store, "boot", Zstd::new(Json));
/// logs.append([Append::new("ready. ".repeat(100))]).await?;
/// assert_eq!(logs.read(Read::new()).await?[0].payload.len(), 700);
///
/// let strongest = Zstd::with_level(MessagePack, 19)?;
/// # drop(strongest);
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zstd<C> {
    inner: C,
    level: i32,
}

impl<C> Zstd<C> {
    /// Around this codec, at zstd's default level.
    pub fn new(inner: C) -> Self {
        Self { inner, level: zstd::DEFAULT_COMPRESSION_LEVEL }
    }

    /// Around this codec, at a level of zstd: 1 (fast) to 22 (small), below zero faster still, 0 for the default.
    ///
    /// # Errors
    /// [`InvalidCompressionLevel`] if zstd has no such level.
    pub fn with_level(inner: C, level: i32) -> Result<Self, InvalidCompressionLevel> {
        let allowed = zstd::compression_level_range();
        if !allowed.contains(&level) {
            return Err(InvalidCompressionLevel { level, allowed });
        }
        Ok(Self { inner, level })
    }
}

impl<T, C: Codec<T, Bytes>> Codec<T, Bytes> for Zstd<C> {
    fn encode(&self, value: &T) -> Result<Bytes, CodecError> {
        Ok(pack(&self.inner.encode(value)?, self.level)?)
    }

    fn decode(&self, payload: &Bytes) -> Result<T, CodecError> {
        self.inner.decode(&plain(payload.clone())?)
    }

    fn unpack(&self, payload: Bytes) -> Result<Bytes, CodecError> {
        self.inner.unpack(plain(payload)?)
    }

    fn decode_unpacked(&self, payload: &Bytes) -> Result<T, CodecError> {
        self.inner.decode_unpacked(payload)
    }
}

fn pack(plain: &[u8], level: i32) -> Result<Bytes, ZstdError> {
    if plain.len() > MAX_DECOMPRESSED_BYTES {
        return Err(ZstdError::TooLarge { limit_bytes: MAX_DECOMPRESSED_BYTES });
    }
    let mut payload = Vec::new();
    payload
        .try_reserve_exact(zstd_safe::compress_bound(plain.len()).saturating_add(1))
        .map_err(|_| ZstdError::OutOfMemory)?;
    payload.push(COMPRESSED);
    let mut behind_marker = Cursor::new(payload);
    behind_marker.set_position(1);
    compress(plain, level, &mut behind_marker)?;
    let mut payload = behind_marker.into_inner();
    payload.shrink_to_fit();
    Ok(payload.into())
}

fn compress(plain: &[u8], level: i32, frame: &mut Cursor<Vec<u8>>) -> Result<(), ZstdError> {
    let mut context = CCtx::try_create().ok_or(ZstdError::OutOfMemory)?;
    let mut run = || -> SafeResult {
        context.set_parameter(CParameter::CompressionLevel(level))?;
        context.set_parameter(CParameter::ChecksumFlag(true))?;
        context.compress2(frame, plain)
    };
    run().map_err(|code| ZstdError::Failed { reason: zstd_safe::get_error_name(code) })?;
    Ok(())
}

/// What the inner codec wrote.
fn plain(mut payload: Bytes) -> Result<Bytes, ZstdError> {
    match payload.first() {
        None => Err(ZstdError::Empty),
        Some(&COMPRESSED) => decompress(payload.get(1..).unwrap_or_default()).map(Bytes::from),
        Some(&PLAIN) => {
            payload.advance(1);
            Ok(payload)
        }
        Some(_) => Ok(payload),
    }
}

fn decompress(frame: &[u8]) -> Result<Vec<u8>, ZstdError> {
    check_is_one_frame(frame)?;
    let too_large = ZstdError::TooLarge { limit_bytes: MAX_DECOMPRESSED_BYTES };
    let claimed_bytes = zstd_safe::get_frame_content_size(frame)
        .map_err(|_| ZstdError::Damaged { reason: "the size of its content cannot be read" })?
        .map(|bytes| usize::try_from(bytes).unwrap_or(usize::MAX));
    let most_bytes = match claimed_bytes {
        Some(bytes) if bytes > MAX_DECOMPRESSED_BYTES => return Err(too_large),
        Some(bytes) => bytes,
        None => MAX_DECOMPRESSED_BYTES,
    };
    let mut context = DCtx::try_create().ok_or(ZstdError::OutOfMemory)?;
    let mut capacity = frame.len().saturating_mul(LIKELY_RATIO).min(most_bytes);
    loop {
        let mut content = Vec::new();
        content.try_reserve_exact(capacity).map_err(|_| ZstdError::OutOfMemory)?;
        match context.decompress(&mut content, frame) {
            Ok(_) => {
                content.shrink_to_fit();
                return Ok(content);
            }
            Err(code) if !is_too_small(code) => {
                return Err(ZstdError::Damaged { reason: zstd_safe::get_error_name(code) });
            }
            Err(_) if capacity < most_bytes => capacity = capacity.saturating_mul(GROWTH).min(most_bytes),
            Err(_) if claimed_bytes.is_some() => {
                return Err(ZstdError::Damaged { reason: "its content is larger than it claims" });
            }
            Err(_) => return Err(too_large),
        }
    }
}

/// Without this, zstd would also take several frames in a row, and skip others.
fn check_is_one_frame(bytes: &[u8]) -> Result<(), ZstdError> {
    if !bytes.starts_with(&FRAME_MAGIC) {
        return Err(ZstdError::Damaged { reason: "it does not begin like one" });
    }
    let frame_bytes = zstd_safe::find_frame_compressed_size(bytes)
        .map_err(|code| ZstdError::Damaged { reason: zstd_safe::get_error_name(code) })?;
    match bytes.len().saturating_sub(frame_bytes) {
        0 => Ok(()),
        extra_bytes => Err(ZstdError::TrailingBytes { extra_bytes }),
    }
}

/// Whether an error means that the buffer for the content is too small.
fn is_too_small(code: usize) -> bool {
    code.wrapping_neg() == ZSTD_ErrorCode::ZSTD_error_dstSize_tooSmall as usize
}

/// Why a payload could not be compressed or decompressed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZstdError {
    /// Not even the byte that tells compressed from plain.
    #[error("empty payload")]
    Empty,
    /// The content passes the bound, in either direction.
    #[error("the uncompressed payload is larger than the limit of {limit_bytes} bytes; split the value")]
    TooLarge {
        /// The bound, in bytes.
        limit_bytes: usize,
    },
    /// Something follows the frame.
    #[error("{extra_bytes} bytes follow the zstd frame; a payload holds exactly one")]
    TrailingBytes {
        /// How many bytes.
        extra_bytes: usize,
    },
    /// The frame is cut off or broken.
    #[error("the zstd frame is damaged: {reason}")]
    Damaged {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// zstd could not compress.
    #[error("zstd failed to compress: {reason}")]
    Failed {
        /// What it said.
        reason: &'static str,
    },
    /// No memory for the buffer or for zstd itself.
    #[error("not enough memory for zstd")]
    OutOfMemory,
}

/// zstd has no such level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "ledger: zstd has no compression level {level}; levels go from {} to {}",
    allowed.start(),
    allowed.end()
)]
pub struct InvalidCompressionLevel {
    /// What was given.
    pub level: i32,
    /// The levels that there are.
    pub allowed: RangeInclusive<i32>,
}

#[cfg(test)]
#[path = "zstd_tests.rs"]
mod tests;
