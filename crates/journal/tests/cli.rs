//! The binary `burn` against the recorded output of the original.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test"
)]
#![allow(clippy::cast_precision_loss, reason = "a test")]

mod common;

use std::process::{Command, Output};

use common::{TestHome, fixture_json, stamp_line, turn_line};
use serde_json::Value;

fn burn(home: &TestHome, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_burn"))
        .args(args)
        .env("RELAYBURN_HOME", home.folder.path())
        .env("HOME", home.folder.path().join("nobody"))
        .env_remove("RELAYBURN_STORAGE")
        .env_remove("RELAYBURN_PROGRESS")
        .env_remove("RELAYBURN_PRUNE_FORCE")
        .output()
        .unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Replaces what differs from run to run, as the fixture does; sizes of the archive too, whose pages are ours.
fn normalised(text: &str, home: &TestHome, archive_bytes: u64) -> String {
    let text = text.replace(&home.folder.path().display().to_string(), "${HOME}");
    let mut out = String::new();
    for line in text.lines() {
        let line = match line.split_once(": ") {
            Some((name, value)) if value.ends_with('Z') => format!("{name}: <timestamp>"),
            Some((name, value)) if value.trim_end_matches("\",").ends_with('Z') => {
                format!("{name}: \"<timestamp>\"{}", if value.ends_with(',') { "," } else { "" })
            }
            Some((name, _)) if name.contains("timeMs") => format!("{name}: \"<ms>\","),
            _ => line.to_owned(),
        };
        out += &line;
        out.push('\n');
    }
    out.replace(&format!("\"bytes\": {archive_bytes},"), "\"bytes\": <archive>,")
}

#[test]
fn every_recorded_command_answers_as_the_original() {
    let expected = fixture_json("expected.json");
    let home = TestHome::with(&[
        "ledger.jsonl",
        "ledger.idx",
        "ledger.content.idx",
        "content",
        "archive.sqlite",
        "config.json",
        "cursors.json",
        "hwm.json",
    ]);
    for case in expected["cli"].as_array().unwrap() {
        let args: Vec<&str> =
            case["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap()).collect();
        let line = args.join(" ");
        let archive_bytes = home.path("archive.sqlite").metadata().map_or(0, |file| file.len());
        let output = burn(&home, &args);
        assert_eq!(output.status.code().map(i64::from), case["code"].as_i64(), "{line}: {}", stderr(&output));
        let wanted = case["stdout"].as_str().unwrap();
        let found = normalised(&stdout(&output), &home, archive_bytes);
        // How many pages the archive has is SQLite's and the load order's business.
        let of_archive = |text: &str| {
            text.lines()
                .filter(|line| {
                    ![
                        "vacuumed",
                        "beforeBytes",
                        "afterBytes",
                        "reclaimedBytes",
                        "archive.sqlite:",
                        "total: 19",
                        "bytesFreed",
                    ]
                    .iter()
                    .any(|size| line.contains(size))
                })
                .map(|line| line.replace("\"bytes\": 294912,", "\"bytes\": <archive>,"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        if let Some((head, _)) = wanted.split_once("<usage text>") {
            assert!(found.starts_with(head), "{line}: {found}");
        } else {
            assert_eq!(of_archive(&found), of_archive(wanted), "{line}");
        }
        let wanted = case["stderr"].as_str().unwrap();
        match wanted.split_once("<usage text>") {
            Some((head, _)) => assert!(stderr(&output).starts_with(head), "{line}: {}", stderr(&output)),
            None => assert_eq!(stderr(&output), wanted, "{line}"),
        }
    }
    assert!(!home.path("ledger.jsonl").exists(), "the last recorded command is reset --force");
    assert!(home.path("config.json").exists(), "what the user wrote is kept");
    let again = burn(&home, &["state", "reset", "--force"]);
    assert_eq!(stdout(&again).matches("already absent").count(), 9, "{}", stdout(&again));
}

#[test]
fn status_before_the_first_build_says_so_and_creates_nothing() {
    let home = TestHome::new();
    let output = burn(&home, &["state"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).contains("  status: not built yet - run `burn state rebuild archive`"));
    let output = burn(&home, &["state", "rebuild", "archive", "vacuum"]);
    assert!(stdout(&output).contains("run `burn state rebuild archive` first"));
    assert_eq!(std::fs::read_dir(home.folder.path()).unwrap().count(), 0);
    let missing = burn(&home, &["state", "status", "--json"]);
    let json: Value = serde_json::from_str(&stdout(&missing)).unwrap();
    assert_eq!(json.as_object().unwrap().len(), 4);
}

#[test]
fn a_line_that_cannot_be_archived_is_named_on_standard_error_and_in_json() {
    let home = TestHome::new();
    home.write("ledger.jsonl", turn_line("s", "a", 0));
    home.append("ledger.jsonl", "{\"v\":1,\"kind\":\"turn\"}\n");
    let output = burn(&home, &["state", "rebuild", "archive"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(stdout(&output).starts_with("archive build complete\n  1 turn applied, 1 session touched"));
    assert!(stderr(&output).contains("1 line cannot be archived"), "{}", stderr(&output));
    assert!(stderr(&output).contains("turn line at byte"), "{}", stderr(&output));
    let json = burn(&home, &["state", "rebuild", "archive", "--full", "--json"]);
    let json: Value = serde_json::from_str(&stdout(&json)).unwrap();
    assert_eq!(json["skippedLines"], 1);
    assert_eq!(json["skipped"][0]["problem"], "member `record` is missing");
}

#[test]
fn prune_obeys_days_force_and_the_environment() {
    let home = TestHome::with(&["content"]);
    let log = home.path("nobody/.claude/projects/p/a.b-c_D.jsonl");
    std::fs::create_dir_all(log.parent().unwrap()).unwrap();
    std::fs::write(&log, "").unwrap();
    let output = burn(&home, &["state", "prune", "--days", "0"]);
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stdout(&output).contains("kept 1 recoverable sidecar whose source files still exist"),
        "{}",
        stdout(&output)
    );
    assert!(home.path("content/a.b-c_D.jsonl").exists());
    let output = burn(&home, &["state", "prune", "--days", "0", "--force"]);
    assert!(stdout(&output).starts_with("pruned 1 content file (143 bytes)"), "{}", stdout(&output));
    assert!(home.path("content/notes.txt").exists() && home.path("content/-bad id.jsonl").exists());
    assert_eq!(burn(&home, &["state", "prune", "--days="]).status.code(), Some(2));
}

#[test]
fn what_this_program_lacks_is_said_and_fails() {
    let home = TestHome::new();
    for target in ["classify", "content"] {
        let output = burn(&home, &["state", "rebuild", target]);
        assert_eq!(output.status.code(), Some(1));
        assert!(stderr(&output).contains("which this program does not have"));
    }
    assert_eq!(burn(&home, &["nonsense"]).status.code(), Some(1));
    assert_eq!(burn(&home, &[]).status.code(), Some(0));
    let reset = burn(&home, &["state", "reset", "--reingest"]);
    assert_eq!((reset.status.code(), stderr(&reset).contains("needs --force")), (Some(0), true));
    let reset = burn(&home, &["state", "reset", "--reingest", "--force", "--json"]);
    let json: Value = serde_json::from_str(&stdout(&reset)).unwrap();
    assert_eq!(json["reingested"]["scannedSessions"], 0);
}

#[test]
fn another_storage_is_refused() {
    let home = TestHome::new();
    home.write("ledger.jsonl", stamp_line("s", "2026-04-20T00:00:00.000Z", "{}"));
    let output = Command::new(env!("CARGO_BIN_EXE_burn"))
        .args(["state", "rebuild", "archive"])
        .env("RELAYBURN_HOME", home.folder.path())
        .env("RELAYBURN_STORAGE", "sqlite")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("archive operations require RELAYBURN_STORAGE=file (got sqlite)"));
}

/// As a user who may read the home and nothing else; root would be allowed to write whatever the mode says.
#[cfg(target_os = "linux")]
#[test]
fn a_home_that_cannot_be_written_is_read_and_left_as_it_is() {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt as _;
    use std::os::unix::process::CommandExt as _;

    let home = TestHome::with(&["ledger.jsonl"]);
    home.build();
    // The second build leaves its rows in the log beside the archive.
    home.append("ledger.jsonl", "\n".to_owned() + &turn_line("s", "a", 0));
    home.build();
    assert!(home.path("archive.sqlite-wal").exists());
    let program = tempfile::tempdir().unwrap();
    let burn = program.path().join("burn");
    fs::copy(env!("CARGO_BIN_EXE_burn"), &burn).unwrap();
    for (folder, mode) in [(program.path(), 0o755), (home.folder.path(), 0o555)] {
        fs::set_permissions(folder, Permissions::from_mode(mode)).unwrap();
    }
    let names = || {
        let entries = fs::read_dir(home.folder.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
        names.sort();
        names
    };
    let before = (names(), home.read("archive.sqlite"));
    let run = |args: &[&str]| {
        let mut command = Command::new(&burn);
        command.args(args).env("RELAYBURN_HOME", home.folder.path()).env("HOME", "/nonexistent");
        if rustix::process::geteuid().is_root() {
            command.uid(65534).gid(65534);
        }
        command.output().unwrap()
    };
    let status = run(&["state", "status", "--json"]);
    assert_eq!(status.status.code(), Some(0), "{}", stderr(&status));
    let json: Value = serde_json::from_str(&stdout(&status)).unwrap();
    assert_eq!(
        (&json["archive"]["rowCounts"]["turns"], &json["classifier"]["turns"]),
        (&79.into(), &80.into())
    );
    for args in
        [&["state", "rebuild", "archive"][..], &["state", "rebuild", "index"], &["state", "reset", "--force"]]
    {
        let refused = run(args);
        assert_eq!(refused.status.code(), Some(1), "{args:?}");
        assert!(stderr(&refused).contains("denied"), "{args:?}: {}", stderr(&refused));
    }
    assert_eq!((names(), home.read("archive.sqlite")), before);
    fs::set_permissions(home.folder.path(), Permissions::from_mode(0o755)).unwrap();
}
