//! `ledger chain change-passphrase`.

use std::path::PathBuf;

use clap::Args;
use ledger_chain::crypto::Passphrase;

use super::place::first_line;
use super::{LedgerArg, failed};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct ChangePassphraseArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    next: NextArg,
}

/// What comes instead.
#[derive(Args, Debug)]
#[group(multiple = false)]
struct NextArg {
    /// File whose first line is the new passphrase
    #[arg(long, value_name = "FILE")]
    new_passphrase_file: Option<PathBuf>,
    /// Leave the keys without a passphrase, protected by the permissions of their files only
    #[arg(long)]
    remove: bool,
}

pub(super) fn run(args: &ChangePassphraseArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    if args.next.new_passphrase_file.is_none() && !args.next.remove {
        let reason = "name the file that holds the new passphrase (--new-passphrase-file), or say --remove";
        return Err(Failure::Arguments(reason.to_owned()));
    }
    let next = args.next.new_passphrase_file.as_deref().map(first_line).transpose()?;
    let next = next.map(Passphrase::new).transpose().map_err(failed)?;
    args.ledger.home()?.change_passphrase(next.as_ref()).map_err(failed)?;
    let dir = args.ledger.dir.display();
    match next {
        Some(_) => writeln!(console.out, "the new passphrase protects the keys in {dir}/keys")?,
        None => writeln!(console.out, "no passphrase protects the keys in {dir}/keys any more")?,
    }
    console.note(format_args!(
        "Copies of {dir}/keys made before still open as they did: make a new one, and destroy them."
    ));
    Ok(())
}
