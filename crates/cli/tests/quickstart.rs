//! `ledger quickstart`: the tour, and the daemon at its end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "a test")]

#[path = "../../server/tests/python/environment.rs"]
mod environment;

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use environment::Python;
use tempfile::TempDir;

/// A place for temporary folders, to see what is left of them.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ledger"));
        command.arg("quickstart").args(arguments).env_remove("LEDGER_DB").env("TMPDIR", self.0.path());
        command.envs([("no_proxy", "127.0.0.1"), ("NO_PROXY", "127.0.0.1")]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Starts it and waits until it has printed this; answers what it has printed.
    fn start(&self, arguments: &[&str], until: &str) -> (Child, String) {
        let mut child = self.command(arguments).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap());
        let mut printed = String::new();
        while !printed.contains(until) {
            assert_ne!(lines.read_line(&mut printed).unwrap(), 0, "it ended:\n{printed}");
        }
        (child, printed)
    }

    #[track_caller]
    fn assert_nothing_is_left(&self) {
        let left: Vec<_> = self.0.path().read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
        assert!(left.is_empty(), "{left:?}");
    }
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

fn signal(child: &Child, name: &str) {
    let status = Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Ends it by a signal; answers its exit code and what it said on standard error.
fn ended(mut child: Child, name: &str) -> (Option<i32>, String) {
    signal(&child, name);
    let status = child.wait().unwrap();
    let mut said = String::new();
    child.stderr.unwrap().read_to_string(&mut said).unwrap();
    (status.code(), said)
}

const STEPS: [&str; 9] = [
    "append   400 events",
    "read     ",
    "filter   ",
    "tag      ",
    "search   ",
    "follow   ",
    "retry    ",
    "daemon   serves these entries with gRPC on 127.0.0.1:",
    "         and with HTTP on 127.0.0.1:",
];

#[test]
fn it_ends_by_itself_and_leaves_nothing_behind_if_that_is_wanted() {
    let place = Place::new();
    let output = place.run(&["--exit"]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    let printed = text(&output.stdout);
    assert!(STEPS.iter().all(|step| printed.contains(step)), "{printed}");
    assert!(!printed.contains("Ctrl+C"), "{printed}");
    place.assert_nothing_is_left();
}

#[test]
fn the_generated_client_that_it_shows_works() {
    let python = Python::prepared();
    let place = Place::new();
    let path = format!("{}:{}", python.bin.display(), std::env::var("PATH").unwrap());
    let output = place.command(&["--exit"]).env("PATH", path).output().unwrap();
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{printed}{}", text(&output.stderr));
    assert!(printed.contains("python3 -m grpc_tools.protoc"), "{printed}");
    // One id went with the duplicate that the tour tried to append.
    assert!(printed.contains("           > appended entry 403; the stream has 402\n"), "{printed}");
    place.assert_nothing_is_left();
}

#[test]
fn the_curl_command_that_it_shows_works() {
    let place = Place::new();
    let output = place.run(&["--exit"]);
    let printed = text(&output.stdout);
    assert!(output.status.success(), "{printed}{}", text(&output.stderr));
    assert!(
        printed.contains("curl -sS -w '\\n' -H 'x-ledger-store: ledger_entries' 'http://127.0.0.1:"),
        "{printed}"
    );
    // The newest entry is the one that was followed.
    assert!(printed.contains(r#"           > {"entries":[{"id":"401","stream":"events","#), "{printed}");
}

#[test]
fn where_a_program_is_missing_its_command_is_shown_all_the_same() {
    let place = Place::new();
    let bin = place.0.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink("/bin/sh", bin.join("sh")).unwrap();
    let output = place.command(&["--exit"]).env("PATH", &bin).output().unwrap();
    let printed = text(&output.stdout);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
    assert!(printed.contains("python3 client.py 127.0.0.1:"), "{printed}");
    assert!(printed.contains("curl -sS "), "{printed}");
    assert!(printed.contains("(not run: its program is not installed here)"), "{printed}");
}

#[test]
fn the_commands_that_it_prints_talk_to_its_daemon_until_it_is_interrupted() {
    let place = Place::new();
    let (child, printed) = place.start(&[], "The daemon runs until Ctrl+C");
    assert!(STEPS.iter().all(|step| printed.contains(step)), "{printed}");
    let (_, commands) = printed.split_once("Go on in another terminal with:").unwrap();
    let (commands, _) = commands.split_once("The daemon runs").unwrap();
    // Aliases are for people; a script says the same with a function. The follower would never end.
    let script = commands
        .replace("alias ledger=", "LEDGER=")
        .lines()
        .filter(|line| !line.contains("tail"))
        .fold("set -eu\nledger() { \"$LEDGER\" \"$@\"; }\n".to_owned(), |script, line| {
            script + line.trim() + "\n"
        });
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", &script]).current_dir(&folder).env_remove("LEDGER_DB").env("HOME", folder.path());
    let ran = shell.output().unwrap();
    assert!(ran.status.success(), "{script}\n{}", text(&ran.stderr));
    let said = text(&ran.stdout);
    assert!(said.starts_with("events\nStream:  events\nCount:   40"), "{said}");
    assert!(std::fs::read_to_string(folder.path().join("events.jsonl")).unwrap().lines().count() >= 402);

    let address = printed.split_once("LEDGER_LISTEN=").unwrap().1.lines().next().unwrap().to_owned();
    assert!(std::net::TcpStream::connect(&address).is_ok());
    assert_eq!(ended(child, "INT"), (Some(0), String::new()));
    assert!(std::net::TcpStream::connect(&address).is_err(), "the daemon has ended");
    place.assert_nothing_is_left();
}

#[test]
fn whenever_it_is_interrupted_nothing_is_left() {
    for (until, name) in [
        ("append   ", "INT"),
        ("append   ", "TERM"),
        ("daemon   ", "TERM"),
        ("generate ", "INT"),
        ("The daemon runs", "TERM"),
        ("The daemon runs", "HUP"),
    ] {
        let place = Place::new();
        let (child, printed) = place.start(&[], until);
        let (code, said) = ended(child, name);
        // It may have come to the end meanwhile.
        let expected = [(Some(130), "Error: interrupted\n"), (Some(0), "")];
        assert!(expected.contains(&(code, said.as_str())), "{until}, {name}: {code:?} {said}\n{printed}");
        place.assert_nothing_is_left();
    }
}

#[test]
fn a_file_of_ones_own_is_toured_and_a_database_of_ones_own_stays() {
    let place = Place::new();
    let folder = tempfile::tempdir().unwrap();
    let (file, database) = (folder.path().join("own.jsonl"), folder.path().join("own.db"));
    std::fs::write(&file, "{\"event\":\"it's\",\"customer\":\"c\"}\n\n[1,2]\n\"text\"\n17\n").unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let arguments = ["--input", &path(&file), "--db", &path(&database)];
    let (child, printed) = place.start(&arguments, "The daemon runs until Ctrl+C");
    assert!(printed.contains("append   4 events"), "{printed}");
    assert!(printed.contains(r"--tag 'it'\''s'"), "{printed}");
    assert!(printed.contains(&format!("the entries stay in {}", database.display())), "{printed}");
    assert_eq!(ended(child, "TERM").0, Some(0));
    place.assert_nothing_is_left();
    assert!(database.exists() && !folder.path().join("own.db-wal").exists(), "it was closed");
}

#[test]
fn what_cannot_be_toured_is_named() {
    let (place, folder) = (Place::new(), tempfile::tempdir().unwrap());
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
        let output = place.run(&arguments);
        assert_eq!(output.status.code(), Some(1));
        assert!(text(&output.stderr).contains(said), "{}", text(&output.stderr));
        place.assert_nothing_is_left();
    }
}
