//! Start, stop, status, restart.

use std::process::Stdio;

use crate::home::{Home, finished};

#[test]
fn a_daemon_is_started_seen_and_stopped_with_the_words_of_the_original() {
    let home = Home::new();
    let down = home.run(&["status"]);
    assert_eq!(
        (down.code, down.out.as_str(), down.err.as_str()),
        (Some(3), "ledger daemon is not running\n", "")
    );
    assert_eq!(home.ok(&["stop"]), "ledger daemon is not running\n");
    let pid = home.start();
    assert_eq!(home.ok(&["start"]), format!("ledger daemon already running (pid {pid})\n"));
    let address = home.address();
    assert!(address.starts_with("127.0.0.1:") && !address.ends_with(":0"), "{address}");
    assert_eq!(home.ok(&["status"]), format!("ledger daemon is running (pid {pid}, addr {address})\n"));
    assert_eq!(home.content("ledger.pid"), pid.to_string());
    assert_eq!(home.ok(&["stop"]), format!("sent SIGTERM to ledger daemon (pid {pid})\n"));
    // It has ended, not just heard of it: the next start finds nothing.
    assert!(!home.path("ledger.pid").exists());
    assert!(!home.path("ledger.db-wal").exists());
    assert_ne!(home.start(), pid);
}

#[test]
fn the_first_run_writes_the_configuration_that_the_next_one_reads() {
    let home = Home::empty();
    let first = finished(home.command(&["start"]).env("LEDGER_LISTEN", "127.0.0.1:0"));
    assert_eq!(first.code, Some(0), "{first:?}");
    assert!(home.content("ledger.log").contains("first run: created default config"));
    home.ok(&["stop"]);
    let edited = home.content("config.yaml").replace("# api_key: \"\"", "api_key: s3cret");
    std::fs::write(home.path("config.yaml"), edited).unwrap();
    let shown = home.ok(&["config", "show"]);
    assert!(shown.contains("api_key: \"***\"  # "), "{shown}");
    assert!(shown.contains("listen: \"127.0.0.1:0\""), "{shown}");
    home.start();
}

#[test]
fn why_a_daemon_did_not_start_is_said_and_logged() {
    let home = Home::new();
    std::fs::write(home.path("ledger.db"), "this is certainly no database, however long it is").unwrap();
    let run = home.run(&["start"]);
    assert_eq!((run.code, run.out.as_str()), (Some(1), ""));
    assert!(run.err.starts_with("Error: daemon failed to start: ledger/sqlite: "), "{}", run.err);
    assert!(run.err.contains("is not an SQLite database"), "{}", run.err);
    assert!(home.content("ledger.log").contains("is not an SQLite database"));
    assert_eq!(home.run(&["status"]).code, Some(3));

    let other = Home::new();
    other.start();
    let taken = home.run(&["start", "--addr", &other.address()]);
    assert!(taken.err.contains(&format!("cannot listen on {}", other.address())), "{taken:?}");
    let exposed = home.run(&["start", "--addr", "0.0.0.0:0"]);
    assert!(exposed.err.contains("ledger key create"), "{exposed:?}");
}

#[test]
fn a_restart_replaces_the_process_unless_the_new_one_could_not_start() {
    let home = Home::new();
    let first = home.start();
    let out = home.ok(&["restart"]);
    assert!(
        out.starts_with(&format!("sent SIGTERM to ledger daemon (pid {first})\nledger daemon started (pid ")),
        "{out}"
    );
    home.configure("lissten: x");
    let refused = home.run(&["restart"]);
    assert!(refused.err.contains("did you mean \"listen\"?"), "{refused:?}");
    home.configure("");
    assert!(home.ok(&["status"]).starts_with("ledger daemon is running"));
}

#[test]
fn a_killed_daemon_is_not_running_and_the_next_one_starts() {
    let home = Home::new();
    let pid = home.start();
    crate::kill::kill(pid);
    assert_eq!(home.run(&["status"]).code, Some(3));
    assert!(home.path("ledger.pid").exists(), "it had no time to clean up");
    assert_ne!(home.start(), pid);
}

#[test]
fn in_the_foreground_it_logs_to_standard_error_and_ends_on_a_signal() {
    let home = Home::new();
    let mut daemon = home
        .command(&["start", "--foreground"])
        .stderr(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = std::io::BufReader::new(daemon.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("ledger daemon listening addr=127.0.0.1:") {
        line.clear();
        assert_ne!(std::io::BufRead::read_line(&mut log, &mut line).unwrap(), 0, "it ended");
    }
    assert!(home.run(&["start"]).out.starts_with("ledger daemon already running"));
    home.ok(&["stop"]);
    assert_eq!(daemon.wait().unwrap().code(), Some(0));
}
