//! `ledger buffer reset`: deleting everything.

use super::{BufferError, Envelope, FolderArgs};
use crate::console::Console;
use crate::errors::Failure;

pub(super) fn run(args: &FolderArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let cleared = args.existing(Envelope::none())?.reset().map_err(BufferError::Io)?;
    if cleared.in_use > 0 {
        console.note(format_args!("Note: {} files are in use and stay", cleared.in_use));
    }
    Ok(writeln!(console.out, "deleted {} files", cleared.deleted)?)
}
