//! `ledger yard` with real processes: stand-ins for SQLPage and surveilr that listen, log and die as they are told.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    reason = "for tests"
)]

mod faults;
mod listing;
mod manual;
mod start;
mod support;
mod watch;
