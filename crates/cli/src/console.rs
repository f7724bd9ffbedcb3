//! Where results and remarks go.

use std::fmt::Display;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;

use ledger_streams::{Damaged, EntryId};

use crate::errors::{self, Failure};

/// Bytes of results that are held before they are written.
const BUFFER_BYTES: usize = 64 << 10;

/// Results go to one place, remarks to another.
pub(crate) struct Console<'a> {
    /// Data, by default standard output.
    pub(crate) out: &'a mut dyn Write,
    notes: &'a mut dyn Write,
    damaged: u64,
}

impl<'a> Console<'a> {
    /// A console that writes results to `out` and remarks to `notes`.
    pub(crate) fn new(out: &'a mut dyn Write, notes: &'a mut dyn Write) -> Self {
        Self { out, notes, damaged: 0 }
    }

    /// Writes a remark. That it cannot be written is no reason to stop.
    pub(crate) fn note(&mut self, text: impl Display) {
        let _ = writeln!(self.notes, "{text}");
    }

    /// Reports a record that cannot be understood; the command goes on and its exit code becomes 1.
    pub(crate) fn damaged<Id: EntryId>(&mut self, record: &Damaged<Id>) {
        self.damaged = self.damaged.saturating_add(1);
        self.note(format_args!("Warning: {record}"));
    }

    /// How many damaged records were reported.
    pub(crate) fn damaged_records(&self) -> u64 {
        self.damaged
    }
}

/// Runs a command on standard output and standard error, and turns what became of it into an exit code.
pub(crate) fn with_terminal(command: impl FnOnce(&mut Console<'_>) -> Result<(), Failure>) -> ExitCode {
    let (mut out, mut notes) = (BufWriter::with_capacity(BUFFER_BYTES, io::stdout().lock()), io::stderr());
    let mut console = Console::new(&mut out, &mut notes);
    let result = command(&mut console);
    let flushed = console.out.flush().map_err(Failure::from);
    let damaged = console.damaged_records();
    // What could not be flushed now will not be flushed on drop either.
    drop(out.into_parts());
    errors::conclude(result.and(flushed), damaged)
}
