use std::collections::{BTreeMap, btree_map};

use super::{Digest, EntryType, FormatError, Maps, PUBLIC_PREFIX, PublicDomain, put_bytes};

/// What one entry does to the maps: per map and key the new value, or `None` to remove it.
///
/// Kept in canonical order, so encoding it is deterministic.
///
/// ```
/// use ledger_chain::WriteSet;
/// let mut writes = WriteSet::new();
/// writes.put("public:records", "k1", "hello");
/// writes.remove("public:records", "k0");
/// assert_eq!(writes.len(), 2);
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WriteSet {
    maps: BTreeMap<String, BTreeMap<Vec<u8>, Option<Vec<u8>>>>,
}

/// The fixed part in front of the maps of a public domain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicHeader {
    /// Type of the entry.
    pub entry_type: EntryType,
    /// Sequence number.
    pub seqno: u64,
    /// Claims digest; written only if the type has one.
    pub claims_digest: Digest,
    /// Commit-evidence digest; written only if the type has one.
    pub commit_evidence_digest: Digest,
    /// Reserved; 0 in new entries.
    pub reserved: u64,
}

impl WriteSet {
    /// Writes nothing yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a key. Maps whose name begins with `public:` are readable by everybody who has the ledger, others are
    /// encrypted.
    pub fn put(&mut self, map: &str, key: impl Into<Vec<u8>>, value: impl Into<Vec<u8>>) -> &mut Self {
        self.set(map, key.into(), Some(value.into()))
    }

    /// Removes a key.
    pub fn remove(&mut self, map: &str, key: impl Into<Vec<u8>>) -> &mut Self {
        self.set(map, key.into(), None)
    }

    fn set(&mut self, map: &str, key: Vec<u8>, value: Option<Vec<u8>>) -> &mut Self {
        match self.maps.get_mut(map) {
            Some(writes) => writes.insert(key, value),
            None => self.maps.entry(map.to_owned()).or_default().insert(key, value),
        };
        self
    }

    /// Number of keys written or removed.
    #[must_use]
    pub fn len(&self) -> usize {
        self.maps.values().map(BTreeMap::len).sum()
    }

    /// Whether it writes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.maps.is_empty()
    }

    /// Whether it touches a private map.
    #[must_use]
    pub fn has_private(&self) -> bool {
        self.maps.keys().any(|name| !name.starts_with(PUBLIC_PREFIX))
    }

    /// The value written under a key; `None` also for a removal.
    #[must_use]
    pub fn get(&self, map: &str, key: &[u8]) -> Option<&[u8]> {
        self.maps.get(map)?.get(key)?.as_deref()
    }

    /// The maps by name.
    pub fn maps(&self) -> btree_map::Iter<'_, String, BTreeMap<Vec<u8>, Option<Vec<u8>>>> {
        self.maps.iter()
    }

    /// Adds what a parsed domain holds.
    ///
    /// # Errors
    /// A [`FormatError`] of the maps, or [`FormatError::DuplicateMap`].
    pub fn extend(&mut self, maps: Maps<'_>) -> Result<(), FormatError> {
        for map in maps {
            let map = map?;
            if self.maps.contains_key(map.name) {
                return Err(FormatError::DuplicateMap { map: map.name.to_owned() });
            }
            let rows = map.iter().map(|(key, value)| (key.to_vec(), value.map(<[u8]>::to_vec))).collect();
            self.maps.insert(map.name.to_owned(), rows);
        }
        Ok(())
    }

    /// Appends the public domain.
    pub fn encode_public(&self, out: &mut Vec<u8>, header: &PublicHeader) {
        header.encode(out);
        self.encode_public_maps(out);
    }

    /// Appends the public maps alone.
    pub fn encode_public_maps(&self, out: &mut Vec<u8>) {
        self.encode_maps(out, |name| name.starts_with(PUBLIC_PREFIX));
    }

    /// Appends the private domain in the clear; nothing if no private map is touched.
    pub fn encode_private(&self, out: &mut Vec<u8>) {
        self.encode_maps(out, |name| !name.starts_with(PUBLIC_PREFIX));
    }

    fn encode_maps(&self, out: &mut Vec<u8>, chosen: impl Fn(&str) -> bool) {
        for (name, rows) in self.maps.iter().filter(|(name, rows)| chosen(name) && !rows.is_empty()) {
            put_bytes(out, name.as_bytes());
            out.extend_from_slice(&[0; 16]);
            let removes = rows.values().filter(|value| value.is_none()).count();
            out.extend_from_slice(&((rows.len().saturating_sub(removes)) as u64).to_le_bytes());
            for (key, value) in rows.iter().filter_map(|(key, value)| Some((key, value.as_ref()?))) {
                put_bytes(out, key);
                put_bytes(out, value);
            }
            out.extend_from_slice(&(removes as u64).to_le_bytes());
            for (key, _) in rows.iter().filter(|(_, value)| value.is_none()) {
                put_bytes(out, key);
            }
        }
    }
}

impl PublicHeader {
    /// Appends the fixed part.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(self.entry_type.byte());
        out.extend_from_slice(&self.seqno.to_le_bytes());
        if self.entry_type.has_claims() {
            out.extend_from_slice(&self.claims_digest);
        }
        if self.entry_type.has_commit_evidence() {
            out.extend_from_slice(&self.commit_evidence_digest);
        }
        out.extend_from_slice(&self.reserved.to_le_bytes());
    }

    /// The fixed part of a parsed domain; absent digests become zeros.
    #[must_use]
    pub fn of(domain: &PublicDomain<'_>) -> Self {
        Self {
            entry_type: domain.entry_type,
            seqno: domain.seqno,
            claims_digest: domain.claims_digest.copied().unwrap_or_default(),
            commit_evidence_digest: domain.commit_evidence_digest.copied().unwrap_or_default(),
            reserved: domain.reserved,
        }
    }
}
