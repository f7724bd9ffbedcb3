//! Processes that are not what they seem: recorded pids that others have, marks that were inherited or only mentioned.

use std::process::{Child, Command, Stdio};

use serde_json::json;

use crate::support::*;

/// A process that has nothing to do with any yard; ends with the value.
struct Stranger(Child);

impl Stranger {
    fn new() -> Self {
        Self(Command::new("sleep").arg("600").stdout(Stdio::null()).spawn().unwrap())
    }

    fn pid(&self) -> u32 {
        self.0.id()
    }

    fn is_untouched(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_stranger_who_got_the_pid_of_a_service_or_of_its_keeper_is_never_signalled() {
    let yard = Yard::new();
    let mut stranger = Stranger::new();
    // Every command that signals, over a context whose processes have ended and whose pids the stranger now has.
    let commands: [&[&str]; 5] = [
        &["stop", "dashboard.db"],
        &["restart", "dashboard.db"],
        &["start"],
        &["kill"],
        &["kill", "--clean"],
    ];
    for command in commands {
        yard.ok(&["start"]);
        let mut context = yard.context("apps/dashboard.db");
        for process in ["process", "keeper"] {
            signal(number(&context[process]["pid"]), "KILL");
        }
        let gone = number(&context["pid"]);
        until("the process is gone", || !lives(gone));
        for process in ["process", "keeper"] {
            // Same boot, another start: what a pid that is given again looks like.
            context[process]["pid"] = json!(stranger.pid());
        }
        context["pid"] = json!(stranger.pid());
        context["spawned"]["pid"] = json!(stranger.pid());
        std::fs::write(context["paths"]["context"].as_str().unwrap(), context.to_string()).unwrap();
        assert!(!yard.ok(&["ps"]).contains("apps/dashboard.db"), "it is not taken for the service");
        assert!(yard.run(&["ps", "--reconcile"]).status.code() == Some(1));
        yard.ok(command);
        assert!(stranger.is_untouched(), "{command:?}");
    }
}

#[test]
fn a_watch_that_finds_a_stranger_under_a_recorded_pid_leaves_it_alone_and_starts_the_service() {
    let yard = Yard::new();
    let mut stranger = Stranger::new();
    yard.ok(&["start"]);
    let mut context = yard.context("apps/dashboard.db");
    for process in ["process", "keeper"] {
        signal(number(&context[process]["pid"]), "KILL");
        context[process]["pid"] = json!(stranger.pid());
    }
    context["pid"] = json!(stranger.pid());
    std::fs::write(context["paths"]["context"].as_str().unwrap(), context.to_string()).unwrap();
    let watch = yard.watch(&["--watch-rescan-ms", "300"]);
    until("the service is started", || {
        yard.state("apps/dashboard.db") == "ready" && yard.pid("apps/dashboard.db") != stranger.pid()
    });
    std::fs::remove_file(yard.cargo("apps/dashboard.db")).unwrap();
    until("the service is stopped", || yard.ps().len() == 1);
    watch.interrupt();
    assert!(stranger.is_untouched());
}

#[test]
fn whoever_mentions_the_marks_in_its_arguments_is_no_service() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    let context = yard.context("apps/dashboard.db");
    let marks = ["PROVENANCE", "CONTEXT_PATH", "SESSION_ID", "SERVICE_ID"].map(|name| {
        let name = format!("TRUTH_YARD_{name}");
        format!("{name}={}", context["spawned"]["plan"]["env"][&name].as_str().unwrap())
    });
    let mut shell = Command::new("sh");
    let mut shell = Stranger(shell.args(["-c", "sleep 600; :", "sh"]).args(marks).spawn().unwrap());
    assert!(yard.ok(&["ps", "--reconcile"]).contains("2 services are as the ledger says"));
    yard.ok(&["kill"]);
    assert!(shell.is_untouched());
    // The shell's own child would outlive it.
    let children = std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", shell.pid())).unwrap();
    children.split_whitespace().for_each(|child| signal(child.parse().unwrap(), "KILL"));
}

#[test]
fn a_child_that_inherited_the_marks_is_no_service_and_does_not_outlive_one() {
    let yard = Yard::new();
    yard.behaviour("apps/dashboard.db", "child");
    yard.ok(&["start"]);
    let child = yard.forked("apps/dashboard.db");
    assert_eq!(yard.ps().len(), 2, "the child is none");
    yard.ok(&["ps", "--reconcile"]);
    // The service and its keeper die, the child lives on: the service is missing all the same.
    let service = yard.pid("apps/dashboard.db");
    signal(yard.keeper("apps/dashboard.db"), "KILL");
    signal(service, "KILL");
    until("the service is gone", || !lives(service));
    assert!(lives(child));
    let told = yard.run(&["ps", "--reconcile"]);
    assert_eq!(told.status.code(), Some(1), "{told:?}");
    let output = yard.run(&["start"]);
    assert!(String::from_utf8(output.stderr).unwrap().contains(&format!("ended process {child}")));
    assert!(!lives(child));
    assert!(get(&yard.context("apps/dashboard.db")).contains("served"));
    yard.ok(&["ps", "--reconcile"]);
}

#[test]
fn two_dead_services_with_one_recorded_pid_are_two_disagreements() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    for service in ["apps/dashboard.db", "evidence/audit.sqlite.db"] {
        let mut context = yard.context(service);
        signal(yard.keeper(service), "KILL");
        signal(yard.pid(service), "KILL");
        let gone = yard.pid(service);
        until("it is gone", || !lives(gone));
        context["pid"] = json!(999_999);
        context["process"]["pid"] = json!(999_999);
        std::fs::write(context["paths"]["context"].as_str().unwrap(), context.to_string()).unwrap();
    }
    let output = yard.run(&["ps", "--reconcile", "--json"]);
    assert_eq!(output.status.code(), Some(1));
    let drift: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(drift["summary"]["ledgerWithoutProcess"], 2, "{drift}");
}

#[test]
fn a_process_that_has_ended_and_is_not_waited_for_is_dead() {
    let yard = Yard::new();
    yard.ok(&["start"]);
    // A recorded process that is a zombie of this test.
    let mut zombie = Command::new("true").spawn().unwrap();
    until("it has ended", || !lives(zombie.id()));
    let mut context = yard.context("apps/dashboard.db");
    signal(yard.keeper("apps/dashboard.db"), "KILL");
    signal(yard.pid("apps/dashboard.db"), "KILL");
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", zombie.id())).unwrap();
    let ticks: u64 = stat.rsplit_once(") ").unwrap().1.split(' ').nth(19).unwrap().parse().unwrap();
    context["process"] =
        json!({"pid": zombie.id(), "startTicks": ticks, "bootId": context["process"]["bootId"]});
    context["pid"] = json!(zombie.id());
    std::fs::write(context["paths"]["context"].as_str().unwrap(), context.to_string()).unwrap();
    assert!(!yard.ok(&["ps"]).contains("apps/dashboard.db"));
    assert!(yard.ok(&["ls"]).contains("dead"));
    let since = std::time::Instant::now();
    yard.ok(&["kill", "--timeout", "30"]);
    assert!(since.elapsed() < std::time::Duration::from_secs(20), "nobody waits for it");
    zombie.wait().unwrap();
}
