//! How much memory hostile zstd payloads can claim. Alone in its file: it measures the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // outside of `#[test]` functions too

use bytes::Bytes;
use ledger_streams::codec::{Codec, CodecError, Zstd, ZstdError};
use ledger_streams::limits::MAX_DECOMPRESSED_BYTES;

const MIB: usize = 1 << 20;
const REPEATS_PER_BLOCK: u32 = 128 * 1024;

struct Raw;

impl Codec<Bytes, Bytes> for Raw {
    fn encode(&self, value: &Bytes) -> Result<Bytes, CodecError> {
        Ok(value.clone())
    }
    fn decode(&self, payload: &Bytes) -> Result<Bytes, CodecError> {
        Ok(payload.clone())
    }
}

fn decode(payload: Vec<u8>) -> Result<usize, ZstdError> {
    let content = Zstd::new(Raw).decode(&payload.into());
    content.map(|content| content.len()).map_err(|error| *error.downcast().unwrap())
}

/// A payload whose frame claims a window and a content size, then has this many blocks that repeat one byte.
fn payload(window_log: u8, claimed_bytes: Option<u64>, blocks: usize) -> Vec<u8> {
    let descriptor = if claimed_bytes.is_some() { 0b1100_0000 } else { 0 };
    let mut payload = vec![0x01, 0x28, 0xb5, 0x2f, 0xfd, descriptor, (window_log - 10) << 3];
    payload.extend(claimed_bytes.map(u64::to_le_bytes).into_iter().flatten());
    for block in 1..=blocks {
        let header = REPEATS_PER_BLOCK << 3 | 1 << 1 | u32::from(block == blocks);
        payload.extend(&header.to_le_bytes()[..3]);
        payload.push(b'a');
    }
    payload
}

/// A size from the status of this process: `VmSize` is its address space, touched or not, `VmPeak` the largest it had.
fn process_bytes(key: &str) -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(key)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
}

/// How much address space an action needs at most beyond what is in use.
fn growth(action: impl FnOnce()) -> usize {
    // An earlier peak must not hide this one: fill the space up to it.
    let filler: Vec<u8> = Vec::with_capacity(process_bytes("VmPeak") - process_bytes("VmSize"));
    let before = process_bytes("VmSize");
    assert!(process_bytes("VmPeak") <= before + MIB);
    action();
    drop(std::hint::black_box(filler));
    process_bytes("VmPeak") - before
}

#[test]
fn hostile_payloads_take_no_more_memory_than_the_limit() {
    let limit = MAX_DECOMPRESSED_BYTES as u64;
    let too_large = Err(ZstdError::TooLarge { limit_bytes: MAX_DECOMPRESSED_BYTES });
    assert_eq!(decode(payload(17, None, 8)).unwrap(), MIB);

    let lies = growth(|| {
        for window_log in [17, 27, 31] {
            let error = decode(payload(window_log, Some(limit), 1)).unwrap_err();
            assert!(matches!(error, ZstdError::Damaged { .. }), "{error}");
            assert_eq!(decode(payload(window_log, Some(1 << 40), 1)), too_large);
        }
    });
    assert!(lies <= 2 * MIB, "a size that is only claimed took {lies} bytes");

    let bombs = growth(|| {
        let four_gib = (4 << 30) / REPEATS_PER_BLOCK as usize;
        for window_log in [17, 31] {
            assert_eq!(decode(payload(window_log, None, four_gib)), too_large);
            assert_eq!(decode(payload(window_log, Some(4 << 30), four_gib)), too_large);
            assert!(decode(payload(window_log, Some(limit), four_gib)).is_err());
        }
    });
    assert!(bombs > MAX_DECOMPRESSED_BYTES / 2, "measured wrongly: {bombs} bytes");
    assert!(bombs <= MAX_DECOMPRESSED_BYTES + 4 * MIB, "a bomb took {bombs} bytes");
}
