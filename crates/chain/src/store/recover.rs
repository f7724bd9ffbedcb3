//! What happens when chunk files are opened.

use std::{path::Path, sync::Arc};

use ledger_fs::{Dir, replace};

use super::{ChunkStore, Start, StoreError, chunk::Chunk, table_of};
use crate::{
    crypto::LedgerSecret,
    directory::{list, read_at},
    format::{ChunkName, Entry, EntryHeader, FILE_HEADER_BYTES, PublicDomain},
    verify::Secrets,
};

/// What a crash had left, and was put right.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Recovered {
    /// Bytes cut off at the end of the open chunk: an entry that was not whole, and what followed it.
    pub cut_bytes: u64,
    /// The file that they were moved to, in the ledger's folder, where it was not certain that they were never acknowledged;
    /// nobody reads it.
    pub set_aside: Option<String>,
    /// The first and the last of the entries that had been synced and are missing. Only a recovery goes on then.
    pub lost: Option<(u64, u64)>,
    /// An open chunk without a whole entry was removed.
    pub removed: Option<String>,
    /// Closing a chunk was completed.
    pub closed: Option<String>,
}

pub(super) fn open(
    folder: Arc<dyn Dir>,
    secrets: &Secrets,
    start: Start,
) -> Result<(ChunkStore, Recovered), StoreError> {
    let listing = list(&*folder)?;
    let mut store = ChunkStore {
        folder,
        closed: Vec::new(),
        open: None,
        last: start.before,
        committed: start.before,
        watermark: start.watermark,
        closed_since: false,
        names_changed: false,
    };
    let mut recovered = Recovered::default();
    for stray in listing.strays.iter().filter(|name| name.starts_with("ledger_") && name.ends_with(".tmp")) {
        store.folder.remove(Path::new(stray))?;
    }
    for chunk in listing.chunks {
        let name = chunk.name;
        if store.open.is_some() || name.start != store.last.saturating_add(1) {
            let reason = format!("it begins at {}, after entry {}", name.start, store.last);
            return Err(StoreError::Damaged { chunk: name.to_string(), offset: 0, reason });
        }
        match name.end {
            Some(end) => {
                store.closed.push(name);
                store.last = end;
                store.committed = if name.committed { end } else { store.committed };
            }
            None => open_chunk(&mut store, name, secrets, start.salvage, &mut recovered)?,
        }
    }
    check_synced(&store, ChunkName::open(store.last.saturating_add(1)), 0, start.salvage, &mut recovered)?;
    // Names that were changed before a crash may not have been synced.
    store.names_changed = true;
    store.closed_since = true;
    store.sync()?;
    Ok((store, recovered))
}

/// Everything that was synced is there; otherwise the first entry that is not is damaged, and would begin at `offset` of `chunk`.
fn check_synced(
    store: &ChunkStore,
    chunk: ChunkName,
    offset: u64,
    salvage: bool,
    recovered: &mut Recovered,
) -> Result<(), StoreError> {
    let synced = store.watermark.as_ref().map_or(0, |watermark| watermark.seqno());
    let missing = store.last.saturating_add(1);
    if missing > synced {
        return Ok(());
    }
    if salvage {
        recovered.lost = Some((missing, synced));
        return Ok(());
    }
    let chunk = chunk.to_string();
    Err(StoreError::Lost { chunk, offset, seqno: missing, synced })
}

fn open_chunk(
    store: &mut ChunkStore,
    name: ChunkName,
    secrets: &Secrets,
    salvage: bool,
    recovered: &mut Recovered,
) -> Result<(), StoreError> {
    let mut chunk = Chunk::reopen(&*store.folder, name.start)?;
    let length = chunk.file().metadata()?.len;
    let table = chunk.table_offset(length)?;
    let mut more = false;
    for seqno in name.start..name.start.saturating_add(chunk.count()) {
        if !is_whole(&chunk.read(seqno)?, seqno, secrets) {
            more = whole_follows(&chunk, seqno, secrets)?;
            chunk.forget_from(seqno);
            break;
        }
    }
    let count = chunk.count();
    store.last = store.last.saturating_add(count);
    check_synced(store, name, chunk.end(), salvage, recovered)?;
    let whole = table == chunk.end() && has_whole_table(&chunk, length)?;
    if count > 0 && (whole || ends_by_flag(&chunk, store.last)?) {
        if whole {
            chunk.sync()?;
        } else {
            chunk.cut()?;
            chunk.write_table()?;
        }
        let closed = ChunkName::closed(name.start, store.last);
        store.rename(name, closed)?;
        recovered.closed = Some(closed.to_string());
        store.closed.push(closed);
        return Ok(());
    }
    recovered.cut_bytes = length.saturating_sub(chunk.end());
    let doubtful = more || salvage || store.watermark.as_ref().is_none_or(|mark| mark.seqno() == 0);
    if recovered.cut_bytes > 0 && length > FILE_HEADER_BYTES && doubtful {
        // Should this be damage and no torn write, nothing is lost.
        let count = usize::try_from(recovered.cut_bytes).unwrap_or(usize::MAX);
        let aside = format!("{name}.{}.ignored", chunk.end());
        replace(&*store.folder, Path::new(&aside), &read_at(&*chunk.file(), chunk.end(), count)?)?;
        recovered.set_aside = Some(aside);
    }
    if count == 0 {
        store.folder.remove(Path::new(&name.to_string()))?;
        recovered.removed = Some(name.to_string());
        return Ok(());
    }
    chunk.cut()?;
    store.open = Some(chunk);
    Ok(())
}

/// Whether a whole entry stands behind the one that is not. A torn write can leave that, damage too.
fn whole_follows(chunk: &Chunk, seqno: u64, secrets: &Secrets) -> Result<bool, StoreError> {
    for at in seqno.saturating_add(1)..chunk.start().saturating_add(chunk.count()) {
        if is_whole(&chunk.read(at)?, at, secrets) {
            return Ok(true);
        }
    }
    Ok(false)
}

/// An entry of which a part was not written when the power failed can have its whole length, with zeros inside. With the secret
/// its authentication tag tells.
fn is_whole(bytes: &[u8], seqno: u64, secrets: &Secrets) -> bool {
    let Ok((entry, _)) = Entry::parse(bytes) else { return false };
    let Ok(domain) = PublicDomain::parse(entry.public) else { return false };
    let placed = entry.txid().seqno == seqno && domain.seqno == seqno && domain.maps().all(|map| map.is_ok());
    let sealed =
        |secret: &LedgerSecret| secret.open(entry.iv, entry.public, entry.tag, entry.private).is_ok();
    placed && secrets.at(seqno).is_none_or(sealed)
}

/// The last entry says that the chunk ends with it: closing it had begun, or had not even begun.
fn ends_by_flag(chunk: &Chunk, last: u64) -> Result<bool, StoreError> {
    let entry = chunk.read(last)?;
    let header = entry.first_chunk().map(EntryHeader::parse);
    Ok(matches!(header, Some(Ok(header)) if header.flags.chunk_after))
}

fn has_whole_table(chunk: &Chunk, length: u64) -> Result<bool, StoreError> {
    let (_, table) = table_of(chunk.positions(), chunk.end());
    if length.saturating_sub(chunk.end()) != table.len() as u64 {
        return Ok(false);
    }
    Ok(read_at(&*chunk.file(), chunk.end(), table.len())? == table)
}
