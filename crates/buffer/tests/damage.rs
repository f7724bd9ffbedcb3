//! Files cut at every byte, with every bit flipped, and worse: no wrong payload ever comes out, the content length is
//! exact, and what is intact can be salvaged.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, missing_docs, reason = "a test")]

mod common;

use common::{Folder, body, payloads, record, records};
use ledger_buffer::{Damage, DamageKind, Salvage, Salvaged};
use proptest::prelude::*;

const PAYLOADS: [&[u8]; 4] =
    [br#"{"event":"one"}"#, br#"{"e":2}"#, b"3", br#"{"event":"the fourth of them"}"#];

/// Reads a file of these bytes; answers its payloads and its damage, after a look at envelope and content length.
fn read(bytes: &[u8]) -> (Vec<String>, Option<Damage>) {
    let folder = Folder::new();
    folder.write("0-events", bytes);
    let store = folder.open();
    let mut unasked = store.peek(&store.files().unwrap()[0]).unwrap();
    let mut fetched = store.fetch(None, None).unwrap().unwrap();
    let read = payloads(&fetched.data[0]);
    assert_eq!(body(&mut fetched.data[0]), format!("[{}]", read.join(",")).into_bytes());
    let damage = fetched.data[0].damage();
    // One that checks as it goes, because nobody has asked, yields the same, also a second time.
    assert_eq!(body(&mut unasked), format!("[{}]", read.join(",")).into_bytes());
    assert_eq!((unasked.damage(), unasked.record_count()), (damage, read.len() as u64));
    unasked.rewind();
    assert_eq!(body(&mut unasked), format!("[{}]", read.join(",")).into_bytes());
    store.remove(&fetched.removable).unwrap();
    let kept = if damage.is_some_and(|damage| !damage.is_torn_tail) { vec!["quarantine"] } else { vec![] };
    assert_eq!(folder.names(), kept);
    (read, damage)
}

/// Payloads and number of gaps.
fn salvage(bytes: &[u8]) -> (Vec<Vec<u8>>, usize) {
    let folder = Folder::new();
    folder.write("0-events", bytes);
    let (mut payloads, mut gaps, mut end) = (Vec::new(), 0, 0);
    for part in Salvage::open(&folder.path("0-events"), 1 << 20).unwrap() {
        match part.unwrap() {
            Salvaged::Record { offset, payload } => {
                assert_eq!(offset, end);
                end = offset + 8 + payload.len() as u64;
                payloads.push(payload);
            }
            Salvaged::Gap { offset, bytes, .. } => {
                assert_eq!(offset, end);
                end = offset + bytes;
                gaps += 1;
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(end, bytes.len() as u64, "every byte is accounted for");
    (payloads, gaps)
}

fn texts(payloads: &[&[u8]]) -> Vec<String> {
    payloads.iter().map(|payload| String::from_utf8(payload.to_vec()).unwrap()).collect()
}

#[test]
fn a_file_cut_at_any_byte_yields_exactly_the_records_before_the_cut() {
    let whole = records(&PAYLOADS);
    let mut ends = vec![0];
    for payload in PAYLOADS {
        ends.push(ends[ends.len() - 1] + 8 + payload.len());
    }
    for cut in 0..=whole.len() {
        let (read, damage) = read(&whole[..cut]);
        let intact = ends.iter().filter(|end| **end <= cut).count() - 1;
        assert_eq!(read, texts(&PAYLOADS[..intact]), "cut at {cut}");
        match damage {
            None => assert!(ends.contains(&cut), "cut at {cut}"),
            Some(damage) => {
                assert!(damage.is_torn_tail, "cut at {cut}: {damage}");
                assert_eq!(
                    (damage.offset, damage.bytes_behind),
                    (ends[intact] as u64, (cut - ends[intact]) as u64)
                );
            }
        }
    }
}

#[test]
fn a_flipped_bit_anywhere_lets_no_wrong_payload_out_and_costs_one_record() {
    let whole = records(&PAYLOADS);
    let all = texts(&PAYLOADS);
    for byte in 0..whole.len() {
        for bit in 0..8 {
            let mut damaged = whole.clone();
            damaged[byte] ^= 1 << bit;
            let (read, damage) = read(&damaged);
            assert!(all.starts_with(&read), "byte {byte}, bit {bit}: {read:?}");
            let damage = damage.unwrap_or_else(|| panic!("byte {byte}, bit {bit}: not noticed"));
            let (salvaged, gaps) = salvage(&damaged);
            let salvaged: Vec<_> =
                salvaged.into_iter().map(|payload| String::from_utf8(payload).unwrap()).collect();
            let hit = read.len();
            let expected: Vec<_> =
                all.iter().enumerate().filter(|(at, _)| *at != hit).map(|(_, text)| text.clone()).collect();
            assert_eq!(salvaged, expected, "byte {byte}, bit {bit}");
            assert_eq!(gaps, 1);
            // In the last record, a length over what is left looks like an append that was cut off, and costs as much.
            assert!(!damage.is_torn_tail || hit + 1 == PAYLOADS.len(), "byte {byte}, bit {bit}: {damage}");
        }
    }
}

#[test]
fn zeros_behind_the_records_are_a_torn_tail() {
    for zeros in [1, 7, 8, 100, 200_000] {
        let (read, damage) = read(&[records(&PAYLOADS[..2]), vec![0; zeros]].concat());
        assert_eq!(read, texts(&PAYLOADS[..2]));
        let damage = damage.unwrap();
        assert!(damage.is_torn_tail && damage.bytes_behind == zeros as u64, "{zeros}: {damage}");
    }
    let hole = [records(&PAYLOADS[..1]), vec![0; 20], records(&PAYLOADS[1..])].concat();
    let (_, damage) = read(&hole);
    assert!(
        matches!(damage, Some(Damage { kind: DamageKind::ZeroLength, is_torn_tail: false, .. })),
        "{damage:?}"
    );
    assert_eq!(salvage(&hole), (PAYLOADS.map(<[u8]>::to_vec).to_vec(), 1));
}

#[test]
fn a_length_over_the_limit_is_not_believed_whatever_is_behind_it() {
    let folder = Folder::new();
    folder.write("0-events", [record(b"1"), record(b"22222"), record(b"3")].concat());
    let store = folder.options().max_record_size(4).open().unwrap();
    let fetched = store.fetch(None, None).unwrap().unwrap();
    assert_eq!(payloads(&fetched.data[0]), ["1"]);
    let damage = fetched.data[0].damage().unwrap();
    assert_eq!(damage.kind, DamageKind::TooLong { length: 5, limit: 4 });
    store.remove(&fetched.removable).unwrap();
    assert_eq!(folder.names(), ["quarantine"], "nothing is lost: it is intact for who allows more");
}

#[test]
fn records_inside_a_damaged_payload_are_not_salvaged_as_records_of_the_file() {
    let inner = records(&[b"inner 1", b"inner 2"]);
    let mut outer = records(&[b"before", &[&b"0123456789"[..], &inner].concat(), b"behind"]);
    let at = 8 + 6 + 8;
    outer[at] ^= 1;
    assert_eq!(salvage(&outer), (vec![b"before".to_vec(), b"behind".to_vec()], 1));
}

/// Bytes that promise a record at almost every offset: comparing each checksum anew would take hours.
#[test]
fn salvage_takes_a_time_that_grows_with_the_size_and_not_with_its_square() {
    let size = 1_000_000_u32;
    let mut bytes: Vec<u8> = (0..size / 4).flat_map(|_| (size / 2).to_le_bytes()).collect();
    bytes.extend(record(b"the only record"));
    let (salvaged, gaps) = salvage(&bytes);
    assert_eq!((salvaged, gaps), (vec![b"the only record".to_vec()], 1));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_a_panic_and_with_an_exact_length(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let folder = Folder::new();
        folder.write("0-events", &bytes);
        let store = folder.open();
        let mut fetched = store.fetch(None, None).unwrap().unwrap();
        body(&mut fetched.data[0]);
        salvage(&bytes);
    }

    #[test]
    fn salvage_finds_every_intact_record_between_rubbish(
        parts in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 1..2000)), 1..8)
    ) {
        // Rubbish whose beginning could be a length would make a record of what is behind it.
        let bytes: Vec<u8> = parts.iter().flat_map(|(rubbish, payload)| {
            let rubbish: Vec<u8> = rubbish.iter().map(|byte| byte | 0x80).collect();
            [rubbish, record(payload)].concat()
        }).collect();
        let expected: Vec<_> = parts.iter().map(|(_, payload)| payload.clone()).collect();
        prop_assert_eq!(salvage(&bytes).0, expected);
    }
}
