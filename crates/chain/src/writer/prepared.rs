use super::LedgerError;
use crate::{
    format::{Digest, MAX_ENTRY_BYTES, NO_CLAIMS, WriteSet},
    governance::is_reserved,
};

/// A write set in encoded form, ready to be given a position.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub(super) public_maps: Vec<u8>,
    pub(super) private_maps: Vec<u8>,
    pub(super) claims_digest: Digest,
}

/// Room for everything but the maps.
const OVERHEAD_BYTES: u64 = 256;

impl Prepared {
    /// Encodes what an application writes. `claims_digest` is a digest of the application's choice that receipts prove
    /// together with the entry.
    ///
    /// # Errors
    /// [`LedgerError::Reserved`], [`LedgerError::Empty`], [`LedgerError::TooLarge`].
    pub fn new(writes: &WriteSet, claims_digest: Option<Digest>) -> Result<Self, LedgerError> {
        if writes.is_empty() {
            return Err(LedgerError::Empty);
        }
        if let Some((map, _)) = writes.maps().find(|(map, _)| is_reserved(map)) {
            return Err(LedgerError::Reserved { map: map.clone() });
        }
        Self::internal(writes, claims_digest.unwrap_or(NO_CLAIMS))
    }

    /// Like [`new`](Self::new), for the ledger's own maps.
    pub(super) fn internal(writes: &WriteSet, claims_digest: Digest) -> Result<Self, LedgerError> {
        let (mut public_maps, mut private_maps) = (Vec::new(), Vec::new());
        writes.encode_public_maps(&mut public_maps);
        writes.encode_private(&mut private_maps);
        let prepared = Self { public_maps, private_maps, claims_digest };
        let (bytes, max) = (prepared.bytes() as u64, MAX_ENTRY_BYTES - OVERHEAD_BYTES);
        if bytes > max {
            return Err(LedgerError::TooLarge { bytes, max });
        }
        Ok(prepared)
    }

    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.public_maps.len().saturating_add(self.private_maps.len())
    }
}
