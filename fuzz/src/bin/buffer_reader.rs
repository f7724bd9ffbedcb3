//! Arbitrary contents of a buffer's file: nothing panics, the content length is exact, no payload comes out whose
//! checksum is wrong, and the salvage finds every intact record.
//!
//! The reader is compared with a second one below, which is written from the format's description alone and is too simple
//! to be wrong.
//!
//! An input whose first byte is even is the file as it is. Otherwise the rest says how to make one, since no fuzzer finds
//! checksums by chance: bytes `op` with `op % 4` = 0 a record, 1 a record with a wrong checksum, 2 bytes as they are, 3
//! zeros, each of `op / 4` bytes, which follow (not for zeros).
#![no_main]

use std::io::Read;
use std::path::Path;

use ledger_buffer::{LedgerConfig, LedgerReader, LedgerStore, Salvaged};
use ledger_fs::crash::CrashFs;
use ledger_fs::{Open, append_all, read_all};
use libfuzzer_sys::fuzz_target;

const MAX_RECORD_SIZE: usize = 1000;
const HEADER: &[u8] = b"<header>";
const FOOTER: &[u8] = b"<footer>";
const SEPARATOR: &[u8] = b"<separator>";

fuzz_target!(|input: &[u8]| {
    let Some((kind, rest)) = input.split_first() else { return };
    if kind.is_multiple_of(2) {
        check(rest, usize::from(*kind));
    } else {
        check(&build(rest), usize::from(*kind));
    }
});

fn build(mut input: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    while let Some((op, rest)) = input.split_first() {
        let (bytes, rest) = rest.split_at(usize::from(op / 4).min(rest.len()));
        input = rest;
        match op % 4 {
            kind @ (0 | 1) => {
                file.extend((bytes.len() as u32).to_le_bytes());
                file.extend((crc(bytes) ^ u32::from(kind)).to_le_bytes());
                file.extend(bytes);
            }
            2 => file.extend(bytes),
            _ => file.resize(file.len() + usize::from(op / 4), 0),
        }
    }
    file
}

fn check(file: &[u8], read_size: usize) {
    let fs = CrashFs::new();
    let dir = fs.dir();
    let name = Path::new("0-events");
    append_all(&*dir.open(name, Open::APPEND.create_new()).unwrap(), file, 0).unwrap();
    let config = LedgerConfig {
        storage_location: "unused".into(),
        base_filename: "events".into(),
        max_file_size: 100,
        header: Box::new(|| HEADER.to_vec()),
        footer: Box::new(|| FOOTER.to_vec()),
        separator: SEPARATOR.to_vec(),
    };
    let store = LedgerStore::options(config).max_record_size(MAX_RECORD_SIZE).open_in(dir.clone()).unwrap();
    let unasked = store.peek(&store.files().unwrap()[0]).unwrap();
    check_reader(unasked, file, read_size, false);
    let fetched = store.fetch(None, None).unwrap().expect("a file is there");
    let reader = fetched.data.into_iter().next().expect("a file is there");
    check_reader(reader, file, read_size, true);

    let is_damaged = !is_torn_tail(file);
    store.remove(&fetched.removable).unwrap();
    assert!(!store.has_data());
    let kept = read_all(&*dir, Path::new("quarantine/0-events"), usize::MAX).ok();
    assert_eq!(
        kept.as_deref(),
        is_damaged.then_some(file),
        "what is damaged goes to the quarantine, and only that"
    );
}

/// A reader that was asked first checks the file as a whole, another one as it goes.
fn check_reader(mut reader: LedgerReader, file: &[u8], read_size: usize, is_asked_first: bool) {
    let (intact, end) = intact_records(file);
    let body = [HEADER, &intact.join(SEPARATOR), FOOTER].concat();
    let ask = |reader: &LedgerReader| {
        assert_eq!(reader.content_length(), body.len() as u64);
        assert_eq!(reader.damage().is_some(), end < file.len());
    };
    if is_asked_first {
        ask(&reader);
    }

    let mut read = Vec::new();
    let mut piece = vec![0; read_size + 1];
    loop {
        match reader.read(&mut piece).unwrap() {
            0 => break,
            count => read.extend(&piece[..count]),
        }
    }
    assert!(read == body, "the body is not that of the intact records");
    ask(&reader);
    reader.rewind();
    read.clear();
    reader.read_to_end(&mut read).unwrap();
    assert!(read == body, "the second body differs from the first");

    let records: Vec<Vec<u8>> = reader.records().map(Result::unwrap).collect();
    assert_eq!(records, intact);
    let mut place = 0;
    let mut salvaged = Vec::new();
    for part in reader.salvage() {
        match part.unwrap() {
            Salvaged::Record { offset, payload } => {
                assert_eq!(offset, place);
                place += 8 + payload.len() as u64;
                salvaged.push(payload);
            }
            Salvaged::Gap { offset, bytes, .. } => {
                assert!(offset == place && bytes > 0);
                place += bytes;
            }
            _ => unreachable!("a new kind of part"),
        }
    }
    assert_eq!(place, file.len() as u64, "parts follow each other without holes up to the end");
    assert_eq!(salvaged, all_records(file));
}

/// The payload of the record at an offset, if an intact one is there.
fn record_at(file: &[u8], offset: usize) -> Option<&[u8]> {
    let header: &[u8; 8] = file.get(offset..)?.first_chunk()?;
    let [a, b, c, d, e, f, g, h] = *header;
    let length = u32::from_le_bytes([a, b, c, d]) as usize;
    let payload = file.get(offset + 8..(offset + 8).checked_add(length)?)?;
    let fits = length > 0 && length <= MAX_RECORD_SIZE;
    (fits && crc(payload) == u32::from_le_bytes([e, f, g, h])).then_some(payload)
}

/// The intact records at the front, and where they end.
fn intact_records(file: &[u8]) -> (Vec<&[u8]>, usize) {
    let mut records = Vec::new();
    let mut offset = 0;
    while let Some(payload) = record_at(file, offset) {
        offset += 8 + payload.len();
        records.push(payload);
    }
    (records, offset)
}

/// The end of the record at an offset by its length, if that is plausible, whatever its checksum.
fn end_by_length(file: &[u8], offset: usize) -> Option<usize> {
    let length = u32::from_le_bytes(*file.get(offset..)?.first_chunk()?) as usize;
    let end = offset + 8 + length;
    (length > 0 && length <= MAX_RECORD_SIZE && end <= file.len()).then_some(end)
}

/// All intact records. Behind a damaged payload the next record is looked for at its end first, then at every offset.
fn all_records(file: &[u8]) -> Vec<&[u8]> {
    let mut records = Vec::new();
    let mut offset = 0;
    while offset < file.len() {
        if let Some(payload) = record_at(file, offset) {
            offset += 8 + payload.len();
            records.push(payload);
            continue;
        }
        let behind =
            end_by_length(file, offset).filter(|end| *end == file.len() || record_at(file, *end).is_some());
        offset = behind.unwrap_or_else(|| {
            (offset + 1..file.len()).find(|offset| record_at(file, *offset).is_some()).unwrap_or(file.len())
        });
    }
    records
}

/// Whether nothing is lost with the file: behind the intact records is nothing, zeros, or the beginning of one record
/// and no intact one.
fn is_torn_tail(file: &[u8]) -> bool {
    let (_, end) = intact_records(file);
    let tail = &file[end..];
    let Some(length) = tail.first_chunk().map(|length| u32::from_le_bytes(*length) as usize) else {
        return true;
    };
    let begins_a_record =
        tail.len() < 8 || (length > 0 && length <= MAX_RECORD_SIZE && tail.len() < 8 + length);
    let has_records = || (end + 1..file.len()).any(|offset| record_at(file, offset).is_some());
    tail.iter().all(|byte| *byte == 0) || (begins_a_record && !has_records())
}

/// CRC-32 of ISO 3309, bit by bit.
fn crc(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0xEDB8_8320 } else { 0 };
        }
    }
    !crc
}
