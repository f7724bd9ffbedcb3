//! What the original does wrong by specification §9, as far as no other test shows that it is right here.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod common;

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::{TestHome, turn_line};
use ledger_fs::{Dir, Open, RealDir};
use relayburn_ledger::lock::Locks;
use relayburn_ledger::record::{Number, Turn};
use relayburn_ledger::stamp::{Range, Selector, Stamp};
use relayburn_ledger::{Ledger, Query, cursors, reader};
use rusqlite::Connection;

/// Longer than the command needs when nobody holds it up.
const WHILE: Duration = Duration::from_millis(400);

fn burn(home: &TestHome, args: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_burn"));
    command.args(args).env("RELAYBURN_HOME", home.folder.path()).env_remove("RELAYBURN_STORAGE");
    command.stdout(Stdio::null()).spawn().unwrap()
}

/// Starts a command while a lock is held, does something, and lets the command go on.
fn while_held(home: &TestHome, lock: &str, args: &[&str], meanwhile: impl FnOnce()) {
    let guard = Locks::at(home.folder.path()).unwrap().acquire(lock).unwrap();
    let mut child = burn(home, args);
    std::thread::sleep(WHILE);
    assert!(child.try_wait().unwrap().is_none(), "{args:?} does not wait for {lock}");
    meanwhile();
    drop(guard);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_reset_waits_for_everybody_whose_files_it_removes() {
    for lock in ["archive", "ledger", "ledger-index", "cursors", "content.s"] {
        let home = TestHome::new();
        home.write("ledger.jsonl", turn_line("s", "a", 1));
        std::fs::create_dir(home.path("content")).unwrap();
        home.write("content/s.jsonl", "{}\n");
        while_held(&home, lock, &["state", "reset", "--force"], || {
            assert!(home.path("ledger.jsonl").exists() && home.path("content/s.jsonl").exists());
        });
        assert!(!home.path("ledger.jsonl").exists() && !home.path("content").exists());
    }
}

#[test]
fn an_index_rebuild_keeps_what_others_append_meanwhile() {
    for lock in ["ledger", "ledger-index"] {
        let home = TestHome::new();
        home.write("ledger.jsonl", turn_line("s", "a", 1));
        while_held(&home, lock, &["state", "rebuild", "index"], || {
            // What a writer does that has the lock.
            if lock == "ledger" {
                home.append("ledger.jsonl", turn_line("s", "b", 2));
            }
        });
        let ids = String::from_utf8(home.read("ledger.idx")).unwrap();
        assert_eq!(ids.lines().count(), if lock == "ledger" { 2 } else { 1 });
    }
}

#[test]
fn a_build_waits_for_another_programs_transaction() {
    let home = TestHome::new();
    home.write("ledger.jsonl", turn_line("s", "a", 1));
    home.build();
    home.append("ledger.jsonl", turn_line("s", "b", 2));
    let other = Connection::open(home.path("archive.sqlite")).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let archive = home.archive();
    let building = std::thread::spawn(move || archive.build(&mut |_, _| {}).unwrap().turns_applied);
    std::thread::sleep(WHILE);
    assert!(!building.is_finished());
    other.execute_batch("COMMIT").unwrap();
    assert_eq!(building.join().unwrap(), 1);
}

#[test]
fn status_counts_lines_without_reading_what_the_archive_has() {
    let home = TestHome::new();
    let line = turn_line("s", "a", 1);
    // More than what stands right before the cursor, by which the ledger is recognised.
    home.write("ledger.jsonl", line.repeat(50));
    home.build();
    let mut bytes = home.read("ledger.jsonl");
    bytes[..line.len() - 1].fill(b'#');
    // In place: another file of that name would be another ledger.
    let dir = RealDir::open(home.folder.path()).unwrap();
    dir.open("ledger.jsonl".as_ref(), Open::WRITE).unwrap().write_at(&bytes, 0).unwrap();
    home.append("ledger.jsonl", turn_line("s", "b", 2));
    let command = Command::new(env!("CARGO_BIN_EXE_burn"))
        .args(["state", "status", "--json"])
        .env("RELAYBURN_HOME", home.folder.path())
        .output()
        .unwrap();
    let status: serde_json::Value = serde_json::from_slice(&command.stdout).unwrap();
    assert_eq!(status["classifier"]["turns"], 51);
}

#[test]
fn a_range_of_message_ids_selects_every_turn_in_ledger_and_archive_as_in_the_original() {
    let home = TestHome::new();
    let ledger = Ledger::new(home.home.clone());
    let turn = |message: &str, input: f64| {
        let mut turn = Turn { message_id: message.to_owned(), ..Turn::default() };
        turn.usage.input = Number(input);
        turn
    };
    ledger.append(&[turn("a", 1.0), turn("b", 2.0), turn("c", 3.0)]).unwrap();
    let range = Range { from_message_id: Some("b".to_owned()), ..Range::default() };
    let selector = Selector { range: Some(range), ..Selector::default() };
    ledger.stamp(&Stamp::now(selector, vec![("tier".to_owned(), "best".to_owned())])).unwrap();
    home.build();
    let best = Query { enrichment: vec![("tier".to_owned(), "best".to_owned())], ..Query::default() };
    assert_eq!(reader::turns(&home.home, &best).unwrap().len(), 3);
    assert_eq!(home.archive().turns(&best).unwrap().len(), 3);
}

#[test]
fn high_water_marks_are_replaced_in_one_step() {
    let home = TestHome::new();
    let marks = |text: &str| serde_json::from_str(text).unwrap();
    let (old, new) = (marks(r#"{"a":{"lastMessageId":"m-1"}}"#), marks(r#"{"b":1}"#));
    cursors::save_hwm(&home.home, &old).unwrap();
    let dir = RealDir::open(home.folder.path()).unwrap();
    let reading = dir.open("hwm.json".as_ref(), Open::READ).unwrap();
    cursors::save_hwm(&home.home, &new).unwrap();
    // Who reads meanwhile reads the old ones to their end, and nothing else is left in the home.
    let mut bytes = [0; 100];
    let count = reading.read_at(&mut bytes, 0).unwrap();
    let read: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&bytes[..count]).unwrap();
    assert_eq!(read, old);
    assert_eq!(cursors::load_hwm(&home.home), new);
    assert_eq!(std::fs::read_dir(home.folder.path()).unwrap().count(), 1);
}
