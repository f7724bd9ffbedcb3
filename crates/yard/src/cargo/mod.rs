//! Cargo: data files, what they hold, and what goes with them.

mod classify;
mod dotenv;
mod prefix;
mod walk;

pub use classify::{Content, Trouble};
pub use prefix::{PrefixError, PrefixTemplate};
pub use walk::{Cargo, PATTERNS, Root, RootError, Stamp};

pub(crate) use classify::{classify, percent_encoded};
pub(crate) use dotenv::parse as parse_dotenv;
pub(crate) use walk::{Walk, WalkProblem, walk};
