//! Cargo: data files, what they hold, and what goes with them.

mod classify;
mod dotenv;
mod prefix;
mod walk;

pub use classify::{Content, Trouble, classify};
pub use prefix::{PrefixError, PrefixTemplate};
pub use walk::{Cargo, PATTERNS, Root, RootError, Stamp, Walk, WalkProblem, walk};

pub(crate) use classify::percent_encoded;
pub(crate) use dotenv::parse as parse_dotenv;
