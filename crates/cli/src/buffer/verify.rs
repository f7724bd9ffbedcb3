//! `ledger buffer verify`: whether every record is intact.

use super::{BufferError, Envelope, FolderArgs, each_file, name};
use crate::console::Console;
use crate::errors::Failure;

pub(super) fn run(args: &FolderArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let store = args.existing(Envelope::none())?;
    let (mut files, mut records, mut damaged) = (0_u64, 0_u64, 0_u64);
    each_file(&store, |file, reader| {
        // An append that is under way looks like one that was interrupted.
        let is_in_use = store.is_in_use(file).map_err(BufferError::Io)?;
        (files, records) = (files.saturating_add(1), records.saturating_add(reader.record_count()));
        if let Some(damage) = reader.damage().filter(|damage| !(is_in_use && damage.is_torn_tail)) {
            damaged = damaged.saturating_add(1);
            writeln!(console.out, "{}: {damage}", name(&file.path))?;
        }
        Ok(())
    })?;
    if damaged > 0 {
        return Err(BufferError::Damaged { files: damaged, of: files }.into());
    }
    Ok(writeln!(console.out, "{files} files, {records} records, no damage")?)
}
