//! The verifier against good and bad ledgers.
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

use common::{REAL, fixture, open, verify};
use ledger_chain::{
    crypto::{Certificate, LedgerSecret},
    verify::{Check, Secrets, Verdict, Verifier},
};

/// A copy that a test may spoil.
fn copy(name: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(fixture(name)).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), folder.path().join(entry.file_name())).unwrap();
    }
    folder
}

fn secrets() -> Secrets {
    let text = fs::read_to_string(fixture("valid/ledger_secret.hex")).unwrap();
    let mut secrets = Secrets::none();
    secrets.insert(1, LedgerSecret::new(hex::decode(text.trim()).unwrap().try_into().unwrap()).unwrap());
    secrets
}

#[test]
fn the_valid_ledger_is_verified_up_to_its_last_signature_and_its_tail_is_named() {
    let report = Verifier::new().secrets(secrets()).verify(&open(&fixture("valid/ledger"))).unwrap();
    assert_eq!(report.problems, []);
    assert_eq!(report.verdict, Verdict::Verified);
    assert_eq!(report.verified_until, Some("5.34".parse().unwrap()));
    assert_eq!(
        (report.chunks, report.entries, report.raw_signatures, report.cose_signatures),
        (5, 35, 11, 11)
    );
    let tail = report.unsigned_tail.unwrap();
    assert_eq!((tail.from.to_string(), tail.to.to_string(), tail.entries), ("5.35".into(), "5.35".into(), 1));
    assert_eq!(report.notes, Vec::<String>::new());
}

#[test]
fn real_ledgers_are_verified() {
    let want = [("2.22", 8, 8), ("2.46", 23, 12), ("10.500", 85, 0)];
    for (ledger, (until, raw, _)) in REAL.iter().zip(want) {
        let report = verify(&fixture(&format!("{ledger}/ledger")));
        assert_eq!(report.problems, [], "{ledger}");
        assert_eq!(report.verdict, Verdict::Verified);
        assert_eq!(report.verified_until.unwrap().to_string(), until);
        assert_eq!(report.raw_signatures, raw);
        let certificate = fs::read(fixture(&format!("{ledger}/common/service_cert.pem"))).unwrap();
        assert_eq!(report.service.unwrap(), Certificate::from_pem(&certificate).unwrap().key().id());
        eprintln!("{ledger} {} {:?}", report.cose_signatures, report.notes);
    }
}

#[test]
fn committed_chunks_alone_are_verified_too() {
    let report = Verifier::new().committed_only(true).verify(&open(&fixture("valid/ledger"))).unwrap();
    assert_eq!((report.verdict, report.entries), (Verdict::Verified, 28));
    assert_eq!(report.verified_until.unwrap().to_string(), "3.28");
}

#[test]
fn a_changed_entry_is_named() {
    let folder = copy("valid/ledger");
    let path = folder.path().join("ledger_3-14.committed");
    let mut bytes = fs::read(&path).unwrap();
    // Inside the tag of entry 3, which nothing but the tree protects.
    bytes[8 + 10] ^= 1;
    fs::write(&path, bytes).unwrap();
    let report = verify(folder.path());
    assert_eq!(report.verdict, Verdict::Damaged);
    let problem = &report.problems[0];
    assert_eq!(problem.check, Check::Leaf);
    assert!(problem.reason.contains("entry 3 "), "{problem}");
    assert_eq!(report.verified_until.unwrap().to_string(), "2.2");
}

#[test]
fn what_is_missing_at_the_end_is_noticed_if_the_end_is_known() {
    let folder = copy("valid/ledger");
    fs::remove_file(folder.path().join("ledger_33")).unwrap();
    assert_eq!(verify(folder.path()).verdict, Verdict::Verified);
    let report = Verifier::new().expect("5.34".parse().unwrap()).verify(&open(folder.path())).unwrap();
    assert_eq!((report.verdict, report.problems[0].check), (Verdict::Damaged, Check::Expected));
}

#[test]
fn missing_and_doubled_chunks_are_named() {
    let folder = copy("valid/ledger");
    fs::rename(folder.path().join("ledger_15-28.committed"), folder.path().join("away")).unwrap();
    let report = verify(folder.path());
    assert_eq!((report.verdict, report.problems[0].check), (Verdict::Damaged, Check::Sequence));
    assert!(report.problems[0].reason.contains("entries 15 to 28 are missing"));
    assert!(report.notes[0].contains("away"));
    assert_eq!(report.verified_until.unwrap().to_string(), "2.14");

    let folder = copy("valid/ledger");
    fs::copy(folder.path().join("ledger_3-14.committed"), folder.path().join("ledger_3-14")).unwrap();
    assert_eq!(verify(folder.path()).problems[0].check, Check::Sequence);
    let folder = copy("valid/ledger");
    fs::remove_file(folder.path().join("ledger_1-2.committed")).unwrap();
    assert!(verify(folder.path()).problems[0].reason.contains("entries 1 to 2 are missing"));
}

#[test]
fn a_renamed_chunk_is_named() {
    for (name, check) in [
        ("ledger_3-13.committed", Check::Positions),
        ("ledger_3-15.committed", Check::Positions),
        ("ledger_4-15.committed", Check::Sequence),
        ("ledger_2-13.committed", Check::Sequence),
        ("ledger_3", Check::Sequence),
        ("ledger_3-14.committed.recovery", Check::Sequence),
        ("ledger_3-14.committed.ignored", Check::Sequence),
        ("ledger_03-14.committed", Check::Sequence),
    ] {
        let folder = copy("valid/ledger");
        fs::rename(folder.path().join("ledger_3-14.committed"), folder.path().join(name)).unwrap();
        let report = verify(folder.path());
        assert_eq!(report.verdict, Verdict::Damaged, "{name}");
        assert!(
            report.problems.iter().any(|problem| problem.check == check),
            "{name}: {:?}",
            report.problems
        );
        assert_eq!(report.verified_until.unwrap().to_string(), "2.2", "{name}");
    }
    // A committed chunk that says it is closed only loses nothing: its entries are the same.
    let folder = copy("valid/ledger");
    let (from, to) = ("ledger_15-28.committed", "ledger_15-28");
    fs::rename(folder.path().join(from), folder.path().join(to)).unwrap();
    assert_eq!(verify(folder.path()).verdict, Verdict::Verified);
}

#[test]
fn chunks_with_swapped_names_and_a_folder_in_place_of_a_chunk_are_named() {
    let folder = copy("valid/ledger");
    let path = |name: &str| folder.path().join(name);
    // The closed one between two others becomes a folder.
    fs::remove_file(path("ledger_29-32")).unwrap();
    fs::create_dir(path("ledger_29-32")).unwrap();
    let report = verify(folder.path());
    assert_eq!((report.verdict, report.problems[0].check), (Verdict::Damaged, Check::Sequence));
    assert!(report.notes[0].contains("ledger_29-32"), "{:?}", report.notes);
    assert_eq!(report.verified_until.unwrap().to_string(), "3.28");

    let folder = copy("real/eol_service/ledger");
    let path = |name: &str| folder.path().join(name);
    // Two chunks of ten entries each.
    let (one, other) = (path("ledger_38-47.committed"), path("ledger_94-103.committed"));
    fs::rename(&one, path("away")).unwrap();
    fs::rename(&other, &one).unwrap();
    fs::rename(path("away"), &other).unwrap();
    let report = verify(folder.path());
    assert_eq!((report.verdict, report.problems[0].check), (Verdict::Damaged, Check::Position));
    assert_eq!(report.problems[0].seqno, Some(38));
}

#[test]
fn strays_are_noted_and_do_no_harm() {
    let folder = copy("valid/ledger");
    fs::write(folder.path().join("README"), "x").unwrap();
    fs::create_dir(folder.path().join("ledger_36")).unwrap();
    fs::write(folder.path().join("ledger_36.ignored"), "x").unwrap();
    let report = verify(folder.path());
    assert_eq!(report.verdict, Verdict::Verified);
    assert!(report.notes[0].contains("README") && report.notes[0].contains("ledger_36"));
    assert!(report.notes[1].contains("ledger_36.ignored"));
}

#[test]
fn a_ledger_without_signatures_is_not_called_verified() {
    let report = verify(&fixture("valid/example"));
    // Closed, and yet it does not end in a signature.
    assert_eq!((report.verdict, report.verified_until), (Verdict::Damaged, None));
    assert_eq!(report.problems[0].check, Check::ChunkEnd);
    let empty = tempfile::tempdir().unwrap();
    assert_eq!(verify(empty.path()).verdict, Verdict::Unsigned);
}

#[test]
fn another_service_and_another_secret_are_refused() {
    let certificate = fs::read(fixture("real/eol_service/common/service_cert.pem")).unwrap();
    let key = Certificate::from_pem(&certificate).unwrap().key().clone();
    let report = Verifier::new().service(key).verify(&open(&fixture("valid/ledger"))).unwrap();
    assert_eq!((report.verdict, report.problems[0].check), (Verdict::Damaged, Check::Service));

    let mut wrong = Secrets::none();
    wrong.insert(1, LedgerSecret::new([1; 32]).unwrap());
    let report = Verifier::new().secrets(wrong).verify(&open(&fixture("valid/ledger"))).unwrap();
    assert_eq!((report.verdict, report.problems[0].check), (Verdict::Damaged, Check::Tag));
    assert_eq!(report.problems[0].seqno, Some(1));
}
