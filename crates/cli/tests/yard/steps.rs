//! The yard and its keepers, killed at every step of a start.
//!
//! A start is recorded: which steps its processes passed (`failpoint.rs` of the yard). Then one start after another is
//! killed, each at another step. After each the next start must find its way: every service runs once, the ledger agrees
//! with the processes, and `kill` ends everything.
#![cfg(feature = "failpoints")]

use std::collections::{BTreeMap, BTreeSet};
use std::process::Stdio;

use crate::support::*;

const SERVICES: [&str; 2] = ["apps/dashboard.db", "evidence/audit.sqlite.db"];

/// Processes that carry the marks of this yard, whatever the ledger says; by data file.
fn carriers(yard: &Yard) -> BTreeMap<String, Vec<u32>> {
    let mut carriers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    let home = yard.at("ledger.d").canonicalize().unwrap();
    for entry in std::fs::read_dir("/proc").unwrap() {
        let Ok(pid) = entry.unwrap().file_name().to_string_lossy().parse::<u32>() else { continue };
        let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let environment = String::from_utf8_lossy(&environment).into_owned();
        let value = |name: &str| {
            environment
                .split('\0')
                .find_map(|variable| variable.strip_prefix(&format!("{name}=")))
                .map(str::to_owned)
        };
        let is_ours =
            value("TRUTH_YARD_CONTEXT_PATH").is_some_and(|path| path.starts_with(home.to_str().unwrap()));
        if is_ours && lives(pid) {
            carriers.entry(value("TRUTH_YARD_PROVENANCE").unwrap()).or_default().push(pid);
        }
    }
    carriers
}

/// The steps of one start of two services, each with its number among those of its name.
fn steps() -> BTreeSet<String> {
    let yard = Yard::new();
    let trace = yard.at("trace");
    assert!(yard.command(&["start"]).env("LEDGER_FAILPOINT_TRACE", &trace).status().unwrap().success());
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let text = std::fs::read_to_string(trace).unwrap();
    let numbered = text.lines().map(|step| {
        let count = counts.entry(step.to_owned()).or_default();
        *count += 1;
        format!("{step}#{count}")
    });
    numbered.collect()
}

/// Of each step the first and the last time; every time with `LEDGER_TEST_STEPS=all`.
fn chosen(steps: BTreeSet<String>) -> Vec<String> {
    if std::env::var("LEDGER_TEST_STEPS").is_ok_and(|which| which == "all") {
        return steps.into_iter().collect();
    }
    let mut last: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, number) in steps.iter().filter_map(|step| step.split_once('#')) {
        let number: usize = number.parse().unwrap();
        last.entry(name).and_modify(|last| *last = number.max(*last)).or_insert(number);
    }
    let is_chosen = |step: &&String| {
        let (name, number) = step.split_once('#').unwrap();
        number == "1" || number == last[name].to_string()
    };
    steps.iter().filter(is_chosen).cloned().collect()
}

fn killed_at(step: &str) {
    let yard = Yard::new();
    let mut start = yard.command(&["start", "--no-ls"]);
    start.env("LEDGER_FAILPOINT_TRACE", yard.at("trace")).env("LEDGER_FAILPOINT_KILL", step);
    // Processes that outlive it must not keep this test waiting for the end of its output.
    start.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
    let output = yard.run(&["start"]);
    assert!(output.status.success(), "after {step}: {output:?}");
    assert_eq!(yard.ps().len(), SERVICES.len(), "after {step}");
    for service in SERVICES {
        assert_eq!(yard.state(service), "ready", "{service} after {step}");
        assert!(get(&yard.context(service)).contains("served"), "{service} after {step}");
    }
    let carriers = carriers(&yard);
    assert_eq!(carriers.len(), SERVICES.len(), "after {step}: {carriers:?}");
    assert!(
        carriers.values().all(|pids| pids.len() == 1),
        "after {step} a service is there twice: {carriers:?}"
    );
    yard.ok(&["ps", "--reconcile"]);
    yard.ok(&["kill", "--clean"]);
    assert!(self::carriers(&yard).is_empty(), "after {step}");
}

#[test]
fn whoever_is_killed_at_whichever_step_the_next_start_finds_its_way() {
    let steps = steps();
    for needed in [
        "home/made#1",
        "session/made#1",
        "start/port#1",
        "start/recorded#2",
        "start/keeper#2",
        "keeper/spawned#2",
    ] {
        assert!(steps.contains(needed), "{needed} is not among {steps:?}");
    }
    // `kill` at a step, then `kill` of everything with no start in between: nothing must be left either.
    for step in ["start/told#1", "keeper/spawned#1", "keeper/held#2"] {
        let yard = Yard::new();
        let mut start = yard.command(&["start", "--no-ls"]);
        start.env("LEDGER_FAILPOINT_TRACE", yard.at("trace")).env("LEDGER_FAILPOINT_KILL", step);
        start.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap();
        yard.ok(&["kill"]);
        assert!(carriers(&yard).is_empty(), "killed after {step}");
    }
    let steps = chosen(steps);
    // Two at a time: a start waits more than it computes.
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..2)
            .map(|worker| {
                let steps = &steps;
                scope.spawn(move || steps.iter().skip(worker).step_by(2).for_each(|step| killed_at(step)))
            })
            .collect();
        for worker in workers {
            worker.join().unwrap();
        }
    });
}
