//! Real processes: locks between them, paused and killed holders, kills in append, rebuild and vacuum.
//!
//! The program starts itself as its own helper: `processes child <what> <home> …`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(clippy::cast_precision_loss, reason = "a test")]

#[path = "../common/mod.rs"]
mod common;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use common::TestHome;
use relayburn_ledger::lock::{LockError, LockOptions, Locks};
use relayburn_ledger::record::RawRecord;
use relayburn_ledger::{Archive, Home, Ledger, line::Kind};
use rustix::process::{Pid, Signal, kill_process};

const TESTS: [(&str, fn()); 6] = [
    ("contenders_of_many_processes_never_overlap_and_none_misses_its_turn", contenders),
    ("the_lock_of_a_killed_holder_is_taken_over", killed_holder),
    ("a_paused_holder_keeps_its_lock", paused_holder),
    ("acknowledged_records_survive_kills_in_append_and_none_is_doubled", kills_in_append),
    ("a_kill_in_a_rebuild_leaves_a_whole_archive", kills_in_rebuild),
    ("a_kill_in_a_vacuum_leaves_a_whole_archive", kills_in_vacuum),
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "child") {
        child(&arguments[1], Path::new(&arguments[2]), arguments.get(3).map_or("", String::as_str));
        return ExitCode::SUCCESS;
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    if arguments.iter().any(|argument| argument == "--list") {
        TESTS.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    for (name, test) in TESTS {
        if filter.is_none_or(|filter| name.contains(filter.as_str())) {
            let started = Instant::now();
            test();
            println!("test {name} ... ok ({:.1} s)", started.elapsed().as_secs_f64());
        }
    }
    ExitCode::SUCCESS
}

fn start(what: &str, home: &TestHome, more: &str) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["child", what])
        .arg(home.folder.path())
        .arg(more)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Waits for a line of the helper.
fn wait_for(child: &mut Child, wanted: &str) {
    let mut reader = BufReader::new(child.stdout.as_mut().unwrap());
    let mut line = String::new();
    while reader.read_line(&mut line).unwrap() > 0 {
        if line.trim() == wanted {
            return;
        }
        line.clear();
    }
    panic!("the helper ended without saying {wanted}");
}

fn signal(child: &Child, signal: Signal) {
    kill_process(Pid::from_child(child), signal).unwrap();
}

fn kill(mut child: Child) {
    signal(&child, Signal::KILL);
    child.wait().unwrap();
}

fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").and_then(|()| out.flush()).unwrap();
}

fn child(what: &str, home: &Path, more: &str) {
    let locks = Locks::at(home).unwrap();
    let archive = Archive::with_storage(Home::at(home), None).unwrap();
    match what {
        "contend" => {
            let rounds: usize = more.parse().unwrap();
            thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| (0..rounds).for_each(|_| section(&locks, home)));
                }
            });
        }
        "hold" => {
            let guard = locks.acquire("x").unwrap();
            say("held");
            while !home.join("stop").exists() {
                thread::sleep(Duration::from_millis(10));
            }
            guard.check().unwrap();
            drop(guard);
            say("released");
        }
        "append" => {
            let ledger = Ledger::new(Home::at(home));
            for number in 0.. {
                let id = format!("{more}-{number}");
                assert_eq!(ledger.append(&[record(&id, number)]).unwrap(), 1);
                say(&id);
            }
        }
        "rebuild" => loop {
            archive.rebuild(&mut |_, _| {}).unwrap();
            say("built");
        },
        "vacuum" => loop {
            archive.vacuum().unwrap();
            say("vacuumed");
        },
        other => panic!("no such helper: {other}"),
    }
}

fn record(id: &str, number: u32) -> RawRecord {
    let json = format!(
        r#"{{"source":"x","sessionId":"s","messageId":"{id}","turnIndex":{number},"ts":"{id}","model":"m","usage":{{"input":{number},"output":0,"reasoning":0,"cacheRead":0,"cacheCreate5m":0,"cacheCreate1h":0}},"toolCalls":[],"project":"{}"}}"#,
        "p".repeat(3000)
    );
    RawRecord::new(Kind::Turn, &json).unwrap()
}

/// Fails when somebody else is inside.
fn section(locks: &Locks, home: &Path) {
    let _guard = locks.acquire("contend").unwrap();
    let marker = home.join("inside");
    fs::File::options().write(true).create_new(true).open(&marker).expect("two holders");
    thread::sleep(Duration::from_millis(5));
    fs::remove_file(marker).unwrap();
    fs::File::options().append(true).create(true).open(home.join("count")).unwrap().write_all(b".").unwrap();
}

fn contenders() {
    let rounds: usize = std::env::var("LEDGER_LOCK_ROUNDS").map_or(10, |rounds| rounds.parse().unwrap());
    let home = TestHome::new();
    let started = Instant::now();
    let children: Vec<Child> = (0..8).map(|_| start("contend", &home, &rounds.to_string())).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success(), "a task missed its turn or met another one");
    }
    let sections = home.read("count").len();
    assert_eq!(sections, 64 * rounds);
    let ideal = 0.005 * sections as f64;
    println!(
        "  {sections} sections of 5 ms: {:.2} of the ideal throughput",
        ideal / started.elapsed().as_secs_f64()
    );
}

fn killed_holder() {
    let home = TestHome::new();
    let mut holder = start("hold", &home, "");
    wait_for(&mut holder, "held");
    kill(holder);
    assert!(home.path("x.lock").exists());
    let started = Instant::now();
    drop(Locks::at(home.folder.path()).unwrap().acquire("x").unwrap());
    let waited = started.elapsed();
    assert!(waited > Duration::from_secs(2) && waited < Duration::from_secs(9), "{waited:?}");
}

fn paused_holder() {
    let pause = Duration::from_secs(10);
    let home = TestHome::new();
    let mut holder = start("hold", &home, "");
    wait_for(&mut holder, "held");
    signal(&holder, Signal::STOP);
    let locks = Locks::at(home.folder.path()).unwrap();
    let patient = LockOptions { slow_attempts: 34, ..LockOptions::default() };
    let started = Instant::now();
    let error = locks.clone().options(patient).acquire("x").unwrap_err();
    assert!(matches!(error, LockError::Timeout { .. }), "{error}");
    thread::sleep(pause.saturating_sub(started.elapsed()));
    home.write("stop", "");
    signal(&holder, Signal::CONT);
    wait_for(&mut holder, "released");
    assert!(holder.wait().unwrap().success(), "it still held its lock");
    drop(locks.acquire("x").unwrap());
}

fn kills_in_append() {
    let home = TestHome::new();
    let mut acknowledged: Vec<String> = Vec::new();
    for round in 0..6_u64 {
        let mut child = start("append", &home, &format!("r{round}"));
        let reader = BufReader::new(child.stdout.take().unwrap());
        let lines = thread::spawn(move || reader.lines().map_while(Result::ok).collect::<Vec<String>>());
        thread::sleep(Duration::from_millis(150 + round * 37));
        kill(child);
        acknowledged.extend(lines.join().unwrap());
        // Its lock is an orphan now; waiting for it to age is another test's subject.
        let _ = fs::remove_file(home.path("ledger.lock"));
        let _ = fs::remove_file(home.path("ledger-index.lock"));
    }
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    // What was in the ledger but not acknowledged must be known too.
    let ledger = Ledger::new(Home::at(home.folder.path()));
    let records: Vec<RawRecord> = acknowledged.iter().map(|id| record(id, 0)).collect();
    assert_eq!(ledger.append(&records).unwrap(), 0);
    let mut found: Vec<String> = Vec::new();
    relayburn_ledger::reader::walk(&home.home, &mut |_, line| {
        let record = line.get("record").unwrap().as_object().unwrap();
        found.push(record.get("messageId").unwrap().as_str().unwrap().decode().into_owned());
    })
    .unwrap();
    let mut distinct = found.clone();
    distinct.sort();
    distinct.dedup();
    assert_eq!(distinct.len(), found.len(), "a record is there twice");
    assert!(
        acknowledged.iter().all(|id| distinct.binary_search(id).is_ok()),
        "an acknowledged record is gone"
    );
    assert_eq!(home.build().turns_applied, found.len() as u64);
}

fn assert_whole(home: &TestHome) {
    let db = rusqlite::Connection::open(home.path("archive.sqlite")).unwrap();
    let check: String = db.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    let turns: i64 = db.query_row("SELECT count(*) FROM turns", [], |row| row.get(0)).unwrap();
    assert_eq!(turns, 78);
}

fn kills(what: &str, said: &str) {
    let home = TestHome::with(&["ledger.jsonl"]);
    home.build();
    for round in 0..12_u64 {
        let mut child = start(what, &home, "");
        wait_for(&mut child, said);
        thread::sleep(Duration::from_millis(round * 11));
        kill(child);
        assert_whole(&home);
        let _ = fs::remove_file(home.path("archive.lock"));
        assert_eq!(home.build().turns_applied, 0);
    }
    home.rebuild();
    assert_whole(&home);
    let names: Vec<_> =
        fs::read_dir(home.folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.iter().all(|name| !name.to_string_lossy().contains(".tmp")), "{names:?}");
}

fn kills_in_rebuild() {
    kills("rebuild", "built");
}

fn kills_in_vacuum() {
    kills("vacuum", "vacuumed");
}
