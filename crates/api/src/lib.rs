//! Ledger streams over gRPC: the protocol, and what both ends of it share.
//!
//! The protocol is `proto/ledger/v1/ledger.proto`. Its fields below 100 and its service `LedgerService` are those of
//! the program that existing clients were written for (specification §5); everything else is an addition that such
//! clients do not notice.
//!
//! # Rooms of this crate
//!
//! | module | subject |
//! |---|---|
//! | [`proto`] | generated messages and services, and their descriptor |
//! | [`metadata`] | the keys of request metadata, and what the caller says in them |
//! | [`convert`] | messages to the types of `ledger-streams` and back |
//! | [`status`] | errors of a store to statuses and back, without losing their facts |
//! | `vocabulary` | texts from the wire where an error wants a static one |
#![forbid(unsafe_code)]

pub mod convert;
pub mod metadata;
pub mod proto;
pub mod status;
mod vocabulary;
