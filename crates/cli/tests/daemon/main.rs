//! `ledger start`, `stop`, `status`, `restart`, `config`, `key`: the real binary, in a home of its own.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

#[path = "../common/mod.rs"]
mod common;
mod control;
#[path = "../common/disk.rs"]
mod disk;
mod faults;
mod home;
mod kill;
mod recovery;
mod settings;
mod wire;
mod words;
