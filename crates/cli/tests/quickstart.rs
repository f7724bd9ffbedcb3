//! `ledger quickstart`: the tour.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, missing_docs, reason = "a test")]

use std::process::{Command, Output};

fn quickstart(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
    command.arg("quickstart").args(arguments).env_remove("LEDGER_DB").output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn the_commands_that_it_prints_work() {
    let folder = tempfile::tempdir().unwrap();
    let database = folder.path().join("tour.db");
    let output = quickstart(&["--db", database.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    for step in
        ["append   400 events", "read     ", "filter   ", "tag      ", "search   ", "follow   ", "retry    "]
    {
        assert!(printed.contains(step), "{step:?} in:\n{printed}");
    }
    let (_, commands) = printed.split_once("Go on with:").unwrap();
    // Aliases are for people; a script says the same with a function. The follower would never end.
    let script = commands
        .replace("alias ledger=", "LEDGER=")
        .lines()
        .filter(|line| !line.contains("tail"))
        .fold("set -eu\nledger() { \"$LEDGER\" \"$@\"; }\n".to_owned(), |script, line| {
            script + line.trim() + "\n"
        });
    let ran = Command::new("sh").args(["-c", &script]).current_dir(&folder).output().unwrap();
    assert!(ran.status.success(), "{script}\n{}", text(&ran.stderr));
    let said = text(&ran.stdout);
    assert!(said.starts_with("events\nStream:  events\nCount:   401\n"), "{said}");
    assert_eq!(std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap().lines().count(), 402);
}

#[test]
fn a_file_of_ones_own_is_toured() {
    let folder = tempfile::tempdir().unwrap();
    let (file, database) = (folder.path().join("own.jsonl"), folder.path().join("own.db"));
    std::fs::write(&file, "{\"event\":\"it's\",\"customer\":\"c\"}\n\n[1,2]\n\"text\"\n17\n").unwrap();
    let output = quickstart(&["--input", file.to_str().unwrap(), "--db", database.to_str().unwrap()]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stdout).contains("append   4 events"));
    assert!(text(&output.stdout).contains(r"--tag 'it'\''s'"));
}

#[test]
fn what_cannot_be_toured_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("bad.jsonl"), "{}\n{\"a\":\n").unwrap();
    std::fs::write(path("empty.jsonl"), "\n").unwrap();
    std::fs::write(path("binary.jsonl"), [b'"', 0xff, b'"', b'\n']).unwrap();
    std::fs::write(path("there.db"), "").unwrap();
    for (arguments, said) in [
        (["--input", &path("bad.jsonl"), "--db", &path("1.db")], "line 2 of "),
        (["--input", &path("binary.jsonl"), "--db", &path("2.db")], "line 1 of "),
        (["--input", &path("empty.jsonl"), "--db", &path("3.db")], "has no lines"),
        (["--input", &path("missing.jsonl"), "--db", &path("4.db")], "cannot read "),
        (["--input", &path("empty.jsonl"), "--db", &path("there.db")], "there.db exists"),
    ] {
        let output = quickstart(&arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
    }
}
