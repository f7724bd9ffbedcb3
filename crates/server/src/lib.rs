//! The daemon of Ledger: the stores of a database, served over gRPC and HTTP (specification §5, §6).
//!
//! ```no_run
//! # async fn start() -> Result<(), Box<dyn std::error::Error>> {
//! let loaded = ledger_server::Loaded::load(&ledger_server::Overrides::of_process(), true)?;
//! let server = ledger_server::Server::bind(loaded).await?;
//! let handle = server.handle(); // stop() ends it
//! server.run().await?;
//! # Ok(()) }
//! ```
//!
//! # The way of a request
//!
//! ```text
//! gRPC ─► guard (who, and may they?) ─► grpc (decode, check) ─► registry (which store?) ─► Store ─► answer
//! HTTP ─► http (decode, the same guard) ─┘
//! ```
//!
//! # Rooms of this crate
//!
//! | module | subject |
//! |---|---|
//! | [`background`] | starting a daemon in the background, and hearing why it did not start |
//! | `daemon` | [`run_daemon`]: the process: PID file, log, signals |
//! | `lifecycle` | [`Server`], [`Handle`]: from a configuration to a running daemon and to its end |
//! | `listener` | accepting connections: how many, how slow, TLS |
//! | `guard` | who may call what, and how much at once; panics |
//! | `calls` | every call: what it needs, what it is counted as |
//! | `admitted` | a call that has been let in, until its end |
//! | `metrics` | what is counted, as Prometheus reads it |
//! | `limits`, `time_limit` | how much one client may have under way, and how long |
//! | `grpc` | the calls, one file per group |
//! | [`http`] | the HTTP gateway: JSON and server-sent events in front of the same calls |
//! | `registry` | the stores of the database |
//! | [`config`] | [`Config`]: defaults, file, environment, flags |
//! | [`keys`] | [`KeyFile`], [`Keyring`]: who may do what on which stores |
//! | [`pid`] | [`PidFile`], [`Running`]: which process is the daemon |
//! | [`log`] | [`Log`]: standard error, or a file of JSON lines |
#![forbid(unsafe_code)]

mod admitted;
pub mod background;
mod calls;
pub mod config;
mod daemon;
mod grpc;
mod guard;
pub mod http;
pub mod keys;
mod lifecycle;
mod limits;
mod listener;
pub mod log;
mod metrics;
pub mod pid;
mod registry;
mod time_limit;

pub use config::{Config, ConfigError, Loaded, Overrides};
pub use daemon::{DaemonError, Place, log_path, run_daemon};
pub use keys::{Identity, KeyError, KeyFile, Keyring, NamedKey, Right};
pub use lifecycle::{Handle, ServeError, Server, StartError};
pub use listener::TlsError;
pub use log::Log;
pub use pid::{PidError, PidFile, Running};
