//! A file system in memory that knows what a crash could leave (feature `crash`, for tests).
mod disk;
mod fault;
mod fs;
mod harness;
mod images;
mod live;
mod random;
mod replay;
mod tree;

pub use fault::{Fault, Operation, OperationKind};
pub use fs::CrashFs;
pub use harness::{Cause, Crash, Failure, History, Tried, for_each_crash, for_each_crash_of, for_each_fault};
pub use images::CrashPolicy;
pub use replay::Image;
