//! Services and yards that end in every way but the right one.

use std::process::{Command, Stdio};

use crate::support::*;

#[test]
fn a_service_that_dies_comes_back_and_its_end_is_recorded() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let first = yard.pid("apps/dashboard.db");
    let port = yard.context("apps/dashboard.db")["port"].clone();
    signal(first, "KILL");
    until("it is started again", || {
        yard.state("apps/dashboard.db") == "ready" && yard.pid("apps/dashboard.db") != first
    });
    let context = yard.context("apps/dashboard.db");
    assert_eq!(context["state"]["restarts"], 1);
    assert_eq!(context["state"]["signal"], 9);
    assert_eq!(context["port"], port);
    assert!(get(&context).contains("served"));
}

#[test]
fn a_service_that_keeps_dying_is_given_up_after_a_limit() {
    let yard = Yard::new();
    std::fs::write(yard.at("yard.yaml"), "restart: {limit: 2, backoff_ms: 1}").unwrap();
    yard.ok(&["start"]);
    yard.behaviour("apps/dashboard.db", "die");
    signal(yard.pid("apps/dashboard.db"), "KILL");
    until("it is given up", || yard.state("apps/dashboard.db") == "failed");
    let context = yard.context("apps/dashboard.db");
    assert!(context["state"]["reason"].as_str().unwrap().contains("2 times in a row"), "{context}");
    assert_eq!(context["state"]["exitCode"], 7);
}

#[test]
fn a_service_that_ignores_the_signal_is_killed_and_so_is_what_it_forked() {
    let yard = Yard::new();
    yard.behaviour("apps/dashboard.db", "deaf");
    yard.behaviour("evidence/audit.sqlite.db", "fork");
    std::fs::write(yard.at("yard.yaml"), "stop_timeout_seconds: 1").unwrap();
    yard.ok(&["start"]);
    let (deaf, forker) = (yard.pid("apps/dashboard.db"), yard.pid("evidence/audit.sqlite.db"));
    let forked =
        std::fs::read_to_string(yard.cargo("evidence/audit.sqlite.db.forked")).unwrap().parse().unwrap();
    assert!(lives(forked));
    yard.ok(&["kill"]);
    assert!(!lives(deaf) && !lives(forker) && !lives(forked));
    assert_eq!(yard.state("apps/dashboard.db"), "stopped");
}

#[test]
fn a_stopped_service_stays_stopped_and_a_restart_starts_it() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    yard.ok(&["stop", "apps/dashboard.db"]);
    assert_eq!(yard.state("apps/dashboard.db"), "stopped");
    assert_eq!(yard.state("evidence/audit.sqlite.db"), "ready");
    assert!(yard.ok(&["ps", "--reconcile"]).contains("2 services"), "being stopped is no disagreement");
    assert_eq!(yard.ok(&["restart", "dashboard.db"]), "started dashboard.db\n");
    assert!(get(&yard.context("apps/dashboard.db")).contains("served"));
    let unknown = yard.run(&["stop", "dashbord.db"]);
    let error = String::from_utf8(unknown.stderr).unwrap();
    assert!(error.contains("dashboard.db"), "it names those that there are: {error}");
}

#[test]
fn kill_touches_no_other_yard_and_no_stranger_with_a_recorded_pid() {
    let (yard, other) = (Yard::new(), Yard::new());
    yard.ok(&["start"]);
    other.ok(&["start"]);
    let mut stranger = Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap();
    // A context of the original program, which records no more than a pid; and one of ours after a reboot.
    let forged = yard.at("ledger.d/2020-01-01-00-00-00");
    std::fs::create_dir_all(&forged).unwrap();
    let context =
        serde_json::json!({"spawned": {"pid": stranger.id()}, "service": {"id": "x"}, "supplier": {}});
    std::fs::write(forged.join("x.db.context.json"), context.to_string()).unwrap();
    let mut rebooted = yard.context("apps/dashboard.db");
    rebooted["process"] = serde_json::json!({"pid": stranger.id(), "startTicks": 1, "bootId": "another"});
    rebooted["keeper"] = rebooted["process"].clone();
    std::fs::create_dir_all(yard.at("ledger.d/.run/old.db")).unwrap();
    std::fs::write(forged.join("old.db.context.json"), rebooted.to_string()).unwrap();
    std::os::unix::fs::symlink(forged.join("old.db.context.json"), yard.at("ledger.d/.run/old.db/current"))
        .unwrap();
    assert!(!yard.ok(&["ps"]).contains("old.db"));
    yard.ok(&["kill"]);
    assert!(stranger.try_wait().unwrap().is_none(), "the stranger lives");
    assert!(lives(other.pid("apps/dashboard.db")), "so does the other yard");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
}

#[test]
fn clean_removes_sessions_and_nothing_else() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let session = std::fs::read_to_string(yard.at("ledger.d/.current-session")).unwrap();
    let stray = yard.at("ledger.d").join(session.trim()).join("thesis.txt");
    std::fs::write(&stray, "years of work").unwrap();
    let refused = yard.run(&["kill", "--clean"]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8(refused.stderr).unwrap().contains("thesis.txt"));
    assert!(stray.exists());
    std::fs::remove_file(&stray).unwrap();
    yard.ok(&["kill", "--clean"]);
    assert!(!yard.at("ledger.d").join(session.trim()).exists());
    let nothing = yard.run(&["kill", "--clean", "--ledger-home", "cargo.d"]);
    assert!(yard.cargo("apps/dashboard.db").exists(), "{nothing:?}");
}

#[test]
fn a_yard_that_is_killed_in_the_middle_of_a_start_leaves_nothing_that_the_next_one_cannot_take_over() {
    let yard = Yard::empty();
    for number in 0..6 {
        yard.database(&format!("s{number}.db"), "sqlpage_files");
    }
    for pause in [0, 30, 60, 120, 250] {
        let mut start = yard.command(&["start", "--no-ls"]).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(pause));
        let _ = start.kill();
        start.wait().unwrap();
        let output = yard.run(&["start"]);
        assert!(output.status.success(), "after {pause} ms: {output:?}");
        until("all agree", || yard.run(&["ps", "--reconcile"]).status.success());
        assert_eq!(yard.ok(&["ps", "--json"]).lines().count(), 6, "after {pause} ms: each service once");
        yard.ok(&["kill", "--clean"]);
    }
}

#[test]
fn a_ledger_home_that_cannot_be_used_is_an_error_that_says_so() {
    let yard = Yard::new();
    std::fs::create_dir(yard.at("ledger.d")).unwrap();
    std::fs::write(yard.at("ledger.d/.yard"), "ledger-yard 99\n").unwrap();
    let output = yard.run(&["start"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("another version"), "{error}");
    let none = yard.run(&["start", "--cargo-home", "none"]);
    assert!(String::from_utf8(none.stderr).unwrap().contains("--cargo-home"));
}
