//! `ledger buffer salvage`: what is intact in damaged files.

use std::path::{Path, PathBuf};

use ledger_buffer::{Salvage, Salvaged};

use super::{BufferError, Envelope, FolderArgs, each_file};
use crate::console::Console;
use crate::errors::Failure;

pub(super) fn run(args: &FolderArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let store = args.existing(Envelope::none())?;
    let mut damaged: Vec<PathBuf> = store.quarantined().map_err(BufferError::Io)?;
    each_file(&store, |file, reader| {
        if reader.damage().is_some() {
            damaged.push(file.path.clone());
        }
        Ok(())
    })?;
    let mut records = 0_u64;
    for path in &damaged {
        records = records.saturating_add(salvage(path, console)?);
    }
    console.note(format_args!(
        "{records} records in {} damaged files; the files stay where they are",
        damaged.len()
    ));
    Ok(())
}

/// Prints the records of a file; answers how many.
fn salvage(path: &Path, console: &mut Console<'_>) -> Result<u64, Failure> {
    let mut records = 0_u64;
    for part in Salvage::open(path, u32::MAX).map_err(BufferError::Io)? {
        match part.map_err(BufferError::Io)? {
            Salvaged::Record { payload, .. } => {
                records = records.saturating_add(1);
                console.out.write_all(&payload)?;
                console.out.write_all(b"\n")?;
            }
            Salvaged::Gap { offset, bytes, kind } => {
                console.note(format_args!("{}: {bytes} bytes at offset {offset}: {kind}", path.display()));
            }
            _ => {}
        }
    }
    Ok(records)
}
