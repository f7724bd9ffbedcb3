//! Appending, and healing before it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ledger_fs::{Dir, File, Open, append_all, folder_of, read_exact_at};

/// What an append survives once it has returned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// The end of the process.
    Os,
    /// A power cut.
    #[default]
    Synced,
}

/// Where an append went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Appended {
    /// Offset of its first line.
    pub start: u64,
    /// Length of the file after it.
    pub end: u64,
    /// A torn line stood at the end and was ended first.
    pub healed: bool,
}

/// A file of lines that only grows.
#[derive(Clone, Debug)]
pub struct JournalFile {
    dir: Arc<dyn Dir>,
    name: PathBuf,
}

impl JournalFile {
    /// The file of that name; it need not exist.
    pub fn new(dir: Arc<dyn Dir>, name: impl Into<PathBuf>) -> Self {
        Self { dir, name: name.into() }
    }

    /// The name in its folder.
    pub fn name(&self) -> &Path {
        &self.name
    }

    /// Appends lines, each ended by LF, in one write; the file is created when it is missing.
    ///
    /// The caller holds the lock of the file. When the write fails half-way (a full disk), what was written is cut off
    /// again; when that fails too, the next append heals it.
    pub fn append(&self, lines: &[u8], durability: Durability) -> io::Result<Appended> {
        let file = self.dir.open(&self.name, Open::APPEND.create())?;
        let before = file.metadata()?.len;
        let healed = is_torn(&*file, before)?;
        if healed {
            let mut payload = Vec::with_capacity(lines.len() + 1);
            payload.push(b'\n');
            payload.extend_from_slice(lines);
            append_all(&*file, &payload, before)?;
        } else {
            append_all(&*file, lines, before)?;
        }
        if durability == Durability::Synced {
            file.sync_data()?;
            if before == 0 {
                self.dir.sync(folder_of(&self.name))?;
            }
        }
        let start = before + u64::from(healed);
        Ok(Appended { start, end: start + lines.len() as u64, healed })
    }
}

fn is_torn(file: &dyn File, len: u64) -> io::Result<bool> {
    let Some(last) = len.checked_sub(1) else { return Ok(false) };
    let mut byte = [0];
    read_exact_at(file, &mut byte, last)?;
    Ok(byte != *b"\n")
}
