//! `ledger yard web` over HTTP, with services that redirect, set cookies, stream and speak WebSockets; and in a browser.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::expect_used,
    reason = "for tests"
)]

mod access;
mod api;
mod browser;

mod files;
mod limits;
mod live;
mod proxy;
mod support;
#[path = "../yard/support.rs"]
#[allow(dead_code, reason = "shared with the tests of the yard")]
mod yard;
