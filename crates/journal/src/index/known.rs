//! Which of some ids are in the id file.

use std::collections::HashSet;
use std::io;
use std::path::Path;

use ledger_fs::{Dir, FileId, Open};

use super::scan::{Wanted, all, sweep};
use crate::hash::Hash64;
use crate::home::{ID_INDEX, if_found};

/// After so many sweeps over the whole file it pays to keep the ids: 8 to 16 bytes each.
const SWEEPS_BEFORE_KEEPING: u32 = 4;

/// Looks ids up; remembers how far it has read, and after some use all the ids.
#[derive(Debug, Default)]
pub(crate) struct KnownIds {
    sweeps: u32,
    kept: Option<Kept>,
}

#[derive(Debug)]
struct Kept {
    ids: HashSet<u64>,
    read: Position,
}

/// Up to where a file was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Position {
    id: FileId,
    len: u64,
}

/// An answer, and up to where it was looked for.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) known: HashSet<Hash64>,
    pub(crate) position: Option<Position>,
}

impl KnownIds {
    /// Which of these ids the file has. With `after`, an earlier position, only what was added since is looked at.
    pub(crate) fn lookup(
        &mut self,
        dir: &dyn Dir,
        ids: &[Hash64],
        after: Option<Position>,
    ) -> io::Result<Lookup> {
        let Some(file) = if_found(dir.open(Path::new(ID_INDEX), Open::READ))? else {
            return Ok(Lookup { known: HashSet::new(), position: None });
        };
        let metadata = file.metadata()?;
        let position = Position { id: metadata.id, len: metadata.len };
        let start = |read: Position| (read.id == position.id && read.len <= position.len).then_some(read.len);
        if self.kept.is_none() && after.and_then(start).is_none() {
            self.sweeps += 1;
            if self.sweeps >= SWEEPS_BEFORE_KEEPING {
                self.kept = Some(Kept { ids: HashSet::new(), read: Position { len: 0, ..position } });
            }
        }
        let mut known = HashSet::new();
        if let Some(kept) = &mut self.kept {
            let from = start(kept.read).unwrap_or_else(|| {
                kept.ids.clear();
                0
            });
            all(&*file, from, position.len, &mut |hash| {
                kept.ids.insert(hash.0);
            })?;
            kept.read = position;
            known.extend(ids.iter().copied().filter(|id| kept.ids.contains(&id.0)));
        } else {
            let wanted = Wanted::new(ids.iter().copied());
            sweep(&*file, after.and_then(start).unwrap_or(0), position.len, &wanted, &mut |hash| {
                known.insert(hash);
            })?;
        }
        Ok(Lookup { known, position: Some(position) })
    }

    /// Whether an earlier position still says something about the file.
    pub(crate) fn is_current(dir: &dyn Dir, position: Option<Position>) -> io::Result<bool> {
        let found = if_found(dir.metadata(Path::new(ID_INDEX)))?;
        Ok(match (found, position) {
            (Some(found), Some(position)) => found.id == position.id && found.len >= position.len,
            (None, None) => true,
            _ => false,
        })
    }
}
