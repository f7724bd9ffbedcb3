//! `start --verbose`: what happens, as it happens.

use serde_json::Value;

use crate::support::*;

fn events(yard: &Yard, args: &[&str]) -> Vec<Value> {
    let output = yard.run(&[&["start", "--json", "--verbose"], args].concat());
    let text = String::from_utf8(output.stderr).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

fn types<'e>(events: &'e [Value], service: &str) -> Vec<&'e str> {
    let of_service = |event: &&Value| event["serviceId"] == service;
    events.iter().filter(of_service).map(|event| event["type"].as_str().unwrap()).collect()
}

#[test]
fn every_step_of_a_start_is_told_in_order() {
    let yard = Yard::new();
    yard.behaviour("evidence/audit.sqlite.db", "die");
    let events = events(&yard, &["comprehensive"]);
    let steps = [
        "discovered",
        "expose_decision",
        "port_allocated",
        "paths_resolved",
        "spawning",
        "context_written",
        "spawned",
        "reachability_probe_started",
        "service_reachable",
    ];
    assert_eq!(types(&events, "dashboard.db"), steps);
    assert_eq!(*types(&events, "audit.sqlite.db").last().unwrap(), "error");
    let context = yard.context("apps/dashboard.db");
    let of = |service: &str, name: &str| {
        events.iter().find(|event| event["serviceId"] == service && event["type"] == name).unwrap()
    };
    let find = |name: &str| of("dashboard.db", name);
    assert_eq!(find("spawned")["pid"], context["pid"]);
    assert_eq!(find("port_allocated")["port"], context["port"]);
    assert_eq!(find("service_reachable")["status"], 200);
    assert_eq!(find("context_written")["path"], context["paths"]["context"]);
    assert_eq!(of("audit.sqlite.db", "error")["phase"], "spawn");
    assert!(of("audit.sqlite.db", "error")["error"].as_str().unwrap().contains("exit code 7"));
    assert_eq!(events.first().unwrap()["type"], "session_start");
    let end = events.last().unwrap();
    assert_eq!(end["type"], "session_end");
    assert_eq!(end["summary"]["spawned"], serde_json::json!(["dashboard.db"]));
    for event in &events {
        assert_eq!(event["session"]["sessionId"], context["session"]["sessionId"], "{event}");
        assert!(event["tMs"].is_u64() && event["ts"].as_str().unwrap().ends_with('Z'), "{event}");
    }
}

#[test]
fn the_essential_ones_are_lines_for_a_person_and_standard_output_stays_as_it_is() {
    let yard = Yard::new();
    let output = yard.run(&["start", "--verbose", "essential"]);
    assert!(output.status.success());
    let (out, error) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert!(out.starts_with("PID") && !out.contains("[+"), "{out}");
    let pid = yard.pid("apps/dashboard.db");
    assert!(error.lines().any(|line| line.ends_with(&format!("dashboard.db has process {pid}"))), "{error}");
    assert!(error.lines().all(|line| line.starts_with("[+") && line.contains("ms] ")), "{error}");
    assert!(!error.contains("found "), "details are left out: {error}");
    let again = events(&yard, &["comprehensive"]);
    assert_eq!(types(&again, "dashboard.db"), ["discovered", "expose_decision"]);
    assert_eq!(again.iter().find(|event| event["type"] == "expose_decision").unwrap()["shouldSpawn"], false);
}

#[test]
fn a_service_that_does_not_answer_is_told_as_unreachable() {
    let yard = Yard::empty();
    yard.database("slow.db", "sqlpage_files");
    yard.behaviour("slow.db", "hang");
    let config = "kinds: {sqlpage: {match: {tables: [sqlpage_files]}, command: sqlpage, ready: {timeout_seconds: 1}, \
                  env: {LISTEN_ON: '{address}', DATABASE_URL: 'sqlite://{path}'}}}";
    std::fs::write(yard.at("yard.yaml"), config).unwrap();
    let events = events(&yard, &["essential"]);
    let steps = ["port_allocated", "spawning", "spawned", "service_unreachable", "error"];
    assert_eq!(types(&events, "slow.db"), steps);
    assert_eq!(events.iter().find(|event| event["type"] == "error").unwrap()["phase"], "probe");
}

#[test]
fn a_watch_tells_what_it_stops() {
    let yard = Yard::new();
    let watch = yard.watch(&["--json", "--verbose", "essential", "--watch-rescan-ms", "300"]);
    until("the first round", || watch.output().contains("\"session_end\""));
    std::fs::remove_file(yard.cargo("apps/dashboard.db")).unwrap();
    until("it is told", || {
        watch
            .output()
            .lines()
            .any(|line| line.contains("\"type\":\"stopped\"") && line.contains("dashboard.db"))
    });
    watch.interrupt();
}
