//! `ledger chain get|history|range`.

use clap::Args;
use ledger_chain::TxId;
use ledger_chain::jsonl::Bytes;
use ledger_chain::maps::{Maps, Version};
use serde::Serialize;

use super::{LedgerArg, failed};
use crate::console::Console;
use crate::errors::Failure;

/// Which key of which map.
#[derive(Args, Debug)]
struct KeyArg {
    /// Map
    #[arg(value_name = "MAP")]
    map: String,
    /// Key
    #[arg(value_name = "KEY")]
    key: String,
}

/// Arguments of `get`.
#[derive(Args, Debug)]
pub(crate) struct GetArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    key: KeyArg,
    /// As it was after the entry with this sequence number
    #[arg(long, value_name = "SEQNO", default_value_t = u64::MAX, hide_default_value = true)]
    at: u64,
    /// Print position and value as JSON
    #[arg(long)]
    json: bool,
}

/// Arguments of `history`.
#[derive(Args, Debug)]
pub(crate) struct HistoryArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    #[command(flatten)]
    key: KeyArg,
}

/// Arguments of `range`.
#[derive(Args, Debug)]
pub(crate) struct RangeArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    /// Map
    #[arg(value_name = "MAP")]
    map: String,
    /// First key
    #[arg(long, value_name = "KEY", default_value = "", hide_default_value = true)]
    from: String,
    /// Only keys that begin so
    #[arg(long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    prefix: String,
    /// As it was after the entry with this sequence number
    #[arg(long, value_name = "SEQNO", default_value_t = u64::MAX, hide_default_value = true)]
    at: u64,
    /// Print so many rows at most
    #[arg(long, value_name = "N", default_value_t = 1000)]
    limit: usize,
}

#[derive(Serialize)]
struct Line<'a> {
    txid: TxId,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<Bytes<'a>>,
    value: Option<Bytes<'a>>,
}

fn open(ledger: &LedgerArg) -> Result<Maps, Failure> {
    if !ledger.dir.join("ledger").is_dir() {
        return Err(Failure::Arguments(format!("{} is no home of a ledger", ledger.dir.display())));
    }
    Maps::open(&ledger.home()?).map_err(failed)
}

fn print(
    console: &mut Console<'_>,
    txid: TxId,
    key: Option<&[u8]>,
    value: Option<&[u8]>,
) -> Result<(), Failure> {
    let line = Line { txid, key: key.map(Bytes), value: value.map(Bytes) };
    let line = serde_json::to_string(&line).map_err(failed)?;
    Ok(writeln!(console.out, "{line}")?)
}

pub(super) fn get(args: &GetArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let maps = open(&args.ledger)?;
    let version = maps.get_at(&args.key.map, args.key.key.as_bytes(), args.at).map_err(failed)?;
    match version {
        Some(Version { txid, value }) if args.json => print(console, txid, None, value.as_deref()),
        Some(Version { value: Some(value), .. }) => {
            console.out.write_all(&value)?;
            Ok(console.out.write_all(b"\n")?)
        }
        Some(Version { txid, value: None }) => {
            Err(Failure::Arguments(format!("the key was removed at {txid}")))
        }
        None => Err(Failure::Arguments("there is no such key".to_owned())),
    }
}

pub(super) fn history(args: &HistoryArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let maps = open(&args.ledger)?;
    for version in maps.history(&args.key.map, args.key.key.as_bytes()).map_err(failed)? {
        let Version { txid, value } = version.map_err(failed)?;
        print(console, txid, None, value.as_deref())?;
    }
    Ok(())
}

pub(super) fn range(args: &RangeArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let maps = open(&args.ledger)?;
    let rows = maps.range(&args.map, args.from.as_bytes(), args.prefix.as_bytes(), args.at, args.limit);
    rows.map_err(failed)?
        .iter()
        .try_for_each(|row| print(console, row.txid, Some(&row.key), Some(&row.value)))
}
