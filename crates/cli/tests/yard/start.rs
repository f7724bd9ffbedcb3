//! Starting, once and again.

use serde_json::Value;

use crate::support::*;

#[test]
fn what_runs_is_not_started_again_and_the_new_session_shows_it() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let pid = yard.pid("apps/dashboard.db");
    let summary: Value = serde_json::from_str(&yard.ok(&["start", "--json"])).unwrap();
    assert_eq!(summary["summary"]["skipped"].as_array().unwrap().len(), 2, "{summary}");
    assert_eq!(yard.pid("apps/dashboard.db"), pid);
    let session = summary["sessionHome"].as_str().unwrap();
    let shown = std::fs::read(format!("{session}/apps/dashboard.db.context.json")).unwrap();
    assert_eq!(serde_json::from_slice::<Value>(&shown).unwrap()["pid"], pid);
}

#[test]
fn a_failed_start_is_a_failure_with_its_reason() {
    let yard = Yard::new();
    yard.behaviour("apps/dashboard.db", "die");
    let output = yard.run(&["start"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("exit code 7") && error.contains("nothing is right today"), "{error}");
    let context = yard.context("apps/dashboard.db");
    assert_eq!(context["state"]["name"], "failed");
    assert_eq!(context["state"]["exitCode"], 7);
    assert_eq!(yard.state("evidence/audit.sqlite.db"), "ready", "the others are started");
}

#[test]
fn a_program_that_is_missing_is_a_failure_that_says_what_to_do() {
    let yard = Yard::new();
    std::fs::remove_file(yard.at("programs/sqlpage")).unwrap();
    let output = yard.command(&["start"]).env("PATH", "/usr/bin:/bin").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("cannot run \"sqlpage\"") && error.contains("install it"), "{error}");
}

#[test]
fn a_service_that_never_answers_is_ended_and_failed() {
    let yard = Yard::new();
    yard.behaviour("apps/dashboard.db", "hang");
    let config = "kinds: {sqlpage: {match: {tables: [sqlpage_files]}, command: sqlpage, ready: {timeout_seconds: 1}, \
                  env: {LISTEN_ON: '{address}', DATABASE_URL: 'sqlite://{path}'}}}";
    std::fs::write(yard.at("yard.yaml"), config).unwrap();
    let output = yard.run(&["start"]);
    assert_eq!(output.status.code(), Some(1));
    let context = yard.context("apps/dashboard.db");
    assert!(context["state"]["reason"].as_str().unwrap().contains("did not answer within 1 s"), "{context}");
    assert!(!lives(yard.pid("apps/dashboard.db")));
}

#[test]
fn the_same_port_comes_again_and_nobody_else_gets_it() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let port = yard.context("apps/dashboard.db")["port"].clone();
    yard.ok(&["stop", "dashboard.db"]);
    yard.database("aaa.db", "sqlpage_files");
    // The newcomer is started first, and must leave the port to the one that had it.
    yard.ok(&["start"]);
    assert_eq!(yard.context("apps/dashboard.db")["port"], port);
    assert_ne!(yard.context("aaa.db")["port"], port);
}

#[test]
fn six_starts_at_the_same_time_over_one_folder_start_each_service_once() {
    let yard = Yard::new();
    let starts: Vec<_> = (0..6).map(|_| yard.command(&["start", "--json"]).output_in_background()).collect();
    let mut sessions = Vec::new();
    let mut spawned = 0;
    for start in starts {
        let output = start.join().unwrap();
        assert!(output.status.success(), "{output:?}");
        let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
        spawned += summary["summary"]["spawned"].as_array().unwrap().len();
        sessions.push(summary["sessionHome"].as_str().unwrap().to_owned());
    }
    assert_eq!(spawned, 2, "each service once");
    sessions.sort();
    sessions.dedup();
    assert_eq!(sessions.len(), 6, "no two runs share a session");
    assert_eq!(yard.ps().len(), 2);
    yard.ok(&["ps", "--reconcile"]);
}

#[test]
fn six_starts_at_the_same_time_over_six_folders_share_no_port() {
    let yards: Vec<Yard> = (0..6).map(|_| Yard::new()).collect();
    let starts: Vec<_> =
        yards.iter().map(|yard| yard.command(&["start", "--json"]).output_in_background()).collect();
    for start in starts {
        let output = start.join().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
    let mut ports = Vec::new();
    for yard in &yards {
        for name in ["apps/dashboard.db", "evidence/audit.sqlite.db"] {
            assert_eq!(yard.state(name), "ready");
            ports.push(number(&yard.context(name)["port"]));
        }
    }
    ports.sort_unstable();
    ports.dedup();
    assert_eq!(ports.len(), 12);
}

#[test]
fn a_clash_of_names_is_an_error_that_names_both() {
    let yard = Yard::empty();
    yard.database("same/twin.db", "sqlpage_files");
    yard.database("same/twin.sqlite", "sqlpage_files");
    let output = yard.run(&["start"]);
    assert_eq!(output.status.code(), Some(1));
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("same/twin.db") && error.contains("same/twin.sqlite"), "{error}");
    assert_eq!(yard.state("same/twin.db"), "ready");
}

#[test]
fn names_with_anything_in_them_are_served() {
    let yard = Yard::empty();
    let names = [
        "it's \"quoted\".db",
        "line\nbreak.db",
        "häß 雪.db",
        "percent%20.db",
        "a;{b}$c.db",
        "-n --flag.db",
        "back\\slash `tick`.db",
        "TRUTH_YARD_KIND=x.db",
        "\u{1b}[31mred.db",
    ];
    for name in names {
        yard.database(&format!("it's a folder/{name}"), "sqlpage_files");
    }
    yard.ok(&["start"]);
    let services = yard.ps();
    assert_eq!(services.len(), names.len());
    for context in &services {
        assert!(get(context).contains("200 OK"), "{context}");
    }
    assert!(yard.ok(&["ps", "--reconcile"]).contains("9 services are as the ledger says"));
    let again = yard.ok(&["start", "--json"]);
    assert!(again.contains("\"spawned\":[]"), "none is started a second time: {again}");
    for name in names {
        yard.ok(&["restart", &format!("it's a folder/{name}")]);
    }
    yard.ok(&["kill", "--clean"]);
    assert!(yard.ps().is_empty());
}

#[test]
fn a_name_that_is_too_long_for_a_context_is_an_error_that_names_the_file() {
    let yard = Yard::new();
    let name = format!("{}.db", "x".repeat(250));
    std::fs::copy(yard.cargo("apps/dashboard.db"), yard.cargo(&name)).unwrap();
    let error = yard.fails(&["start"]);
    assert!(error.contains("File name too long") && error.contains("xxx.db"), "{error}");
    assert_eq!(yard.state("apps/dashboard.db"), "ready");
}

#[test]
fn secrets_are_masked_and_what_could_hold_them_is_private() {
    let yard = Yard::new();
    std::fs::write(yard.cargo("apps/.env"), "TOKEN=hush\nLISTEN_ON=0.0.0.0:1\nTRUTH_YARD_KIND=none\n")
        .unwrap();
    let output = yard.run(&["start"]);
    assert!(output.status.success(), "{output:?}");
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(
        error.contains("LISTEN_ON") && error.contains("TRUTH_YARD_KIND"),
        "what is left out is said: {error}"
    );
    let context = yard.context("apps/dashboard.db");
    assert!(!context.to_string().contains("hush"));
    assert_eq!(context["spawned"]["plan"]["env"]["TOKEN"], "(masked)");
    for file in ["context", "stdout", "stderr"] {
        assert_eq!(mode(context["paths"][file].as_str().unwrap().as_ref()), 0o600, "{file}");
    }
    let environment = std::fs::read(format!("/proc/{}/environ", yard.pid("apps/dashboard.db"))).unwrap();
    assert!(String::from_utf8_lossy(&environment).contains("TOKEN=hush"), "the service has it");
}

trait InBackground {
    fn output_in_background(self) -> std::thread::JoinHandle<std::process::Output>;
}

impl InBackground for std::process::Command {
    fn output_in_background(mut self) -> std::thread::JoinHandle<std::process::Output> {
        std::thread::spawn(move || self.output().unwrap())
    }
}
