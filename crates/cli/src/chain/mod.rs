//! `ledger chain …`: tamper-evident ledgers in chunk files.

mod append;
mod compare;
mod export;
mod follow;
mod init;
mod inspect;
mod map;
mod passphrase;
mod place;
mod receipt;
mod recover;
mod show;
mod snapshot;
mod split;
mod verify;

use std::error::Error;
use std::path::Path;

use clap::{Args, Subcommand};
use ledger_chain::store::StoreError;

use crate::console::Console;
use crate::errors::Failure;
use place::{LedgerArg, Place, PlaceArg};

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
    /// Protect the keys with a passphrase, with another one, or with none
    ///
    /// Rewrites the files of keys in one step: killed at any moment, either the former passphrase opens all of them or the new one does.
    ChangePassphrase(passphrase::ChangePassphraseArgs),
    /// Find the first difference between two ledgers
    Compare(compare::CompareArgs),
    /// Cut a chunk file in two behind a signature; the chunk itself stays as it is
    Split(split::SplitArgs),
    /// Print what entries write as JSON Lines that `append` takes back
    ///
    /// Entries and maps of the ledger itself (keys, nodes, signatures) are left out: every ledger has its own.
    Export(export::ExportArgs),
    /// Print entries as they are committed, in order, until Ctrl+C
    ///
    /// An entry is committed when a signature covers it. None is left out and none printed twice, also while the ledger begins new
    /// chunks, changes its keys, or is closed and opened again; --from goes on where an earlier run ended.
    Follow(follow::FollowArgs),
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
        ChainCommand::ChangePassphrase(args) => passphrase::run(&args, console),
        ChainCommand::Compare(args) => compare::run(&args, console),
        ChainCommand::Split(args) => split::run(&args, console),
        ChainCommand::Export(args) => export::run(&args, console),
        ChainCommand::Follow(args) => follow::run(&args, console),
    }
}

/// An error of the chain, for the console.
fn failed(error: impl Error + Send + Sync + 'static) -> Failure {
    Failure::Chain(Box::new(error))
}

/// What ends a walk through entries: an error of the ledger or of whoever takes them.
struct Stop(Failure);

impl From<StoreError> for Stop {
    fn from(error: StoreError) -> Self {
        Self(failed(error))
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

/// Reads a whole file.
fn read_file(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|source| Failure::File { action: "read", path: path.to_owned(), source })
}
