//! The format layer against ledgers that others wrote.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;

use std::fs;

use common::{REAL, each_entry, expected, fixture};
use ledger_chain::{
    TxId, WriteSet,
    crypto::LedgerSecret,
    format::{
        ChunkHeader, Entry, EntryType, Flags, FormatError, Iv, Maps, PublicDomain, PublicHeader,
        encode_entry, encode_table,
    },
};

fn secret(path: &str) -> LedgerSecret {
    let text = fs::read_to_string(fixture(path)).unwrap();
    LedgerSecret::new(hex::decode(text.trim()).unwrap().try_into().unwrap()).unwrap()
}

#[test]
fn every_digest_of_the_valid_ledger_is_the_expected_one() {
    let expected = expected();
    let mut transactions = expected["transactions"].as_array().unwrap().iter();
    each_entry(&fixture("valid/ledger"), |entry| {
        let want = transactions.next().unwrap();
        let domain = PublicDomain::parse(entry.public).unwrap();
        let digest = entry.write_set_digest();
        assert_eq!(entry.txid().to_string(), want["txid"]);
        assert_eq!(u64::from(entry.flags.bits()), want["flags"]);
        assert_eq!(entry.bytes.len() as u64 - 8, want["size"]);
        assert_eq!(hex::encode(digest), want["write_set_digest"]);
        assert_eq!(hex::encode(domain.claims_digest.unwrap()), want["claims_digest"]);
        assert_eq!(hex::encode(domain.leaf(&digest).unwrap()), want["leaf"]);
        assert_eq!(entry.private.len() as u64, want["private_bytes"]);
        let maps: Vec<_> = domain.maps().map(|map| map.unwrap().name.to_owned()).collect();
        assert_eq!(serde_json::to_value(maps).unwrap(), want["tables"]);
        let evidence = secret("valid/ledger_secret.hex").commit_evidence(entry.txid());
        assert_eq!(evidence, want["commit_evidence"]);
    });
    assert!(transactions.next().is_none());
}

#[test]
fn entries_of_real_ledgers_are_encoded_to_the_same_bytes() {
    let mut entries = 0;
    for ledger in REAL.iter().map(|name| format!("{name}/ledger")).chain(["valid/ledger".into()]) {
        each_entry(&fixture(&ledger), |entry| {
            let domain = PublicDomain::parse(entry.public).unwrap();
            let mut writes = WriteSet::new();
            writes.extend(domain.maps()).unwrap();
            let mut public = Vec::new();
            writes.encode_public(&mut public, &PublicHeader::of(&domain));
            let mut bytes = Vec::new();
            encode_entry(&mut bytes, entry.flags, entry.tag, entry.iv, &public, entry.private).unwrap();
            assert!(bytes == entry.bytes, "{ledger} {}", entry.txid());
            entries += 1;
        });
    }
    assert_eq!(entries, 22 + 46 + 500 + 35);
}

#[test]
fn private_domains_open_with_the_secret_and_with_no_other() {
    let secret = secret("valid/ledger_secret.hex");
    let other = LedgerSecret::new([9; 32]).unwrap();
    let mut private = 0;
    each_entry(&fixture("valid/ledger"), |entry| {
        let clear = secret.open(entry.iv, entry.public, entry.tag, entry.private).unwrap();
        let mut writes = WriteSet::new();
        writes.extend(Maps::of_private(&clear)).unwrap();
        let mut again = Vec::new();
        writes.encode_private(&mut again);
        assert_eq!(again, *clear);
        let tag = secret.seal(entry.iv, entry.public, &mut again).unwrap();
        assert_eq!((&tag, again.as_slice()), (entry.tag, entry.private));
        assert!(other.open(entry.iv, entry.public, entry.tag, entry.private).is_err());
        private += u32::from(!entry.private.is_empty());
    });
    assert!(private > 0);
}

#[test]
fn the_example_of_the_documentation_is_written_byte_for_byte() {
    let file = fs::read(fixture("valid/example/ledger_1-2.committed")).unwrap();
    let secret = LedgerSecret::new(std::array::from_fn(|index| index as u8)).unwrap();
    let mut first = WriteSet::new();
    first.put("public:records", "k1", "hello").remove("public:records", "k0").put("notes", "n", "secret");
    let mut second = WriteSet::new();
    second.put("public:records", "k2", "");

    let mut bytes = vec![0; 8];
    let mut positions = Vec::new();
    for (seqno, writes) in [(1, first), (2, second)] {
        let iv = Iv::entry(TxId { view: 2, seqno });
        let header = PublicHeader {
            entry_type: EntryType::WithCommitEvidenceAndClaims,
            seqno,
            claims_digest: [0; 32],
            commit_evidence_digest: secret.commit_evidence_digest(iv.txid),
            reserved: 0,
        };
        let (mut public, mut private) = (Vec::new(), Vec::new());
        writes.encode_public(&mut public, &header);
        writes.encode_private(&mut private);
        let tag = secret.seal(iv, &public, &mut private).unwrap();
        positions.push(bytes.len() as u32);
        encode_entry(&mut bytes, Flags::default(), &tag, iv, &public, &private).unwrap();
    }
    let table = (bytes.len() as u64).to_le_bytes();
    bytes[..8].copy_from_slice(&table);
    bytes.extend(encode_table(&positions));
    assert_eq!(bytes, file);

    // The hexdumps in the module documentation of `format`.
    let hex = |text: &str| hex::decode(text.replace([' ', '\n'], "")).unwrap();
    assert_eq!(file[..8], hex("e5 01 00 00 00 00 00 00"));
    assert_eq!(
        file[8..0x3d],
        hex("01 00 10 01 00 00 00 00 a2 7a 39 eb 37 18 90 d0 d2 8a 16 b5 77 dc ae 2a
             01 00 00 00 00 00 00 00 02 00 00 00 a8 00 00 00 00 00 00 00 04 01 00 00 00 00 00 00 00")
    );
    assert_eq!(file[0x1e5..], hex("08 00 00 00 20 01 00 00"));
    let header = ChunkHeader::parse(file[..8].try_into().unwrap(), file.len() as u64).unwrap();
    assert_eq!((header.entries_end, header.positions), (0x1e5, Some(2)));
}

#[test]
fn an_entry_cut_at_any_byte_is_refused_with_the_field_that_is_missing() {
    let file = fs::read(fixture("valid/example/ledger_1-2.committed")).unwrap();
    let (whole, _) = Entry::parse(&file[8..]).unwrap();
    for length in 0..whole.bytes.len() {
        let error = Entry::parse(&whole.bytes[..length]).unwrap_err();
        assert!(matches!(error, FormatError::Short { .. }), "{length}: {error}");
    }
    for length in 0..whole.public.len() {
        let parsed = PublicDomain::parse(&whole.public[..length])
            .and_then(|domain| domain.maps().collect::<Result<Vec<_>, _>>());
        // Cut between two maps the domain is whole; there is only one map here, so only the empty list is.
        assert_eq!(parsed.is_ok(), length == 81, "{length}");
    }
}

#[test]
fn lengths_from_outside_are_checked_before_anything_is_allocated() {
    let file = fs::read(fixture("valid/example/ledger_1-2.committed")).unwrap();
    let (whole, _) = Entry::parse(&file[8..]).unwrap();
    let mut bytes = whole.bytes.to_vec();
    bytes[36..44].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(matches!(
        Entry::parse(&bytes).unwrap_err(),
        FormatError::Short { what: "public domain", needed: u64::MAX, .. }
    ));
    let mut domain = whole.public.to_vec();
    let writes = 81 + 8 + 14 + 16;
    domain[writes..writes + 8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(PublicDomain::parse(&domain).unwrap().maps().next().unwrap().is_err());
}
