//! Another passphrase for the files of keys, in one step although there are three of them.
//!
//! | step | a crash behind it leaves |
//! |---|---|
//! | `service_key.pem.next` is written and synced | the old files: what ends in `.next` is removed at the next start |
//! | `node_key.pem.next` and `ledger_secrets.next` are | the same |
//! | `service_key.pem.next` takes its name | the new files: what ends in `.next` takes its name at the next start, and counts already |
//! | the other two take theirs | the new files |
//!
//! So a file `node_key.pem.next` or `ledger_secrets.next` counts exactly when there is no `service_key.pem.next`.

use std::{io, path::Path};

use ledger_fs::Dir;

use super::{
    Home, Identity, LedgerError,
    keys::{KeyFolder, NODE_KEY, SECRETS, SERVICE_KEY, read_text, secrets_text, write_secret},
};
use crate::crypto::{Passphrase, PrivateKey};

impl Home {
    /// Protects the files of keys with another passphrase; `None` leaves them readable for whoever can read the files. After a crash
    /// the former passphrase opens all of them, or the next one does. Copies of the files keep the former one.
    ///
    /// # Errors
    /// [`LedgerError::Locked`] while somebody writes to the ledger, [`LedgerError::Protected`] and [`LedgerError::Protection`] if the
    /// [passphrase of this home](Self::with_passphrase) does not open them, and those of the file system.
    pub fn change_passphrase(&self, next: Option<&Passphrase>) -> Result<(), LedgerError> {
        let _lock = self.lock()?;
        let folder = self.keys();
        folder.settle()?;
        let identity = Identity::load(&folder)?;
        let secrets = secrets_text(&folder.load_secrets()?, next)?;
        let keys = &*folder.dir;
        // In this order: see above.
        write_secret(keys, &next_name(SERVICE_KEY), identity.service.to_pem(next)?.as_bytes())?;
        write_secret(keys, &next_name(NODE_KEY), identity.node.to_pem(next)?.as_bytes())?;
        write_secret(keys, &next_name(SECRETS), secrets.as_bytes())?;
        // What cannot be opened again must not take the place of what can.
        for (name, key) in [(SERVICE_KEY, &identity.service), (NODE_KEY, &identity.node)] {
            let written = PrivateKey::from_pem(&read_text(keys, &next_name(name))?, next)?;
            if written.public() != key.public() {
                return Err(LedgerError::WrongKeys {
                    reason: format!("{name} changed while it was written"),
                });
            }
        }
        keys.rename(Path::new(&next_name(SERVICE_KEY)), Path::new(SERVICE_KEY))?;
        keys.sync(Path::new(""))?;
        folder.settle()
    }
}

impl KeyFolder {
    /// Completes a change that a crash cut off, or takes it back; removes what was only half written. For whoever holds the lock of
    /// the home.
    pub(super) fn settle(&self) -> Result<(), LedgerError> {
        let keys = &*self.dir;
        let mut names = Vec::new();
        match keys.entries(Path::new("")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            entries => {
                for entry in entries? {
                    names.push(entry?.name.to_string_lossy().into_owned());
                }
            }
        }
        for half in names.iter().filter(|name| name.ends_with(".tmp")) {
            keys.remove(Path::new(half))?;
        }
        if !names.iter().any(|name| [SERVICE_KEY, NODE_KEY, SECRETS].map(next_name).contains(name)) {
            return Ok(());
        }
        let taken_back = names.contains(&next_name(SERVICE_KEY));
        for name in [NODE_KEY, SECRETS] {
            let next = next_name(name);
            match names.contains(&next) {
                true if taken_back => keys.remove(Path::new(&next))?,
                true => keys.rename(Path::new(&next), Path::new(name))?,
                false => {}
            }
        }
        keys.sync(Path::new(""))?;
        if taken_back {
            // Last, since without it the others would count.
            keys.remove(Path::new(&next_name(SERVICE_KEY)))?;
            keys.sync(Path::new(""))?;
        }
        Ok(())
    }
}

/// The name of the file that holds the ledger secrets now.
pub(super) fn secrets_file(keys: &dyn Dir) -> io::Result<String> {
    let next = next_name(SECRETS);
    // In this order: the file of the service's key is there before the other one, as long as it does not count.
    let counts = exists(keys, &next)? && !exists(keys, &next_name(SERVICE_KEY))?;
    Ok(if counts { next } else { SECRETS.to_owned() })
}

fn exists(keys: &dyn Dir, name: &str) -> io::Result<bool> {
    match keys.metadata(Path::new(name)) {
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

fn next_name(name: &str) -> String {
    format!("{name}.next")
}
