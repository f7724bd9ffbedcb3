use std::{fmt::Write as _, path::Path, sync::Arc};

use ledger_fs::{Dir, Open, Replacement, append_all, read_all, replace, temporary_name};
use zeroize::Zeroizing;

use super::{LedgerError, passphrase::secrets_file};
use crate::{
    crypto::{
        Certificate, Curve, KeyError, LedgerSecret, Passphrase, PrivateKey, ProtectionError, PublicKey,
        node_certificate, pem, service_certificate,
    },
    format::WriteSet,
    governance::{NODE_CERTIFICATES, NODES_INFO, NodeInfo, NodeStatus, json},
    verify::Secrets,
};

pub(super) const SERVICE_KEY: &str = "service_key.pem";
const SERVICE_CERT: &str = "service_cert.pem";
pub(super) const NODE_KEY: &str = "node_key.pem";
const NODE_CERT: &str = "node_cert.pem";
/// The certificate of a node key that is being stored, so that a crash between key and certificate does not part them.
const NEXT_NODE_CERT: &str = "node_cert.pem.next";
pub(super) const SECRETS: &str = "ledger_secrets";
/// What stands around them in PEM form when a passphrase protects them: the same bytes as around a private key.
const PROTECTED_SECRETS: &str = "ENCRYPTED LEDGER SECRETS";
pub(super) const VIEW: &str = "view";

/// Larger than any key file.
const MAX_KEY_FILE_BYTES: usize = 1 << 20;

/// The keys that sign: those of the service and of the node.
#[derive(Debug)]
pub struct Identity {
    /// Key of the service.
    pub service: PrivateKey,
    /// Its certificate, PEM.
    pub service_cert: String,
    /// Key of the node.
    pub node: PrivateKey,
    /// Its certificate, PEM, issued by the service.
    pub node_cert: String,
    /// Id of the node.
    pub node_id: String,
}

impl Identity {
    /// Makes new keys for a service and a node.
    ///
    /// # Errors
    /// [`LedgerError::Key`] or [`LedgerError::Certificate`].
    pub fn generate(curve: Curve, unix_seconds: u64) -> Result<Self, LedgerError> {
        let service = PrivateKey::generate(curve)?;
        let service_cert = service_certificate(&service, unix_seconds)?;
        Self::with_new_node(service, service_cert, curve, unix_seconds)
    }

    /// The same service with a new node key.
    pub(super) fn with_new_node(
        service: PrivateKey,
        service_cert: String,
        curve: Curve,
        unix_seconds: u64,
    ) -> Result<Self, LedgerError> {
        let node = PrivateKey::generate(curve)?;
        let node_cert = node_certificate(node.public(), &service, unix_seconds)?;
        let node_id = node.public().id();
        Ok(Self { service, service_cert, node, node_cert, node_id })
    }

    /// Adds the writes that make the node known and trusted.
    pub(super) fn trust_node(&self, writes: &mut WriteSet) {
        let node = self.node_id.as_bytes();
        writes.put(NODES_INFO, node, json(&NodeInfo { cert: None, status: NodeStatus::Trusted }));
        writes.put(NODE_CERTIFICATES, node, self.node_cert.as_bytes());
    }

    /// Writes the key files. Existing ones are replaced, each in one step.
    pub(super) fn store(&self, folder: &KeyFolder) -> Result<(), LedgerError> {
        let (keys, passphrase) = (&*folder.dir, folder.passphrase());
        replace(keys, Path::new(NEXT_NODE_CERT), self.node_cert.as_bytes())?;
        write_secret(keys, SERVICE_KEY, self.service.to_pem(passphrase)?.as_bytes())?;
        write_secret(keys, NODE_KEY, self.node.to_pem(passphrase)?.as_bytes())?;
        replace(keys, Path::new(SERVICE_CERT), self.service_cert.as_bytes())?;
        replace(keys, Path::new(NODE_CERT), self.node_cert.as_bytes())?;
        Ok(keys.remove(Path::new(NEXT_NODE_CERT))?)
    }

    /// Reads the key files.
    pub(super) fn load(folder: &KeyFolder) -> Result<Self, LedgerError> {
        let keys = &*folder.dir;
        let (service, node) = (folder.private_key(SERVICE_KEY)?, folder.private_key(NODE_KEY)?);
        let service_cert = read_text(keys, SERVICE_CERT)?.to_string();
        let node_cert = node_cert(keys, node.public())?;
        if Certificate::from_pem(service_cert.as_bytes())?.key() != service.public() {
            return Err(LedgerError::WrongKeys { reason: format!("{SERVICE_CERT} is not of {SERVICE_KEY}") });
        }
        let certificate = Certificate::from_pem(node_cert.as_bytes())?;
        if certificate.key() != node.public() || !certificate.is_signed_by(service.public()) {
            return Err(LedgerError::WrongKeys {
                reason: format!("{NODE_CERT} is not of {NODE_KEY} and {SERVICE_KEY}"),
            });
        }
        let node_id = node.public().id();
        Ok(Self { service, service_cert, node, node_cert, node_id })
    }
}

/// The certificate of the node; after a crash while it was stored it can still have its other name.
fn node_cert(keys: &dyn Dir, node: &PublicKey) -> Result<String, LedgerError> {
    let found = read_text(keys, NODE_CERT).map(|text| text.to_string());
    let fits = |text: &String| Certificate::from_pem(text.as_bytes()).is_ok_and(|found| found.key() == node);
    if found.as_ref().is_ok_and(fits) {
        return found;
    }
    match read_text(keys, NEXT_NODE_CERT).map(|text| text.to_string()) {
        Ok(next) if fits(&next) => {
            replace(keys, Path::new(NODE_CERT), next.as_bytes())?;
            Ok(next)
        }
        _ => found,
    }
}

/// The folder of the keys, and the passphrase that protects the files in it.
#[derive(Debug)]
pub(crate) struct KeyFolder {
    pub(super) dir: Arc<dyn Dir>,
    pub(super) passphrase: Option<Arc<Passphrase>>,
}

impl KeyFolder {
    fn passphrase(&self) -> Option<&Passphrase> {
        self.passphrase.as_deref()
    }

    fn private_key(&self, file: &str) -> Result<PrivateKey, LedgerError> {
        let text = read_text(&*self.dir, file)?;
        PrivateKey::from_pem(&text, self.passphrase()).map_err(|error| match error {
            KeyError::Protected => LedgerError::Protected { file: file.to_owned() },
            KeyError::Protection(error) => LedgerError::Protection { file: file.to_owned(), error },
            error => LedgerError::Key(error),
        })
    }

    /// Writes the ledger secrets.
    pub(super) fn store_secrets(&self, secrets: &Secrets) -> Result<(), LedgerError> {
        write_secret(&*self.dir, SECRETS, secrets_text(secrets, self.passphrase())?.as_bytes())
    }

    /// Reads the ledger secrets.
    pub(crate) fn load_secrets(&self) -> Result<Secrets, LedgerError> {
        open_secrets(&*self.dir, self.passphrase())
    }
}

/// Reads the ledger secrets of a folder of keys that is not protected by a passphrase; see [`Home::secrets`](super::Home::secrets).
///
/// # Errors
/// [`LedgerError::KeyFile`], [`LedgerError::Protected`], and those of the file system.
pub fn load_secrets(keys: &dyn Dir) -> Result<Secrets, LedgerError> {
    open_secrets(keys, None)
}

/// What the file of the ledger secrets holds.
pub(super) fn secrets_text(
    secrets: &Secrets,
    passphrase: Option<&Passphrase>,
) -> Result<Zeroizing<String>, LedgerError> {
    // Enough for every line, so that no copy stays behind where the text grew.
    let mut text = Zeroizing::new(String::with_capacity(secrets.iter().count().saturating_mul(96)));
    for (seqno, secret) in secrets.iter() {
        let hex = Zeroizing::new(hex::encode(secret.bytes()));
        // Writing to a string cannot fail.
        _ = writeln!(text, "{seqno} {}", *hex);
    }
    let Some(passphrase) = passphrase else { return Ok(text) };
    let protected = passphrase.protect(text.as_bytes());
    let protected = protected.map_err(|error| LedgerError::Protection { file: SECRETS.to_owned(), error })?;
    Ok(pem::encode(PROTECTED_SECRETS, &protected))
}

fn open_secrets(keys: &dyn Dir, passphrase: Option<&Passphrase>) -> Result<Secrets, LedgerError> {
    let text = read_text(keys, &secrets_file(keys)?)?;
    let Some(protected) = pem::decode(PROTECTED_SECRETS, &text) else { return parse_secrets(&text) };
    let file = || SECRETS.to_owned();
    let passphrase = passphrase.ok_or_else(|| LedgerError::Protected { file: file() })?;
    let wrong = |error| LedgerError::Protection { file: file(), error };
    let clear = passphrase.open(&protected).map_err(wrong)?;
    // The padding can look right by chance.
    let parsed = std::str::from_utf8(&clear).ok().and_then(|text| parse_secrets(text).ok());
    parsed.ok_or_else(|| wrong(ProtectionError::Passphrase))
}

fn parse_secrets(text: &str) -> Result<Secrets, LedgerError> {
    let mut secrets = Secrets::none();
    for (number, line) in text.lines().enumerate() {
        let secret = line.split_once(' ').and_then(|(seqno, hex)| {
            let mut bytes = Zeroizing::new([0; 32]);
            hex::decode_to_slice(hex, &mut *bytes).ok()?;
            Some((seqno.parse().ok()?, LedgerSecret::new(*bytes).ok()?))
        });
        let reason = || format!("line {} is not `<seqno> <64 hex digits>`", number.saturating_add(1));
        let (seqno, secret) =
            secret.ok_or_else(|| LedgerError::KeyFile { file: SECRETS.to_owned(), reason: reason() })?;
        secrets.insert(seqno, secret);
    }
    Ok(secrets)
}

/// Begins a view behind `last` and behind all that were begun before, and remembers it.
pub(super) fn next_view(keys: &dyn Dir, last: u32) -> Result<u32, LedgerError> {
    let before = match read_text(keys, VIEW) {
        Ok(text) => text.trim().parse().unwrap_or(0),
        Err(LedgerError::File(error)) if error.kind() == std::io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    let view = last.max(before).saturating_add(1);
    replace(keys, Path::new(VIEW), view.to_string().as_bytes())?;
    Ok(view)
}

pub(super) fn read_text(keys: &dyn Dir, file: &str) -> Result<Zeroizing<String>, LedgerError> {
    let bytes = read_all(keys, Path::new(file), MAX_KEY_FILE_BYTES)?;
    let text = String::from_utf8(bytes);
    Ok(Zeroizing::new(
        text.map_err(|_| LedgerError::KeyFile { file: file.to_owned(), reason: "not text".into() })?,
    ))
}

/// Writes a file that only its owner may read, in one step.
pub(super) fn write_secret(keys: &dyn Dir, name: &str, bytes: &[u8]) -> Result<(), LedgerError> {
    let replacement = Replacement::begin(keys, temporary_name(Path::new(name)), Open::APPEND.private())?;
    append_all(replacement.file(), bytes, 0).map_err(std::io::Error::from)?;
    replacement.commit(Path::new(name))?;
    Ok(())
}
