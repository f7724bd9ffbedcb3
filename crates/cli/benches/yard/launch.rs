//! From nothing to services that answer; and taking over those that run.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::cargo::{SERVICES, Yard};
use crate::common::report::Report;

/// Rounds, in which the yard and the calibration take turns.
const ROUNDS: usize = 5;

/// First port of the services of the loop.
const LOOP_PORT: u16 = 22000;
/// Starts as many services and waits for none; `$!` would be all that it knows of them.
const LOOP: &str = "for file in cargo.d/*/*.db; do \
                    LISTEN_ON=127.0.0.1:$port DATABASE_URL=sqlite://$file sqlpage >/dev/null 2>&1 & \
                    port=$((port+1)); done";

/// How long it takes until all are started; and until all answer, which no yard can undercut.
fn shell_loop(yard: &Yard) -> [Duration; 2] {
    let since = Instant::now();
    // In a group of its own, which is then killed whole.
    let mut shell = yard.command("setsid", &["sh", "-c", LOOP]);
    let mut shell = shell.env("port", LOOP_PORT.to_string()).stderr(Stdio::null()).spawn().unwrap();
    assert!(shell.wait().unwrap().success());
    let started = since.elapsed();
    for port in (LOOP_PORT..).take(SERVICES) {
        while !answers(port) {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let answered = since.elapsed();
    let group = format!("-{}", shell.id());
    assert!(yard.command("kill", &["-KILL", "--", &group]).status().unwrap().success());
    [started, answered]
}

fn answers(port: u16) -> bool {
    let Ok(mut stream) = TcpStream::connect(("127.0.0.1", port)) else { return false };
    let mut answer = Vec::new();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").is_ok()
        && stream.read_to_end(&mut answer).is_ok_and(|length| length > 0)
}

pub(crate) fn start(report: &mut Report) {
    let yard = Yard::with(SERVICES, true);
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let [started, answered] = shell_loop(&yard).map(|took| took.as_secs_f64() * 1e3);
        let ours = yard.start().as_secs_f64() * 1e3;
        yard.run(&["kill"]);
        // Out of the way, but not deleted: for a minute ext4 looks at every deleted inode before it makes a new one.
        std::fs::rename(yard.at("ledger.d"), yard.at(&format!("ledger.{round}"))).unwrap();
        rounds.push((ours / started, ours, started, answered));
    }
    rounds.sort_by(|left, right| left.0.total_cmp(&right.0));
    let (ratio, ours, started, answered) = rounds[ROUNDS / 2];
    report.fact(&format!("start of {SERVICES} services until all answer (ms)"), ours);
    report.fact(&format!("a shell loop that only starts {SERVICES} of them (ms)"), started);
    report.fact("the same loop until all of them answer (ms)", answered);
    report.at_most("a start as a multiple of the loop that only starts, median of 5 rounds", ratio, 3.0);
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
