//! Conditions on entries and `key=value` pairs: from flags to what a store understands.

use clap::Args;
use jiff::Timestamp;
use ledger_streams::Filter;

use crate::errors::Failure;
use crate::output::quoted;
use crate::time::TimeBound;

/// Which entries.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Which entries (all conditions must hold)")]
pub(crate) struct FilterArgs {
    /// Only entries with this ordering key
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    order_key: String,
    /// Only entries with this tag; repeat it to ask for several
    #[arg(long = "tag", value_name = "TAG")]
    tags: Vec<String>,
    /// Only entries with this metadata; repeatable
    #[arg(long = "meta", value_name = "KEY=VALUE")]
    metadata: Vec<String>,
    /// Only entries with this annotation; repeatable
    #[arg(long = "annotation", value_name = "KEY=VALUE")]
    annotations: Vec<String>,
    /// Only entries appended at this time or later: 2026-11-21T10:00:00Z, 2026-11-21 (UTC), or 2h (ago)
    #[arg(long, value_name = "TIME", value_parser = TimeBound::parse)]
    since: Option<TimeBound>,
    /// Only entries appended before this time
    #[arg(long, value_name = "TIME", value_parser = TimeBound::parse)]
    until: Option<TimeBound>,
}

impl FilterArgs {
    /// The conditions, seen from `now`.
    ///
    /// # Errors
    /// [`Failure::Arguments`] for a pair without `=`.
    pub(crate) fn filter(&self, now: Timestamp) -> Result<Filter, Failure> {
        Ok(Filter {
            order_key: self.order_key.clone(),
            tags: self.tags.iter().filter(|tag| !tag.is_empty()).cloned().collect(),
            metadata: pairs("metadata", &self.metadata)?,
            annotations: pairs("annotation", &self.annotations)?,
            since: self.since.map(|since| since.resolve(now)),
            until: self.until.map(|until| until.resolve(now)),
        })
    }
}

/// Splits pairs at their first `=`.
///
/// # Errors
/// [`Failure::Arguments`] for a pair without one.
pub(crate) fn pairs(what: &str, pairs: &[String]) -> Result<Vec<(String, String)>, Failure> {
    let split = |pair: &String| match pair.split_once('=') {
        Some((key, value)) => Ok((key.to_owned(), value.to_owned())),
        None => Err(Failure::Arguments(format!("invalid {what} pair {}: expected key=value", quoted(pair)))),
    };
    pairs.iter().map(split).collect()
}
