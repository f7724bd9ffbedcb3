//! `ledger yard logs`: what services print, of one or several, with `-f` as it comes.

use std::fs::File;
use std::io::{IsTerminal, Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use ledger_yard::Record;

use super::{LedgerHome, YardFailure, select};
use crate::console::Console;
use crate::errors::Failure;

/// Pause between two looks at the files. Services write through their keepers, whose writes nobody announces.
const INTERVAL: Duration = Duration::from_millis(100);
/// How much is read at once.
const CHUNK_BYTES: usize = 64 << 10;
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

/// One log file that is being read.
struct Tail {
    label: String,
    path: PathBuf,
    file: Option<File>,
    /// A line that has no end yet.
    rest: Vec<u8>,
}

pub(super) fn run(args: &LogsArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let Some(home) = args.home.existing()? else { return Ok(()) };
    let (records, _) = home.present().map_err(YardFailure::from)?;
    let records = select(records, &args.services)?;
    let mut tails = tails(&records, args);
    for tail in &mut tails {
        for line in tail.last_lines(args.lines)? {
            tail.print(&line, console)?;
        }
    }
    console.out.flush()?;
    if args.follow { follow(&mut tails, console) } else { Ok(()) }
}

/// Until the reader goes away or Ctrl+C.
fn follow(tails: &mut [Tail], console: &mut Console<'_>) -> Result<(), Failure> {
    loop {
        for tail in tails.iter_mut() {
            for line in tail.new_lines()? {
                tail.print(&line, console)?;
            }
        }
        console.out.flush()?;
        std::thread::sleep(INTERVAL);
    }
}

fn tails(records: &[Record], args: &LogsArgs) -> Vec<Tail> {
    let is_coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let mut tails = Vec::new();
    for (record, colour) in records.iter().zip(COLOURS.iter().cycle()) {
        for (path, name, is_wanted) in
            [(record.stdout(), "out", !args.stderr), (record.stderr(), "err", !args.stdout)]
        {
            let label = match (records.len(), is_coloured) {
                (1, _) => String::new(),
                (_, true) => format!("\u{1b}[{colour}m{} {name} |\u{1b}[0m ", record.service_id()),
                (_, false) => format!("{} {name} | ", record.service_id()),
            };
            if is_wanted {
                tails.push(Tail { label, path: path.into(), file: File::open(path).ok(), rest: Vec::new() });
            }
        }
    }
    tails
}

impl Tail {
    fn print(&self, line: &[u8], console: &mut Console<'_>) -> Result<(), Failure> {
        console.out.write_all(self.label.as_bytes())?;
        console.out.write_all(line)?;
        console.out.write_all(b"\n")?;
        Ok(())
    }

    /// The last lines of what is there. Only the end of the file is read.
    fn last_lines(&mut self, count: i64) -> Result<Vec<Vec<u8>>, Failure> {
        let Some(file) = &mut self.file else { return Ok(Vec::new()) };
        if count >= 0 {
            let lines = u64::try_from(count).unwrap_or_default();
            let start = start_of_last(file, lines).map_err(Failure::Input)?;
            file.seek(SeekFrom::Start(start)).map_err(Failure::Input)?;
        }
        self.new_lines()
    }

    /// Whole lines that have come since. A rotated file is read to its end, then the new one.
    fn new_lines(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        let mut lines = self.read()?;
        if self.is_rotated() {
            self.file = File::open(&self.path).ok();
            lines.extend(self.read()?);
        }
        Ok(lines)
    }

    fn read(&mut self) -> Result<Vec<Vec<u8>>, Failure> {
        let Some(file) = &mut self.file else {
            self.file = File::open(&self.path).ok();
            return Ok(Vec::new());
        };
        let mut lines = Vec::new();
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let length = file.read(&mut chunk).map_err(Failure::Input)?;
            if length == 0 {
                return Ok(lines);
            }
            for byte in chunk.iter().take(length) {
                match byte {
                    b'\n' => lines.push(std::mem::take(&mut self.rest)),
                    byte => self.rest.push(*byte),
                }
            }
        }
    }

    fn is_rotated(&self) -> bool {
        use std::os::unix::fs::MetadataExt;
        let inode =
            |metadata: std::io::Result<std::fs::Metadata>| metadata.map(|metadata| metadata.ino()).ok();
        let open = self.file.as_ref().and_then(|file| inode(file.metadata()));
        let named = inode(std::fs::metadata(&self.path));
        named.is_some() && open != named
    }
}

/// Where the last `count` lines begin.
fn start_of_last(file: &mut File, count: u64) -> std::io::Result<u64> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut position = length;
    let mut found = 0_u64;
    let mut chunk = vec![0; CHUNK_BYTES];
    while position > 0 {
        let size = position.min(CHUNK_BYTES as u64);
        position = position.saturating_sub(size);
        file.seek(SeekFrom::Start(position))?;
        let piece = chunk.get_mut(..usize::try_from(size).unwrap_or_default()).unwrap_or_default();
        file.read_exact(piece)?;
        for (index, _) in piece.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n') {
            let behind = position.saturating_add(index as u64).saturating_add(1);
            // The end of the last line begins no line.
            if behind < length {
                found = found.saturating_add(1);
            }
            if found > 0 && found == count || (count == 0 && behind == length) {
                return Ok(behind);
            }
        }
    }
    Ok(if count == 0 { length } else { 0 })
}
