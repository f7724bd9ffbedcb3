//! The console of a yard: a page that shows what the ledger and the process table say, and a proxy that offers every
//! service under its prefix (specification §10).
//!
//! ```text
//! browser ──► serve ──► access ──► routes ──► page · api · events · files        under /.truth-yard
//!                                    └──────► proxy ──► service                  everything else
//!                                               │
//! ledger.d ──► live ──► picture ────────────────┴─► routing table
//! ```
//!
//! What is shown is a picture (`picture.rs`): the ledger and the processes, read once, and again when a file of the ledger
//! changes or the picture gets old. No request enumerates processes (specification §15, 41); the page is told of changes by
//! server-sent events.
//!
//! The console changes nothing: no route of it starts, stops or writes anything.
//!
//! # Rooms of this crate
//!
//! | module | subject |
//! |---|---|
//! | `serve` | [`Console`]: listening, limits, the end |
//! | `access` | who may ask: key, cookie, `Host` |
//! | `routes` | which request means what |
//! | `live`, `picture` | what is known, and keeping it true |
//! | `api` | JSON |
//! | `events` | server-sent events: changes, live logs |
//! | `files` | the ledger, browsed |
//! | `page` | the page and the form that asks for the key |
//! | `proxy` | the way to a service and back |
//! | `answer` | answers and their headers |
//!
//! # What the services can reach
//!
//! All services share the origin of the console, so a script of one can read what the console shows and call the others in
//! the name of the person in front of the browser. It cannot change anything in the console, because nothing can. The
//! console's cookie and key are taken out of every request before it is handed on.
#![forbid(unsafe_code)]

mod access;
mod answer;
mod api;
mod events;
mod files;
mod live;
mod page;
mod picture;
mod proxy;
mod query;
mod routes;
mod serve;

pub use access::{Key, KeyError};
pub use serve::{Console, ConsoleError, Options, TraceSink};

/// Everything of the console lies below this path; the rest belongs to the services.
pub const BASE: &str = "/.truth-yard";
