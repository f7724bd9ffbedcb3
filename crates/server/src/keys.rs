//! API keys: who may do what on which stores.
//!
//! `keys.json` in the configuration folder holds named keys, `api_key` of the configuration is one more with all
//! rights. The file, readable by its owner only, looks like this:
//!
//! ```json
//! {"keys":[{"name":"ci","sha256":"9f86…","stores":["orders"],"rights":["read","write"],"created_at":"2026-11-21T07:00:00Z"}]}
//! ```
//!
//! Keys are stored as SHA-256. A slow password hash would add nothing: a key is 256 random bits that Ledger itself
//! draws, so there is no dictionary to try, and a slow hash would be paid on every request.
//!
//! As long as there is neither the file nor `api_key`, requests need no key. Once the file is there they do, even
//! after its last key was revoked.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::Timestamp;
use ledger_streams::StoreName;
use rustix::fs::{FlockOperation, flock};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::Config;

/// What keys begin with, so that people and secret scanners recognise them.
const PREFIX: &str = "ledger_";
/// Most keys in the file; each request is compared with all.
const MAX_KEYS: usize = 1000;
/// Longest name of a key.
const MAX_NAME_BYTES: usize = 64;

/// Name of whoever requests without a key, where none is needed.
const ANONYMOUS: &str = "anonymous";
/// Name of whoever requests with the one key of the simple form.
const SIMPLE: &str = "api-key";

/// One kind of operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Right {
    /// Read, count, search, list, subscribe.
    Read,
    /// Append, set tags and annotations.
    Write,
    /// Trim and rename streams, create stores.
    Admin,
}

impl Right {
    /// Every right.
    pub const ALL: [Self; 3] = [Self::Read, Self::Write, Self::Admin];

    /// Its name, as in the file.
    pub fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// Whoever makes a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Name of the key; `api-key` for the simple form, `anonymous` without any.
    pub name: String,
    /// What it may do.
    pub rights: BTreeSet<Right>,
    /// On which stores; empty means all.
    pub stores: BTreeSet<String>,
}

impl Identity {
    /// Whether this is everybody, because there are no keys.
    pub fn is_anonymous(&self) -> bool {
        self.name == ANONYMOUS
    }

    /// Whether it may touch a store.
    pub fn may_touch(&self, store: &str) -> bool {
        self.stores.is_empty() || self.stores.contains(store)
    }
}

/// A key as it is stored: everything but the key itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedKey {
    /// Its name.
    pub name: String,
    /// SHA-256 of the key, in hexadecimal.
    pub sha256: String,
    /// Stores that it opens; empty means all.
    pub stores: BTreeSet<String>,
    /// What it may do there.
    pub rights: BTreeSet<Right>,
    /// When it was made.
    pub created_at: Timestamp,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Contents {
    keys: Vec<NamedKey>,
}

/// What is wrong with keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("ledger: keys {}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// Others may write to the file: whoever can, can give keys to themselves.
    #[error("ledger: keys {} can be written by other users of this machine; take that right away: chmod 600 {0}", path.display())]
    WritableByOthers {
        /// The file.
        path: PathBuf,
    },
    /// The file is not what [`keys`](self) describes.
    #[error("ledger: keys {}: {reason}; mend the file or restore it", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is a key of this name.
    #[error("ledger: there is a key {name:?} already; revoke it first or take another name")]
    Exists {
        /// The name.
        name: String,
    },
    /// There is no key of this name.
    #[error("ledger: there is no key {name:?}; there are: {}", existing.join(", "))]
    Missing {
        /// The name.
        name: String,
        /// The names that there are.
        existing: Vec<String>,
    },
    /// The name of a key or store cannot be used.
    #[error("ledger: {reason}")]
    Invalid {
        /// What is wrong.
        reason: String,
    },
    /// The operating system gives no random numbers.
    #[error("ledger: cannot draw a key: {reason}")]
    NoRandomness {
        /// What it said.
        reason: String,
    },
}

/// The file of named keys.
pub struct KeyFile {
    path: PathBuf,
}

impl KeyFile {
    /// The file in a configuration folder; nothing is touched yet.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join("keys.json") }
    }

    /// The keys; `None` if there is no file.
    ///
    /// # Errors
    /// [`KeyError::Io`], [`KeyError::Damaged`].
    pub fn list(&self) -> Result<Option<Vec<NamedKey>>, KeyError> {
        let mut file = match File::open(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            file => file.map_err(|source| self.io(source))?,
        };
        if file.metadata().map_err(|source| self.io(source))?.mode() & 0o022 != 0 {
            return Err(KeyError::WritableByOthers { path: self.path.clone() });
        }
        let mut text = String::new();
        file.read_to_string(&mut text).map_err(|source| self.io(source))?;
        let damaged = |reason: String| KeyError::Damaged { path: self.path.clone(), reason };
        let contents: Contents = serde_json::from_str(&text).map_err(|error| damaged(error.to_string()))?;
        if let Some(key) = contents.keys.iter().find(|key| decode_hex(&key.sha256).is_none()) {
            return Err(damaged(format!("sha256 of key {:?} is not 64 hexadecimal digits", key.name)));
        }
        Ok(Some(contents.keys))
    }

    /// Makes a key and answers it. It is not stored and cannot be shown again.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn create(
        &self,
        name: &str,
        stores: BTreeSet<String>,
        rights: BTreeSet<Right>,
        now: Timestamp,
    ) -> Result<String, KeyError> {
        check_new(name, &stores, &rights)?;
        let _lock = self.lock()?;
        let mut keys = self.list()?.unwrap_or_default();
        if keys.iter().any(|key| key.name == name) {
            return Err(KeyError::Exists { name: name.to_owned() });
        }
        if keys.len() >= MAX_KEYS {
            return Err(KeyError::Invalid {
                reason: format!("there are {MAX_KEYS} keys, which is the limit"),
            });
        }
        let mut random = [0; 32];
        getrandom::fill(&mut random).map_err(|error| KeyError::NoRandomness { reason: error.to_string() })?;
        let key = format!("{PREFIX}{}", encode_hex(&random));
        let sha256 = encode_hex(&Sha256::digest(key.as_bytes()));
        keys.push(NamedKey { name: name.to_owned(), sha256, stores, rights, created_at: now });
        self.replace(keys)?;
        Ok(key)
    }

    /// Takes a key away.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn revoke(&self, name: &str) -> Result<(), KeyError> {
        let _lock = self.lock()?;
        let mut keys = self.list()?.unwrap_or_default();
        let before = keys.len();
        keys.retain(|key| key.name != name);
        if keys.len() == before {
            let existing = keys.into_iter().map(|key| key.name).collect();
            return Err(KeyError::Missing { name: name.to_owned(), existing });
        }
        self.replace(keys)
    }

    /// Keeps other commands that change the file waiting. The lock has a file of its own: the other one is replaced.
    fn lock(&self) -> Result<File, KeyError> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true).mode(0o600);
        let lock = options.open(self.path.with_extension("lock")).map_err(|source| self.io(source))?;
        flock(&lock, FlockOperation::LockExclusive).map_err(|error| self.io(error.into()))?;
        Ok(lock)
    }

    fn replace(&self, keys: Vec<NamedKey>) -> Result<(), KeyError> {
        let text = serde_json::to_string_pretty(&Contents { keys }).map_err(|error| self.io(error.into()))?;
        let draft = self.path.with_extension("new");
        let write = || {
            let mut options = OpenOptions::new();
            let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&draft)?;
            writeln!(file, "{text}")?;
            file.sync_all()?;
            std::fs::rename(&draft, &self.path)?;
            File::open(self.path.parent().unwrap_or(Path::new(".")))?.sync_all()
        };
        write().map_err(|source| self.io(source))
    }

    fn io(&self, source: std::io::Error) -> KeyError {
        KeyError::Io { path: self.path.clone(), source }
    }
}

fn check_new(name: &str, stores: &BTreeSet<String>, rights: &BTreeSet<Right>) -> Result<(), KeyError> {
    let invalid = |reason: String| Err(KeyError::Invalid { reason });
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if name.is_empty() || name.len() > MAX_NAME_BYTES || !name.chars().all(is_plain) {
        return invalid(format!(
            "the name of a key has 1 to {MAX_NAME_BYTES} letters, digits, '_', '-' or '.'; got {name:?}"
        ));
    }
    if name == ANONYMOUS || name == SIMPLE {
        return invalid(format!("the daemon itself calls somebody {name:?}; take another name"));
    }
    if let Some(error) = stores.iter().find_map(|store| StoreName::new(store.as_str()).err()) {
        return invalid(error.to_string());
    }
    if rights.is_empty() {
        return invalid("a key without rights opens nothing; give it read, write or admin".to_owned());
    }
    Ok(())
}

/// All keys that a daemon accepts at a moment.
pub struct Keyring {
    /// Who requests without a key are; `None` once a key is needed.
    anonymous: Option<Arc<Identity>>,
    keys: Vec<([u8; 32], Arc<Identity>)>,
    has_named_keys: bool,
}

impl Keyring {
    /// The keys of a configuration and of the file beside it.
    ///
    /// # Errors
    /// Those of [`KeyFile::list`].
    pub fn load(config: &Config, folder: &Path) -> Result<Self, KeyError> {
        let named = KeyFile::new(folder).list()?;
        let all_rights = |name: &str| {
            let stores = config.allowed_stores.iter().cloned().collect();
            Arc::new(Identity { name: name.to_owned(), rights: Right::ALL.into(), stores })
        };
        let is_open = config.api_key.is_none() && named.is_none();
        let mut keys = Vec::new();
        if let Some(key) = &config.api_key {
            keys.push((Sha256::digest(key.as_bytes()).into(), all_rights(SIMPLE)));
        }
        let has_named_keys = named.is_some();
        for key in named.unwrap_or_default() {
            let Some(sha256) = decode_hex(&key.sha256) else { continue };
            let identity = Identity { name: key.name, rights: key.rights, stores: key.stores };
            keys.push((sha256, Arc::new(identity)));
        }
        Ok(Self { anonymous: is_open.then(|| all_rights(ANONYMOUS)), keys, has_named_keys })
    }

    /// Whether there is a file of named keys, so that nobody comes in without one.
    pub fn has_named_keys(&self) -> bool {
        self.has_named_keys
    }

    /// Whether somebody with this name, these rights and these stores can still come in.
    pub fn knows(&self, identity: &Identity) -> bool {
        let known = self.anonymous.iter().chain(self.keys.iter().map(|(_, known)| known));
        known.into_iter().any(|known| **known == *identity)
    }

    /// Who presents this key; `None` if it is not known. Takes the same time whichever key matches, if any.
    pub fn identify(&self, presented: &[u8]) -> Option<Arc<Identity>> {
        if let Some(anonymous) = &self.anonymous {
            return Some(anonymous.clone());
        }
        let presented: [u8; 32] = Sha256::digest(presented).into();
        let mut found = u32::MAX;
        for (index, (sha256, _)) in (0_u32..).zip(&self.keys) {
            let is_it: Choice = sha256.ct_eq(&presented);
            found.conditional_assign(&index, is_it);
        }
        self.keys.get(usize::try_from(found).ok()?).map(|(_, identity)| identity.clone())
    }
}

fn encode_hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn decode_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in bytes.iter_mut().enumerate() {
        let at = index.checked_mul(2)?;
        *byte = u8::from_str_radix(text.get(at..at.checked_add(2)?)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn ring(config: &Config, folder: &Path) -> Keyring {
        Keyring::load(config, folder).unwrap()
    }

    #[test]
    fn a_named_key_opens_until_it_is_revoked_and_then_nobody_comes_in() {
        let folder = tempfile::tempdir().unwrap();
        let (config, file) = (Config::defaults(folder.path()), KeyFile::new(folder.path()));
        assert_eq!(ring(&config, folder.path()).identify(b"").unwrap().name, "anonymous");

        let stores = BTreeSet::from(["orders".to_owned()]);
        let key = file.create("ci", stores.clone(), [Right::Read].into(), Timestamp::UNIX_EPOCH).unwrap();
        let other = file.create("ops", BTreeSet::new(), Right::ALL.into(), Timestamp::UNIX_EPOCH).unwrap();
        let keys = ring(&config, folder.path());
        let identity = keys.identify(key.as_bytes()).unwrap();
        assert_eq!((identity.name.as_str(), &identity.stores), ("ci", &stores));
        assert!(identity.may_touch("orders") && !identity.may_touch("other"));
        assert_eq!(keys.identify(other.as_bytes()).unwrap().name, "ops");
        assert!(keys.identify(b"").is_none() && keys.identify(&key.as_bytes()[1..]).is_none());

        file.revoke("ci").unwrap();
        assert!(ring(&config, folder.path()).identify(key.as_bytes()).is_none());
        file.revoke("ops").unwrap();
        assert!(ring(&config, folder.path()).identify(b"").is_none());
    }

    #[test]
    fn the_file_does_not_hold_the_key_and_only_its_owner_may_read_it() {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyFile::new(folder.path())
            .create("ci", BTreeSet::new(), Right::ALL.into(), Timestamp::UNIX_EPOCH)
            .unwrap();
        assert_eq!(key.len(), PREFIX.len() + 64);
        let path = folder.path().join("keys.json");
        assert!(!std::fs::read_to_string(&path).unwrap().contains(key.strip_prefix(PREFIX).unwrap()));
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    }

    #[test]
    fn the_simple_key_works_beside_named_ones_and_keeps_its_stores() {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::defaults(folder.path());
        config.api_key = Some("s3cret".to_owned());
        config.allowed_stores = vec!["orders".to_owned()];
        let named = KeyFile::new(folder.path());
        let named = named.create("ci", BTreeSet::new(), Right::ALL.into(), Timestamp::UNIX_EPOCH).unwrap();
        let keys = ring(&config, folder.path());
        let simple = keys.identify(b"s3cret").unwrap();
        assert_eq!(simple.name, "api-key");
        assert!(simple.may_touch("orders") && !simple.may_touch("other"));
        assert!(keys.identify(named.as_bytes()).unwrap().may_touch("other"));
        assert!(keys.identify(b"s3cre").is_none());
    }

    #[test]
    fn names_are_checked_and_errors_say_what_there_is() {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::new(folder.path());
        let create = |name: &str, stores: &[&str], rights: &[Right]| {
            let stores = stores.iter().map(|&store| store.to_owned()).collect();
            file.create(name, stores, rights.iter().copied().collect(), Timestamp::UNIX_EPOCH)
        };
        create("ci", &[], &[Right::Read]).unwrap();
        assert!(matches!(create("ci", &[], &[Right::Read]), Err(KeyError::Exists { .. })));
        assert!(create("", &[], &[Right::Read]).is_err());
        assert!(create("a b", &[], &[Right::Read]).is_err());
        assert!(create("anonymous", &[], &[Right::Read]).is_err());
        assert!(create("x", &["bad name"], &[Right::Read]).is_err());
        assert!(create("x", &[], &[]).is_err());
        assert_eq!(
            file.revoke("c1").unwrap_err().to_string(),
            "ledger: there is no key \"c1\"; there are: ci"
        );
        let path = folder.path().join("keys.json");
        std::fs::write(&path, r#"{"keys":[],"x":1}"#).unwrap();
        assert!(matches!(file.list(), Err(KeyError::Damaged { .. })));
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o620)).unwrap();
        let error = file.list().unwrap_err();
        assert!(matches!(error, KeyError::WritableByOthers { .. }));
        assert!(error.to_string().contains("chmod 600 "), "{error}");
    }
}
