//! `cargo xtask bench daemon`: what the daemon reaches over loopback, measured in the same run against an empty tonic
//! service and against the same operations on a store in this process.
//!
//! The daemon is the binary itself, the echo service another process of this program; both have the client of this
//! process on the other end of one connection. Every case prints our figure, the calibration figure and their ratio,
//! and all are written as JSON to `target/bench-daemon.json`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, reason = "a measuring program")]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a measuring program"
)]

mod appends;
#[path = "../common/mod.rs"]
mod common;
mod echo;
mod idle;
mod latency;
mod processes;
mod reads;
mod served;
mod subscribers;

use common::report::Report;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    if only == echo::PROCESS {
        return runtime.block_on(echo::serve());
    }
    let mut report = Report::new("daemon");
    type Case<'c> = (&'c str, &'c dyn Fn(&mut Report));
    let cases: &[Case<'_>] = &[
        ("unary", &|report| runtime.block_on(appends::unary(report))),
        ("session", &|report| runtime.block_on(appends::session(report))),
        ("batches", &|report| runtime.block_on(appends::batches(report))),
        ("pages", &|report| runtime.block_on(reads::pages(report))),
        ("latency", &|report| runtime.block_on(latency::grpc(report))),
        ("events", &|report| runtime.block_on(latency::server_sent_events(report))),
        ("subscribers", &|report| runtime.block_on(subscribers::on_one_stream(report))),
        ("idle", &|report| runtime.block_on(idle::idle(report))),
        ("command", &|report| runtime.block_on(processes::one_append(report))),
        ("start", &|report| runtime.block_on(processes::start_on_large_database(report))),
    ];
    for (name, case) in cases {
        if only.is_empty() || only == *name {
            eprintln!("… {name}");
            case(&mut report);
        }
    }
    report.write();
}
