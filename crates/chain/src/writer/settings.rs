use std::{str::FromStr, time::Duration};

/// Which signatures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Profile {
    /// Raw signatures of the node and COSE signatures of the service: everybody can verify the ledger.
    #[default]
    Dual,
    /// Raw signatures only: the only form that every installation of the Python tools verifies.
    Raw,
    /// COSE signatures only: needs version 7 of the Python tools to be counted.
    Cose,
}

impl Profile {
    /// Whether raw signatures are written.
    #[must_use]
    pub fn raw(self) -> bool {
        self != Self::Cose
    }

    /// Whether COSE signatures are written.
    #[must_use]
    pub fn cose(self) -> bool {
        self != Self::Raw
    }
}

/// Text that names no profile.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no signature profile: write dual, raw or cose")]
pub struct UnknownProfile(String);

impl FromStr for Profile {
    type Err = UnknownProfile;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "dual" => Ok(Self::Dual),
            "raw" => Ok(Self::Raw),
            "cose" => Ok(Self::Cose),
            _ => Err(UnknownProfile(text.to_owned())),
        }
    }
}

/// Settings of a writer.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Which signatures.
    pub profile: Profile,
    /// A signature follows after this many entries at the latest.
    pub sign_every_entries: u64,
    /// A signature follows this long after the first entry without one.
    pub sign_after: Duration,
    /// A chunk is closed at the first signature after this many bytes of entries.
    pub chunk_bytes: u64,
    /// A snapshot is taken at the first signature after this many entries, and once as many bytes of entries were appended as the
    /// last snapshot has; 0: never by itself.
    pub snapshot_tx_interval: u64,
    /// A snapshot that is taken by itself holds at most so many bytes: it is made in memory, in about three times that. One that
    /// somebody asks for may be as large as an entry.
    pub max_snapshot_bytes: u64,
    /// How far an append is when it is answered.
    pub durability: super::Durability,
    /// Entries that may wait.
    pub max_queued_entries: usize,
    /// Bytes of entries that may wait.
    pub max_queued_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            profile: Profile::Dual,
            sign_every_entries: 1_000,
            sign_after: Duration::from_secs(1),
            chunk_bytes: 5 * 1024 * 1024,
            snapshot_tx_interval: 10_000,
            max_snapshot_bytes: 64 << 20,
            durability: super::Durability::Synced,
            max_queued_entries: 4_096,
            max_queued_bytes: 64 << 20,
        }
    }
}
