//! From nothing to services that answer; and taking over those that run.

use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::cargo::{SERVICES, Yard};
use crate::common::report::Report;

/// Rounds, in which the yard and the calibration take turns.
const ROUNDS: usize = 5;

/// Starts as many services and waits for none; `$!` would be all that it knows of them.
const LOOP: &str = "port=22000; for file in cargo.d/*/*.db; do \
                    LISTEN_ON=127.0.0.1:$port DATABASE_URL=sqlite://$file sqlpage >/dev/null 2>&1 & \
                    port=$((port+1)); done";

/// Ends when all are started, not when they are ready.
fn shell_loop(yard: &Yard) -> Duration {
    let since = Instant::now();
    // In a group of its own, which is then killed whole.
    let mut shell = yard.command("setsid", &["sh", "-c", LOOP]).stderr(Stdio::null()).spawn().unwrap();
    assert!(shell.wait().unwrap().success());
    let took = since.elapsed();
    let group = format!("-{}", shell.id());
    assert!(yard.command("kill", &["-KILL", "--", &group]).status().unwrap().success());
    took
}

pub(crate) fn start(report: &mut Report) {
    let yard = Yard::with(SERVICES, true);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let calibration = shell_loop(&yard).as_secs_f64() * 1e3;
        let ours = yard.start().as_secs_f64() * 1e3;
        yard.run(&["kill", "--clean"]);
        rounds.push((ours / calibration, ours, calibration));
    }
    rounds.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (ratio, ours, calibration) = rounds[ROUNDS / 2];
    report.fact(&format!("start of {SERVICES} services until all answer (ms)"), ours);
    report.fact(&format!("a shell loop that only starts {SERVICES} of them (ms)"), calibration);
    report.at_most("the former as a multiple of the latter, median of 5 rounds", ratio, 3.0);
}

pub(crate) fn adopt(report: &mut Report) {
    let yard = Yard::with(SERVICES, true);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        let mut watch = yard.watch();
        watch.kill().unwrap();
        watch.wait().unwrap();
        times.push(yard.start().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let case = format!("{SERVICES} running services taken over after kill -9 of the yard, median (ms)");
    report.at_most(&case, times[ROUNDS / 2], 1000.0);
}
