//! Disaster recovery and rotation of keys.
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

use common::{open, record, verify};
use ledger_chain::{
    WriteSet,
    crypto::{Certificate, Curve, PublicKey},
    maps::Maps,
    receipt::{CoseReceipt, Receipt, ReceiptError, Receipts, endorsements_of},
    store::Reader,
    verify::{Check, Secrets, Verdict, Verifier},
    writer::{Home, Ledger, LedgerError, Profile, Settings},
};

fn settings(profile: Profile) -> Settings {
    Settings { profile, sign_every_entries: 4, chunk_bytes: 9_000, ..common::settings() }
}

fn service(home: &Path) -> PublicKey {
    Certificate::from_pem(&fs::read(home.join("keys/service_cert.pem")).unwrap()).unwrap().key().clone()
}

fn fill(ledger: &Ledger, name: &str) {
    for at in 0..6 {
        let mut writes = record(&format!("{name}-{at}"), name);
        writes.put("private", format!("{name}-{at}"), name);
        ledger.append(&writes).unwrap();
    }
}

/// A copy of the chunk files alone.
fn survivor(home: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    fs::create_dir(copy.path().join("ledger")).unwrap();
    for entry in fs::read_dir(home.join("ledger")).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join("ledger").join(entry.file_name())).unwrap();
    }
    copy
}

#[test]
fn a_ledger_goes_on_from_its_chunk_files_alone_and_old_receipts_stay_valid() {
    for profile in [Profile::Dual, Profile::Raw, Profile::Cose] {
        let first = tempfile::tempdir().unwrap();
        let ledger = Ledger::init(first.path(), settings(profile)).unwrap();
        fill(&ledger, "first");
        ledger.close().unwrap();
        let mut homes = vec![first];
        // Twice, so that the chain of endorsements has two links.
        for name in ["second", "third"] {
            let copy = survivor(homes.last().unwrap().path());
            // The secrets come from a backup, the keys are lost.
            fs::create_dir(copy.path().join("keys")).unwrap();
            let secrets = homes.last().unwrap().path().join("keys/ledger_secrets");
            fs::copy(secrets, copy.path().join("keys/ledger_secrets")).unwrap();
            let home = Home::open(copy.path()).unwrap();
            let before = verify(&copy.path().join("ledger"));
            let (ledger, recovery) = Ledger::recover_in(&home, settings(profile)).unwrap();
            assert_eq!(Some(recovery.kept_until), before.verified_until);
            assert_eq!((recovery.unsigned_entries, recovery.private_readable), (0, true));
            assert_eq!(recovery.created.view, recovery.kept_until.view + 2);
            fill(&ledger, name);
            ledger.close().unwrap();
            homes.push(copy);
        }
        let last = homes.last().unwrap();
        let folder = last.path().join("ledger");
        let secrets = common::secrets(last.path());
        assert_eq!(secrets.iter().count(), 3);
        let verifier = Verifier::new().secrets(secrets).service(service(last.path()));
        let report = verifier.verify(&open(&folder)).unwrap();
        assert_eq!(report.problems, [], "{profile:?}");
        assert_eq!(report.notes.iter().filter(|note| note.contains("changed its identity")).count(), 2);
        let theirs = python::validate(&folder);
        assert!(theirs.is_ok(), "{profile:?} {theirs:?}");

        let home = Home::open(last.path()).unwrap();
        let maps = Maps::open(&home).unwrap();
        for name in ["first", "second", "third"] {
            let key = format!("{name}-3");
            let version = maps.get("private", key.as_bytes()).unwrap().unwrap();
            assert_eq!(version.value.unwrap(), name.as_bytes());
            let txid = maps.get("public:app.records", key.as_bytes()).unwrap().unwrap().txid;
            let reader = Reader::open(open(&folder)).unwrap();
            let secrets = common::secrets(last.path());
            let endorsements = endorsements_of(&maps).unwrap();
            assert_eq!(endorsements.len(), 2);
            let receipts = Receipts::new(&reader, &secrets).endorsements(&endorsements);
            if profile.raw() {
                let receipt = receipts.json(txid.seqno).unwrap();
                assert_eq!(receipt.verify(&service(last.path())).unwrap().txid, txid, "{name}");
                let bare = Receipt { service_endorsements: Vec::new(), ..receipt };
                assert_eq!(bare.verify(&service(last.path())).is_ok(), name == "third");
                let json = last.path().join("receipt.json");
                fs::write(&json, receipts.json(txid.seqno).unwrap().to_json()).unwrap();
                let verdict = python::receipts(&json, &last.path().join("keys/service_cert.pem"), None);
                assert_eq!(verdict.unwrap(), "verified");
            }
            if profile.cose() {
                // COSE receipts carry no endorsements; they hold for the service that signed.
                let cose = CoseReceipt::parse(&receipts.cose(txid.seqno).unwrap()).unwrap();
                let own = ["first", "second", "third"].iter().position(|other| *other == name).unwrap();
                assert_eq!(cose.verify(&service(homes[own].path())).unwrap().txid, txid);
            }
        }
    }
}

#[test]
fn a_receipt_made_before_the_disaster_is_endorsed_by_adding_the_certificates() {
    let first = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(first.path(), settings(Profile::Dual)).unwrap();
    fill(&ledger, "first");
    ledger.close().unwrap();
    let secrets = common::secrets(first.path());
    let reader = Reader::open(open(&first.path().join("ledger"))).unwrap();
    let old = Receipts::new(&reader, &secrets).json(6).unwrap();
    let copy = survivor(first.path());
    let home = Home::open(copy.path()).unwrap();
    drop(Ledger::recover_in(&home, settings(Profile::Dual)).unwrap());
    assert!(old.verify(&service(first.path())).is_ok());
    assert!(matches!(old.verify(&service(copy.path())), Err(ReceiptError::Service)));
    let endorsements = endorsements_of(&Maps::open(&home).unwrap()).unwrap();
    let endorsed =
        Receipt { service_endorsements: endorsements.into_iter().map(|one| one.pem).collect(), ..old };
    assert!(endorsed.verify(&service(copy.path())).is_ok());
}

#[test]
fn what_was_not_signed_is_set_aside_and_private_maps_without_secrets_stay_closed() {
    let first = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(first.path(), settings(Profile::Dual)).unwrap();
    fill(&ledger, "first");
    let signed = ledger.sign().unwrap();
    ledger.append(&record("unsigned", "entry")).unwrap();
    // As after a kill: nothing was closed.
    let copy = survivor(first.path());
    let home = Home::open(copy.path()).unwrap();
    let (ledger, recovery) = Ledger::recover_in(&home, settings(Profile::Dual)).unwrap();
    assert_eq!(
        (recovery.kept_until, recovery.unsigned_entries, recovery.private_readable),
        (signed, 1, false)
    );
    ledger.append(&record("after", "recovery")).unwrap();
    ledger.close().unwrap();
    let aside = fs::read(copy.path().join(format!("unsigned/ledger_{}", signed.seqno + 1))).unwrap();
    assert!(aside.windows(8).any(|part| part == b"unsigned"));
    assert_eq!(verify(&copy.path().join("ledger")).verdict, Verdict::Verified);
    let maps = Maps::open(&home).unwrap();
    assert_eq!(maps.get("public:app.records", b"unsigned").unwrap(), None);
    assert_eq!(maps.get("private", b"first-1").unwrap(), None);
    assert_eq!(maps.get("public:app.records", b"first-1").unwrap().unwrap().value.unwrap(), b"first");
}

#[test]
fn a_damaged_ledger_is_not_recovered() {
    let first = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(first.path(), settings(Profile::Dual)).unwrap();
    fill(&ledger, "first");
    ledger.close().unwrap();
    let copy = survivor(first.path());
    let path = common::chunks(&copy.path().join("ledger"))[0].1.clone();
    let mut bytes = fs::read(&path).unwrap();
    bytes[20] ^= 1;
    fs::write(&path, bytes).unwrap();
    let error = Ledger::recover_in(&Home::open(copy.path()).unwrap(), settings(Profile::Dual)).unwrap_err();
    assert!(matches!(error, LedgerError::Unverified { .. }), "{error}");
    assert!(error.to_string().contains("seqno"), "{error}");
}

#[test]
fn a_forged_endorsement_is_noticed() {
    // A ledger that claims to continue another one: the first chunks of one service, the recovery of another.
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for home in [&one, &two] {
        let ledger = Ledger::init(home.path(), settings(Profile::Dual)).unwrap();
        fill(&ledger, "same");
        ledger.close().unwrap();
    }
    let copy = survivor(one.path());
    drop(Ledger::recover_in(&Home::open(copy.path()).unwrap(), settings(Profile::Dual)).unwrap());
    let recovered = common::chunks(&copy.path().join("ledger"));
    let originals = common::chunks(&two.path().join("ledger"));
    assert_eq!(recovered[0].0.start, originals[0].0.start);
    fs::copy(&originals[0].1, &recovered[0].1).unwrap();
    let report = verify(&copy.path().join("ledger"));
    assert_eq!(report.verdict, Verdict::Damaged);
    assert!(report.verified_until.is_none_or(|until| until.seqno <= originals[0].0.end.unwrap_or(u64::MAX)));
}

#[test]
fn node_keys_and_ledger_secrets_rotate_and_everything_stays_readable() {
    for curve in [Curve::P384, Curve::P256] {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::open(folder.path()).unwrap();
        let ledger = Ledger::init(folder.path(), settings(Profile::Dual)).unwrap();
        fill(&ledger, "first");
        ledger.rotate_node_key(&home, curve).unwrap();
        fill(&ledger, "second");
        ledger.rotate_ledger_secret(&home).unwrap();
        fill(&ledger, "third");
        ledger.close().unwrap();
        drop(ledger);
        let ledger = Ledger::open(folder.path(), settings(Profile::Dual)).unwrap();
        fill(&ledger, "fourth");
        ledger.close().unwrap();
        let secrets = common::secrets(folder.path());
        assert_eq!(secrets.iter().count(), 2);
        let report = Verifier::new().secrets(secrets).verify(&open(&folder.path().join("ledger"))).unwrap();
        assert_eq!(report.problems, []);
        assert!(python::validate(&folder.path().join("ledger")).is_ok());
        let maps = Maps::open(&home).unwrap();
        for name in ["first", "second", "third", "fourth"] {
            let version = maps.get("private", format!("{name}-2").as_bytes()).unwrap().unwrap();
            assert_eq!(version.value.unwrap(), name.as_bytes());
        }
        // The old secret does not open what the new one closed.
        let mut old = Secrets::none();
        let all = common::secrets(folder.path());
        let bytes = *all.iter().next().unwrap().1.bytes();
        old.insert(1, ledger_chain::crypto::LedgerSecret::new(bytes).unwrap());
        let report = Verifier::new().secrets(old).verify(&open(&folder.path().join("ledger"))).unwrap();
        assert_eq!(report.problems[0].check, Check::Tag);
    }
}

#[test]
fn a_removed_write_stays_removed_after_recovery() {
    let first = tempfile::tempdir().unwrap();
    let ledger = Ledger::init(first.path(), settings(Profile::Dual)).unwrap();
    fill(&ledger, "first");
    let mut writes = WriteSet::new();
    writes.remove("public:app.records", "first-0");
    ledger.append(&writes).unwrap();
    ledger.close().unwrap();
    let copy = survivor(first.path());
    let home = Home::open(copy.path()).unwrap();
    drop(Ledger::recover_in(&home, settings(Profile::Dual)).unwrap());
    assert_eq!(
        Maps::open(&home).unwrap().get("public:app.records", b"first-0").unwrap().unwrap().value,
        None
    );
}

#[test]
fn a_rotation_that_fails_stops_the_ledger_and_it_opens_again() {
    let folder = tempfile::tempdir().unwrap();
    let home = Home::open(folder.path()).unwrap();
    let ledger = Ledger::init(folder.path(), settings(Profile::Dual)).unwrap();
    ledger.append(&record("before", "rotation")).unwrap();
    // Where the keys belong there is nothing any more.
    fs::rename(folder.path().join("keys"), folder.path().join("away")).unwrap();
    assert!(matches!(ledger.rotate_node_key(&home, Curve::P384), Err(LedgerError::Poisoned(_))));
    fs::rename(folder.path().join("away"), folder.path().join("keys")).unwrap();
    assert!(ledger.append(&record("after", "failure")).is_err());
    assert!(ledger.close().is_err());
    drop(ledger);
    let ledger = Ledger::open(folder.path(), settings(Profile::Dual)).unwrap();
    ledger.rotate_node_key(&home, Curve::P384).unwrap();
    ledger.append(&record("after", "reopening")).unwrap();
    ledger.close().unwrap();
    assert_eq!(verify(&folder.path().join("ledger")).verdict, Verdict::Verified);
}
