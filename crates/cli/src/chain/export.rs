//! `ledger chain export`.

use clap::Args;
use ledger_chain::format::{Entry, PublicDomain};
use ledger_chain::governance::is_reserved;
use ledger_chain::jsonl::{ExportLine, WriteLine};
use ledger_chain::verify::Secrets;

use super::inspect::{note_gone, visit};
use super::show::{claims_digest, writes};
use super::{PlaceArg, failed};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct ExportArgs {
    #[command(flatten)]
    place: PlaceArg,
    /// First sequence number
    #[arg(long, value_name = "SEQNO", default_value_t = 1)]
    from: u64,
    /// Last sequence number
    #[arg(long, value_name = "SEQNO", default_value_t = u64::MAX, hide_default_value = true)]
    to: u64,
    /// Leave out private maps; without this an entry with private maps that cannot be decrypted ends the export
    #[arg(long)]
    public_only: bool,
}

/// What was left out.
#[derive(Default)]
struct LeftOut {
    own: u64,
    private: u64,
}

pub(super) fn run(args: &ExportArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let place = args.place.open()?;
    let reader = place.reader()?;
    let secrets = if args.public_only { Secrets::none() } else { place.secrets(console)? };
    let mut left_out = LeftOut::default();
    note_gone(&reader, args.from, console);
    if args.from <= args.to {
        visit(&reader, args.from, |entry| {
            let seqno = entry.txid().seqno;
            if seqno <= args.to {
                line(entry, args.public_only, &secrets, &mut left_out, console)?;
            }
            Ok(seqno < args.to)
        })?;
    }
    if left_out.own > 0 {
        console.note(format_args!("Left out: {} entries of the ledger itself", left_out.own));
    }
    if left_out.private > 0 {
        console.note(format_args!("Left out: the private maps of {} entries", left_out.private));
    }
    Ok(())
}

fn line(
    entry: &Entry<'_>,
    public_only: bool,
    secrets: &Secrets,
    left_out: &mut LeftOut,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let txid = entry.txid();
    if !entry.private.is_empty() {
        if public_only {
            left_out.private = left_out.private.saturating_add(1);
        } else if secrets.at(txid.seqno).is_none() {
            return Err(Failure::Arguments(format!(
                "entry {txid} writes private maps, and there is no ledger secret to open them; --public-only leaves them out"
            )));
        }
    }
    let writes = writes(entry, secrets)?;
    let mut lines = WriteLine::all(&writes);
    lines.retain(|line| !is_reserved(line.map));
    if lines.is_empty() {
        let is_own = writes.maps().any(|(map, _)| is_reserved(map));
        left_out.own = left_out.own.saturating_add(u64::from(is_own));
        return Ok(());
    }
    let domain = PublicDomain::parse(entry.public).map_err(failed)?;
    let line = ExportLine { txid, writes: lines, claims_digest: claims_digest(&domain) };
    Ok(writeln!(console.out, "{}", serde_json::to_string(&line).map_err(failed)?)?)
}
