//! The daemon of Ledger: the stores of a database, served over gRPC (specification §5, §6).
//!
//! # Rooms of this crate
//!
//! | module | subject |
//! |---|---|
//! | `config` | [`Config`]: defaults, file, environment, flags |
//! | `keys` | [`KeyFile`], [`Keyring`]: who may do what on which stores |
//! | `pid` | [`PidFile`], [`Running`]: which process is the daemon |
//! | `log` | [`Log`]: standard error, or a file of JSON lines |
#![forbid(unsafe_code)]

pub mod config;
pub mod keys;
pub mod log;
pub mod pid;

pub use config::{Config, ConfigError, Loaded, Overrides};
pub use keys::{Identity, KeyError, KeyFile, Keyring, NamedKey, Right};
pub use log::Log;
pub use pid::{PidError, PidFile, Running};
