//! `ledger buffer cat`: the records.

use super::{Envelope, FolderArgs, each_file, name, print_records};
use crate::console::Console;
use crate::errors::Failure;

pub(super) fn run(args: &FolderArgs, console: &mut Console<'_>) -> Result<(), Failure> {
    let store = args.existing(Envelope::none())?;
    each_file(&store, |file, reader| {
        print_records(reader, console)?;
        if let Some(damage) = reader.damage().filter(|damage| !damage.is_torn_tail) {
            console.note(format_args!("Warning: {}: {damage}", name(&file.path)));
        }
        Ok(())
    })
}
