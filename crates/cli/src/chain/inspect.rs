//! `ledger chain read|ls|stat`.

use std::io::{IsTerminal, stdout};

use clap::Args;
use ledger_chain::directory::list;
use ledger_chain::format::{ChunkName, ChunkState, Entry};
use ledger_chain::store::Reader;
use ledger_chain::{EntryKind, TxId};
use ledger_fs::Dir;
use serde::Serialize;

use super::show::{Show, ShowArgs};
use super::{PlaceArg, Stop, failed};
use crate::console::Console;
use crate::errors::Failure;

/// Arguments of `read`.
#[derive(Args, Debug)]
pub(crate) struct ReadArgs {
    #[command(flatten)]
    place: PlaceArg,
    /// First sequence number
    #[arg(long, value_name = "SEQNO", default_value_t = 1)]
    from: u64,
    /// Print so many entries at most
    #[arg(long, value_name = "N", default_value_t = u64::MAX, hide_default_value = true)]
    limit: u64,
    #[command(flatten)]
    show: ShowArgs,
}

/// Arguments of `ls`.
#[derive(Args, Debug)]
pub(crate) struct LsArgs {
    #[command(flatten)]
    place: PlaceArg,
    /// Print a JSON object per chunk
    #[arg(long)]
    json: bool,
}

/// Arguments of `stat`.
#[derive(Args, Debug)]
pub(crate) struct StatArgs {
    #[command(flatten)]
    place: PlaceArg,
    /// Print a JSON object and no strip
    #[arg(long)]
    json: bool,
}

/// Calls `each` with the entries from `from` on until it answers `false`.
pub(super) fn visit(
    reader: &Reader,
    from: u64,
    mut each: impl FnMut(&Entry<'_>) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let outcome = reader.scan(from, |_, bytes| {
        let (entry, _) = Entry::parse(bytes).map_err(failed)?;
        Ok::<_, Stop>(each(&entry)?)
    });
    outcome.map_err(|Stop(failure)| failure)
}

/// Says which of the entries from `from` on are not there, because their chunks were moved away.
pub(super) fn note_gone(reader: &Reader, from: u64, console: &mut Console<'_>) {
    let (from, first) = (from.max(1), reader.first());
    if from < first {
        let last = first.saturating_sub(1);
        console.note(format_args!("Entries {from} to {last} are not here: their chunks were moved away."));
    }
}

pub(super) fn read(args: &ReadArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let place = args.place.open()?;
    let reader = place.reader()?;
    let mut show = Show::new(&args.show, &place, console)?;
    let mut left = args.limit;
    if left == 0 {
        return Ok(());
    }
    note_gone(&reader, args.from, console);
    visit(&reader, args.from, |entry| {
        show.print(entry, console)?;
        left = left.saturating_sub(1);
        Ok(left > 0)
    })
}

#[derive(Serialize)]
struct ChunkLine<'a> {
    chunk: &'a str,
    state: &'a str,
    bytes: u64,
}

pub(super) fn ls(args: &LsArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let place = args.place.open()?;
    let listing = list(&*place.ledger).map_err(failed)?;
    for chunk in listing.chunks.iter().chain(&listing.recovery) {
        let name = chunk.file_name();
        let bytes = place.ledger.metadata(name.as_ref()).map_err(failed)?.len;
        let state = state(&chunk.name);
        if args.json {
            let line = ChunkLine { chunk: &name, state, bytes };
            writeln!(console.out, "{}", serde_json::to_string(&line).map_err(failed)?)?;
        } else {
            writeln!(console.out, "{state}\t{bytes}\t{name}")?;
        }
    }
    for (names, what) in [(&listing.ignored, "set aside"), (&listing.strays, "not a chunk")] {
        names.iter().for_each(|name| console.note(format_args!("{what}: {name}")));
    }
    Ok(())
}

fn state(name: &ChunkName) -> &'static str {
    match name.state() {
        ChunkState::Open => "open",
        ChunkState::Closed => "closed",
        ChunkState::Committed => "committed",
    }
}

#[derive(Serialize)]
struct Stat {
    chunks: usize,
    entries: u64,
    bytes: u64,
    first: Option<TxId>,
    last: Option<TxId>,
    last_signature: Option<TxId>,
    unsigned_entries: u64,
    kinds: Vec<(EntryKind, u64)>,
}

/// Cells of a strip; a longer ledger gets cells of several entries, which show the most important one.
const MAX_CELLS: u64 = 2_000;

pub(super) fn stat(args: &StatArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let place = args.place.open()?;
    let reader = place.reader()?;
    note_gone(&reader, 1, console);
    let per_cell = reader.last().div_ceil(MAX_CELLS).max(1);
    let mut stat = Stat {
        chunks: list(&*place.ledger).map_err(failed)?.chunks.len(),
        entries: 0,
        bytes: 0,
        first: None,
        last: None,
        last_signature: None,
        unsigned_entries: 0,
        kinds: EntryKind::ALL.iter().map(|kind| (*kind, 0)).collect(),
    };
    let mut cells: Vec<EntryKind> = Vec::new();
    visit(&reader, 1, |entry| {
        let kind = EntryKind::of(entry).map_err(failed)?;
        match cells.last_mut().filter(|_| !stat.entries.is_multiple_of(per_cell)) {
            Some(cell) => *cell = kind.max(*cell),
            None => cells.push(kind),
        }
        stat.entries = stat.entries.saturating_add(1);
        stat.bytes = stat.bytes.saturating_add(entry.bytes.len() as u64);
        stat.first = stat.first.or(Some(entry.txid()));
        stat.last = Some(entry.txid());
        stat.unsigned_entries = stat.unsigned_entries.saturating_add(1);
        if kind == EntryKind::Signature {
            (stat.last_signature, stat.unsigned_entries) = (Some(entry.txid()), 0);
        }
        stat.kinds
            .iter_mut()
            .filter(|(name, _)| *name == kind)
            .for_each(|(_, count)| *count = count.saturating_add(1));
        Ok(true)
    })?;
    if args.json {
        return Ok(writeln!(console.out, "{}", serde_json::to_string(&stat).map_err(failed)?)?);
    }
    print_stat(&stat, &cells, per_cell, &*place.ledger, console)
}

fn print_stat(
    stat: &Stat,
    cells: &[EntryKind],
    per_cell: u64,
    ledger: &dyn Dir,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let text = |txid: Option<TxId>| txid.map_or_else(|| "none".to_owned(), |txid| txid.to_string());
    writeln!(console.out, "{}", ledger.path().display())?;
    writeln!(console.out, "  {} entries, {} bytes, {} chunks", stat.entries, stat.bytes, stat.chunks)?;
    writeln!(console.out, "  from {} to {}", text(stat.first), text(stat.last))?;
    writeln!(
        console.out,
        "  last signature {}, {} entries behind it",
        text(stat.last_signature),
        stat.unsigned_entries
    )?;
    let colours = stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    for row in cells.chunks(64) {
        write!(console.out, "  ")?;
        for kind in row {
            match colours {
                true => write!(console.out, "\x1b[{}m{}\x1b[0m", colour(*kind), kind.letter())?,
                false => write!(console.out, "{}", kind.letter())?,
            }
        }
        writeln!(console.out)?;
    }
    let counts = stat.kinds.iter().filter(|(_, count)| *count > 0);
    let legend: Vec<_> =
        counts.map(|(kind, count)| format!("{} {} {count}", kind.letter(), name(*kind))).collect();
    writeln!(console.out, "  {}", legend.join(", "))?;
    if per_cell > 1 {
        writeln!(console.out, "  one cell stands for {per_cell} entries, and shows the most important")?;
    }
    Ok(())
}

fn name(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Public => "public",
        EntryKind::Private => "private",
        EntryKind::Internal => "internal",
        EntryKind::Signature => "signature",
        EntryKind::Governance => "governance",
        EntryKind::ServiceOpen => "service open",
        EntryKind::ServiceRecovering => "service recovering",
        EntryKind::ServiceNew => "new service",
    }
}

fn colour(kind: EntryKind) -> &'static str {
    match kind {
        EntryKind::Public => "32",
        EntryKind::Private => "34",
        EntryKind::Internal => "90",
        EntryKind::Signature => "33",
        EntryKind::Governance => "35",
        EntryKind::ServiceOpen => "1;32",
        EntryKind::ServiceRecovering => "1;31",
        EntryKind::ServiceNew => "1;36",
    }
}
