//! `ledger chain snapshot`.

use clap::Args;
use ledger_chain::writer::Ledger;

use super::append::WriterArgs;
use super::{LedgerArg, failed};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct SnapshotArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(super) fn run(args: &SnapshotArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let dir = &args.ledger.dir;
    let ledger = Ledger::open_in(&args.ledger.home()?, args.writer.settings()).map_err(failed)?;
    let taken = ledger.snapshot();
    let set_aside = ledger.with_engine(|engine| engine.snapshots_set_aside().to_vec());
    // What was appended meanwhile is signed, whatever became of the snapshot.
    ledger.close().map_err(failed)?;
    for name in set_aside {
        console.note(format_args!(
            "A damaged snapshot was set aside: {}",
            dir.join("snapshots").join(name).display()
        ));
    }
    let name = taken.map_err(failed)?;
    Ok(writeln!(console.out, "{}", dir.join("snapshots").join(name.to_string()).display())?)
}
