//! What we write, read by the Python package `ccf`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;
#[path = "common/python.rs"]
mod python;

use std::{fs, path::Path};

use common::{fixture, open, record, verify};
use ledger_chain::{
    WriteSet,
    crypto::Curve,
    directory,
    governance::is_signature,
    maps::Maps,
    receipt::{Receipts, endorsements_of},
    snapshot::list,
    split::{SplitError, split},
    store::Reader,
    verify::{Verdict, Verifier},
    writer::{Home, Ledger, Profile, Settings},
};

fn settings(profile: Profile) -> Settings {
    Settings { profile, sign_every_entries: 7, chunk_bytes: 6_000, ..common::settings() }
}

/// A ledger of several chunks with public and private maps, removals, claims, two views, and an open chunk at the end.
fn write(profile: Profile) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(home.path(), settings(profile)).unwrap();
    for at in 0..30 {
        ledger.append(&record(&format!("key-{at}"), "value")).unwrap();
        let mut writes = WriteSet::new();
        writes.put("notes", format!("{at}"), [0, 159, 146, 150]).put("public:app.empty", "", "");
        writes.remove("public:app.records", format!("key-{}", at / 2));
        ledger.append_with_claims(&writes, [at; 32]).unwrap();
    }
    ledger.close().unwrap();
    drop(ledger);
    let ledger = Ledger::open(home.path(), settings(profile)).unwrap();
    ledger.append(&record("another", "view")).unwrap();
    ledger.sign().unwrap();
    ledger.close().unwrap();
    home
}

#[test]
fn the_validator_accepts_what_we_write_in_every_profile() {
    for profile in [Profile::Dual, Profile::Raw, Profile::Cose] {
        let home = write(profile);
        let folder = home.path().join("ledger");
        let ours = verify(&folder);
        assert_eq!(ours.verdict, Verdict::Verified);
        assert!(ours.chunks >= 3);
        let theirs = python::validate(&folder).unwrap();
        let signatures = ours.raw_signatures;
        // 6.0.28 checks COSE signatures, but counts raw ones only.
        let until = if profile.raw() { ours.verified_until.unwrap().to_string() } else { "0.0".into() };
        assert_eq!(theirs, format!("{} {signatures} {until}", ours.entries), "{profile:?}");
    }
}

/// Everything that can happen to a ledger: private maps, several chunks, snapshots, new keys of node and ledger, a lost service.
fn live(profile: Profile) -> (tempfile::TempDir, Vec<u8>, u64) {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path()).unwrap();
    let settings = Settings { snapshot_tx_interval: 60, ..settings(profile) };
    let fill = |ledger: &Ledger, name: &str| {
        for at in 0..20 {
            let mut writes = record(&format!("{name}-{at}"), name);
            writes.put("notes", format!("{at}"), name);
            ledger.append(&writes).unwrap();
        }
    };
    let ledger = Ledger::init(folder.path(), settings.clone()).unwrap();
    fill(&ledger, "first");
    ledger.snapshot().unwrap();
    let old = ledger.append(&record("old", "entry")).unwrap().txid.seqno;
    ledger.rotate_node_key(&home, Curve::P256).unwrap();
    fill(&ledger, "second");
    ledger.rotate_ledger_secret(&home).unwrap();
    fill(&ledger, "third");
    ledger.close().unwrap();
    drop(ledger);
    let former = fs::read(folder.path().join("keys/service_cert.pem")).unwrap();
    for file in ["service_key.pem", "node_key.pem", "service_cert.pem", "node_cert.pem"] {
        fs::remove_file(folder.path().join("keys").join(file)).unwrap();
    }
    let (ledger, _) = Ledger::recover_in(&home, settings).unwrap();
    fill(&ledger, "fourth");
    ledger.rotate_node_key(&home, Curve::P384).unwrap();
    ledger.close().unwrap();
    drop(ledger);
    let ledger = Ledger::open(folder.path(), self::settings(profile)).unwrap();
    fill(&ledger, "fifth");
    ledger.snapshot().unwrap();
    ledger.close().unwrap();
    (folder, former, old)
}

#[test]
fn a_ledger_with_a_whole_life_behind_it_passes_every_tool_of_the_package() {
    for profile in [Profile::Dual, Profile::Raw, Profile::Cose] {
        let (folder, former, old) = live(profile);
        let home = Home::open(folder.path()).unwrap();
        let ledger = folder.path().join("ledger");
        let secrets = common::secrets(folder.path());
        let ours = Verifier::new().secrets(secrets.clone()).verify_home(&home, true).unwrap().0;
        assert_eq!((&ours.problems, ours.verdict), (&vec![], Verdict::Verified), "{profile:?}");
        assert!(ours.chunks > 8 && ours.snapshots >= 3, "{profile:?} {ours:?}");
        let until = if profile.raw() { ours.verified_until.unwrap().to_string() } else { "0.0".into() };
        let theirs = python::validate(&ledger).unwrap();
        assert_eq!(theirs, format!("{} {} {until}", ours.entries, ours.raw_signatures), "{profile:?}");
        let text = python::program("read_ledger.py", &[ledger.to_str().unwrap(), "--uncommitted"]).unwrap();
        assert!(text.contains("Ledger verification complete"), "{profile:?} {text}");

        let chunk =
            common::chunks(&ledger).into_iter().find(|(name, _)| name.committed && name.start > 1).unwrap();
        let mut signatures = Vec::new();
        common::each_entry(&ledger, |entry| {
            if ledger_chain::EntryKind::of(&entry).unwrap() == ledger_chain::EntryKind::Signature {
                signatures.push(entry.txid().seqno);
            }
        });
        let out = tempfile::tempdir().unwrap();
        let inside = |seqno: &&u64| **seqno >= chunk.0.start && Some(**seqno) < chunk.0.end;
        // The tool takes only raw signatures for signatures.
        if let Some(at) = signatures.iter().find(inside).filter(|_| profile.raw()) {
            let (path, at, to) = (chunk.1.to_str().unwrap(), at.to_string(), out.path().to_str().unwrap());
            // The tool takes raw signatures for the only ones.
            let any: &[&str] = if profile.raw() { &[] } else { &["--allow-non-signature"] };
            let arguments = [&[path, &at, "--output-dir", to], any].concat();
            python::program("split_ledger.py", &arguments).unwrap();
            assert_eq!(common::chunks(out.path()).len(), 2);
        }

        let reader = Reader::open(open(&ledger)).unwrap();
        let endorsements = endorsements_of(&Maps::open(&home).unwrap()).unwrap();
        let receipts = Receipts::new(&reader, &secrets).endorsements(&endorsements);
        let (json, cose, before) =
            (out.path().join("r.json"), out.path().join("r.cose"), out.path().join("former.pem"));
        fs::write(&before, former).unwrap();
        let now = folder.path().join("keys/service_cert.pem");
        let new = (1..ours.entries - 2).rev().find(|seqno| !signatures.contains(seqno)).unwrap();
        for (seqno, signer) in [(old, &before), (new, &now)] {
            // A JSON receipt leads to the service of today, by its endorsement of the one before; a COSE receipt to its own.
            if profile.cose() {
                fs::write(&cose, receipts.cose(seqno).unwrap()).unwrap();
                assert_eq!(python::receipts(Path::new(""), signer, Some(&cose)).unwrap(), "verified");
            }
            if profile.raw() {
                fs::write(&json, receipts.json(seqno).unwrap().to_json()).unwrap();
                assert_eq!(python::receipts(&json, &now, None).unwrap(), "verified", "{profile:?}");
            }
        }
        for name in list(&*home.snapshots()).unwrap().committed.iter().filter(|_| profile.raw()) {
            let opened = python::snapshot(&folder.path().join("snapshots").join(name.to_string())).unwrap();
            assert!(opened.starts_with(&format!("True {} ", name.seqno)), "{opened}");
        }
    }
}

#[test]
fn the_validator_refuses_a_ledger_of_ours_with_one_bit_flipped() {
    let home = write(Profile::Cose);
    let path =
        fs::read_dir(home.path().join("ledger")).unwrap().map(|entry| entry.unwrap().path()).min().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    assert!(python::validate(&home.path().join("ledger")).is_err());
}

#[test]
fn read_ledger_prints_our_ledger_and_says_that_it_is_verified() {
    let home = write(Profile::Dual);
    let folder = home.path().join("ledger");
    let text = python::program("read_ledger.py", &[folder.to_str().unwrap(), "--uncommitted"]).unwrap();
    assert!(text.contains("public:app.records") && text.contains("Ledger verification complete"), "{text}");
}

#[test]
fn split_ledger_splits_a_chunk_of_ours_and_the_parts_still_verify() {
    let home = write(Profile::Dual);
    let folder = home.path().join("ledger");
    let (name, path) = common::chunks(&folder).into_iter().find(|(name, _)| name.committed).unwrap();
    let out = tempfile::tempdir().unwrap();
    for (_, other) in common::chunks(&folder).iter().filter(|(other, _)| *other != name) {
        fs::copy(other, out.path().join(other.file_name().unwrap())).unwrap();
    }
    let mut split = None;
    common::each_entry(&folder, |entry| {
        let signature = entry.public.windows(22).any(|part| part == b"ccf.internal.signature");
        split = split.or((signature && entry.txid().seqno > name.start).then_some(entry.txid().seqno));
    });
    let (path, seqno) = (path.to_str().unwrap().to_owned(), split.unwrap().to_string());
    let text =
        python::program("split_ledger.py", &[&path, &seqno, "--output-dir", out.path().to_str().unwrap()])
            .unwrap();
    assert_eq!(common::chunks(out.path()).len(), common::chunks(&folder).len() + 1, "{text}");
    let report = verify(out.path());
    assert_eq!(report.entries, verify(&folder).entries);
    let python = python::validate(out.path());
    assert!(python.is_ok(), "{python:?}");
    // The tool does not set the flag that ends a chunk, and none of ours is set within one.
    assert_eq!(report.problems, []);
}

#[test]
fn our_split_writes_the_files_that_split_ledger_writes() {
    let home = write(Profile::Dual);
    let folder = home.path().join("ledger");
    let listing = directory::list(&*open(&folder)).unwrap();
    for chunk in [*listing.chunks.first().unwrap(), *listing.chunks.last().unwrap()] {
        let path = folder.join(chunk.file_name());
        let mut signatures = Vec::new();
        common::each_entry(&folder, |entry| {
            signatures.extend(is_signature(&entry).unwrap().then_some(entry.txid().seqno));
        });
        let inside =
            |seqno: &&u64| **seqno > chunk.name.start && chunk.name.end.is_none_or(|end| **seqno < end);
        let at = *signatures.iter().find(inside).unwrap();
        let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let split =
            |seqno, output: &tempfile::TempDir| split(&*open(&folder), chunk, seqno, &*open(output.path()));
        let names = split(at, &ours).unwrap();
        let arguments =
            [path.to_str().unwrap(), &at.to_string(), "--output-dir", theirs.path().to_str().unwrap()];
        python::program("split_ledger.py", &arguments).unwrap();
        for name in names {
            let name = name.to_string();
            let bytes = fs::read(ours.path().join(&name)).unwrap();
            assert_eq!(bytes, fs::read(theirs.path().join(&name)).unwrap(), "{name}");
        }
        assert!(matches!(split(at, &ours), Err(SplitError::Exists { .. })));
        let next = signatures.iter().copied().find(|signature| *signature > at);
        let error = split(at + 1, &ours).unwrap_err();
        let said = matches!(&error, SplitError::NotASignature { next: named, .. } if *named == next);
        assert!(said || chunk.name.end.is_some(), "{error}");
        assert!(matches!(split(10_000, &ours), Err(SplitError::NotFound { .. })));
    }
    let closed = listing.chunks.first().unwrap();
    let error = split(&*open(&folder), *closed, closed.name.end.unwrap(), &*open(home.path())).unwrap_err();
    assert!(matches!(error, SplitError::AtEnd { .. }), "{error}");
}

#[test]
fn both_accept_the_ledgers_of_others() {
    for (ledger, verdict) in
        [("valid/ledger", "35 11 5.34"), ("real/acme_containing_service/ledger", "22 8 2.22")]
    {
        assert_eq!(python::validate(&fixture(ledger)).unwrap(), verdict);
        assert_eq!(verify(&fixture(ledger)).verdict, Verdict::Verified);
    }
}

#[test]
fn contents_are_printed_as_read_ledger_prints_them() {
    for ledger in ["valid/ledger", "real/acme_containing_service/ledger", "real/eol_service/ledger"] {
        let folder = fixture(ledger);
        let theirs = python::program("read_ledger.py", &[folder.to_str().unwrap(), "--uncommitted"]).unwrap();
        let theirs: Vec<_> = theirs.lines().filter(|line| line.starts_with("  ")).collect();
        let mut ours = String::new();
        common::each_entry(&folder, |entry| ours.push_str(&ledger_chain::print::entry(&entry).unwrap()));
        for (at, (ours, theirs)) in ours.lines().zip(&theirs).enumerate() {
            assert_eq!(&ours, theirs, "{ledger} line {at}");
        }
        assert_eq!(ours.lines().count(), theirs.len(), "{ledger}");
    }
}
