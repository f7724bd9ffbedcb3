//! `ledger chain recover|rotate-node-key|rotate-secret`.

use clap::Args;
use ledger_chain::crypto::Curve;
use ledger_chain::writer::Ledger;

use super::append::WriterArgs;
use super::{LedgerArg, failed};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of `recover`.
#[derive(Args, Debug)]
pub(crate) struct RecoverArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    writer: WriterArgs,
}

/// Arguments of the rotations.
#[derive(Args, Debug)]
pub(crate) struct RotateArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(super) fn run(args: &RecoverArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let dir = &args.ledger.dir;
    if !dir.join("ledger").is_dir() {
        return Err(Failure::Arguments(format!(
            "{0} holds no folder `ledger`; copy the chunk files of a surviving ledger to {0}/ledger first",
            dir.display()
        )));
    }
    let home = args.ledger.home()?;
    let (ledger, recovery) = Ledger::recover_in(&home, args.writer.settings()).map_err(failed)?;
    ledger.close().map_err(failed)?;
    writeln!(console.out, "kept everything up to {}", recovery.kept_until)?;
    if recovery.unsigned_entries > 0 {
        let count = recovery.unsigned_entries;
        writeln!(
            console.out,
            "{count} entries behind it were not signed; they are in {}/unsigned",
            dir.display()
        )?;
    }
    if let Some(name) = recovery.from_snapshot {
        writeln!(console.out, "what the first chunks held is taken from snapshots/{name}")?;
    }
    if let Some((first, last)) = recovery.lost {
        writeln!(console.out, "entries {first} to {last} had been synced here, and cannot be read any more")?;
    }
    if let Some(aside) = &recovery.set_aside {
        writeln!(console.out, "what could not be read is kept in ledger/{aside}")?;
    }
    for aside in &recovery.snapshots_set_aside {
        writeln!(
            console.out,
            "a snapshot of entries that are not here any more is kept in snapshots/{aside}"
        )?;
    }
    writeln!(console.out, "the new service begins at {}", recovery.created)?;
    if !recovery.private_readable {
        console.note("Without keys/ledger_secrets of before, private maps of before cannot be read.");
    }
    console.note(format_args!(
        "Give auditors {0}/keys/service_cert.pem, and keep a copy of {0}/keys where nobody else does.",
        dir.display()
    ));
    Ok(())
}

pub(super) fn rotate_node_key(args: &RotateArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let home = args.ledger.home()?;
    let ledger = Ledger::open_in(&home, args.writer.settings()).map_err(failed)?;
    let txid = ledger.rotate_node_key(&home, Curve::P384).map_err(failed)?;
    ledger.close().map_err(failed)?;
    Ok(writeln!(console.out, "the node has a new key, recorded and signed at {txid}")?)
}

pub(super) fn rotate_secret(args: &RotateArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let home = args.ledger.home()?;
    let ledger = Ledger::open_in(&home, args.writer.settings()).map_err(failed)?;
    let txid = ledger.rotate_ledger_secret(&home).map_err(failed)?;
    ledger.close().map_err(failed)?;
    writeln!(console.out, "private maps are encrypted with a new secret after {txid}")?;
    console.note(format_args!("Back up {}/keys/ledger_secrets again.", args.ledger.dir.display()));
    Ok(())
}
