//! `ledger buffer stat`: how much there is.

use std::time::SystemTime;

use jiff::Timestamp;

use super::{BufferError, Envelope, FolderArgs, each_file};
use crate::console::Console;
use crate::errors::Failure;

pub(super) fn run(args: &FolderArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let store = args.existing(Envelope::none())?;
    let (mut files, mut bytes, mut records, mut in_use, mut damaged) = (0_u64, 0_u64, 0_u64, 0_u64, 0_u64);
    let mut oldest: Option<SystemTime> = None;
    each_file(&store, |file, reader| {
        files = files.saturating_add(1);
        bytes = bytes.saturating_add(reader.file_size());
        records = records.saturating_add(reader.record_count());
        in_use = in_use.saturating_add(u64::from(store.is_in_use(file).map_err(BufferError::Io)?));
        damaged =
            damaged.saturating_add(u64::from(reader.damage().is_some_and(|damage| !damage.is_torn_tail)));
        oldest = oldest.into_iter().chain([reader.modified()]).min();
        Ok(())
    })?;
    let quarantined = store.quarantined().map_err(BufferError::Io)?.len();
    writeln!(console.out, "files:       {files}")?;
    writeln!(console.out, "in use:      {in_use}")?;
    writeln!(console.out, "damaged:     {damaged}")?;
    writeln!(console.out, "quarantined: {quarantined}")?;
    writeln!(console.out, "records:     {records}")?;
    writeln!(console.out, "bytes:       {bytes}")?;
    if let Some(time) = oldest.and_then(|time| Timestamp::try_from(time).ok()) {
        writeln!(console.out, "oldest:      {time:.0}")?;
    }
    Ok(())
}
