//! One entry: header, encryption header, public domain, private domain.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 1 | format version, 1 |
//! | 1 | 1 | flags: `0x01` the chunk ends after this entry, `0x02` it ended before |
//! | 2 | 6 | size of everything behind these eight bytes |
//! | 8 | 16 | AES-GCM tag |
//! | 24 | 12 | IV: `u64` seqno, `u32` view; the top bit of the view marks a snapshot |
//! | 36 | 8 | length P of the public domain |
//! | 44 | P | public domain |
//! | 44+P | … | private domain, encrypted, may be empty |
//!
//! The write-set digest is the SHA-256 of all of it, header included. The beginning of an entry (seqno 1, view 2,
//! 168 bytes of public domain), as the tests check it:
//!
//! ```text
//! 01 00 10 01 00 00 00 00                          version 1, flags 0, size 0x110
//! a2 7a 39 eb 37 18 90 d0 d2 8a 16 b5 77 dc ae 2a  tag
//! 01 00 00 00 00 00 00 00 02 00 00 00              IV
//! a8 00 00 00 00 00 00 00                          public domain: 168 bytes
//! 04 01 00 00 00 00 00 00 00                       type 4, seqno 1
//! ```

use super::{Cursor, Digest, FormatError, TxId};
use crate::crypto::sha256;

/// Length of the part of an entry that its size field does not count.
pub const HEADER_BYTES: usize = 8;
/// Length of the authentication tag.
pub const GCM_TAG_BYTES: usize = 16;
/// Smallest value of the size field: tag, IV and length of the public domain.
pub const MIN_ENTRY_SIZE: u64 = 36;
/// Largest entry that is read or written, header included (1 GiB), the limit of the newest Python tools.
pub const MAX_ENTRY_BYTES: u64 = 1 << 30;

const VERSION: u8 = 1;
const SNAPSHOT_BIT: u32 = 0x8000_0000;

/// Flags in the header of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// The chunk ends after this entry; only signatures carry it.
    pub chunk_after: bool,
    /// The chunk ended before this entry.
    pub chunk_before: bool,
}

impl Flags {
    fn parse(byte: u8) -> Result<Self, FormatError> {
        if byte & !0b11 != 0 {
            return Err(FormatError::Flags { found: byte });
        }
        Ok(Self { chunk_after: byte & 1 != 0, chunk_before: byte & 2 != 0 })
    }

    /// The flags as the byte in the header.
    #[must_use]
    pub fn bits(self) -> u8 {
        u8::from(self.chunk_after) | (u8::from(self.chunk_before) << 1)
    }
}

/// The first eight bytes of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EntryHeader {
    /// Flags.
    pub flags: Flags,
    /// Bytes behind the header.
    pub size: u64,
}

impl EntryHeader {
    /// Reads a header.
    ///
    /// # Errors
    /// [`FormatError::Version`], [`FormatError::Flags`] or [`FormatError::EntrySize`].
    pub fn parse(bytes: &[u8; HEADER_BYTES]) -> Result<Self, FormatError> {
        let [version, flags, s0, s1, s2, s3, s4, s5] = *bytes;
        if version != VERSION {
            return Err(FormatError::Version { found: version });
        }
        let flags = Flags::parse(flags)?;
        let size = u64::from_le_bytes([s0, s1, s2, s3, s4, s5, 0, 0]);
        let max = MAX_ENTRY_BYTES - HEADER_BYTES as u64;
        if !(MIN_ENTRY_SIZE..=max).contains(&size) {
            return Err(FormatError::EntrySize { found: size, min: MIN_ENTRY_SIZE, max });
        }
        Ok(Self { flags, size })
    }

    /// Length of the whole entry in bytes.
    #[must_use]
    pub fn entry_bytes(&self) -> u64 {
        self.size.saturating_add(HEADER_BYTES as u64)
    }

    fn encode(self) -> [u8; HEADER_BYTES] {
        let [s0, s1, s2, s3, s4, s5, ..] = self.size.to_le_bytes();
        [VERSION, self.flags.bits(), s0, s1, s2, s3, s4, s5]
    }
}

/// The initialisation vector of an entry, which is its position.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Iv {
    /// Position; the view of a snapshot is 0.
    pub txid: TxId,
    /// The entry is a snapshot.
    pub snapshot: bool,
}

impl Iv {
    /// The IV of a ledger entry.
    #[must_use]
    pub fn entry(txid: TxId) -> Self {
        Self { txid, snapshot: false }
    }

    fn parse(cursor: &mut Cursor<'_>) -> Result<Self, FormatError> {
        let seqno = cursor.u64("seqno in the IV")?;
        let view = cursor.u32("view in the IV")?;
        Ok(Self { txid: TxId { view: view & !SNAPSHOT_BIT, seqno }, snapshot: view & SNAPSHOT_BIT != 0 })
    }

    /// The twelve bytes.
    #[must_use]
    pub fn encode(self) -> [u8; 12] {
        let view = self.txid.view | if self.snapshot { SNAPSHOT_BIT } else { 0 };
        let mut out = [0; 12];
        let (seqno, rest) = out.split_at_mut(8);
        seqno.copy_from_slice(&self.txid.seqno.to_le_bytes());
        rest.copy_from_slice(&view.to_le_bytes());
        out
    }
}

/// A whole entry, borrowed.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// All its bytes, header included.
    pub bytes: &'a [u8],
    /// Flags of the header.
    pub flags: Flags,
    /// Authentication tag.
    pub tag: &'a [u8; GCM_TAG_BYTES],
    /// Position.
    pub iv: Iv,
    /// Public domain: see [`PublicDomain::parse`](super::PublicDomain::parse).
    pub public: &'a [u8],
    /// Private domain, encrypted.
    pub private: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Reads the entry at the beginning of `bytes` and returns it with what follows it.
    ///
    /// # Errors
    /// A [`FormatError`] that names the field.
    pub fn parse(bytes: &'a [u8]) -> Result<(Self, &'a [u8]), FormatError> {
        let mut cursor = Cursor::new(bytes);
        let header = EntryHeader::parse(cursor.array("entry header")?)?;
        cursor.take("entry", header.size)?;
        let after = cursor.rest();
        let whole = bytes.len().saturating_sub(after.len());
        let bytes = bytes.get(..whole).unwrap_or(bytes);

        let mut cursor = Cursor::new(bytes);
        cursor.take("entry header", HEADER_BYTES as u64)?;
        let tag = cursor.array("tag")?;
        let iv = Iv::parse(&mut cursor)?;
        let public = cursor.bytes("public domain")?;
        Ok((Self { bytes, flags: header.flags, tag, iv, public, private: cursor.rest() }, after))
    }

    /// Its position.
    #[must_use]
    pub fn txid(&self) -> TxId {
        self.iv.txid
    }

    /// SHA-256 of the whole entry.
    #[must_use]
    pub fn write_set_digest(&self) -> Digest {
        sha256(self.bytes)
    }
}

/// Appends an entry to `out`.
///
/// # Errors
/// [`FormatError::Limit`] if it would be larger than [`MAX_ENTRY_BYTES`] or the view has more than 31 bits.
pub fn encode_entry(
    out: &mut Vec<u8>,
    flags: Flags,
    tag: &[u8; GCM_TAG_BYTES],
    iv: Iv,
    public: &[u8],
    private: &[u8],
) -> Result<(), FormatError> {
    let size = (public.len() as u64).saturating_add(private.len() as u64).saturating_add(MIN_ENTRY_SIZE);
    let header = EntryHeader { flags, size };
    if header.entry_bytes() > MAX_ENTRY_BYTES {
        return Err(FormatError::Limit {
            what: "entry size",
            found: header.entry_bytes(),
            max: MAX_ENTRY_BYTES,
        });
    }
    if iv.txid.view & SNAPSHOT_BIT != 0 {
        let max = u64::from(SNAPSHOT_BIT - 1);
        return Err(FormatError::Limit { what: "view", found: u64::from(iv.txid.view), max });
    }
    out.extend_from_slice(&header.encode());
    out.extend_from_slice(tag);
    out.extend_from_slice(&iv.encode());
    super::put_bytes(out, public);
    out.extend_from_slice(private);
    Ok(())
}
