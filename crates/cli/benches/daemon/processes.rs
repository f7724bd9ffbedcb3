//! What is measured around whole processes: a command, and a start.

use std::time::Instant;

use crate::common::load::{STREAM, fill};
use crate::common::report::Report;
use crate::common::support::{from_environment, quantile};
use crate::served::Daemon;

/// Runs of the command, and starts of the daemon.
const COMMANDS: usize = 50;
const STARTS: usize = 7;
/// Size of the database in MB, unless the environment says otherwise.
const MEGABYTES: usize = 1000;
/// Entries between two looks at the size of the file.
const ENTRIES_PER_LOOK: usize = 100_000;

/// `ledger stream append`, from its start to its end.
pub(crate) async fn one_append(report: &mut Report) {
    let daemon = Daemon::start();
    let (_, address) = daemon.process();
    let arguments = ["stream", "append", "--stream", STREAM, "an entry", "--addr", &address];
    let times = sorted_times(COMMANDS, || drop(daemon.run(&arguments)));
    report.at_most("one `ledger stream append`, whole process, median (ms)", quantile(&times, 0.5), 30.0);
    report.fact("one `ledger stream append`, whole process, best (ms)", times[0]);
    // How much of it is the start of any process of this program.
    let nothing = sorted_times(COMMANDS, || drop(daemon.run(&["version"])));
    report.fact("`ledger version`, whole process, median (ms)", quantile(&nothing, 0.5));
}

/// `ledger start`, which ends when the daemon answers.
pub(crate) async fn start_on_large_database(report: &mut Report) {
    let megabytes = from_environment("LEDGER_BENCH_DATABASE_MB", MEGABYTES);
    let daemon = Daemon::start();
    let client = daemon.connect().await;
    let database = daemon.path("ledger.db");
    while std::fs::metadata(&database).unwrap().len() < megabytes as u64 * 1_000_000 {
        fill(&client, ENTRIES_PER_LOOK).await;
    }
    let (mut starts, mut answers) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        daemon.run(&["stop"]);
        let start = Instant::now();
        daemon.run(&["start"]);
        starts.push(start.elapsed().as_secs_f64() * 1e3);
        // Ready is who answers.
        fill(&daemon.connect().await, 1).await;
        answers.push(start.elapsed().as_secs_f64() * 1e3);
    }
    starts.sort_by(f64::total_cmp);
    answers.sort_by(f64::total_cmp);
    let case = |what: &str| format!("`ledger start` on a database of {megabytes} MB to {what}, median (ms)");
    report.at_most(&case("ready"), quantile(&starts, 0.5), 300.0);
    report.at_most(&case("its first acknowledged append"), quantile(&answers, 0.5), 300.0);
    // What was not stopped but killed has a log to go through.
    fill(&daemon.connect().await, ENTRIES_PER_LOOK).await;
    daemon.kill();
    let recovery = sorted_times(1, || drop(daemon.run(&["start"])));
    report.fact("`ledger start` after it was killed behind a load (ms)", recovery[0]);
}

/// How long it takes, each time, in milliseconds.
fn sorted_times(runs: usize, mut run: impl FnMut()) -> Vec<f64> {
    let mut times: Vec<f64> = (0..runs)
        .map(|_| {
            let start = Instant::now();
            run();
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}
