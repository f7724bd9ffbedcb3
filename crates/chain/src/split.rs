//! Splitting a chunk in two, as `split_ledger.py` does: where a chunk grew too large, or must end at a given entry.

use std::{io, path::Path};

use ledger_fs::{Dir, File, Open, Replacement, append_all, temporary_name};
use thiserror::Error;

use crate::{
    directory::{ChunkFile, read_at},
    format::{ChunkName, Entry, FILE_HEADER_BYTES, FormatError, encode_table},
    governance::is_signature,
    verify::{ChunkReader, Problem},
};

/// Bytes copied at a time.
const COPY_BYTES: u64 = 1 << 20;

/// Why a chunk was not split.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SplitError {
    /// The file system.
    #[error("a file could not be read or written")]
    File(#[from] io::Error),
    /// The chunk cannot be read.
    #[error("the chunk cannot be read: {0}")]
    Damaged(Problem),
    /// An entry of the chunk cannot be read.
    #[error("entry {seqno} cannot be read")]
    Entry {
        /// Its sequence number.
        seqno: u64,
        /// What is wrong.
        #[source]
        error: FormatError,
    },
    /// The entry is not in the chunk.
    #[error("{chunk} does not hold entry {seqno}")]
    NotFound {
        /// Name of the chunk.
        chunk: ChunkName,
        /// The entry.
        seqno: u64,
    },
    /// A chunk can end in a signature only.
    #[error("entry {seqno} is no signature, and only a signature can end a chunk; the next signature is {}", next.map_or_else(|| "in no entry of this chunk".to_owned(), |next| format!("entry {next}")))]
    NotASignature {
        /// The entry.
        seqno: u64,
        /// The next one that is a signature.
        next: Option<u64>,
    },
    /// The chunk ends there already.
    #[error("{chunk} ends with entry {seqno}: there is nothing to split")]
    AtEnd {
        /// Name of the chunk.
        chunk: ChunkName,
        /// The entry.
        seqno: u64,
    },
    /// A file would be overwritten.
    #[error("{name} is there already; choose another folder")]
    Exists {
        /// Its name.
        name: ChunkName,
    },
}

/// Entries of a chunk that become a chunk of their own.
struct Part {
    name: ChunkName,
    /// Where they are in the old file.
    from: u64,
    to: u64,
    positions: Vec<u32>,
}

/// Writes the entries of `chunk` up to `seqno`, which must be a signature, and those behind it as two chunks to `output`, and gives
/// their names. The first is closed, the second open if `chunk` is; both are committed if it is. `chunk` itself stays.
///
/// # Errors
/// [`SplitError`].
pub fn split(
    folder: &dyn Dir,
    chunk: ChunkFile,
    seqno: u64,
    output: &dyn Dir,
) -> Result<[ChunkName; 2], SplitError> {
    let mut reader = ChunkReader::open(folder, chunk).map_err(SplitError::Damaged)?;
    let parts = parts(&mut reader, seqno)?;
    for part in &parts {
        match output.metadata(Path::new(&part.name.to_string())) {
            Ok(_) => return Err(SplitError::Exists { name: part.name }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error.into()),
        }
    }
    for part in &parts {
        write(&*reader.file, part, output)?;
    }
    Ok(parts.map(|part| part.name))
}

/// Where to cut.
fn parts(reader: &mut ChunkReader, seqno: u64) -> Result<[Part; 2], SplitError> {
    let name = reader.chunk.name;
    let (mut first, mut second) = (Vec::new(), Vec::new());
    let (mut cut, mut buffer) = (None, Vec::new());
    while let Some(batch) = reader.next(&mut buffer).map_err(SplitError::Damaged)? {
        for index in 0..batch.starts.len() {
            let (at, offset) = (batch.seqno(index), batch.entry_offset(index));
            match cut {
                None => first.push(position(offset)),
                Some(cut) => {
                    second.push(position(offset.saturating_sub(cut).saturating_add(FILE_HEADER_BYTES)));
                }
            }
            if at == seqno || (at > seqno && cut.is_none()) {
                let signature = Entry::parse(batch.entry(index)).and_then(|(entry, _)| is_signature(&entry));
                let signature = signature.map_err(|error| SplitError::Entry { seqno: at, error })?;
                if at > seqno && signature {
                    return Err(SplitError::NotASignature { seqno, next: Some(at) });
                }
                if signature {
                    cut = Some(offset.saturating_add(batch.entry(index).len() as u64));
                }
            }
        }
    }
    let end = reader.next_seqno().saturating_sub(1);
    if seqno < name.start || seqno > end {
        return Err(SplitError::NotFound { chunk: name, seqno });
    }
    let Some(cut) = cut else { return Err(SplitError::NotASignature { seqno, next: None }) };
    if second.is_empty() {
        return Err(SplitError::AtEnd { chunk: name, seqno });
    }
    Ok([
        Part {
            name: ChunkName { end: Some(seqno), ..name },
            from: FILE_HEADER_BYTES,
            to: cut,
            positions: first,
        },
        Part {
            name: ChunkName { start: seqno.saturating_add(1), ..name },
            from: cut,
            to: reader.header.entries_end,
            positions: second,
        },
    ])
}

/// The reader refuses entries that begin beyond 4 GiB.
fn position(offset: u64) -> u32 {
    u32::try_from(offset).unwrap_or(u32::MAX)
}

fn write(from: &dyn File, part: &Part, output: &dyn Dir) -> Result<(), SplitError> {
    let name = part.name.to_string();
    let replacement = Replacement::begin(output, temporary_name(Path::new(&name)), Open::APPEND)?;
    let entries = part.to.saturating_sub(part.from);
    let table = part.name.end.map(|_| entries.saturating_add(FILE_HEADER_BYTES));
    let mut end = 0u64;
    let mut put = |bytes: &[u8]| -> io::Result<()> {
        append_all(replacement.file(), bytes, end)?;
        end = end.saturating_add(bytes.len() as u64);
        Ok(())
    };
    put(&table.unwrap_or(0).to_le_bytes())?;
    let mut at = part.from;
    while at < part.to {
        let count = part.to.saturating_sub(at).min(COPY_BYTES);
        put(&read_at(from, at, usize::try_from(count).unwrap_or(usize::MAX))?)?;
        at = at.saturating_add(count);
    }
    if table.is_some() {
        put(&encode_table(&part.positions))?;
    }
    replacement.commit(Path::new(&name))?;
    Ok(())
}
