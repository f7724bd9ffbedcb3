//! What a daemon costs while nothing happens.

use std::time::Duration;

use ledger_streams::{Append, Expect, Position, Store};

use crate::common::report::Report;
use crate::common::support::payload;
use crate::served::Daemon;

const STREAMS: usize = 10_000;
const SUBSCRIBERS: usize = 100;
const WATCHED: Duration = Duration::from_secs(10);
/// CPU time that no tool can tell from none: one tick of the clock that the kernel counts processes with.
const UNNOTICEABLE_MS: f64 = 10.0;

pub(crate) async fn idle(report: &mut Report) {
    let daemon = Daemon::start();
    let client = daemon.connect().await;
    let session = client.append_session().await.unwrap();
    let mut pending = Vec::new();
    for number in 0..STREAMS {
        let entry = vec![Append::new(payload())];
        pending.push(session.append(&format!("stream-{number}"), entry, Expect::Any).await.unwrap());
    }
    for appended in pending {
        appended.await.unwrap();
    }
    session.finish().await;
    let mut subscribers = Vec::new();
    for number in 0..SUBSCRIBERS {
        let client = daemon.connect().await;
        let subscribe = client.capabilities().subscribe.unwrap();
        let mut live = subscribe.subscribe(&format!("stream-{number}"), Position::Start).await.unwrap();
        live.next_entry().await.unwrap();
        subscribers.push(tokio::spawn(async move { while live.next().await.unwrap().is_some() {} }));
    }
    // Whatever the load has left to do is done by then.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let (pid, _) = daemon.process();
    let before = cpu_time(&pid);
    tokio::time::sleep(WATCHED).await;
    let used = cpu_time(&pid).saturating_sub(before);
    for subscriber in subscribers {
        subscriber.abort();
    }
    let case = format!("idle with {STREAMS} streams and {SUBSCRIBERS} subscribers: CPU time in 10 s (ms)");
    report.at_most(&case, used.as_secs_f64() * 1e3, UNNOTICEABLE_MS);
}

/// What all threads of a process have computed, to the nanosecond.
fn cpu_time(process: &str) -> Duration {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).unwrap();
    let of_thread = |thread: std::io::Result<std::fs::DirEntry>| {
        let text = std::fs::read_to_string(thread.unwrap().path().join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|nanoseconds| nanoseconds.parse().ok()).unwrap_or(0)
    };
    Duration::from_nanos(threads.map(of_thread).sum())
}
