//! Every bit of a small ledger flipped, one at a time, and the ledger cut at every byte.
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

use std::{
    fs,
    os::unix::fs::FileExt as _,
    path::{Path, PathBuf},
};

use common::{chunks, open, record};
use ledger_chain::{
    format::{ChunkHeader, Entry},
    verify::{Check, Report, Verdict, Verifier},
    writer::{Ledger, Profile, Settings},
};

/// Two closed chunks and an open one, 7 entries; ends in a signature.
fn small_ledger() -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    let settings = Settings { profile: Profile::Raw, chunk_bytes: 4_000, ..common::settings() };
    let ledger = Ledger::init(home.path(), settings).unwrap();
    for key in ["a", "b"] {
        let mut writes = record(key, "value");
        writes.put("private", key, "secret");
        ledger.append(&writes).unwrap();
    }
    ledger.sign().unwrap();
    ledger.close().unwrap();
    home
}

fn verify(folder: &Path) -> Report {
    Verifier::new().threads(1).verify(&open(folder)).unwrap()
}

/// Where in a file an entry lies: its sequence number, first and last byte.
fn spans(path: &Path, start: u64) -> Vec<(u64, usize, usize)> {
    let bytes = fs::read(path).unwrap();
    let header = ChunkHeader::parse(bytes[..8].try_into().unwrap(), bytes.len() as u64).unwrap();
    let (mut at, mut seqno, mut spans) = (8, start, Vec::new());
    while at < header.entries_end as usize {
        let (entry, _) = Entry::parse(&bytes[at..header.entries_end as usize]).unwrap();
        spans.push((seqno, at, at + entry.bytes.len()));
        (at, seqno) = (at + entry.bytes.len(), seqno + 1);
    }
    spans
}

/// The report names the entry, or the one behind it where the length of an entry was changed.
fn names(report: &Report, seqno: u64) -> bool {
    let problem = &report.problems[0];
    let at = problem.seqno.unwrap_or_default();
    at == seqno || at == seqno + 1 || problem.reason.contains(&format!("entry {seqno} "))
}

/// Runs the validator in a fresh process per flip, started from one interpreter.
const FLIP: &str = r#"
import os, sys
from ccf.ledger import Ledger, LedgerValidator
folder, flips = sys.argv[1], open(sys.argv[2]).read().split("\n")
for flip in flips:
    if not flip: continue
    path, bit = flip.rsplit(" ", 1)
    bit = int(bit)
    def toggle():
        with open(path, "r+b") as f:
            f.seek(bit // 8); byte = f.read(1)[0]; f.seek(bit // 8); f.write(bytes([byte ^ (1 << bit % 8)]))
    toggle()
    child = os.fork()
    if child == 0:
        os.close(2)
        try:
            validator = LedgerValidator()
            for chunk in Ledger([folder], committed_only=False):
                for transaction in chunk:
                    validator.add_transaction(transaction)
            os._exit(0)
        except BaseException:
            os._exit(1)
    accepted = os.waitpid(child, 0)[1] == 0
    toggle()
    if not accepted: print("rejected", flip)
"#;

/// Flips every bit of one file and gives the number of flips and those that were accepted, all in the entry `last`.
fn flip_all(folder: &Path, path: &Path, start: u64, last: u64) -> (u64, Vec<(PathBuf, usize)>) {
    let file = fs::OpenOptions::new().write(true).open(path).unwrap();
    let (bytes, spans) = (fs::read(path).unwrap(), spans(path, start));
    let (mut flips, mut accepted) = (0, Vec::new());
    for (at, byte) in bytes.iter().enumerate() {
        let entry = spans.iter().find(|(_, from, to)| (*from..*to).contains(&at)).map(|(seqno, ..)| *seqno);
        for bit in 0..8 {
            file.write_at(&[byte ^ (1 << bit)], at as u64).unwrap();
            let report = verify(folder);
            flips += 1;
            // The last signature covers all before it, but not its own bytes.
            if entry == Some(last) {
                if report.verdict == Verdict::Verified {
                    accepted.push((path.to_owned(), at * 8 + bit));
                }
                continue;
            }
            assert_eq!(report.verdict, Verdict::Damaged, "{} byte {at} bit {bit}", path.display());
            if let Some(seqno) = entry {
                assert!(names(&report, seqno), "{seqno}: {:?}", report.problems);
            }
        }
        file.write_at(&[*byte], at as u64).unwrap();
    }
    (flips, accepted)
}

#[test]
fn every_flipped_bit_is_noticed_and_named_or_changes_nothing_that_anybody_relies_on() {
    let home = small_ledger();
    let folder = home.path().join("ledger");
    assert_eq!(verify(&folder).verdict, Verdict::Verified);
    let files = chunks(&folder);
    let last = files.iter().flat_map(|(name, path)| spans(path, name.start)).last().unwrap();
    // Each file in a copy of its own, so that they can be worked on at the same time.
    let found: Vec<_> = std::thread::scope(|scope| {
        let workers: Vec<_> = files
            .iter()
            .map(|(name, _)| {
                let copy = home.path().join(format!("copy-{}", name.start));
                fs::create_dir(&copy).unwrap();
                files
                    .iter()
                    .for_each(|(_, path)| _ = fs::copy(path, copy.join(path.file_name().unwrap())).unwrap());
                scope.spawn(move || flip_all(&copy, &copy.join(name.to_string()), name.start, last.0))
            })
            .collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).collect()
    });
    let flips: u64 = found.iter().map(|(flips, _)| flips).sum();
    assert_eq!(flips, 8 * files.iter().map(|(_, path)| fs::metadata(path).unwrap().len()).sum::<u64>());
    let (file, accepted) = (&files.last().unwrap().1, &found.last().unwrap().1);
    assert_eq!(found.iter().map(|(_, accepted)| accepted.len()).sum::<usize>(), accepted.len());
    eprintln!("{flips} flips, {} accepted, all of them in the last signature", accepted.len());
    // What is accepted: tag, digests and unused fields of the last signature entry, which the next signature will cover.
    assert!(accepted.len() < (last.2 - last.1) * 8 / 2);
    never_more_lenient_than_python(
        file.parent().unwrap(),
        &accepted.iter().map(|(_, bit)| (file.clone(), *bit)).collect::<Vec<_>>(),
    );
}

fn never_more_lenient_than_python(folder: &Path, accepted: &[(PathBuf, usize)]) {
    let list = folder.parent().unwrap().join("flips");
    let lines: Vec<_> = accepted.iter().map(|(path, bit)| format!("{} {bit}", path.display())).collect();
    fs::write(&list, lines.join("\n")).unwrap();
    assert_eq!(python::script(FLIP, &[folder, &list]).unwrap(), "");
}

#[test]
fn a_chunk_cut_at_any_byte_is_noticed_unless_whole_entries_are_missing_at_the_very_end() {
    let home = small_ledger();
    let folder = home.path().join("ledger");
    let until = verify(&folder).verified_until.unwrap();
    for (name, path) in chunks(&folder) {
        let bytes = fs::read(&path).unwrap();
        let ends: Vec<_> = spans(&path, name.start).iter().map(|(.., to)| *to).chain([8]).collect();
        for length in 0..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let report = verify(&folder);
            let at_edge = name.end.is_none() && ends.contains(&length);
            assert_eq!(report.verdict == Verdict::Damaged, !at_edge, "{name} cut to {length}: {report:?}");
            // Who knows how long the ledger is notices that too.
            let report = Verifier::new().threads(1).expect(until).verify(&open(&folder)).unwrap();
            assert_eq!(report.verdict, Verdict::Damaged, "{name} cut to {length}");
            assert!(!at_edge || report.problems[0].check == Check::Expected);
        }
        fs::write(&path, &bytes).unwrap();
    }
}

#[test]
fn zeros_behind_the_last_entry_and_swapped_chunks_are_noticed() {
    let home = small_ledger();
    let folder = home.path().join("ledger");
    let files = chunks(&folder);
    let (_, open_chunk) = files.last().unwrap();
    let bytes = fs::read(open_chunk).unwrap();
    fs::write(open_chunk, [&bytes[..], &[0; 8]].concat()).unwrap();
    assert_eq!(verify(&folder).verdict, Verdict::Damaged);
    fs::write(open_chunk, &bytes).unwrap();
    let (one, two) = (&files[0].1, &files[1].1);
    let (first, second) = (fs::read(one).unwrap(), fs::read(two).unwrap());
    fs::write(one, &second).unwrap();
    fs::write(two, &first).unwrap();
    assert_eq!(verify(&folder).verdict, Verdict::Damaged);
}
