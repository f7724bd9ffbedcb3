//! `ledger chain append`.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use ledger_chain::WriteSet;
use ledger_chain::jsonl::parse_line;
use ledger_chain::writer::{Durability, Ledger, Pending, Prepared, Profile, Settings};

use super::{LedgerArg, failed};
use crate::console::Console;
use crate::errors::Failure;

/// Appends that are under way at once.
const MAX_UNDER_WAY: usize = 1_024;

/// Longest line that is read.
const MAX_LINE_BYTES: u64 = 256 << 20;

/// How a ledger is written.
#[derive(Args, Debug)]
pub(super) struct WriterArgs {
    /// Signatures to write: dual, raw or cose
    #[arg(long, value_name = "PROFILE", default_value = "dual")]
    profile: Profile,
    /// Close a chunk at the first signature after this many bytes
    #[arg(long, value_name = "BYTES", default_value = "5242880", value_parser = clap::value_parser!(u64).range(1..=u64::from(u32::MAX)))]
    ledger_chunk_bytes: u64,
    /// Sign after this many entries at the latest
    #[arg(long, value_name = "N", default_value = "1000", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    sign_every: u64,
    /// Sign this many milliseconds after the first entry that is not signed
    #[arg(long, value_name = "MS", default_value = "1000")]
    sign_after_ms: u64,
    /// Take a snapshot after this many entries, and once as many bytes were appended as the last one has; 0: never
    #[arg(long, value_name = "N", default_value = "10000")]
    snapshot_tx_interval: u64,
    /// Take none by itself that would be larger; it is made in memory, in about three times that
    #[arg(long, value_name = "BYTES", default_value = "67108864", value_parser = clap::value_parser!(u64).range(2 << 20..=1 << 30))]
    max_snapshot_bytes: u64,
}

impl WriterArgs {
    pub(super) fn settings(&self) -> Settings {
        Settings {
            profile: self.profile,
            chunk_bytes: self.ledger_chunk_bytes,
            sign_every_entries: self.sign_every,
            sign_after: Duration::from_millis(self.sign_after_ms),
            snapshot_tx_interval: self.snapshot_tx_interval,
            max_snapshot_bytes: self.max_snapshot_bytes,
            ..Settings::default()
        }
    }
}

/// Arguments of the command.
#[derive(Args, Debug)]
#[command(
    override_usage = "ledger chain append [OPTIONS] <DIR> [--input <FILE>]\n       ledger chain append [OPTIONS] <DIR> <MAP> <KEY> <VALUE>"
)]
pub(crate) struct AppendArgs {
    #[command(flatten)]
    ledger: LedgerArg,
    /// Map to write to; public if its name begins with public:
    #[arg(value_name = "MAP", requires = "value", conflicts_with = "input")]
    map: Option<String>,
    /// Key to write
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// Value to write
    #[arg(value_name = "VALUE")]
    value: Option<String>,
    /// Lines to append, {"map":…,"key":…,"value":…} each; - reads standard input, as without it
    #[arg(long, value_name = "FILE")]
    input: Option<PathBuf>,
    #[command(flatten)]
    writer: WriterArgs,
}

pub(super) fn run(args: &AppendArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let ledger = Ledger::open_in(&args.ledger.home()?, args.writer.settings()).map_err(failed)?;
    let recovered = ledger.recovered();
    if let Some(aside) = &recovered.set_aside {
        console.note(format_args!(
            "An entry that was not whole ({} bytes) was moved to {aside}",
            recovered.cut_bytes
        ));
    }
    let outcome = append(args, &ledger, console);
    // What was appended is signed, whatever happened then.
    let closed = ledger.close().map_err(failed);
    ledger.with_engine(|engine| {
        for name in engine.snapshots_set_aside() {
            console.note(format_args!("A damaged snapshot was set aside: {name}"));
        }
        if let Some(problem) = engine.snapshot_problem() {
            console.note(format_args!("No snapshot was taken: {problem}"));
        }
    });
    outcome.and(closed)
}

fn append(args: &AppendArgs, ledger: &Ledger, console: &mut Console<'_>) -> Result<(), Failure> {
    let mut answers = Answers { under_way: VecDeque::new() };
    if let (Some(map), Some(key), Some(value)) = (&args.map, &args.key, &args.value) {
        let mut writes = WriteSet::new();
        writes.put(map, key.as_str(), value.as_str());
        answers.push(ledger, Prepared::new(&writes, None).map_err(failed)?, console)?;
        return answers.finish(console);
    }
    let outcome = match args.input.as_deref().filter(|path| *path != Path::new("-")) {
        Some(path) => {
            let file = File::open(path);
            let file =
                file.map_err(|source| Failure::File { action: "read", path: path.to_owned(), source })?;
            append_lines(BufReader::with_capacity(1 << 20, file), ledger, &mut answers, console)
        }
        None => append_lines(io::stdin().lock(), ledger, &mut answers, console),
    };
    answers.finish(console).and(outcome)
}

fn append_lines(
    mut input: impl BufRead,
    ledger: &Ledger,
    answers: &mut Answers,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let mut line = Vec::new();
    for number in 1u64.. {
        line.clear();
        let count = io::Read::take(&mut input, MAX_LINE_BYTES)
            .read_until(b'\n', &mut line)
            .map_err(Failure::Input)?;
        if count == 0 {
            break;
        }
        if line.trim_ascii().is_empty() {
            continue;
        }
        let at_line = |error: String| Failure::Arguments(format!("line {number}: {error}"));
        let (writes, claims) = parse_line(&line).map_err(|error| at_line(error.to_string()))?;
        let entry = Prepared::new(&writes, claims).map_err(|error| at_line(error.to_string()))?;
        answers.push(ledger, entry, console)?;
    }
    Ok(())
}

/// Appends that are under way, in order.
struct Answers {
    under_way: VecDeque<Pending>,
}

impl Answers {
    fn push(&mut self, ledger: &Ledger, entry: Prepared, console: &mut Console<'_>) -> Result<(), Failure> {
        self.under_way.push_back(ledger.submit(entry).map_err(failed)?);
        while self.under_way.len() > MAX_UNDER_WAY {
            self.print_one(console)?;
        }
        Ok(())
    }

    fn finish(&mut self, console: &mut Console<'_>) -> Result<(), Failure> {
        while !self.under_way.is_empty() {
            self.print_one(console)?;
        }
        Ok(())
    }

    fn print_one(&mut self, console: &mut Console<'_>) -> Result<(), Failure> {
        let Some(pending) = self.under_way.pop_front() else { return Ok(()) };
        let appended = pending.wait().map_err(failed)?;
        let level = match appended.durability {
            Durability::Os => "os",
            Durability::Synced => "synced",
        };
        Ok(writeln!(console.out, "{}\t{level}", appended.txid)?)
    }
}
