//! Delivery ids: who sends a file a second time can say that it is the same file.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::UNIX_EPOCH;

use crc32fast::Hasher;
use ledger_fs::{Dir, read_all, replace};

use crate::blocks::{BLOCK_BYTES, Blocks};
use crate::claim::Claim;
use crate::names::SENDING;

/// Most bytes of the file that holds a delivery id.
const MAX_TICKET_BYTES: usize = 256;

/// A name that belongs to one fetched file for as long as the file exists, and to no other file ever: 32 hexadecimal
/// digits.
///
/// A receiver that is given it with every attempt, alone or with the number of a record in the file, can tell a second
/// attempt from new data, also when the sender was killed in between.
///
/// # Why it is not made of the file's name, number or content
///
/// Indices begin again at 0 after everything was sent, file systems give the same inode to the next file, and two files
/// may have the same content. So the id is random, made when it is first asked for, and kept in
/// `sending/{index}-{base_filename}` beside what the file looked like: inode, size, time of the last write and
/// checksum. If all of that fits, it is the id of this file; if not, it was that of an earlier file of the same name, and
/// a new one is made. The file is synced before the id is written and the id before it is returned, so a power cut
/// between two attempts changes nothing either. Removing the file removes the id, in this order: a crash in between
/// leaves an id that fits no file.
///
/// A file that was copied or restored from a backup is another file and gets another id.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DeliveryId(String);

impl DeliveryId {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for DeliveryId {
    fn fmt(&self, text: &mut fmt::Formatter<'_>) -> fmt::Result {
        text.write_str(&self.0)
    }
}

/// The id of a claimed file: the one that it has, or a new one.
pub(crate) fn id_of(claim: &Claim) -> io::Result<DeliveryId> {
    let (path, looks) = (ticket_path(&claim.path), looks_of(claim)?);
    match read_all(&*claim.dir, &path, MAX_TICKET_BYTES) {
        Ok(ticket) => {
            if let Some(id) = parse(&ticket, &looks) {
                return Ok(id);
            }
        }
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::FileTooLarge) => {}
        Err(error) => return Err(error),
    }
    let id = random_id()?;
    // After a power cut the file must look as it does now.
    claim.file.sync_all()?;
    claim.dir.sync(Path::new(""))?;
    claim.dir.create_dir_all(Path::new(SENDING))?;
    claim.dir.sync(Path::new(""))?;
    replace(&*claim.dir, &path, format!("{id} {looks}\n").as_bytes())?;
    Ok(id)
}

/// Forgets the id of a file that was removed. A failure costs the room of a small file and nothing else.
pub(crate) fn forget(dir: &Arc<dyn Dir>, file: &Path) {
    let _ = dir.remove(&ticket_path(file));
}

fn ticket_path(file: &Path) -> PathBuf {
    Path::new(SENDING).join(file)
}

fn parse(ticket: &[u8], looks: &str) -> Option<DeliveryId> {
    let (id, rest) = std::str::from_utf8(ticket).ok()?.strip_suffix('\n')?.split_once(' ')?;
    let is_id = id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    (is_id && rest == looks).then(|| DeliveryId(id.to_owned()))
}

fn random_id() -> io::Result<DeliveryId> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(io::Error::other)?;
    Ok(DeliveryId(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
}

/// What tells a file from all that had its name before it.
fn looks_of(claim: &Claim) -> io::Result<String> {
    let found = claim.found;
    // Before 1970 it is as good as any other time.
    let modified = found.modified.duration_since(UNIX_EPOCH).unwrap_or_else(|error| error.duration());
    let mut blocks = Blocks::new(claim.file.clone(), 0, found.len);
    let mut checksum = Hasher::new();
    while blocks.left_bytes() > 0 {
        let block = blocks.peek(BLOCK_BYTES)?;
        let bytes = block.len();
        checksum.update(block);
        blocks.take(bytes);
    }
    // The number of the device is not stable across restarts.
    Ok(format!("{} {} {} {:08x}", found.id.inode, found.len, modified.as_nanos(), checksum.finalize()))
}
