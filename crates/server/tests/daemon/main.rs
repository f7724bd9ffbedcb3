//! A real daemon on loopback, spoken to by generated clients.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "for tests")]
mod calls;
mod certificates;
mod errors;
mod hostile;
mod keys;
mod lifecycle;
mod raw;
mod services;
mod streaming;
mod support;
mod tls;
