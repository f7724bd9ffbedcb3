//! `ledger chain compare`.

use std::path::PathBuf;

use clap::Args;
use ledger_chain::verify::{Difference, compare};

use super::{Place, failed};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// Home of a ledger, or any folder of chunk files
    #[arg(value_name = "DIR")]
    left: PathBuf,
    /// The other one
    #[arg(value_name = "OTHER")]
    right: PathBuf,
    /// Print the comparison as JSON
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &CompareArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let (left, right) = (Place::open(&args.left)?, Place::open(&args.right)?);
    let comparison = compare(&*left.ledger, &*right.ledger).map_err(failed)?;
    if args.json {
        writeln!(console.out, "{}", serde_json::to_string(&comparison).map_err(failed)?)?;
    } else {
        match comparison.common_until {
            Some(until) => writeln!(
                console.out,
                "the first {} entries are the same, up to {until}",
                comparison.common_entries
            )?,
            None => writeln!(console.out, "no entry is the same")?,
        }
    }
    let (left, right) = (args.left.display(), args.right.display());
    let text = match &comparison.difference {
        None => return Ok(()),
        Some(Difference::LeftEnds) => format!("{left} ends there, {right} goes on"),
        Some(Difference::RightEnds) => format!("{right} ends there, {left} goes on"),
        Some(Difference::LeftBroken(problem)) => format!("{left} cannot be read on: {problem}"),
        Some(Difference::RightBroken(problem)) => format!("{right} cannot be read on: {problem}"),
        Some(Difference::Entry { left: one, right: other, .. }) => {
            let name = |txid: &Option<ledger_chain::TxId>| {
                txid.map_or_else(|| "?".to_owned(), |txid| txid.to_string())
            };
            format!("the next entries differ: {} in {left}, {} in {right}", name(one), name(other))
        }
        Some(_) => "they differ".to_owned(),
    };
    Err(Failure::Differs(text))
}
