//! `ledger chain init`.

use clap::Args;
use ledger_chain::writer::Ledger;

use super::{LedgerArg, append::WriterArgs, failed};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct InitArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(super) fn run(args: &InitArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let ledger = Ledger::init_in(&args.ledger.new_home()?, args.writer.settings()).map_err(failed)?;
    let last = ledger.with_engine(|engine| engine.last());
    ledger.close().map_err(failed)?;
    let dir = args.ledger.dir.display();
    writeln!(console.out, "{dir}: a new ledger, signed up to {last}")?;
    console.note(format_args!(
        "Keep {dir}/keys/service_cert.pem where auditors find it, and a copy of {dir}/keys where nobody else does."
    ));
    Ok(())
}
