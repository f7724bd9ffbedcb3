//! The maps that entries add up to, and their form in a snapshot.

use std::collections::BTreeMap;

use zeroize::Zeroizing;

use super::{
    SnapshotError,
    format::{Snapshot, SnapshotMaps, padding},
};
use crate::{
    crypto::LedgerSecret,
    format::{
        Digest, Entry, EntryType, Flags, FormatError, Iv, MAX_ENTRY_BYTES, Maps, PUBLIC_PREFIX, PublicDomain,
        TxId, encode_entry, put_bytes,
    },
    verify::Secrets,
};

/// The latest values of all maps after some entry.
#[derive(Debug)]
pub(crate) struct MapState {
    seqno: u64,
    leaf: Digest,
    views: Vec<u64>,
    maps: BTreeMap<String, MapRows>,
    /// What the maps take in a snapshot.
    bytes: u64,
    /// What a snapshot may take.
    max_bytes: u64,
    /// Private maps are left out.
    public_only: bool,
}

#[derive(Debug, Default, PartialEq, Eq)]
struct MapRows {
    version: u64,
    rows: BTreeMap<(u32, Box<[u8]>), Row>,
}

#[derive(Debug, PartialEq, Eq)]
struct Row {
    version: u64,
    value: Box<[u8]>,
}

/// Larger than everything in a snapshot that is not a map.
const OVERHEAD_BYTES: u64 = 1 << 20;

/// Two lengths and a version.
const MAP_HEADER_BYTES: u64 = 24;
const ROW_HEADER_BYTES: u64 = 24;

impl MapState {
    /// The state before the first entry.
    pub(crate) fn new(private: bool) -> Self {
        Self {
            seqno: 0,
            leaf: Digest::default(),
            views: Vec::new(),
            maps: BTreeMap::new(),
            bytes: 0,
            max_bytes: MAX_ENTRY_BYTES,
            public_only: !private,
        }
    }

    /// Refuses to grow beyond what a snapshot of `max_bytes` holds.
    pub(crate) fn limited_to(mut self, max_bytes: u64) -> Self {
        self.max_bytes = max_bytes.min(MAX_ENTRY_BYTES);
        self
    }

    /// The state that a snapshot holds; `secret` is the one in force there, without it private maps are left out.
    pub(crate) fn of_snapshot(
        snapshot: &Snapshot<'_>,
        secret: Option<&LedgerSecret>,
    ) -> Result<Self, SnapshotError> {
        let mut state = Self {
            seqno: snapshot.seqno,
            leaf: snapshot.leaf,
            views: snapshot.views.clone(),
            ..Self::new(secret.is_some())
        };
        let private =
            secret.map_or_else(|| Ok(Zeroizing::default()), |secret| snapshot.open_private(secret))?;
        for map in snapshot.public_maps().chain(SnapshotMaps::of_private(&private)) {
            let map = map?;
            if !state.touch(map.name, map.version) {
                return Err(FormatError::DuplicateMap { map: map.name.to_owned() }.into());
            }
            for row in map.rows() {
                let row = row?;
                let again = state.put(map.name, row.key, row.version, row.value);
                if again || row.version > map.version || map.version > snapshot.seqno {
                    let reason = format!("a row of {} appears twice, or is newer than its map", map.name);
                    return Err(FormatError::Value { map: "snapshot", reason }.into());
                }
            }
        }
        Ok(state)
    }

    /// The entry after which this is the state; 0 before the first.
    pub(crate) fn seqno(&self) -> u64 {
        self.seqno
    }

    /// Goes on by the next entry.
    pub(crate) fn apply(&mut self, bytes: &[u8], secrets: &Secrets) -> Result<(), SnapshotError> {
        let (entry, _) = Entry::parse(bytes)?;
        let domain = PublicDomain::parse(entry.public)?;
        let TxId { view, seqno } = entry.txid();
        let leaf = domain.leaf(&entry.write_set_digest());
        self.leaf = leaf.ok_or(FormatError::EntryType { found: domain.entry_type.byte() })?;
        self.seqno = seqno;
        let views = u64::from(view).saturating_mul(8);
        self.check_size(views)?;
        while self.views.len() < view as usize {
            self.views.push(seqno);
        }
        self.apply_maps(domain.maps(), seqno)?;
        if !entry.private.is_empty() && !self.public_only {
            let secret = secrets.at(seqno).ok_or(SnapshotError::NoSecret { seqno })?;
            let clear = secret.open(entry.iv, entry.public, entry.tag, entry.private)?;
            self.apply_maps(Maps::of_private(&clear), seqno)?;
        }
        self.check_size(views)
    }

    fn check_size(&self, views: u64) -> Result<(), SnapshotError> {
        let bytes = self.bytes.saturating_add(views).saturating_add(OVERHEAD_BYTES);
        let max = self.max_bytes;
        if bytes > max { Err(SnapshotError::TooLarge { bytes, max }) } else { Ok(()) }
    }

    fn apply_maps(&mut self, maps: Maps<'_>, seqno: u64) -> Result<(), SnapshotError> {
        for map in maps {
            let map = map?;
            self.touch(map.name, seqno);
            for (key, value) in map.iter() {
                match value {
                    Some(value) => _ = self.put(map.name, key, seqno, value),
                    None => self.remove(map.name, key),
                }
            }
        }
        Ok(())
    }

    /// Notes that a map was written to; whether it is new.
    fn touch(&mut self, map: &str, version: u64) -> bool {
        if let Some(rows) = self.maps.get_mut(map) {
            rows.version = version;
            return false;
        }
        self.bytes = self.bytes.saturating_add(map.len() as u64).saturating_add(MAP_HEADER_BYTES);
        self.maps.insert(map.to_owned(), MapRows { version, rows: BTreeMap::new() });
        true
    }

    /// Sets a key of a map that was touched; whether it had a value before.
    fn put(&mut self, map: &str, key: &[u8], version: u64, value: &[u8]) -> bool {
        let Some(rows) = self.maps.get_mut(map) else { return false };
        let before = rows.rows.insert((rank(key), key.into()), Row { version, value: value.into() });
        let freed = before.as_ref().map_or(0, |row| row_bytes(key, &row.value));
        self.bytes = self.bytes.saturating_sub(freed).saturating_add(row_bytes(key, value));
        before.is_some()
    }

    fn remove(&mut self, map: &str, key: &[u8]) {
        let row = self.maps.get_mut(map).and_then(|rows| rows.rows.remove(&(rank(key), key.into())));
        self.bytes = self.bytes.saturating_sub(row.map_or(0, |row| row_bytes(key, &row.value)));
    }

    /// What differs between two states, if anything does.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        if (self.seqno, self.leaf, &self.views) != (other.seqno, other.leaf, &other.views) {
            return Some("the leaf or the view history".into());
        }
        let private = !self.public_only && !other.public_only;
        let names = self.maps.keys().chain(other.maps.keys());
        let mut names = names.filter(|name| private || name.starts_with(PUBLIC_PREFIX));
        names.find(|name| self.maps.get(*name) != other.maps.get(*name)).map(|name| format!("map {name:?}"))
    }

    /// The entry of a snapshot, without a receipt.
    pub(crate) fn encode(&self, secret: &LedgerSecret) -> Result<Vec<u8>, SnapshotError> {
        let mut public = vec![EntryType::Snapshot.byte()];
        public.extend_from_slice(&self.seqno.to_le_bytes());
        public.extend_from_slice(&0u64.to_le_bytes());
        put_bytes(&mut public, &self.leaf);
        let views: Vec<u8> = self.views.iter().flat_map(|first| first.to_le_bytes()).collect();
        put_bytes(&mut public, &views);
        self.encode_maps(&mut public, true);
        let mut private = Vec::new();
        self.encode_maps(&mut private, false);
        let iv = Iv { txid: TxId { view: 0, seqno: self.seqno }, snapshot: true };
        let tag = secret.seal(iv, &public, &mut private)?;
        let mut bytes = Vec::new();
        encode_entry(&mut bytes, Flags::default(), &tag, iv, &public, &private)?;
        Ok(bytes)
    }

    fn encode_maps(&self, out: &mut Vec<u8>, public: bool) {
        for (name, map) in self.maps.iter().filter(|(name, _)| name.starts_with(PUBLIC_PREFIX) == public) {
            put_bytes(out, name.as_bytes());
            out.extend_from_slice(&map.version.to_le_bytes());
            let length: u64 = map.rows.iter().map(|((_, key), row)| row_bytes(key, &row.value)).sum();
            out.extend_from_slice(&length.to_le_bytes());
            for ((_, key), row) in &map.rows {
                put_bytes(out, key);
                pad(out, key.len());
                out.extend_from_slice(&(row.value.len() as u64).saturating_add(8).to_le_bytes());
                out.extend_from_slice(&row.version.to_le_bytes());
                out.extend_from_slice(&row.value);
                pad(out, row.value.len());
            }
        }
    }
}

fn row_bytes(key: &[u8], value: &[u8]) -> u64 {
    let padded = |length: usize| (length as u64).saturating_add(padding(length as u64));
    padded(key.len()).saturating_add(padded(value.len())).saturating_add(ROW_HEADER_BYTES)
}

fn pad(out: &mut Vec<u8>, length: usize) {
    out.extend(std::iter::repeat_n(0, usize::try_from(padding(length as u64)).unwrap_or_default()));
}

/// Where a key stands among the rows of its map: what genuine nodes sort by.
#[expect(
    deprecated,
    reason = "the SipHash-2-4 of the standard library with keys of one's own; its successors hide the algorithm"
)]
fn rank(key: &[u8]) -> u32 {
    use std::hash::{Hasher as _, SipHasher};
    let mut hasher = SipHasher::new_with_keys(0x7720_796f_726c_694b, 0x2165_7265_6820_7361);
    hasher.write(key);
    let [a, b, c, d, ..] = hasher.finish().to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path, sync::Arc};

    use ledger_fs::RealDir;

    use super::{super::take::replay, *};
    use crate::store::Reader;

    fn fixture(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
    }

    fn state_at(ledger: &str, secrets: &Secrets, begin: MapState, seqno: u64) -> MapState {
        let reader = Reader::open(Arc::new(RealDir::open(fixture(ledger)).unwrap())).unwrap();
        replay(begin, &reader, secrets, seqno).unwrap()
    }

    fn secret_of_valid() -> LedgerSecret {
        let text = fs::read_to_string(fixture("valid/ledger_secret.hex")).unwrap();
        LedgerSecret::new(hex::decode(text.trim()).unwrap().try_into().unwrap()).unwrap()
    }

    #[test]
    fn the_entries_of_a_ledger_add_up_to_the_bytes_of_its_snapshot() {
        let mut secrets = Secrets::none();
        secrets.insert(1, secret_of_valid());
        let state = state_at("valid/ledger", &secrets, MapState::new(true), 14);
        let encoded = state.encode(&secret_of_valid()).unwrap();
        let file = fs::read(fixture("valid/snapshots/snapshot_14_18.committed")).unwrap();
        assert_eq!(encoded, Snapshot::parse(&file).unwrap().entry.bytes);
        // From the snapshot on it is the same as from the beginning.
        let snapshot = Snapshot::parse(&file).unwrap();
        let begin = MapState::of_snapshot(&snapshot, Some(&secret_of_valid())).unwrap();
        assert_eq!(begin.bytes, state.bytes);
        let later = state_at("valid/ledger", &secrets, begin, 34);
        let all = state_at("valid/ledger", &secrets, MapState::new(true), 34);
        assert_eq!(later.difference(&all), None);
        assert!(later.difference(&state).is_some());
    }

    #[test]
    fn public_maps_of_a_genuine_service_are_encoded_as_its_node_did() {
        let state = state_at("real/eol_service/ledger", &Secrets::none(), MapState::new(false), 493);
        let encoded = state.encode(&secret_of_valid()).unwrap();
        let file = fs::read(fixture("real/eol_service/snapshots/snapshot_493_494.committed")).unwrap();
        let genuine = Snapshot::parse(&file).unwrap();
        assert_eq!(Snapshot::parse(&encoded).unwrap().entry.public, genuine.entry.public);
        assert_eq!(state.bytes, {
            let again = MapState::of_snapshot(&genuine, None).unwrap();
            assert_eq!(state.difference(&again), None);
            again.bytes
        });
    }

    #[test]
    fn a_state_that_fits_no_snapshot_is_refused_before_it_is_made() {
        let mut state = MapState::new(true);
        state.bytes = MAX_ENTRY_BYTES;
        assert!(matches!(state.check_size(0), Err(SnapshotError::TooLarge { .. })));
    }
}
