//! Tests of the zstd codec.

use proptest::prelude::*;

use super::*;
use crate::codec::{Json, MessagePack};

const MIB: usize = 1 << 20;

/// A codec whose plain payload is the value.
#[derive(Clone)]
struct Raw;

impl Codec<Bytes, Bytes> for Raw {
    fn encode(&self, value: &Bytes) -> Result<Bytes, CodecError> {
        Ok(value.clone())
    }
    fn decode(&self, payload: &Bytes) -> Result<Bytes, CodecError> {
        Ok(payload.clone())
    }
}

fn encode(plain: impl Into<Bytes>) -> Result<Bytes, ZstdError> {
    Zstd::new(Raw).encode(&plain.into()).map_err(|error| *error.downcast().unwrap())
}

fn decode(payload: impl Into<Bytes>) -> Result<Bytes, ZstdError> {
    Zstd::new(Raw).decode(&payload.into()).map_err(|error| *error.downcast().unwrap())
}

/// A frame without a checksum, with or without a content size, made of blocks that repeat one byte.
fn frame_of_repeats(claimed_bytes: Option<u64>, block_bytes: &[u32]) -> Vec<u8> {
    let mut frame = FRAME_MAGIC.to_vec();
    match claimed_bytes {
        // A window of 1 MiB (10 + 10 bits), then the size in 8 bytes.
        Some(bytes) => {
            frame.extend([0b1100_0000, 10 << 3]);
            frame.extend(bytes.to_le_bytes());
        }
        None => frame.extend([0b0000_0000, 10 << 3]),
    }
    for (index, bytes) in block_bytes.iter().enumerate() {
        let is_last = u32::from(index + 1 == block_bytes.len());
        let header = bytes << 3 | 1 << 1 | is_last;
        frame.extend(&header.to_le_bytes()[..3]);
        frame.push(b'a');
    }
    frame
}

fn marked(frame: &[u8]) -> Vec<u8> {
    [&[COMPRESSED], frame].concat()
}

/// The bytes of the n-th hexdump in the module doc.
fn hexdump(number: usize) -> Vec<u8> {
    let mut dumps = 0;
    let lines = include_str!("zstd.rs").lines().filter_map(|line| line.strip_prefix("//! 000000"));
    let lines = lines.filter(|line| {
        dumps += usize::from(line.starts_with("00"));
        dumps == number
    });
    // The rest of the address, the bytes, their characters.
    let bytes = lines.flat_map(|line| line.split('|').next().unwrap().split_whitespace().skip(1));
    bytes.map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect()
}

#[test]
fn the_format_is_the_documented_one() {
    assert_eq!(encode(&br#"{"a":1}"#[..]).unwrap(), hexdump(1));
    assert_eq!(decode(hexdump(1)).unwrap(), r#"{"a":1}"#);
}

#[test]
fn the_frame_of_the_specification_is_readable() {
    let vector = b"\x01\x28\xb5\x2f\xfd\x04\x00\x39\x00\x00\x7b\x22\x61\x22\x3a\x31\x7d\x48\x8b\xfc\x32";
    assert_eq!(hexdump(2), vector);
    assert_eq!(decode(&vector[..]).unwrap(), r#"{"a":1}"#);
    let value: serde_json::Value = Zstd::new(Json).decode(&Bytes::from_static(vector)).unwrap();
    assert_eq!(value, serde_json::json!({"a": 1}));
}

#[test]
fn frames_without_a_content_size_are_readable_at_any_size() {
    for size in [0, 1, 1000, 128 * 1024, 3 * MIB + 7] {
        let json = serde_json::to_vec(&(0..size / 8).collect::<Vec<_>>()).unwrap();
        let frame = streamed(&json);
        assert_eq!(zstd_safe::get_frame_content_size(&frame).unwrap(), None);
        assert_eq!(decode(marked(&frame)).unwrap(), json, "{size}");
        let zeros = vec![0; size];
        assert_eq!(decode(marked(&streamed(&zeros))).unwrap(), zeros, "{size}");
    }
}

/// A frame as an encoder writes it that does not know the size beforehand.
fn streamed(plain: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    std::io::Write::write_all(&mut encoder, plain).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn the_first_byte_tells_compressed_from_plain() {
    assert_eq!(decode(&b"\x00plain"[..]).unwrap(), "plain");
    assert_eq!(decode(&b"\x00\x01"[..]).unwrap(), "\x01");
    assert_eq!(decode(&b"\x00"[..]).unwrap(), "");
    assert_eq!(decode(&b"{\"a\":1}"[..]).unwrap(), "{\"a\":1}");
    assert_eq!(decode(&b"\x02x"[..]).unwrap(), "\x02x");
    assert_eq!(decode(Bytes::new()), Err(ZstdError::Empty));
    assert_eq!(ZstdError::Empty.to_string(), "empty payload");
    assert_eq!(encode(Bytes::new()).unwrap()[0], COMPRESSED);
    assert_eq!(decode(encode(Bytes::new()).unwrap()).unwrap(), "");
}

#[test]
fn levels_are_checked() {
    assert_eq!(Zstd::with_level(Json, 3).unwrap(), Zstd::new(Json));
    let text = Bytes::from("append only ".repeat(1000));
    for level in [-5, 0, 1, 22] {
        let codec = Zstd::with_level(Raw, level).unwrap();
        assert_eq!(codec.decode(&codec.encode(&text).unwrap()).unwrap(), text, "{level}");
    }
    let error = Zstd::with_level(Json, 23).unwrap_err();
    assert_eq!(error.to_string(), "ledger: zstd has no compression level 23; levels go from -131072 to 22");
    assert!(Zstd::with_level(Json, i32::MIN).is_err());
}

#[test]
fn the_level_is_the_one_that_compresses() {
    let words: Vec<u8> =
        (0..200_000u32).flat_map(|n| (n.wrapping_mul(n) % 9973).to_string().into_bytes()).collect();
    let size = |level| Zstd::with_level(Raw, level).unwrap().encode(&words.clone().into()).unwrap().len();
    assert!(size(19) < size(-100), "{} {}", size(19), size(-100));
}

#[test]
fn content_up_to_the_limit_is_readable_and_no_more() {
    let block: u32 = 128 * 1024;
    let mut blocks = vec![block; MAX_DECOMPRESSED_BYTES / block as usize];
    let limit = MAX_DECOMPRESSED_BYTES as u64;
    let too_large = Err(ZstdError::TooLarge { limit_bytes: MAX_DECOMPRESSED_BYTES });
    for claimed in [None, Some(limit)] {
        let content = decode(marked(&frame_of_repeats(claimed, &blocks))).unwrap();
        assert_eq!(content.len(), MAX_DECOMPRESSED_BYTES);
    }
    blocks.push(1);
    for claimed in [None, Some(limit + 1), Some(u64::MAX - 2)] {
        assert_eq!(decode(marked(&frame_of_repeats(claimed, &blocks))), too_large, "{claimed:?}");
    }
    assert_eq!(
        encode(vec![b'a'; MAX_DECOMPRESSED_BYTES + 1]),
        too_large,
        "what cannot be read is not written"
    );
    let largest = encode(vec![b'a'; MAX_DECOMPRESSED_BYTES]).unwrap();
    assert_eq!(decode(largest).unwrap().len(), MAX_DECOMPRESSED_BYTES);
}

#[test]
fn a_content_size_that_is_not_true_is_an_error() {
    for (claimed, block) in [(0, 5), (4, 5), (6, 5), (64 * MIB as u64, 5), (1000, 100_000)] {
        let error = decode(marked(&frame_of_repeats(Some(claimed), &[block]))).unwrap_err();
        assert!(matches!(error, ZstdError::Damaged { .. }), "{claimed} {block} {error}");
    }
}

#[test]
fn everything_but_one_whole_frame_is_an_error() {
    let frame = zstd::encode_all(&b"hello hello hello"[..], 3).unwrap();
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0], &b"abc"[..]].concat();
    for length in 0..frame.len() {
        let error = decode(marked(&frame[..length])).unwrap_err();
        assert!(matches!(error, ZstdError::Damaged { .. }), "cut at {length}: {error}");
    }
    let extra = |extra_bytes| Err(ZstdError::TrailingBytes { extra_bytes });
    assert_eq!(decode(marked(&[&frame[..], &frame].concat())), extra(frame.len()));
    assert_eq!(decode(marked(&[&frame[..], b"x"].concat())), extra(1));
    assert_eq!(decode(marked(&[&frame[..], &skippable].concat())), extra(skippable.len()));
    let damaged = [skippable.clone(), [&skippable[..], &frame].concat(), b"{\"a\":1}".to_vec()];
    for bytes in damaged {
        assert!(matches!(decode(marked(&bytes)), Err(ZstdError::Damaged { .. })), "{bytes:?}");
    }
}

#[test]
fn every_flipped_bit_of_the_content_is_noticed() {
    let plain = Bytes::from("one two three two one ".repeat(5));
    let payload = encode(plain.clone()).unwrap();
    // The first byte is ours; the last four are the checksum.
    for byte in 1..payload.len() {
        for bit in 0..8 {
            let mut broken = payload.to_vec();
            broken[byte] ^= 1 << bit;
            // Some bits of a frame mean nothing; a wrong content must never come out.
            if let Ok(content) = decode(broken) {
                assert_eq!(content, plain, "byte {byte} bit {bit}");
            }
        }
    }
}

#[test]
fn the_inner_codec_reports_its_own_errors() {
    let payload = encode(&b"not json"[..]).unwrap();
    let error = Codec::<u8, Bytes>::decode(&Zstd::new(Json), &payload).unwrap_err();
    assert!(error.downcast_ref::<serde_json::Error>().is_some(), "{error}");
}

#[test]
fn wrappings_are_taken_off_to_the_innermost_once() {
    let codec = Zstd::new(Zstd::new(MessagePack));
    let payload = codec.encode(&1u8).unwrap();
    assert_eq!(Codec::<u8, Bytes>::decode(&codec, &payload).unwrap(), 1);
    let plain = Codec::<u8, Bytes>::unpack(&codec, payload).unwrap();
    assert_eq!(plain, "\x01");
    assert_eq!(Codec::<u8, Bytes>::decode_unpacked(&codec, &plain).unwrap(), 1);
}

#[test]
fn binary_payloads_that_look_marked_survive_because_they_are_always_compressed() {
    for number in [0u8, 1] {
        let payload = Zstd::new(MessagePack).encode(&number).unwrap();
        assert_eq!(Codec::<u8, Bytes>::decode(&Zstd::new(MessagePack), &payload).unwrap(), number);
    }
}

fn content() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        any::<Vec<u8>>(),
        prop::collection::vec(0u8..3, 0..5000),
        (any::<u8>(), 0usize..300_000).prop_map(|(byte, length)| vec![byte; length]),
    ]
}

proptest! {
    #[test]
    fn values_come_back(plain in content(), level in -3i32..10) {
        let codec = Zstd::with_level(Raw, level).unwrap();
        let plain = Bytes::from(plain);
        let payload = codec.encode(&plain).unwrap();
        prop_assert_eq!(payload[0], COMPRESSED);
        prop_assert_eq!(codec.decode(&payload).unwrap(), &plain);
        prop_assert_eq!(decode(marked(&streamed(&plain))).unwrap(), plain);
    }

    #[test]
    fn decoding_random_bytes_never_panics(bytes: Vec<u8>) {
        let _ = decode(bytes.clone());
        let _ = decode(marked(&bytes));
        let _ = decode(marked(&[&FRAME_MAGIC[..], &bytes].concat()));
    }

    #[test]
    fn decoding_damaged_frames_never_panics_nor_grows_beyond_the_limit(
        plain in content(), at: prop::sample::Index, byte: u8, cut: prop::sample::Index,
    ) {
        let mut payload = marked(&streamed(&plain));
        let at = at.index(payload.len());
        payload[at] = byte;
        payload.truncate(cut.index(payload.len() * 2).min(payload.len()));
        if let Ok(content) = decode(payload) {
            prop_assert!(content.len() <= MAX_DECOMPRESSED_BYTES);
        }
    }
}
