//! Verification that goes on where an earlier one ended.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "a test fails by panicking"
)]

mod common;

use std::{fs, path::Path};

use common::{REAL, chunks, fixture, open, record, verify};
use ledger_chain::{
    verify::{Check, Checkpoint, Report, Verdict, Verifier},
    writer::{Home, Ledger, Profile, Settings},
};

/// A copy of the first `count` chunks.
fn copy(folder: &Path, count: usize) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for (name, path) in chunks(folder).into_iter().take(count) {
        fs::copy(path, copy.path().join(name.to_string())).unwrap();
    }
    copy
}

fn checkpoint(folder: &Path) -> Checkpoint {
    let (report, checkpoint) = Verifier::new().verify_to_checkpoint(&open(folder)).unwrap();
    assert_eq!(report.problems, []);
    let checkpoint = checkpoint.unwrap();
    assert_eq!(Some(checkpoint.at()), report.verified_until);
    // As it comes back from a file.
    Checkpoint::from_json(checkpoint.to_json().as_bytes()).unwrap()
}

fn resume(folder: &Path, checkpoint: &Checkpoint) -> Report {
    Verifier::new().checkpoint(checkpoint.clone()).verify(&open(folder)).unwrap()
}

/// Chunks of several services and recoveries.
fn write() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let settings =
        Settings { profile: Profile::Dual, sign_every_entries: 4, chunk_bytes: 6_000, ..common::settings() };
    let home = Home::open(folder.path()).unwrap();
    let fill =
        |ledger: &Ledger| (0..15).for_each(|at| _ = ledger.append(&record(&at.to_string(), "v")).unwrap());
    let ledger = Ledger::init(folder.path(), settings.clone()).unwrap();
    fill(&ledger);
    ledger.rotate_node_key(&home, ledger_chain::crypto::Curve::P256).unwrap();
    fill(&ledger);
    ledger.close().unwrap();
    drop(ledger);
    for file in ["service_key.pem", "node_key.pem"] {
        fs::remove_file(folder.path().join("keys").join(file)).unwrap();
    }
    let (ledger, _) = Ledger::recover_in(&home, settings).unwrap();
    fill(&ledger);
    ledger.close().unwrap();
    folder
}

#[test]
fn going_on_from_any_chunk_gives_the_verdict_of_the_whole_even_without_what_is_before() {
    let ours = write();
    let ledgers = REAL
        .iter()
        .map(|name| fixture(&format!("{name}/ledger")))
        .chain([fixture("valid/ledger"), ours.path().join("ledger")]);
    for folder in ledgers {
        let whole = verify(&folder);
        let all = chunks(&folder);
        for count in (1..all.len()).step_by(1 + all.len() / 8) {
            let start = checkpoint(copy(&folder, count).path());
            let report = resume(&folder, &start);
            assert_eq!(report.problems, [], "{} after {count} chunks", folder.display());
            assert_eq!((report.verdict, report.verified_until), (whole.verdict, whole.verified_until));
            assert_eq!((&report.service, report.unsigned_tail), (&whole.service, whole.unsigned_tail));
            assert_eq!(report.resumed_at, Some(start.at()));
            assert!(report.entries < whole.entries);
            let rest = copy(&folder, all.len());
            for (name, _) in &all[..count - 1] {
                fs::remove_file(rest.path().join(name.to_string())).unwrap();
            }
            let bare = resume(rest.path(), &start);
            assert_eq!((bare.verdict, bare.entries), (report.verdict, report.entries));
        }
    }
}

#[test]
fn a_ledger_that_did_not_grow_still_has_to_hold_the_signature_of_the_checkpoint() {
    let folder = write();
    let ledger = folder.path().join("ledger");
    let start = checkpoint(&ledger);
    let report = resume(&ledger, &start);
    assert_eq!((report.verdict, report.verified_until), (Verdict::Verified, Some(start.at())));
    // A ledger that was cut back, and one that is another.
    let short = copy(&ledger, 2);
    let report = resume(short.path(), &start);
    assert_eq!((report.verdict, report.problems[0].check), (Verdict::Damaged, Check::Expected));
    assert_eq!(resume(&fixture("valid/ledger"), &start).verdict, Verdict::Damaged);
    assert_eq!(resume(tempfile::tempdir().unwrap().path(), &start).verdict, Verdict::Damaged);
    let other = write();
    let report = resume(&other.path().join("ledger"), &start);
    assert_eq!(report.verdict, Verdict::Damaged, "{:?}", report.problems);
    assert_eq!(report.verified_until, None);
}

#[test]
fn what_is_changed_behind_a_checkpoint_is_noticed_and_what_is_before_is_not_looked_at() {
    let ours = write();
    let folder = copy(&ours.path().join("ledger"), 100);
    let all = chunks(folder.path());
    let start = checkpoint(copy(folder.path(), all.len() - 2).path());
    let spoil = |path: &Path| {
        let mut bytes = fs::read(path).unwrap();
        bytes[20] ^= 1;
        fs::write(path, bytes).unwrap();
    };
    spoil(&all[0].1);
    assert_eq!(verify(folder.path()).verdict, Verdict::Damaged);
    assert_eq!(resume(folder.path(), &start).verdict, Verdict::Verified);
    spoil(&all[all.len() - 2].1);
    let report = resume(folder.path(), &start);
    assert_eq!(report.verdict, Verdict::Damaged);
    let changed = format!("entry {} ", all[all.len() - 2].0.start);
    assert!(report.problems[0].reason.contains(&changed), "{:?}", report.problems);
    let (_, none) = Verifier::new().checkpoint(start).verify_to_checkpoint(&open(folder.path())).unwrap();
    assert!(none.is_none(), "a damaged ledger gives no checkpoint");
}

#[test]
fn a_checkpoint_with_any_byte_changed_is_refused() {
    let text = checkpoint(&fixture("valid/ledger")).to_json().into_bytes();
    for at in 0..text.len() {
        let mut changed = text.clone();
        changed[at] ^= 1 << (at % 7);
        let read = Checkpoint::from_json(&changed);
        // Only the line end behind it says nothing.
        assert!(read.is_err() || at == text.len() - 1, "byte {at}");
    }
    for end in 0..text.len() - 1 {
        assert!(Checkpoint::from_json(&text[..end]).is_err(), "cut at {end}");
    }
}

#[test]
fn a_checkpoint_with_other_nodes_does_not_make_their_signatures_hold() {
    // The checksum is no protection against somebody who writes it again; the signature of the checkpoint still must hold.
    let (one, two) = (write(), write());
    let mine = checkpoint(&one.path().join("ledger")).to_json();
    let theirs = checkpoint(&two.path().join("ledger")).to_json();
    let peaks = |text: &str| {
        let (from, to) = (text.find("\"peaks\"").unwrap(), text.find("\"nodes\"").unwrap());
        text.get(from..to).unwrap().to_owned()
    };
    let mixed = theirs.replace(&peaks(&theirs), &peaks(&mine));
    let body = mixed.split(",\"sha256\"").next().unwrap();
    use sha2::Digest as _;
    let text = format!("{body},\"sha256\":\"{}\"}}", hex::encode(sha2::Sha256::digest(body.as_bytes())));
    let mixed = Checkpoint::from_json(text.as_bytes()).unwrap();
    let report = resume(&one.path().join("ledger"), &mixed);
    assert_eq!((report.verdict, report.verified_until), (Verdict::Damaged, None), "{:?}", report.problems);
}
