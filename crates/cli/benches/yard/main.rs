//! `cargo xtask bench yard`: what a yard reaches over many small services, measured in the same run against a shell loop
//! that only starts them.
//!
//! The yard is the binary itself; the service is this program under the name `sqlpage`, which listens at once and ends
//! when it is told to. All figures are written as JSON to `target/bench-yard.json`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a measuring program"
)]
#![allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    missing_docs,
    reason = "a measuring program"
)]

mod cargo;
mod commands;
#[path = "../common/mod.rs"]
mod common;
mod launch;
mod proxy;
mod rescan;
mod watch;

use common::report::Report;

fn main() {
    if cargo::is_service() {
        return cargo::serve();
    }
    if proxy::is_service() {
        return proxy::serve();
    }
    let only = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    let mut report = Report::new("yard");
    type Case = (&'static str, fn(&mut Report));
    let cases: [Case; 6] = [
        ("start", launch::start),
        ("adopt", launch::adopt),
        ("commands", commands::list_and_stop),
        ("rescan", rescan::unchanged_files),
        ("watch", watch::new_file),
        ("proxy", proxy::overhead),
    ];
    for (name, case) in cases {
        if only.is_empty() || only == name {
            eprintln!("… {name}");
            case(&mut report);
        }
    }
    report.write();
}
