//! Removing what was sent (holes H5 and H10).

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::claim::Claim;
use crate::damage::Damage;
use crate::delivery;
use crate::error::RemoveError;
use crate::names::QUARANTINE;
use crate::store::LedgerStore;

/// Most files of one name in the quarantine.
const MAX_SAME_NAMES: u32 = 10_000;

/// A file that was fetched, to be removed once it was sent. It is that file, whatever its name comes to mean: it holds
/// the file open. Nobody else can fetch the file while this lives; dropping it, and the reader, gives the file back.
#[derive(Debug)]
pub struct Removable {
    pub(crate) claim: Arc<Claim>,
}

impl Removable {
    /// Where the file was found.
    pub fn path(&self) -> PathBuf {
        self.claim.full_path()
    }

    /// What is wrong with the file: see [`LedgerReader::damage`](crate::LedgerReader::damage).
    pub fn damage(&self) -> Option<Damage> {
        self.claim.damage()
    }
}

impl PartialEq for Removable {
    /// Whether both are the same file.
    fn eq(&self, other: &Self) -> bool {
        self.claim.found.id == other.claim.found.id && self.claim.path == other.claim.path
    }
}

impl Eq for Removable {}

impl LedgerStore {
    /// Deletes fetched files. A file that is damaged by more than a torn tail is moved to the sub-folder `quarantine`
    /// instead, because intact records may be behind the damage. What is gone already is fine.
    ///
    /// A file that the disk did not give out in full is looked at again: if it does now, the file stays, and the next
    /// fetch returns all of it. Nobody would send the rest otherwise.
    ///
    /// # Errors
    /// The first [`RemoveError`]; all files without one are removed all the same.
    pub fn remove<'r>(&self, items: impl IntoIterator<Item = &'r Removable>) -> Result<(), RemoveError> {
        let mut result = Ok(());
        for item in items {
            result = result.and(remove(&item.claim));
        }
        self.writer().total_bytes = None;
        result
    }
}

fn remove(claim: &Arc<Claim>) -> Result<(), RemoveError> {
    if !claim.is_in_place()? {
        return match claim.dir.metadata(&claim.path) {
            Ok(_) => Err(RemoveError::Replaced { path: claim.full_path() }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error.into()),
        };
    }
    match claim.damage().filter(|damage| !damage.is_torn_tail) {
        None => remove_if_claimed(claim)?,
        Some(damage) if claim.has_become_readable(damage) => return Ok(()),
        Some(_) => quarantine(claim)?,
    }
    delivery::forget(&claim.dir, &claim.path);
    Ok(())
}

/// Deletes a file that is in place. Nobody else removes it meanwhile, because it is claimed.
pub(crate) fn remove_if_claimed(claim: &Claim) -> io::Result<()> {
    match claim.dir.remove(&claim.path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Moves a file to the quarantine. No other file of its name can come there meanwhile: the name is still in use.
fn quarantine(claim: &Claim) -> io::Result<()> {
    claim.dir.create_dir_all(Path::new(QUARANTINE))?;
    let first = Path::new(QUARANTINE).join(&claim.path);
    for count in 0..MAX_SAME_NAMES {
        let mut target = first.clone().into_os_string();
        if count > 0 {
            target.push(format!(".{count}"));
        }
        match claim.dir.metadata(Path::new(&target)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return claim.dir.rename(&claim.path, Path::new(&target));
            }
            Err(error) => return Err(error),
            Ok(_) => {}
        }
    }
    let text = format!("{} holds too many files of the name {}", QUARANTINE, claim.path.display());
    Err(io::Error::new(io::ErrorKind::AlreadyExists, text))
}
