//! Which ledger a command is about, and the passphrase of its keys.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;
use ledger_chain::crypto::Passphrase;
use ledger_chain::store::Reader;
use ledger_chain::verify::Secrets;
use ledger_chain::writer::{Home, LedgerError};
use ledger_fs::{Dir, RealDir};

use super::{failed, read_file};
use crate::console::Console;
use crate::errors::Failure;

/// Names the passphrase where no file does.
const PASSPHRASE_VARIABLE: &str = "LEDGER_CHAIN_PASSPHRASE";

/// Which ledger.
#[derive(Args, Debug)]
pub(super) struct LedgerArg {
    /// Home of the ledger
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArg,
}

/// Which ledger, or which copy of one.
#[derive(Args, Debug)]
pub(super) struct PlaceArg {
    /// Home of a ledger, or any folder of chunk files
    #[arg(value_name = "DIR")]
    pub(super) dir: PathBuf,
    #[command(flatten)]
    passphrase: PassphraseArg,
}

/// Where the passphrase of key files is. It is no argument: arguments are there for everybody to see.
#[derive(Args, Debug)]
struct PassphraseArg {
    /// File whose first line is the passphrase of the key files; without it LEDGER_CHAIN_PASSPHRASE holds it, if there is one
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl PassphraseArg {
    fn read(&self) -> Result<Option<Passphrase>, Failure> {
        let bytes = match (&self.passphrase_file, std::env::var_os(PASSPHRASE_VARIABLE)) {
            (Some(path), _) => first_line(path)?,
            (None, Some(value)) => value.into_encoded_bytes(),
            (None, None) => return Ok(None),
        };
        Ok(Some(Passphrase::new(bytes).map_err(failed)?))
    }
}

/// A home whose keys the passphrase protects.
fn protect(home: Home, passphrase: Option<Passphrase>) -> Home {
    match passphrase {
        Some(passphrase) => home.with_passphrase(passphrase),
        None => home,
    }
}

/// The first line of a file that nobody else can read.
pub(super) fn first_line(path: &Path) -> Result<Vec<u8>, Failure> {
    let unreadable = |source| Failure::File { action: "read", path: path.to_owned(), source };
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_file() && metadata.permissions().mode() & 0o077 != 0 {
        return Err(Failure::Arguments(format!(
            "{0} holds a passphrase and can be read by others: chmod 600 {0}",
            path.display()
        )));
    }
    let mut bytes = read_file(path)?;
    let end = bytes.iter().position(|byte| b"\r\n".contains(byte)).unwrap_or(bytes.len());
    bytes.truncate(end);
    Ok(bytes)
}

impl LedgerArg {
    /// The home, which must be there.
    pub(super) fn home(&self) -> Result<Home, Failure> {
        if !self.dir.is_dir() {
            return Err(failed(LedgerError::NoLedger { path: self.dir.clone() }));
        }
        Ok(protect(Home::open(&self.dir).map_err(failed)?, self.passphrase.read()?))
    }

    /// The home, which is created if it is missing.
    pub(super) fn new_home(&self) -> Result<Home, Failure> {
        let passphrase = self.passphrase.read()?;
        Ok(protect(Home::create(&self.dir).map_err(failed)?, passphrase))
    }
}

/// A home, or a bare folder of chunk files.
pub(super) struct Place {
    pub(super) ledger: Arc<dyn Dir>,
    pub(super) home: Option<Home>,
}

impl Place {
    /// A folder with a folder `ledger` inside is a home.
    pub(super) fn open(path: &Path) -> Result<Self, Failure> {
        if !path.is_dir() {
            let what = if path.exists() { "is not a folder" } else { "does not exist" };
            return Err(Failure::Arguments(format!("{} {what}", path.display())));
        }
        if path.join("ledger").is_dir() {
            let home = Home::open(path).map_err(failed)?;
            return Ok(Self { ledger: home.ledger(), home: Some(home) });
        }
        Ok(Self { ledger: Arc::new(RealDir::open(path).map_err(failed)?), home: None })
    }

    /// Reads its entries. Of a home the first chunks may have been moved away, where a snapshot holds their state.
    pub(super) fn reader(&self) -> Result<Reader, Failure> {
        let folder = self.ledger.clone();
        let reader = if self.home.is_some() { Reader::open_tail(folder) } else { Reader::open(folder) };
        reader.map_err(failed)
    }

    /// The ledger secrets, if this is a home that has them and they can be opened.
    pub(super) fn secrets(&self, console: &mut Console<'_>) -> Result<Secrets, Failure> {
        match self.home.as_ref().map(Home::secrets) {
            None => Ok(Secrets::none()),
            Some(Ok(secrets)) => Ok(secrets),
            Some(Err(LedgerError::File(error))) if error.kind() == io::ErrorKind::NotFound => {
                Ok(Secrets::none())
            }
            // What is public can be read without.
            Some(Err(error @ LedgerError::Protected { .. })) => {
                console.note(format_args!("Private maps stay closed: {error}"));
                Ok(Secrets::none())
            }
            Some(Err(error)) => Err(failed(error)),
        }
    }
}

impl PlaceArg {
    /// The place, with the passphrase of its keys.
    pub(super) fn open(&self) -> Result<Place, Failure> {
        let place = Place::open(&self.dir)?;
        Ok(match place.home {
            Some(home) => Place { home: Some(protect(home, self.passphrase.read()?)), ..place },
            None => place,
        })
    }
}
