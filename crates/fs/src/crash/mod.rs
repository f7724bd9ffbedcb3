//! A file system in memory that knows what a crash could leave: a tool for the tests of every room that keeps files.
//! Feature `crash`; enable it in dev-dependencies.
//!
//! [`CrashFs`] stands behind the same traits as the machine's file system and records every operation. From the record it
//! makes every state in which the files could be found after a process was killed or the power was cut, at any operation
//! and in the middle of it, and it lets any operation fail. [`for_each_crash`] and [`for_each_fault`] are the loops.
//!
//! # Worked example
//!
//! A counter in a file. The workload notes what it was told is safe; the check sees what was noted before the crash and
//! one state that the crash could leave.
//!
//! ```
//! use std::path::Path;
//! use ledger_fs::crash::{Cause, CrashPolicy, Fault, for_each_crash, for_each_fault};
//! use ledger_fs::{read_all, replace};
//!
//! let name = Path::new("counter");
//! let tried = for_each_crash(
//!     CrashPolicy::default(),
//!     |fs, history| {
//!         for count in 1..=3_u8 {
//!             replace(&*fs.dir(), name, &[count]).unwrap();
//!             history.note(count);        // from here on a power cut must not lose it
//!         }
//!     },
//!     |crash| {
//!         let safe = crash.events.last().copied().unwrap_or(0);
//!         let found = match read_all(&*crash.image.fs.dir(), name, 10) {
//!             Ok(bytes) => bytes[0],      // never empty, never torn
//!             Err(_) => 0,
//!         };
//!         assert!(found == safe || found == safe + 1, "{:?}", crash.cause);
//!     },
//! );
//! assert!(tried.images > 50);
//!
//! // And no failing operation makes it forget what it acknowledged.
//! for_each_fault(
//!     &[Fault::NoSpace, Fault::Io, Fault::ShortWrite(0), Fault::FailedSync],
//!     |fs, history| {
//!         for count in 1..=3_u8 {
//!             if replace(&*fs.dir(), name, &[count]).is_err() {
//!                 return;
//!             }
//!             history.note(count);
//!         }
//!     },
//!     |failure| {
//!         let safe = failure.events.last().copied().unwrap_or(0);
//!         for image in failure.fs.images(CrashPolicy::default()) {
//!             let found = read_all(&*image.fs.dir(), name, 10).map_or(0, |bytes| bytes[0]);
//!             assert!(found == safe || found == safe + 1, "{image}");
//!         }
//!     },
//! );
//! ```
//!
//! With the folder's sync taken out of `replace` the check panics, and standard error says what crashed, where, and what
//! became of each operation that was not safe:
//!
//! ```text
//! broken by PowerCut, while under way: None
//! what was open:
//!   counter.77-0.tmp created as 1: kept
//!   counter.77-0.tmp removed, counter is 1: lost
//! so far: [1]
//! ```
//!
//! # The model
//!
//! A **killed process** ([`Cause::Kill`]) leaves everything it wrote. The operation under way happened, did not happen, or,
//! if it is a write, happened for its first bytes.
//!
//! A **power cut** ([`Cause::PowerCut`]) leaves what was synced, and of the rest anything:
//!
//! | not synced | may be |
//! |---|---|
//! | bytes written | kept; lost; torn at a byte or a sector (512 bytes), the file ending there; torn with zeros behind; all but the first sectors kept; zeros (the length was kept and the data was not). An overwritten range is never zeros |
//! | length set | kept or lost |
//! | name created, renamed, linked, removed | kept or lost, whatever became of the bytes. Names are independent of each other; changes of one name are kept in their order. A rename is whole: never both names gone |
//!
//! Every write is decided on its own, so a later one may be kept while an earlier one is lost. [`File::sync_data`] and
//! [`File::sync_all`] make a file's bytes and length safe, not its name; [`Dir::sync`] makes a folder's names safe, not
//! the bytes, and not the folder's own name in the folder above. A move between two folders is safe once both are synced.
//! Real file systems promise more than this; none promises less, and a program that passes here runs on all.
//!
//! After a **failed sync** ([`Fault::FailedSync`]) the file's bytes may be lost even when a later sync succeeds: Linux marks
//! the pages clean. Locks end with every crash. Inode numbers are given again as soon as they are free, as ext4 does.
//! Not modelled: bytes that were safe and rot, symbolic links, permissions, time stamps after a crash.
//!
//! # How much is tried
//!
//! [`CrashPolicy`] says it: all combinations where they are few, else telling ones first and then random ones from a seed.
//! Contents are shared between images, so that small workloads run through tens of thousands of images in seconds.
//! An image is a [`CrashFs`] again: run the recovery in a [`for_each_crash_of`] to crash it too.
//!
//! [`File::sync_data`]: crate::File::sync_data
//! [`File::sync_all`]: crate::File::sync_all
//! [`Dir::sync`]: crate::Dir::sync

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
