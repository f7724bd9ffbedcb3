//! The public domain of an entry: what was written, and the digests that the Merkle tree needs.
//!
//! | size | field |
//! |---|---|
//! | 1 | type: 0 plain (1.x), 1 snapshot, 2 with claims, 3 with commit evidence, 4 with both |
//! | 8 | seqno |
//! | 32 | claims digest, types 2 and 4; zeros say "none" |
//! | 32 | SHA-256 of the commit evidence, types 3 and 4 |
//! | 8 | reserved: 0; ledgers of 1.x and 2.x have a version number here |
//! | … | maps |
//!
//! Only type 4 is written; 0, 2 and 3 are read. A map: name, `u64` read version (0), `u64` reads (0), `u64` writes and
//! as many pairs of key and value, `u64` removes and as many keys; names, keys and values are a `u64` length and bytes.
//!
//! ```text
//! 04 01 00 00 00 00 00 00 00                       type 4, seqno 1
//! 00 × 32                                          no claims
//! a2 91 d8 6a … d5 cf                              commit-evidence digest
//! 00 × 8                                           reserved
//! 0e 00 00 00 00 00 00 00 "public:records"         map name
//! 00 × 16                                          read version, reads
//! 01 00 00 00 00 00 00 00                          1 write
//! 02 00 00 00 00 00 00 00 "k1"                     key
//! 05 00 00 00 00 00 00 00 "hello"                  value
//! 01 00 00 00 00 00 00 00                          1 remove
//! 02 00 00 00 00 00 00 00 "k0"                     key
//! ```

use super::{Cursor, Digest, FormatError};
use crate::crypto::sha256_parts;

/// The claims digest of an entry without claims.
pub const NO_CLAIMS: Digest = [0; 32];

/// The type of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EntryType {
    /// Type 0, written by 1.x.
    WriteSet,
    /// Type 1: not a ledger entry.
    Snapshot,
    /// Type 2.
    WithClaims,
    /// Type 3.
    WithCommitEvidence,
    /// Type 4, the one that is written today.
    WithCommitEvidenceAndClaims,
}

impl EntryType {
    fn parse(byte: u8) -> Result<Self, FormatError> {
        Ok(match byte {
            0 => Self::WriteSet,
            1 => Self::Snapshot,
            2 => Self::WithClaims,
            3 => Self::WithCommitEvidence,
            4 => Self::WithCommitEvidenceAndClaims,
            found => return Err(FormatError::EntryType { found }),
        })
    }

    /// The byte in the domain.
    #[must_use]
    pub fn byte(self) -> u8 {
        match self {
            Self::WriteSet => 0,
            Self::Snapshot => 1,
            Self::WithClaims => 2,
            Self::WithCommitEvidence => 3,
            Self::WithCommitEvidenceAndClaims => 4,
        }
    }

    /// Whether a claims digest is recorded.
    #[must_use]
    pub fn has_claims(self) -> bool {
        matches!(self, Self::WithClaims | Self::WithCommitEvidenceAndClaims)
    }

    /// Whether the digest of the commit evidence is recorded.
    #[must_use]
    pub fn has_commit_evidence(self) -> bool {
        matches!(self, Self::WithCommitEvidence | Self::WithCommitEvidenceAndClaims)
    }

    /// Whether current writers no longer produce it.
    #[must_use]
    pub fn is_deprecated(self) -> bool {
        matches!(self, Self::WriteSet | Self::WithClaims | Self::WithCommitEvidence)
    }
}

/// A parsed public domain, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct PublicDomain<'a> {
    /// Type of the entry.
    pub entry_type: EntryType,
    /// Sequence number; must equal the one in the IV.
    pub seqno: u64,
    /// Digest of the application's claims.
    pub claims_digest: Option<&'a Digest>,
    /// Digest of the commit evidence.
    pub commit_evidence_digest: Option<&'a Digest>,
    /// Reserved; 0, or a version number in old ledgers.
    pub reserved: u64,
    maps: Cursor<'a>,
}

impl<'a> PublicDomain<'a> {
    /// Reads the fixed part; the maps are read by [`maps`](Self::maps).
    ///
    /// # Errors
    /// A [`FormatError`]; snapshots are refused.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, FormatError> {
        let mut cursor = Cursor::new(bytes);
        let entry_type = EntryType::parse(cursor.u8("entry type")?)?;
        if entry_type == EntryType::Snapshot {
            return Err(FormatError::Kind { found: "a snapshot", expected: "a ledger entry" });
        }
        let seqno = cursor.u64("seqno")?;
        let claims_digest =
            if entry_type.has_claims() { Some(cursor.digest("claims digest")?) } else { None };
        let commit_evidence_digest = if entry_type.has_commit_evidence() {
            Some(cursor.digest("commit-evidence digest")?)
        } else {
            None
        };
        let reserved = cursor.u64("reserved field")?;
        Ok(Self { entry_type, seqno, claims_digest, commit_evidence_digest, reserved, maps: cursor })
    }

    /// The maps in the order of the entry.
    #[must_use]
    pub fn maps(&self) -> Maps<'a> {
        Maps { cursor: self.maps }
    }

    /// The leaf of the Merkle tree for an entry with this public domain and this write-set digest.
    ///
    /// Type 4: SHA-256 of write-set digest, commit-evidence digest and claims digest; type 3 without the last; type 0 the
    /// write-set digest itself. Type 2 was never signed over by any release and has no defined leaf: `None`.
    #[must_use]
    pub fn leaf(&self, write_set_digest: &Digest) -> Option<Digest> {
        match (self.commit_evidence_digest, self.claims_digest) {
            (Some(evidence), Some(claims)) => Some(sha256_parts([write_set_digest, evidence, claims])),
            (Some(evidence), None) => Some(sha256_parts([write_set_digest, evidence])),
            (None, None) => Some(*write_set_digest),
            (None, Some(_)) => None,
        }
    }
}

/// The maps of a domain, one after the other. Ends after the first error.
#[derive(Debug, Clone)]
pub struct Maps<'a> {
    cursor: Cursor<'a>,
}

impl<'a> Maps<'a> {
    /// The maps of a decrypted private domain, which holds nothing else.
    #[must_use]
    pub fn of_private(bytes: &'a [u8]) -> Self {
        Self { cursor: Cursor::new(bytes) }
    }
}

impl<'a> Iterator for Maps<'a> {
    type Item = Result<MapWrites<'a>, FormatError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.cursor.next_item(MapWrites::read)
    }
}

/// What one entry did to one map.
#[derive(Debug, Clone, Copy)]
pub struct MapWrites<'a> {
    /// Name of the map.
    pub name: &'a str,
    /// Reserved, 0.
    pub read_version: u64,
    write_count: u64,
    remove_count: u64,
    writes: Cursor<'a>,
    removes: Cursor<'a>,
}

impl<'a> MapWrites<'a> {
    /// Number of keys written.
    #[must_use]
    pub fn write_count(&self) -> u64 {
        self.write_count
    }

    /// Number of keys removed.
    #[must_use]
    pub fn remove_count(&self) -> u64 {
        self.remove_count
    }

    /// All keys with their new value, `None` for a removal; writes first.
    #[must_use]
    pub fn iter(&self) -> Writes<'a> {
        Writes {
            writes: self.writes,
            left: self.write_count,
            removes: self.removes,
            removes_left: self.remove_count,
        }
    }

    /// The value written under `key`: `None` if the entry did not touch it, `Some(None)` if it removed it.
    #[must_use]
    pub fn get(&self, key: &[u8]) -> Option<Option<&'a [u8]>> {
        self.iter().find(|(k, _)| *k == key).map(|(_, value)| value)
    }

    fn read(cursor: &mut Cursor<'a>) -> Result<Self, FormatError> {
        let name = cursor.map_name()?;
        let read_version = cursor.u64("read version")?;
        let reads = cursor.u64("read count")?;
        if reads != 0 {
            return Err(FormatError::Reads { map: name.to_owned(), found: reads });
        }
        let write_count = cursor.u64("write count")?;
        let writes = *cursor;
        for _ in 0..write_count {
            cursor.bytes("key")?;
            cursor.bytes("value")?;
        }
        let remove_count = cursor.u64("remove count")?;
        let removes = *cursor;
        for _ in 0..remove_count {
            cursor.bytes("removed key")?;
        }
        Ok(Self { name, read_version, write_count, remove_count, writes, removes })
    }
}

/// Keys and values of one map in one entry.
#[derive(Debug, Clone)]
pub struct Writes<'a> {
    writes: Cursor<'a>,
    left: u64,
    removes: Cursor<'a>,
    removes_left: u64,
}

impl<'a> Iterator for Writes<'a> {
    type Item = (&'a [u8], Option<&'a [u8]>);

    // All lengths were checked when the map was read, so nothing fails here.
    fn next(&mut self) -> Option<Self::Item> {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            let key = self.writes.bytes("key").ok()?;
            let value = self.writes.bytes("value").ok()?;
            return Some((key, Some(value)));
        }
        self.removes_left = self.removes_left.checked_sub(1)?;
        Some((self.removes.bytes("removed key").ok()?, None))
    }
}
