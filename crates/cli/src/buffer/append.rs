//! `ledger buffer append`: the lines of standard input as records.

use std::io::{self, Read};

use clap::Args;
use ledger_buffer::{Durability, LedgerStore};
use serde::de::IgnoredAny;

use super::{BufferError, DEFAULT_MAX_FILE_SIZE, Envelope, FolderArgs};
use crate::console::Console;
use crate::errors::Failure;
use crate::load::lines::{Lines, Next};

/// Most bytes of lines that are appended at once, into one file.
const BATCH_BYTES: usize = 256 << 10;

/// Arguments of the command.
#[derive(Args, Debug)]
pub(crate) struct AppendArgs {
    #[command(flatten)]
    folder: FolderArgs,
    /// Begin the next file when one is over this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = DEFAULT_MAX_FILE_SIZE)]
    max_file_size: usize,
    /// Refuse lines of more than this many bytes
    #[arg(long, value_name = "BYTES", default_value_t = ledger_buffer::DEFAULT_MAX_RECORD_SIZE)]
    max_record_size: usize,
    /// Let no record be lost even if the power fails
    #[arg(long)]
    sync: bool,
}

pub(super) fn run(args: &AppendArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let durability = if args.sync { Durability::EveryAppend } else { Durability::None };
    let options = args.folder.options(Envelope::none(), args.max_file_size);
    let store = options.max_record_size(args.max_record_size).durability(durability).open();
    let store = store.map_err(BufferError::Open)?;
    let batch_bytes = BATCH_BYTES.min(args.max_file_size);
    let appended = append_lines(&store, io::stdin().lock(), args.max_record_size, batch_bytes)?;
    Ok(writeln!(console.out, "appended {appended} records")?)
}

fn append_lines(
    store: &LedgerStore,
    input: impl Read,
    max_line_bytes: usize,
    max_batch_bytes: usize,
) -> Result<u64, Failure> {
    let mut lines = Lines::new(input, max_line_bytes);
    let (mut batch, mut batch_bytes, mut appended, mut number) = (Vec::new(), 0_usize, 0_u64, 0_u64);
    loop {
        number = number.saturating_add(1);
        let next = lines.next().map_err(Failure::Input);
        let problem = match next {
            Ok(Next::Line(line)) if line.trim_ascii().is_empty() => None,
            Ok(Next::Line(line)) => match check(&line) {
                Ok(()) => {
                    batch_bytes = batch_bytes.saturating_add(line.len());
                    batch.push(line);
                    None
                }
                Err(problem) => {
                    Some(Failure::from(BufferError::BadLine { line: number, problem, appended: 0 }))
                }
            },
            Ok(Next::TooLong) => {
                let problem = format!("it is longer than {max_line_bytes} bytes");
                Some(BufferError::BadLine { line: number, problem, appended: 0 }.into())
            }
            Ok(Next::End) => {
                flush(store, &mut batch, &mut appended)?;
                return Ok(appended);
            }
            Err(failure) => Some(failure),
        };
        // What comes slowly is not kept waiting for more.
        if problem.is_some() || batch_bytes >= max_batch_bytes || !lines.is_ready() {
            flush(store, &mut batch, &mut appended)?;
            batch_bytes = 0;
        }
        if let Some(mut failure) = problem {
            if let Failure::Buffer(error) = &mut failure
                && let BufferError::BadLine { appended: count, .. } = &mut **error
            {
                *count = appended;
            }
            return Err(failure);
        }
    }
}

fn flush(store: &LedgerStore, batch: &mut Vec<bytes::Bytes>, appended: &mut u64) -> Result<(), Failure> {
    let count = batch.len() as u64;
    store.append_batch(batch).map_err(|source| BufferError::Append { source, appended: *appended })?;
    batch.clear();
    *appended = appended.saturating_add(count);
    Ok(())
}

fn check(line: &[u8]) -> Result<(), String> {
    match serde_json::from_slice::<IgnoredAny>(line) {
        Ok(_) => Ok(()),
        Err(error) => Err(format!("it is not JSON: {error}")),
    }
}
