//! `ledger journal …`: the commands of `burn state …`, from the same code.

use crate::console::Console;
use crate::errors::Failure;

/// Everything behind `journal` is read by the rules of `burn`, help included.
#[derive(clap::Args, Debug)]
pub(crate) struct JournalArgs {
    /// status, rebuild, prune, reset or help, and their options
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "COMMAND")]
    words: Vec<String>,
}

/// Runs a command of the journal.
pub(crate) fn run(args: &JournalArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    match relayburn_ledger::state::state(&args.words, console.out, &mut std::io::stderr()) {
        0 => Ok(()),
        code => Err(Failure::Journal(code)),
    }
}
