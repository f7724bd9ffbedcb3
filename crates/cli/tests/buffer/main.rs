//! `ledger buffer …` with the real binary: on files, against a real HTTP server, into a real daemon.
#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, missing_docs, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod files;
#[allow(dead_code, reason = "the tests of the daemon use the rest")]
#[path = "../daemon/home.rs"]
mod home;
mod send;
mod server;
mod to_stream;
