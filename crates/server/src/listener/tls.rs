//! Certificates: read at the start, and again whenever their files change.
//!
//! A change is noticed by looking at the files every few seconds (name, size, times and inode, so that a replaced file or
//! a switched symbolic link is noticed too), or at once on SIGHUP. What is new is taken by connections that begin
//! from then on; those that are there go on. Files that cannot be used, such as a certificate whose key has not been
//! replaced yet, leave everything as it was; the log says so.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;

use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{Error as RustlsError, InconsistentKeys, RootCertStore, ServerConfig};

use super::Protocol;
use crate::Config;

/// How often the files are looked at.
const LOOK_INTERVAL: Duration = Duration::from_secs(2);
/// Largest file that is read: more than any chain or bundle of authorities has.
const MAX_FILE_BYTES: u64 = 4 << 20;

/// Why certificates cannot be used. Every text names the key of the configuration and the file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file cannot be read.
    #[error("ledger: {key} {}: {source}", path.display())]
    File {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("ledger: {key} {}: {reason}", path.display())]
    Content {
        /// The key of the configuration.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The private key is not that of the certificate.
    #[error(
        "ledger: tls.key {} is not the key of the certificate in tls.cert {}; replace both together",
        key.display(), certificate.display()
    )]
    Mismatch {
        /// The file of the key.
        key: PathBuf,
        /// The file of the certificate.
        certificate: PathBuf,
    },
}

/// The files of the configuration, and what was last read from them.
pub(crate) struct Certificates {
    files: Files,
    current: RwLock<Current>,
    /// The files as they were when they were last read, whether or not they could be used.
    seen: Mutex<Vec<Option<Fingerprint>>>,
}

/// What connections are made with, by protocol.
struct Current {
    grpc: Arc<ServerConfig>,
    http: Arc<ServerConfig>,
}

struct Files {
    certificate: PathBuf,
    key: PathBuf,
    authority: Option<PathBuf>,
}

/// What changes when a file does.
#[derive(Clone, PartialEq, Eq)]
struct Fingerprint {
    device_and_inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Certificates {
    /// Those of a configuration; `None` if it has none.
    ///
    /// # Errors
    /// See [`TlsError`].
    pub(crate) fn load(config: &Config) -> Result<Option<Arc<Self>>, TlsError> {
        let (Some(certificate), Some(key)) = (config.tls_cert.clone(), config.tls_key.clone()) else {
            return Ok(None);
        };
        let files = Files { certificate, key, authority: config.tls_ca.clone() };
        let seen = Mutex::new(files.fingerprints());
        let current = RwLock::new(files.read()?);
        Ok(Some(Arc::new(Self { files, current, seen })))
    }

    /// What makes the next connection a TLS connection.
    pub(super) fn acceptor(&self, protocol: Protocol) -> TlsAcceptor {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        TlsAcceptor::from(match protocol {
            Protocol::Grpc => current.grpc.clone(),
            Protocol::Http => current.http.clone(),
        })
    }

    /// Reads the files again. Connections that begin from now on use what is new.
    ///
    /// # Errors
    /// See [`TlsError`]; then everything stays as it was.
    pub(crate) fn reload(&self) -> Result<(), TlsError> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = self.files.fingerprints();
        let new = self.files.read()?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }

    /// Reads the files again whenever they have changed, until `stopping` is true.
    pub(crate) async fn watch(self: Arc<Self>, mut stopping: watch::Receiver<bool>) {
        let mut last_look = None;
        loop {
            tokio::select! {
                _ = stopping.wait_for(|stopping| *stopping) => return,
                () = tokio::time::sleep(LOOK_INTERVAL) => {}
            }
            let now = self.files.fingerprints();
            // Wait until they hold still: certificate and key are two files, and the second follows the first.
            if last_look.replace(now.clone()) == Some(now.clone()) && !self.has_seen(&now) {
                self.reload_and_tell();
            }
        }
    }

    /// Reads the files again and says in the log what became of it.
    pub(crate) fn reload_and_tell(&self) {
        match self.reload() {
            Ok(()) => tracing::info!("certificates reloaded"),
            Err(error) => {
                tracing::warn!(err = %error, "certificates not reloaded: the old ones stay in use");
            }
        }
    }

    fn has_seen(&self, now: &[Option<Fingerprint>]) -> bool {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) == now
    }
}

impl Files {
    fn fingerprints(&self) -> Vec<Option<Fingerprint>> {
        let files = [Some(&self.certificate), Some(&self.key), self.authority.as_ref()];
        let fingerprint = |path: &PathBuf| std::fs::metadata(path).ok().map(|metadata| (&metadata).into());
        files.into_iter().flatten().map(fingerprint).collect()
    }

    fn read(&self) -> Result<Current, TlsError> {
        let chain = certificates("tls.cert", &self.certificate)?;
        let key = self.read_key()?;
        let provider = Arc::new(ring::default_provider());
        let unusable = |error: RustlsError| content("tls.cert", &self.certificate, error);
        let builder = ServerConfig::builder_with_provider(provider.clone());
        let builder = builder.with_safe_default_protocol_versions().map_err(unusable)?;
        let builder = match &self.authority {
            None => builder.with_no_client_auth(),
            Some(path) => {
                let mut roots = RootCertStore::empty();
                for certificate in certificates("tls.ca", path)? {
                    roots.add(certificate).map_err(|error| content("tls.ca", path, error))?;
                }
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider).build();
                builder.with_client_cert_verifier(verifier.map_err(|error| content("tls.ca", path, error))?)
            }
        };
        let config = builder.with_single_cert(chain, key).map_err(|error| match error {
            RustlsError::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::Mismatch { key: self.key.clone(), certificate: self.certificate.clone() }
            }
            error => unusable(error),
        })?;
        let speaking = |protocol: Protocol| {
            let mut config = config.clone();
            config.alpn_protocols = protocol.alpn();
            Arc::new(config)
        };
        Ok(Current { grpc: speaking(Protocol::Grpc), http: speaking(Protocol::Http) })
    }

    fn read_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let (text, mode) = read("tls.key", &self.key)?;
        if mode & 0o007 != 0 {
            let path = self.key.display();
            tracing::warn!(key = %path, "every user of this machine can reach the private key: chmod o-rwx {path}");
        }
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| content("tls.key", &self.key, error))
    }
}

fn certificates(key: &'static str, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let (text, _) = read(key, path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match chain {
        Ok(chain) if chain.is_empty() => Err(content(key, path, "it holds no certificate")),
        Ok(chain) => Ok(chain),
        Err(error) => Err(content(key, path, error)),
    }
}

/// A file's content and mode.
fn read(key: &'static str, path: &Path) -> Result<(Vec<u8>, u32), TlsError> {
    use std::io::Read;
    let read = || {
        let file = std::fs::File::open(path)?;
        let mode = file.metadata()?.mode();
        let mut text = Vec::new();
        file.take(MAX_FILE_BYTES).read_to_end(&mut text)?;
        Ok((text, mode))
    };
    read().map_err(|source| TlsError::File { key, path: path.to_owned(), source })
}

fn content(key: &'static str, path: &Path, reason: impl ToString) -> TlsError {
    TlsError::Content { key, path: path.to_owned(), reason: reason.to_string() }
}

impl From<&Metadata> for Fingerprint {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device_and_inode: (metadata.dev(), metadata.ino()),
            bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
