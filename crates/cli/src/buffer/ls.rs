//! `ledger buffer ls`: the files.

use super::{BufferError, Envelope, FolderArgs, each_file, name};
use crate::console::Console;
use crate::errors::Failure;

pub(super) fn run(args: &FolderArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let store = args.existing(Envelope::none())?;
    each_file(&store, |file, reader| {
        let state = match reader.damage() {
            _ if store.is_in_use(file).map_err(BufferError::Io)? => "in use",
            _ if file.is_legacy => "older store",
            Some(damage) if damage.is_torn_tail => "torn tail",
            Some(_) => "damaged",
            None => "ready",
        };
        let (bytes, records) = (reader.file_size(), reader.record_count());
        Ok(writeln!(console.out, "{}\t{bytes}\t{records}\t{state}", name(&file.path))?)
    })
}
