//! The HTTP gateway of a real daemon on loopback, driven by `curl` and, where it must be exact, by bytes on a socket.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "for tests"
)]
mod calls;
#[path = "../daemon/certificates.rs"]
#[allow(dead_code, reason = "shared with the other tests of the daemon")]
mod certificates;
mod curl;
mod errors;
mod events;
mod keys;
mod limits;
mod metrics;
mod openapi;
mod probes;
#[path = "../daemon/support.rs"]
#[allow(dead_code, reason = "shared with the other tests of the daemon")]
mod support;
mod tls;
