//! Looking through the folder, which may hold any number of files.
//!
//! A scan asks for names and kinds, never for anything else of a file, and remembers only what it was asked for: memory
//! does not grow with the folder.

use std::collections::BinaryHeap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use ledger_fs::{Dir, Kind};

use crate::names::{FileName, Names, QUARANTINE};

/// The files of one store in one folder.
#[derive(Clone, Debug)]
pub(crate) struct Folder {
    pub(crate) dir: Arc<dyn Dir>,
    pub(crate) names: Names,
}

impl Folder {
    /// All files, in no particular order.
    pub(crate) fn files(&self) -> io::Result<impl Iterator<Item = io::Result<FileName>> + '_> {
        let entries = self.dir.entries(Path::new(""))?;
        Ok(entries.filter_map(|entry| match entry {
            Ok(entry) if entry.kind == Kind::File => self.names.parse(&entry.name).map(Ok),
            Ok(_) => None,
            Err(error) => Some(Err(error)),
        }))
    }

    /// Whether there is any file.
    pub(crate) fn any(&self) -> io::Result<bool> {
        self.files()?.next().transpose().map(|first| first.is_some())
    }

    /// The index behind that of every file of records; `u32::MAX + 1` if there is none left.
    pub(crate) fn next_index(&self) -> io::Result<u64> {
        let mut next = 0;
        for file in self.files()? {
            if let FileName::Data(index) = file? {
                next = next.max(u64::from(index).saturating_add(1));
            }
        }
        Ok(next)
    }

    /// The first `count` files in the order of sending, of those behind `after`.
    pub(crate) fn oldest(&self, count: usize, after: Option<FileName>) -> io::Result<Vec<FileName>> {
        // The largest of those kept is on top, to make room for a smaller one.
        let mut kept = BinaryHeap::new();
        for file in self.files()? {
            let file = file?;
            if after.is_some_and(|after| file <= after) {
                continue;
            }
            if kept.len() < count {
                kept.push(file);
            } else if let Some(mut largest) = kept.peek_mut()
                && file < *largest
            {
                *largest = file;
            }
        }
        Ok(kept.into_sorted_vec())
    }

    /// Names in the quarantine, relative to the folder, and their sizes.
    pub(crate) fn quarantined(&self) -> io::Result<Vec<(std::path::PathBuf, u64)>> {
        let entries = match self.dir.entries(Path::new(QUARANTINE)) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.kind == Kind::File && self.names.is_quarantined(&entry.name) {
                let path = Path::new(QUARANTINE).join(entry.name);
                found.extend(self.size(&path)?.map(|bytes| (path, bytes)));
            }
        }
        Ok(found)
    }

    /// Bytes of all files, the quarantine included.
    pub(crate) fn total_bytes(&self) -> io::Result<u64> {
        let mut total = 0_u64;
        for file in self.files()? {
            let bytes = self.size(&self.names.path(file?))?;
            total = total.saturating_add(bytes.unwrap_or_default());
        }
        let quarantined = self.quarantined()?;
        Ok(quarantined.iter().fold(total, |total, (_, bytes)| total.saturating_add(*bytes)))
    }

    /// Size of a file in bytes; `None` if it has gone meanwhile.
    fn size(&self, path: &Path) -> io::Result<Option<u64>> {
        match self.dir.metadata(path) {
            Ok(found) => Ok(Some(found.len)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}
