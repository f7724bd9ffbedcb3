//! Reading the bytes of a snapshot.

use zeroize::Zeroizing;

use crate::{
    crypto::{LedgerSecret, SealError, sha256},
    format::{Cursor, Digest, Entry, EntryType, FormatError},
};

/// A snapshot, borrowed.
#[derive(Debug, Clone)]
pub struct Snapshot<'a> {
    /// The entry that holds the state; the receipt is not part of it.
    pub entry: Entry<'a>,
    /// The signature whose state it holds.
    pub seqno: u64,
    /// The leaf of that signature in the Merkle tree.
    pub leaf: Digest,
    /// The first sequence number of every view, from view 1 on.
    pub views: Vec<u64>,
    /// What follows the entry: JSON or COSE, empty before the snapshot is committed.
    pub receipt: &'a [u8],
    maps: Cursor<'a>,
}

impl<'a> Snapshot<'a> {
    /// Reads the fixed part; the maps are read by [`public_maps`](Self::public_maps).
    ///
    /// # Errors
    /// A [`FormatError`] that names the field.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let (entry, receipt) = Entry::parse(bytes)?;
        let mut cursor = Cursor::new(entry.public);
        if cursor.u8("entry type")? != EntryType::Snapshot.byte() || !entry.iv.snapshot {
            return Err(FormatError::Kind { found: "a ledger entry", expected: "a snapshot" });
        }
        let seqno = cursor.u64("seqno")?;
        let reserved = cursor.u64("reserved field")?;
        let leaf = cursor.bytes("leaf")?;
        let history = cursor.bytes("view history")?;
        let value = |reason: String| FormatError::Value { map: "snapshot", reason };
        if entry.txid().seqno != seqno || entry.txid().view != 0 {
            return Err(value(format!("it is about entry {seqno}, its IV says {}", entry.txid())));
        }
        if reserved != 0 || entry.flags.bits() != 0 {
            return Err(value("a reserved field is not 0".into()));
        }
        let leaf = leaf.try_into().map_err(|_| value(format!("a leaf of {} bytes", leaf.len())))?;
        let (views, rest) = history.as_chunks::<8>();
        let views: Vec<u64> = views.iter().map(|view| u64::from_le_bytes(*view)).collect();
        let ordered = views.is_sorted() && views.iter().all(|first| (1..=seqno).contains(first));
        if !rest.is_empty() || views.is_empty() || !ordered {
            return Err(value("a view history that does not rise from 1 to the seqno".into()));
        }
        Ok(Self { entry, seqno, leaf, views, receipt, maps: cursor })
    }

    /// SHA-256 of the entry: what its evidence in the ledger claims.
    #[must_use]
    pub fn digest(&self) -> Digest {
        sha256(self.entry.bytes)
    }

    /// The view of the signature.
    #[must_use]
    pub fn view(&self) -> u32 {
        self.view_of(self.seqno)
    }

    /// The view of an entry up to the signature.
    #[must_use]
    pub fn view_of(&self, seqno: u64) -> u32 {
        u32::try_from(self.views.partition_point(|first| *first <= seqno)).unwrap_or(u32::MAX)
    }

    /// The public maps, by name.
    #[must_use]
    pub fn public_maps(&self) -> SnapshotMaps<'a> {
        SnapshotMaps { cursor: self.maps }
    }

    /// The private maps in the clear; [`SnapshotMaps::of_private`] reads them. Authenticates the public ones too.
    ///
    /// # Errors
    /// [`SealError::Tag`].
    pub fn open_private(&self, secret: &LedgerSecret) -> Result<Zeroizing<Vec<u8>>, SealError> {
        secret.open(self.entry.iv, self.entry.public, self.entry.tag, self.entry.private)
    }

    /// The value of a key in a public map.
    ///
    /// # Errors
    /// A [`FormatError`] of a map before it.
    pub fn get(&self, map: &str, key: &[u8]) -> Result<Option<SnapshotRow<'a>>, FormatError> {
        for found in self.public_maps() {
            let found = found?;
            if found.name == map {
                let mut rows = found.rows();
                return rows.find(|row| !matches!(row, Ok(row) if row.key != key)).transpose();
            }
        }
        Ok(None)
    }
}

/// The maps of a domain, one after the other. Ends after the first error.
#[derive(Debug, Clone)]
pub struct SnapshotMaps<'a> {
    cursor: Cursor<'a>,
}

/// One map.
#[derive(Debug, Clone, Copy)]
pub struct SnapshotMap<'a> {
    /// Its name.
    pub name: &'a str,
    /// The last entry that wrote to it.
    pub version: u64,
    rows: &'a [u8],
}

/// A key with its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SnapshotRow<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The entry that wrote it.
    pub version: u64,
    /// The value.
    pub value: &'a [u8],
}

impl<'a> SnapshotMaps<'a> {
    /// The maps of a decrypted private domain.
    #[must_use]
    pub fn of_private(bytes: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(bytes) }
    }
}

impl<'a> Iterator for SnapshotMaps<'a> {
    type Item = Result<SnapshotMap<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.cursor.next_item(SnapshotMap::read)
    }
}

impl<'a> SnapshotMap<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, FormatError> {
        let name = cursor.map_name()?;
        let version = cursor.u64("map version")?;
        Ok(Self { name, version, rows: cursor.bytes("rows")? })
    }

    /// Its rows. Ends after the first error.
    #[must_use]
    pub fn rows(&self) -> SnapshotRows<'a> {
        SnapshotRows { cursor: Cursor::new(self.rows) }
    }
}

/// The rows of a map, one after the other.
#[derive(Debug, Clone)]
pub struct SnapshotRows<'a> {
    cursor: Cursor<'a>,
}

impl<'a> SnapshotRow<'a> {
    fn read(cursor: &mut Cursor<'a>) -> Result<Self, FormatError> {
        let length = cursor.u64("key")?;
        let key = padded(cursor, "key", length)?;
        let length = cursor.u64("length of version and value")?;
        let length = length.checked_sub(8).ok_or_else(|| bad("a row without a version"))?;
        let version = cursor.u64("row version")?;
        Ok(Self { key, version, value: padded(cursor, "value", length)? })
    }
}

impl<'a> Iterator for SnapshotRows<'a> {
    type Item = Result<SnapshotRow<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.cursor.next_item(SnapshotRow::read)
    }
}

/// Bytes up to the next multiple of eight, which must be filled with zeros.
fn padded<'a>(cursor: &mut Cursor<'a>, what: &'static str, length: u64) -> Result<&'a [u8], FormatError> {
    let bytes = cursor.take(what, length)?;
    if cursor.take("padding", padding(length))?.iter().any(|byte| *byte != 0) {
        return Err(bad("padding that is not 0"));
    }
    Ok(bytes)
}

/// Zero bytes behind `length` bytes, up to the next multiple of eight.
pub(super) fn padding(length: u64) -> u64 {
    length.wrapping_neg() % 8
}

fn bad(reason: &str) -> FormatError {
    FormatError::Value { map: "snapshot", reason: reason.to_owned() }
}
