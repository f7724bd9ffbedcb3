//! Appends: one per call, one per message of a session, and in batches.

use std::collections::VecDeque;
use std::time::Instant;

use ledger_api::Client;
use ledger_streams::{Append, Expect};

use crate::common::load::{ROUNDS, SLICE, STREAM, appends_per_second, best_of_each};
use crate::common::report::Report;
use crate::common::support::{folder, payload};
use crate::echo::EchoProcess;
use crate::served::{Daemon, embedded};

/// Calls with one entry each that are in flight.
const IN_FLIGHT: usize = 256;
/// Appends of a session that wait for their acknowledgement, and callers in this process beside it.
const SESSION_IN_FLIGHT: usize = 1024;
/// Callers that append batches.
const BATCH_CALLERS: usize = 16;

pub(crate) async fn unary(report: &mut Report) {
    let (daemon, echo, folder) = (Daemon::start(), EchoProcess::start().await, folder());
    let (client, store) = (daemon.connect().await, embedded(&folder).await);
    let (mut rounds, mut in_process) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let ours = appends_per_second(&client, IN_FLIGHT, 1).await;
        rounds.push((ours, echo.calls_per_second(IN_FLIGHT).await));
        in_process.push((ours, appends_per_second(&store, IN_FLIGHT, 1).await));
    }
    store.database().close().await;
    let (ours, theirs) = best_of_each(&rounds);
    let case = format!("unary append, {IN_FLIGHT} in flight, one 256-byte entry, synced");
    report.rate(&case, ours, "empty tonic echo, the same in flight", theirs, 0.5);
    // The echo has no disk: what so many callers get out of this one.
    report.fact("as many callers in process (appends per second)", best_of_each(&in_process).1);
}

pub(crate) async fn session(report: &mut Report) {
    let (daemon, folder) = (Daemon::start(), folder());
    let (client, store) = (daemon.connect().await, embedded(&folder).await);
    let (mut rounds, mut unary) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let ours = session_appends_per_second(&client).await;
        rounds.push((ours, appends_per_second(&store, SESSION_IN_FLIGHT, 1).await));
        unary.push((ours, appends_per_second(&client, IN_FLIGHT, 1).await));
    }
    store.database().close().await;
    let (ours, theirs) = best_of_each(&rounds);
    let calibration = format!("{SESSION_IN_FLIGHT} callers in process");
    report.rate("append session, one entry per message, synced", ours, &calibration, theirs, 0.5);
    let (_, theirs) = best_of_each(&unary);
    report.fact("append session: times the rate of unary appends", ours / theirs);
}

/// Entries per second of one session, each a message of its own.
async fn session_appends_per_second(client: &Client<i64>) -> f64 {
    let session = client.append_session().await.unwrap();
    let (start, mut acknowledged, mut pending) = (Instant::now(), 0_u64, VecDeque::new());
    while start.elapsed() < SLICE {
        let entry = vec![Append::new(payload())];
        pending.push_back(session.append(STREAM, entry, Expect::Any).await.unwrap());
        if pending.len() > SESSION_IN_FLIGHT {
            acknowledged += pending.pop_front().unwrap().await.unwrap().len() as u64;
        }
    }
    for waiting in pending {
        acknowledged += waiting.await.unwrap().len() as u64;
    }
    acknowledged as f64 / start.elapsed().as_secs_f64()
}

pub(crate) async fn batches(report: &mut Report) {
    let (daemon, folder) = (Daemon::start(), folder());
    let (client, store) = (daemon.connect().await, embedded(&folder).await);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let ours = appends_per_second(&client, BATCH_CALLERS, 100).await;
        rounds.push((ours, appends_per_second(&store, BATCH_CALLERS, 100).await));
    }
    store.database().close().await;
    let (ours, theirs) = best_of_each(&rounds);
    let case = format!("unary append, {BATCH_CALLERS} in flight, batches of 100, synced");
    report.rate(&case, ours, "the same in process", theirs, 0.6);
}
