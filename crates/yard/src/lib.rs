//! Services over data files, whose whole state is files.
//!
//! A *yard* looks into folders of data files (*cargo*), recognises those that can be served (a SQLPage or surveilr database,
//! or whatever `yard.yaml` says), starts a service over each, and writes everything about it into a folder of files, the
//! *ledger*: what was started and how, where it listens, its logs, how it ended. There is no database and no daemon; other
//! programs read the files (request "Ledger as API").
//!
//! ```text
//!            ┌─ survey ──────────┐
//! cargo.d ──►│ walk · classify   │──► start ──► keeper ──► service
//!            └───────────────────┘     │          │
//!                  ▲                   ▼          ▼
//!                watch             ledger.d: contexts, logs, state
//!                                      ▲
//!                          reconcile · stop · list · proxy files
//! ```
//!
//! # Rooms of this crate
//!
//! | module | subject |
//! |---|---|
//! | `cargo` | finding data files, what they hold, their `.env`, their prefix |
//! | `kind` | kinds of services, as data |
//! | `settings` | flags and `yard.yaml` |
//! | `plan` | from a data file to everything that its keeper must know |
//! | `start` | [`Yard`]: one round |
//! | `event` | what happens in a round, told as it happens |
//! | `keeper` | [`keeper::run`]: the process beside each service |
//! | `watch` | [`watch`]: rounds on hints and at an interval |
//! | `ledger` | the folder, contexts, logs; reading them |
//! | `process`, `tag`, `tagged` | who a process is; the marks that services carry |
//! | `listener` | whose socket it is that answers |
//! | `reconcile`, `stop` | [`reconcile`], [`stop`], [`kill`] |
//! | `ports` | ports without a race |
//! | `proxy` | files for nginx and Traefik |
//! | `composite` | SQL that attaches many databases |
//! | `failpoint` | steps at which tests kill the process |
//!
//! Everything that looks at processes reads `/proc`: Linux only.
#![forbid(unsafe_code)]

mod cargo;
mod composite;
mod event;
mod failpoint;
pub mod keeper;
mod kind;
mod ledger;
mod listener;
mod plan;
mod ports;
mod process;
mod proxy;
mod reconcile;
mod settings;
mod start;
mod stop;
mod tag;
mod tagged;
mod watch;

pub use cargo::{Cargo, Content, PATTERNS, PrefixError, PrefixTemplate, Root, RootError, Stamp, Trouble};
pub use composite::{Composed, Composite, Dialect, SQLITE_MAX_ATTACHED, Scope};
pub use event::{Event, EventKind, Listener, Phase, Verbosity};
pub use keeper::RestartPolicy;
pub use kind::{Kind, KindError, KindSetting, Kinds, Ready, Rule, Switch};
pub use ledger::{
    Context, DataFile, Home, HomeError, HomeLock, Host, KEPT_LOGS, Listen, Liveness, MASK, MAX_LOG_BYTES,
    Moment, Paths, Record, RecordProblem, Service, Session, SessionContext, SpawnPlan, Spawned, SrcPath,
    State, StateName, Supplier, Tail, WATCH_SESSION,
};
pub use ports::PortError;
pub use process::Identity;
pub use proxy::{NginxOptions, ProxyFile, Route, TraefikOptions, nginx_proxy_manager};
pub use reconcile::{Drift, DriftItem, reconcile};
pub use settings::{CONFIG_FILE, ConfigFile, Settings, SettingsError};
pub use start::{Classified, ServiceError, StartError, Summary, Yard};
pub use stop::{Stopped, kill, stop};
pub use tagged::{Tagged, tagged};
pub use watch::{Round, WatchOptions, watch};
