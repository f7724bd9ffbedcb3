//! `ledger yard` with real processes: stand-ins for SQLPage and surveilr that listen, log and die as they are told.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    reason = "for tests"
)]

mod classes;
mod defects;
#[path = "../common/disk.rs"]
mod disk;
mod engines;
mod events;
mod faults;
mod homes;
mod listing;
mod manual;
mod programs;
mod proxies;
mod start;
mod steps;
mod strangers;
mod support;
mod watch;
