//! `ledger yard logs`: what services print, of one or several, with `-f` as it comes.

use std::io::IsTerminal;
use std::path::Path;
use std::time::Duration;

use clap::Args;
use ledger_yard::{Record, Tail};

use super::{LedgerHome, YardFailure, select};
use crate::console::Console;
use crate::errors::Failure;

/// Pause between two looks at the files. Services write through their keepers, whose writes nobody announces.
const INTERVAL: Duration = Duration::from_millis(100);
/// How many bytes of lines are taken from a log at once.
const MAX_READ_BYTES: usize = 1 << 20;
/// Colours of the names, in turn (ANSI).
const COLOURS: [u8; 6] = [36, 33, 32, 35, 34, 31];

/// Arguments of `yard logs`.
#[derive(Args, Debug)]
pub(crate) struct LogsArgs {
    #[command(flatten)]
    home: LedgerHome,
    /// Go on with what comes
    #[arg(long, short)]
    follow: bool,
    /// How many lines of what is there; -1 for all
    #[arg(
        long = "lines",
        short = 'n',
        value_name = "LINES",
        default_value_t = 10,
        allow_negative_numbers = true
    )]
    lines: i64,
    /// Standard output only
    #[arg(long, conflicts_with = "stderr")]
    stdout: bool,
    /// Standard error only
    #[arg(long)]
    stderr: bool,
    /// Services, by id, path or prefix [default: all]
    #[arg(value_name = "SERVICE")]
    services: Vec<String>,
}

/// One log that is being printed.
struct Printed {
    label: String,
    tail: Tail,
}

pub(super) fn run(args: &LogsArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(home) = args.home.existing()? else { return Ok(()) };
    let (records, _) = home.present().map_err(YardFailure::from)?;
    let records = select(records, &args.services)?;
    let mut logs = logs(&records, args)?;
    for log in &mut logs {
        log.print_new(console)?;
    }
    console.out.flush()?;
    if args.follow { follow(&mut logs, console) } else { Ok(()) }
}

/// Until the reader goes away or Ctrl+C.
fn follow(logs: &mut [Printed], console: &mut Console<'_>) -> Result<(), Failure> {
    loop {
        for log in logs.iter_mut() {
            log.print_new(console)?;
        }
        console.out.flush()?;
        std::thread::sleep(INTERVAL);
    }
}

fn logs(records: &[Record], args: &LogsArgs) -> Result<Vec<Printed>, Failure> {
    let is_coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut logs = Vec::new();
    for (record, colour) in records.iter().zip(COLOURS.iter().cycle()) {
        for (path, name, is_wanted) in
            [(record.stdout(), "out", !args.stderr), (record.stderr(), "err", !args.stdout)]
        {
            if !is_wanted {
                continue;
            }
            let label = match (records.len(), is_coloured) {
                (1, _) => String::new(),
                (_, true) => format!("\u{1b}[{colour}m{} {name} |\u{1b}[0m ", record.service_id()),
                (_, false) => format!("{} {name} | ", record.service_id()),
            };
            let path = Path::new(path);
            let tail = match u64::try_from(args.lines) {
                Ok(lines) => Tail::from_last(path, lines).map_err(|source| unreadable(path, source))?,
                Err(_) => Tail::new(path),
            };
            logs.push(Printed { label, tail });
        }
    }
    Ok(logs)
}

impl Printed {
    /// Prints all whole lines that have come.
    fn print_new(&mut self, console: &mut Console<'_>) -> Result<(), Failure> {
        loop {
            let read = self.tail.lines(MAX_READ_BYTES);
            let lines = read.map_err(|source| unreadable(self.tail.path(), source))?;
            if self.tail.missed() {
                console
                    .note(format_args!("Warning: lines of {} were rotated away", self.tail.path().display()));
            }
            if lines.is_empty() {
                return Ok(());
            }
            for line in lines {
                console.out.write_all(self.label.as_bytes())?;
                console.out.write_all(&line)?;
                console.out.write_all(b"\n")?;
            }
        }
    }
}

fn unreadable(path: &Path, source: std::io::Error) -> Failure {
    Failure::File { action: "read", path: path.to_owned(), source }
}
