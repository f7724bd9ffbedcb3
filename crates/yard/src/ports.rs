//! Ports: stable across restarts, and taken without a race between yards that run at the same time (§15, 4 and 5).
//!
//! A port that binds is not yet a port that is free: the service that will use it has not started. So a port is *claimed*
//! by an advisory lock on a small file, one per port, in a folder that all yards of this user share
//! (`$XDG_RUNTIME_DIR/ledger-yard`, or `ledger-yard-UID` in the folder for temporary files). Whoever starts a service holds
//! `PORT.claim` until the keeper of the service holds `PORT.held`, and the keeper holds that as long as it lives. The kernel
//! lets go of both when their process ends.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A port that nobody else is going to use as long as this lives.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) port: u16,
    _lock: File,
}

/// The folder of the locks.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    folder: PathBuf,
}

/// No port could be had.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PortError {
    /// All are taken.
    #[error("yard: no free port on {host} from {first} to 65535; choose another range with --port-base")]
    Exhausted {
        /// Where it would have listened.
        host: String,
        /// First port that was tried.
        first: u16,
    },
    /// The machine does not have the address.
    #[error("yard: cannot listen on {host}: {source}; choose an address of this machine with --listen-host")]
    Host {
        /// The address.
        host: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// Another keeper has it.
    #[error("yard: port {port} is held by the keeper of another service; start again to get another one")]
    Taken {
        /// The port.
        port: u16,
    },
    /// The folder of the locks cannot be used.
    #[error("yard: {}: {source}", path.display())]
    Folder {
        /// The folder or a file in it.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Ports {
    /// The folder that all yards of this user share; made when missing.
    ///
    /// # Errors
    /// When it cannot be made, or belongs to somebody else.
    pub(crate) fn shared() -> Result<Self, PortError> {
        let own = rustix::process::getuid().as_raw();
        let folder = match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| Path::new(folder).is_dir()) {
            Some(runtime) => PathBuf::from(runtime).join("ledger-yard"),
            None => std::env::temp_dir().join(format!("ledger-yard-{own}")),
        };
        Self::at(folder)
    }

    /// Where the locks are.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn at(folder: PathBuf) -> Result<Self, PortError> {
        let failed = |source| PortError::Folder { path: folder.clone(), source };
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(failed)?;
        let owner = fs::symlink_metadata(&folder).map_err(failed)?;
        if !owner.is_dir() || owner.uid() != rustix::process::getuid().as_raw() {
            return Err(failed(io::Error::new(
                io::ErrorKind::PermissionDenied,
                "it belongs to somebody else",
            )));
        }
        Ok(Self { folder })
    }

    /// Claims the preferred port if it is free, else the first free one from `first` on that `is_reserved` does not
    /// keep for another service.
    pub(crate) fn claim(
        &self,
        host: &str,
        first: u16,
        preferred: Option<u16>,
        is_reserved: impl Fn(u16) -> bool,
    ) -> Result<Claim, PortError> {
        if let Some(claim) = preferred.map(|port| self.try_claim(host, port)).transpose()?.flatten() {
            return Ok(claim);
        }
        for port in first.max(1)..=u16::MAX {
            if !is_reserved(port)
                && let Some(claim) = self.try_claim(host, port)?
            {
                return Ok(claim);
            }
        }
        Err(PortError::Exhausted { host: host.to_owned(), first })
    }

    /// Takes the lock that says "a keeper is there".
    pub(crate) fn hold(&self, port: u16) -> Result<Option<File>, PortError> {
        self.lock(&format!("{port}.held"))
    }

    fn try_claim(&self, host: &str, port: u16) -> Result<Option<Claim>, PortError> {
        let Some(lock) = self.lock(&format!("{port}.claim"))? else { return Ok(None) };
        let is_held = self.hold(port)?.is_none();
        Ok((!is_held && binds(host, port)?).then_some(Claim { port, _lock: lock }))
    }

    fn lock(&self, name: &str) -> Result<Option<File>, PortError> {
        let path = self.folder.join(name);
        let failed = |source| PortError::Folder { path: path.clone(), source };
        let file = OpenOptions::new().write(true).create(true).truncate(false).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(file)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }
}

/// Whether the port is free on that address, at this moment.
fn binds(host: &str, port: u16) -> Result<bool, PortError> {
    match TcpListener::bind((host, port)) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied) => {
            Ok(false)
        }
        Err(source) => Err(PortError::Host { host: host.to_owned(), source }),
    }
}

/// `host:port`, with brackets around an IPv6 host.
pub(crate) fn address(host: &str, port: u16) -> String {
    if host.contains(':') && !host.starts_with('[') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claimed_port_and_a_held_port_are_not_given_again() {
        let folder = tempfile::tempdir().unwrap();
        let ports = Ports::at(folder.path().join("ports")).unwrap();
        let other = Ports::at(folder.path().join("ports")).unwrap();
        let first = ports.claim("127.0.0.1", 42_000, None, |_| false).unwrap();
        let second = other.claim("127.0.0.1", 42_000, Some(first.port), |_| false).unwrap();
        assert_ne!(first.port, second.port);
        let held = ports.hold(first.port).unwrap().unwrap();
        let port = first.port;
        drop(first);
        assert_ne!(other.claim("127.0.0.1", port, Some(port), |_| false).unwrap().port, port);
        drop(held);
        assert_eq!(other.claim("127.0.0.1", port, Some(port), |_| false).unwrap().port, port);
    }

    #[test]
    fn a_port_that_a_program_has_and_one_that_is_kept_for_another_service_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let ports = Ports::at(folder.path().to_owned()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let taken = listener.local_addr().unwrap().port();
        let claim =
            ports.claim("127.0.0.1", taken, Some(taken), |port| port == taken.saturating_add(1)).unwrap();
        assert!(claim.port > taken.saturating_add(1));
    }

    #[test]
    fn an_address_of_another_machine_is_said_to_be_one() {
        let folder = tempfile::tempdir().unwrap();
        let ports = Ports::at(folder.path().to_owned()).unwrap();
        let error = ports.claim("192.0.2.1", 3000, None, |_| false).unwrap_err();
        assert!(matches!(error, PortError::Host { .. }), "{error}");
    }

    #[test]
    fn an_ipv6_host_is_bracketed() {
        assert_eq!(address("::1", 3000), "[::1]:3000");
        assert_eq!(address("127.0.0.1", 3000), "127.0.0.1:3000");
    }
}
