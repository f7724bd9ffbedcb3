//! The HTTP gateway: the calls of the daemon as JSON over HTTP (specification §5.7).
//!
//! ```text
//! connection ─► routes (which call?) ─► guard (who, and may they?) ─► body ─► request (message) ─► grpc ─► JSON
//! ```
//!
//! It is another face of the same service: requests are turned into the messages of the protocol and handed to the
//! code that serves gRPC, in this process. So both faces share one guard, one set of checks and one wording of errors,
//! and mutual TLS asks nothing of the gateway itself.
//!
//! | module | subject |
//! |---|---|
//! | `routes` | the table of routes; how a path finds its route |
//! | `request` | [`decode`]: path, query, headers and body to a [`Message`] |
//! | `query`, `escapes` | query parameters; percent escapes |
//! | `json` | messages to JSON and back |
//! | `gateway` | guard, limits, and the call |
//! | `events` | subscriptions as server-sent events |
//! | `refusal` | [`Refusal`]: errors as HTTP status and JSON |
//! | `openapi` | the description of all routes |
//! | `serve`, `linger` | connections, and closing them on a client that still sends |
//!
//! Why no router of a framework: the rules of §5.7 (verbs behind a colon, empty segments that count, a slash that may
//! not be escaped, 501 for a wrong method) are those of another router, and one table gives both the routes and their
//! description.

mod escapes;
mod events;
mod gateway;
mod json;
mod linger;
mod openapi;
mod query;
mod refusal;
mod request;
mod routes;
mod serve;

pub(crate) use gateway::Gateway;
pub use refusal::Refusal;
pub use request::{Message, decode};
pub use routes::{Call, ROUTES, Route};
pub(crate) use serve::serve;
