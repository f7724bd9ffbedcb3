//! `ledger chain …`: tamper-evident ledgers in chunk files.

mod append;
mod compare;
mod init;
mod inspect;
mod map;
mod receipt;
mod recover;
mod snapshot;
mod verify;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use ledger_chain::verify::Secrets;
use ledger_chain::writer::{Home, load_secrets};
use ledger_fs::{Dir, RealDir};

use crate::console::Console;
use crate::errors::Failure;

/// Arguments of the group.
#[derive(Args, Debug)]
pub(crate) struct ChainArgs {
    #[command(subcommand)]
    pub(crate) command: Option<ChainCommand>,
}

/// The commands of the group.
#[derive(Subcommand, Debug)]
pub(crate) enum ChainCommand {
    /// Create a ledger: keys, chunk files, and the entries that name its service and node
    Init(init::InitArgs),
    /// Append entries: JSON Lines from a file or standard input, or one write given as arguments
    Append(append::AppendArgs),
    /// Print the value of a key, now or as it was at an earlier entry
    Get(map::GetArgs),
    /// Print everything that was ever done to a key
    History(map::HistoryArgs),
    /// Print the rows of a map in the order of their keys
    Range(map::RangeArgs),
    /// Print entries with their contents
    Read(inspect::ReadArgs),
    /// List chunk files
    Ls(inspect::LsArgs),
    /// Summarize a ledger, and draw it as a strip with a cell per entry
    Stat(inspect::StatArgs),
    /// Check everything, and say which entries no signature covers
    Verify(verify::VerifyArgs),
    /// Write the receipt of an entry
    Receipt(receipt::ReceiptArgs),
    /// Check a receipt, without the ledger
    VerifyReceipt(receipt::VerifyReceiptArgs),
    /// Write the state of all maps to a file, proved by the ledger; prints where it is
    ///
    /// With a snapshot the chunks before it can be moved elsewhere: the ledger opens, verifies and recovers without them. Writers take
    /// one by themselves every --snapshot-tx-interval entries.
    Snapshot(snapshot::SnapshotArgs),
    /// Go on with a ledger whose keys are lost: new keys, endorsed so that old receipts stay valid
    ///
    /// DIR needs nothing but a folder `ledger` with the chunk files of any surviving copy; a snapshot in `snapshots` may stand for the
    /// first of them, or for all. They are verified first. Entries that no
    /// signature covers are moved to DIR/unsigned. With a copy of keys/ledger_secrets in place private maps of before stay
    /// readable.
    Recover(recover::RecoverArgs),
    /// Give the node a new key
    RotateNodeKey(recover::RotateArgs),
    /// Encrypt private maps with a new secret from now on
    RotateSecret(recover::RotateArgs),
    /// Find the first difference between two ledgers
    Compare(compare::CompareArgs),
}

/// Runs a command of this group.
///
/// # Errors
/// [`Failure`].
pub(crate) fn dispatch(command: ChainCommand, console: &mut Console<'_>) -> Result<(), Failure> {
    match command {
        ChainCommand::Init(args) => init::run(&args, console),
        ChainCommand::Append(args) => append::run(&args, console),
        ChainCommand::Get(args) => map::get(&args, console),
        ChainCommand::History(args) => map::history(&args, console),
        ChainCommand::Range(args) => map::range(&args, console),
        ChainCommand::Read(args) => inspect::read(&args, console),
        ChainCommand::Ls(args) => inspect::ls(&args, console),
        ChainCommand::Stat(args) => inspect::stat(&args, console),
        ChainCommand::Verify(args) => verify::run(&args, console),
        ChainCommand::Receipt(args) => receipt::make(&args, console),
        ChainCommand::VerifyReceipt(args) => receipt::verify(&args, console),
        ChainCommand::Snapshot(args) => snapshot::run(&args, console),
        ChainCommand::Recover(args) => recover::run(&args, console),
        ChainCommand::RotateNodeKey(args) => recover::rotate_node_key(&args, console),
        ChainCommand::RotateSecret(args) => recover::rotate_secret(&args, console),
        ChainCommand::Compare(args) => compare::run(&args, console),
    }
}

/// A home, or a bare folder of chunk files.
struct Place {
    ledger: Arc<dyn Dir>,
    home: Option<Home>,
}

impl Place {
    /// A folder with a folder `ledger` inside is a home.
    fn open(path: &Path) -> Result<Self, Failure> {
        if !path.is_dir() {
            return Err(Failure::Arguments(format!("{} is not a folder", path.display())));
        }
        if path.join("ledger").is_dir() {
            let home = Home::open(path).map_err(failed)?;
            return Ok(Self { ledger: home.ledger(), home: Some(home) });
        }
        Ok(Self { ledger: Arc::new(RealDir::open(path).map_err(failed)?), home: None })
    }

    /// The ledger secrets, if this is a home that has them.
    fn secrets(&self) -> Result<Secrets, Failure> {
        match &self.home {
            Some(home) if home.path().join("keys/ledger_secrets").exists() => {
                let keys = RealDir::open(home.path().join("keys")).map_err(failed)?;
                load_secrets(&keys).map_err(failed)
            }
            _ => Ok(Secrets::none()),
        }
    }
}

/// An error of the chain, for the console.
fn failed(error: impl Error + Send + Sync + 'static) -> Failure {
    Failure::Chain(Box::new(error))
}

/// Reads a whole file.
fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|source| Failure::File { action: "read", path: path.to_owned(), source })
}

/// Which ledger.
#[derive(Args, Debug)]
struct LedgerArg {
    /// Home of the ledger
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Which ledger, or which copy of one.
#[derive(Args, Debug)]
struct PlaceArg {
    /// Home of a ledger, or any folder of chunk files
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}
