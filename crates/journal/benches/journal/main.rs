//! `cargo xtask bench journal`: what the journal reaches on generated ledgers, beside a calibration of the same run.
//!
//! The ledgers come from `gen_ledger_jsonl.py` beside this file and are kept in `target/bench-journal`. Cases: rebuild,
//! incremental, append, index, original, lock. `LEDGER_BENCH_BYTES` changes the size of the large ledger (1.5G).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a measuring program")]
#![allow(missing_docs, clippy::cast_precision_loss, clippy::panic, reason = "a measuring program")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use relayburn_ledger::line::Kind;
use relayburn_ledger::lock::Locks;
use relayburn_ledger::record::RawRecord;
use relayburn_ledger::{Archive, Home, Ledger, Query, reader};

mod bare;
#[path = "../../../cli/benches/common/report.rs"]
mod report;
use report::Report;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == "child") {
        return child(&arguments[1], Path::new(&arguments[2]));
    }
    let only = arguments.iter().find(|argument| !argument.starts_with('-')).cloned().unwrap_or_default();
    let mut report = Report::new("journal");
    type Case = (&'static str, fn(&mut Report));
    let cases: [Case; 6] = [
        ("rebuild", rebuild),
        ("incremental", incremental),
        ("append", append),
        ("index", index),
        ("original", original),
        ("lock", lock),
    ];
    for (name, case) in cases {
        if only.is_empty() || only == name {
            eprintln!("… {name}");
            case(&mut report);
        }
    }
    report.write();
}

fn large() -> String {
    std::env::var("LEDGER_BENCH_BYTES").unwrap_or_else(|_| "1.5G".to_owned())
}

fn folder() -> PathBuf {
    let target = std::env::var("CARGO_TARGET_DIR")
        .unwrap_or_else(|_| format!("{}/../../target", env!("CARGO_MANIFEST_DIR")));
    Path::new(&target).join("bench-journal")
}

/// A home with a ledger of that size.
fn home(size: &str) -> PathBuf {
    let home = folder().join(size);
    let ledger = home.join("ledger.jsonl");
    if !ledger.exists() {
        fs::create_dir_all(&home).unwrap();
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/journal/gen_ledger_jsonl.py");
        let part = home.join("part");
        let status = Command::new("python3")
            .arg(script)
            .args(["--bytes", size, "--seed", "7", "--out"])
            .arg(&part)
            .arg("--summary")
            .arg(home.join("counts.json"))
            .status()
            .unwrap();
        assert!(status.success());
        fs::rename(part, ledger).unwrap();
    }
    home
}

fn archive(home: &Path) -> Archive {
    Archive::with_storage(Home::at(home), None).unwrap()
}

/// A home whose archive is up to date.
fn built(size: &str) -> PathBuf {
    let home = home(size);
    archive(&home).build(&mut |_, _| {}).unwrap();
    home
}

/// What a fresh process of this program said: seconds of its work, and its peak memory in MB.
fn run_child(what: &str, home: &Path) -> (f64, f64) {
    let output =
        Command::new(std::env::current_exe().unwrap()).args(["child", what]).arg(home).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut numbers = text.split_whitespace().map(|number| number.parse::<f64>().unwrap());
    (numbers.next().unwrap(), numbers.next().unwrap())
}

fn child(what: &str, home: &Path) {
    let started = Instant::now();
    match what {
        "rebuild" => drop(archive(home).rebuild(&mut |_, _| {}).unwrap()),
        "append" => {
            let id = format!("bench-{:?}", std::time::SystemTime::now());
            let json = format!(
                r#"{{"v":1,"source":"codex","sessionId":"bench","messageId":"{id}","turnIndex":0,"ts":"{id}","model":"m","usage":{{"input":1,"output":2,"reasoning":0,"cacheRead":0,"cacheCreate5m":0,"cacheCreate1h":0}},"toolCalls":[]}}"#
            );
            let record = RawRecord::new(Kind::Turn, &json).unwrap();
            assert_eq!(Ledger::new(Home::at(home)).append(&[record]).unwrap(), 1);
        }
        "contend" => {
            let locks = Locks::at(home).unwrap();
            std::thread::scope(|scope| {
                for _ in 0..8 {
                    scope.spawn(|| (0..LOCK_ROUNDS).for_each(|_| section(&locks, home)));
                }
            });
        }
        other => panic!("no such child: {other}"),
    }
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: f64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    println!("{} {}", started.elapsed().as_secs_f64(), peak / 1024.0);
}

fn rebuild(report: &mut Report) {
    let size = large();
    let (small_home, middle_home, large_home) = (home("50M"), home("200M"), home(&size));
    restore(&large_home);
    let (small, _) = run_child("rebuild", &small_home);
    let (_, middle_peak) = run_child("rebuild", &middle_home);
    let (seconds, peak) = run_child("rebuild", &large_home);
    check_counts(&large_home);
    let read = bare::read_and_split(&large_home.join("ledger.jsonl"));
    let load = bare::load(&large_home.join("archive.sqlite"), &large_home.join("bare.sqlite"));
    report.at_most(&format!("full rebuild, {size}: seconds"), seconds, 25.0);
    report.fact("calibration: reading the file and splitting it into lines: seconds", read);
    report.fact("calibration: bare rusqlite load of the same rows and indexes: seconds", load);
    report.at_most("rebuild ÷ calibration", seconds / (read + load), 1.3);
    report.at_most(&format!("peak memory of the rebuild, {size}: MB"), peak, 256.0);
    report.fact("peak memory of the rebuild, 200M: MB", middle_peak);
    report.at_most(&format!("growth: time at {size} ÷ time at 50M"), seconds / small, 36.0);
}

/// Cuts off what other cases have appended in an earlier run.
fn restore(home: &Path) {
    let bytes = counts(home)["bytes"].as_u64().unwrap();
    fs::File::options().write(true).open(home.join("ledger.jsonl")).unwrap().set_len(bytes).unwrap();
    let _ = fs::remove_file(home.join("ledger.idx"));
    let _ = fs::remove_file(home.join("ledger.content.idx"));
}

fn counts(home: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(home.join("counts.json")).unwrap()).unwrap()
}

/// The rows that the generator says there must be.
fn check_counts(home: &Path) {
    let counts: serde_json::Value =
        serde_json::from_slice(&fs::read(home.join("counts.json")).unwrap()).unwrap();
    let rows = archive(home).status().unwrap().rows;
    let found = [rows.sessions, rows.turns, rows.tool_calls, rows.tool_result_events, rows.compactions];
    let names = ["sessions", "turns", "toolCalls", "toolResultEvents", "compactions"];
    for (name, found) in names.iter().zip(found) {
        assert_eq!(Some(found), counts[name].as_u64(), "{name}");
    }
}

fn millis(work: impl FnOnce()) -> f64 {
    let started = Instant::now();
    work();
    started.elapsed().as_secs_f64() * 1000.0
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn incremental(report: &mut Report) {
    let home = built(&large());
    let line = "{\"v\":1,\"kind\":\"turn\",\"record\":{\"source\":\"codex\",\"sessionId\":\"bench\",\"messageId\":\"#\",\"turnIndex\":0,\"ts\":\"2026-04-20T00:00:00.000Z\",\"model\":\"m\",\"usage\":{\"input\":1,\"output\":2,\"reasoning\":0,\"cacheRead\":0,\"cacheCreate5m\":0,\"cacheCreate1h\":0},\"toolCalls\":[]}}\n";
    let (mut one, mut none) = (Vec::new(), Vec::new());
    for round in 0..15 {
        let mut file = fs::File::options().append(true).open(home.join("ledger.jsonl")).unwrap();
        std::io::Write::write_all(&mut file, line.replace('#', &format!("b{round}")).as_bytes()).unwrap();
        drop(file);
        one.push(millis(|| assert_eq!(archive(&home).build(&mut |_, _| {}).unwrap().turns_applied, 1)));
        none.push(millis(|| assert_eq!(archive(&home).build(&mut |_, _| {}).unwrap().turns_applied, 0)));
    }
    report.at_most("incremental build after one line, median: ms", median(one), 20.0);
    report.at_most("build with nothing new, median: ms", median(none), 5.0);
}

fn append(report: &mut Report) {
    let home = home(&large());
    if !home.join("ledger.idx").exists() {
        Ledger::new(Home::at(&home)).rebuild_index().unwrap();
    }
    let ids = fs::metadata(home.join("ledger.idx")).unwrap().len() / 17;
    let runs: Vec<(f64, f64)> = (0..9).map(|_| run_child("append", &home)).collect();
    report.fact("ids that the home knows", ids as f64);
    report.at_most(
        "append of a turn by a fresh process, median: ms",
        median(runs.iter().map(|run| run.0 * 1000.0).collect()),
        30.0,
    );
    report.at_most("its peak memory: MB", median(runs.iter().map(|run| run.1).collect()), 32.0);
    let sync = (0..9).map(|round| {
        let path = home.join("sync");
        let file = fs::File::create(&path).unwrap();
        file.set_len(round + 1).unwrap();
        millis(|| file.sync_data().unwrap())
    });
    report.fact("calibration: a sync of a small file, median: ms", median(sync.collect()));
}

fn index(report: &mut Report) {
    let home = built(&large());
    let rebuilt = millis(|| assert!(Ledger::new(Home::at(&home)).rebuild_index().unwrap().ids > 0)) / 1000.0;
    report.at_most("index rebuild: seconds", rebuilt, 3.0);
    report.fact(
        "calibration: reading the file and splitting it into lines: seconds",
        bare::read_and_split(&home.join("ledger.jsonl")),
    );
    let status = (0..5).map(|_| {
        millis(|| {
            let mut burn = Command::new(env!("CARGO_BIN_EXE_burn"));
            let done =
                burn.args(["state", "status", "--json"]).env("RELAYBURN_HOME", &home).output().unwrap();
            assert!(done.status.success());
        }) / 1000.0
    });
    report.at_most("status, median: seconds", median(status.collect()), 0.1);
}

fn original(report: &mut Report) {
    let home = built(&large());
    let other = folder().join("original");
    let _ = fs::remove_dir_all(&other);
    fs::create_dir_all(&other).unwrap();
    archive(&home).vacuum().unwrap();
    fs::copy(home.join("archive.sqlite"), other.join("archive.sqlite")).unwrap();
    // As the original leaves it: without the column that is ours.
    let db = rusqlite::Connection::open(other.join("archive.sqlite")).unwrap();
    db.execute_batch("ALTER TABLE archive_state DROP COLUMN journal_state").unwrap();
    let session: String = db
        .query_row("SELECT session_id FROM sessions WHERE turn_count < 200 LIMIT 1 OFFSET 500", [], |row| {
            row.get(0)
        })
        .unwrap();
    drop(db);
    let query = Query { session_id: Some(session), ..Query::default() };
    let times = (0..9).map(|_| millis(|| assert!(!archive(&other).turns(&query).unwrap().is_empty())));
    report.at_most(
        "the original's archive: opening and a query of one session, median: ms",
        median(times.collect()),
        50.0,
    );
    let walk = millis(|| drop(reader::turns(&Home::at(&home), &query).unwrap())) / 1000.0;
    report.fact("the same question as a walk of the ledger: seconds", walk);
    fs::remove_dir_all(other).unwrap();
}

const LOCK_ROUNDS: usize = 25;

fn section(locks: &Locks, home: &Path) {
    let _guard = locks.acquire("contend").unwrap();
    let marker = home.join("inside");
    fs::File::options().write(true).create_new(true).open(&marker).expect("two holders");
    std::thread::sleep(Duration::from_millis(5));
    fs::remove_file(marker).unwrap();
}

fn lock(report: &mut Report) {
    let home = folder().join("lock");
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).unwrap();
    let started = Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..8 {
            // A task that misses its turn, or meets another one, fails its process.
            scope.spawn(|| run_child("contend", &home));
        }
    });
    let sections = (64 * LOCK_ROUNDS) as f64;
    let ours = sections / started.elapsed().as_secs_f64();
    let alone = millis(|| (0..200).for_each(|_| std::thread::sleep(Duration::from_millis(5)))) / 200.0;
    report.rate("64 contenders, 5 ms each: sections", ours, "nothing but the pauses", 1000.0 / alone, 0.7);
}
