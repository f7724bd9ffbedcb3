//! Writing all, at a place of the caller's choice.

use std::io;

use crate::File;
use crate::error::FileError;

/// Writes all of `bytes` from `offset` on, with as many calls as the file takes.
///
/// # Errors
///
/// The first error of a write; a write that takes nothing is [`WriteZero`](io::ErrorKind::WriteZero). How much is written
/// then is not known: for what has to be there whole or not at all see [`append_all`](crate::append_all) and
/// [`replace`](crate::replace()).
pub fn write_all_at(file: &dyn File, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match file.write_at(bytes, offset) {
            Ok(0) => {
                let reason = "nothing was written";
                return Err(FileError::refuse("write", file.path(), io::ErrorKind::WriteZero, reason));
            }
            Ok(count) => {
                bytes = bytes.get(count..).unwrap_or_default();
                offset = offset.saturating_add(count as u64);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
