//! The ledger: the files in which everything is recorded.

mod context;
mod home;
mod live;
mod log;
mod record;
mod session;
mod tail;

pub use context::Session as SessionContext;
pub use context::{
    Context, DataFile, Host, Listen, MASK, Moment, Paths, Service, SpawnPlan, Spawned, SrcPath, State,
    StateName, Supplier,
};
pub use home::{Home, HomeError, HomeLock};
pub use log::{KEPT_LOGS, MAX_LOG_BYTES};
pub use record::{Liveness, Record, RecordProblem};
pub use session::{Session, WATCH_SESSION};
pub use tail::Tail;

pub(crate) use live::run_folder;
pub(crate) use log::Log;
