//! Every decoder of bytes from outside, fed with genuine bytes that were changed at random, and with noise: an error or a value,
//! never a panic.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "a test")]

mod common;

use std::fs;

use common::{each_entry, fixture};
use ledger_chain::{
    EntryKind, WriteSet,
    crypto::{Certificate, CoseSign1, PrivateKey, PublicKey},
    format::{ChunkHeader, Entry, FileName, PublicDomain},
    jsonl::parse_line,
    merkle::Tree,
    print,
    receipt::{CoseReceipt, Receipt},
};
use proptest::prelude::*;

/// Genuine inputs of all kinds.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    each_entry(&fixture("valid/ledger"), |entry| {
        seeds.push(entry.bytes.to_vec());
        for map in PublicDomain::parse(entry.public).unwrap().maps() {
            seeds.extend(map.unwrap().iter().filter_map(|(_, value)| value.map(<[u8]>::to_vec)));
        }
    });
    for file in ["valid/receipts/tx_2.20.json", "valid/receipts/tx_2.20.cose", "valid/service_cert.pem"] {
        seeds.push(fs::read(fixture(file)).unwrap());
    }
    seeds.push(br#"{"writes":[{"map":"m","key":{"base64":"AA=="},"value":null}]}"#.to_vec());
    seeds
}

fn decode_as_everything(bytes: &[u8]) {
    if let Ok((entry, _)) = Entry::parse(bytes) {
        _ = entry.write_set_digest();
        _ = print::entry(&entry);
        _ = EntryKind::of(&entry);
        if let Ok(domain) = PublicDomain::parse(entry.public) {
            _ = WriteSet::new().extend(domain.maps());
        }
    }
    if let Ok(domain) = PublicDomain::parse(bytes) {
        domain.maps().flatten().for_each(|map| map.iter().for_each(drop));
    }
    if let Ok(tree) = Tree::decode(bytes) {
        _ = (
            tree.root(),
            tree.path(tree.first_kept(), tree.size()),
            tree.consistency(tree.size(), tree.size()),
        );
        assert_eq!(tree.encode(), bytes);
    }
    _ = CoseSign1::parse(bytes);
    _ = CoseReceipt::parse(bytes);
    _ = Receipt::from_json(bytes).map(|receipt| receipt.root());
    _ = Certificate::from_pem(bytes).map(|certificate| certificate.is_self_signed());
    _ = PublicKey::from_spki(bytes);
    _ = PrivateKey::from_pkcs8(bytes);
    _ = parse_line(bytes);
    _ = bytes.first_chunk().map(|header| ChunkHeader::parse(*header, bytes.len() as u64));
    if let Ok(text) = std::str::from_utf8(bytes) {
        _ = FileName::parse(text);
        _ = text.parse::<ledger_chain::TxId>();
        _ = PrivateKey::from_pem(text, None);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]
    #[test]
    fn changed_bytes_are_read_or_refused(
        seed in any::<prop::sample::Index>(),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in prop::option::of(any::<prop::sample::Index>()),
        tail in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        thread_local!(static SEEDS: Vec<Vec<u8>> = seeds());
        let mut bytes = SEEDS.with(|seeds| seed.get(seeds).clone());
        for (at, byte) in changes {
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
        }
        if let Some(cut) = cut {
            bytes.truncate(cut.index(bytes.len() + 1));
        }
        bytes.extend(tail);
        decode_as_everything(&bytes);
    }

    #[test]
    fn noise_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        decode_as_everything(&bytes);
    }
}
