//! Arbitrary bytes as an entry of a chunk ledger: an error or an entry, never a panic; what was read is written back into the
//! same bytes, and the maps of a write set survive being written in canonical order.
#![no_main]

use ledger_chain::format::{Entry, PublicDomain, PublicHeader, encode_entry};
use ledger_chain::jsonl::{WriteLine, parse_line};
use ledger_chain::{EntryKind, WriteSet, print};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Ok((entry, rest)) = Entry::parse(input) else { return };
    assert_eq!([entry.bytes, rest].concat(), input);
    let mut again = Vec::new();
    encode_entry(&mut again, entry.flags, entry.tag, entry.iv, entry.public, entry.private).unwrap();
    assert_eq!(again, entry.bytes);

    let readable = print::entry(&entry).is_ok();
    let Ok(domain) = PublicDomain::parse(entry.public) else {
        assert!(!readable && EntryKind::of(&entry).is_err());
        return;
    };
    assert_eq!(readable, domain.maps().all(|map| map.is_ok()));
    let mut writes = WriteSet::new();
    if writes.extend(domain.maps()).is_ok() {
        check_maps(&writes, &domain);
    }
});

fn check_maps(writes: &WriteSet, domain: &PublicDomain<'_>) {
    let mut public = Vec::new();
    writes.encode_public(&mut public, &PublicHeader::of(domain));
    writes.encode_private(&mut public);
    let again = PublicDomain::parse(&public).unwrap();
    assert_eq!(again.leaf(&[1; 32]), domain.leaf(&[1; 32]));
    let mut written = WriteSet::new();
    written.extend(again.maps()).unwrap();
    // A map without any write is left out.
    let lines = WriteLine::all(writes);
    let line = format!("{{\"writes\":{}}}", serde_json::to_string(&lines).unwrap());
    assert_eq!(
        serde_json::to_string(&WriteLine::all(&written)).unwrap(),
        serde_json::to_string(&lines).unwrap()
    );
    if writes.maps().all(|(map, _)| !map.is_empty()) {
        assert_eq!(parse_line(line.as_bytes()).unwrap().0, written);
    }
}
