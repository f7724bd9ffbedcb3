//! `ledger buffer …`: the outbox of a program, as [`ledger_buffer`] keeps it in a folder.

mod append;
mod cat;
mod error;
mod ls;
mod reset;
mod salvage;
mod send;
mod stat;
mod verify;

use std::io::Read as _;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use ledger_buffer::{Callback, FileInfo, LedgerConfig, LedgerOptions, LedgerReader, LedgerStore};

pub(crate) use self::error::BufferError;
use crate::console::Console;
use crate::errors::Failure;
use crate::settings::Settings;

/// Size of file over which `append` begins the next one, as in the request's example.
const DEFAULT_MAX_FILE_SIZE: usize = 475_000;

/// Arguments of the group.
#[derive(Args, Debug)]
pub(crate) struct BufferArgs {
    #[command(subcommand)]
    pub(crate) command: Option<BufferCommand>,
}

/// The commands of the group.
#[derive(Subcommand, Debug)]
pub(crate) enum BufferCommand {
    /// Append the JSON Lines of standard input, one record per line
    Append(append::AppendArgs),
    /// List the files: name, size in bytes, records, state
    Ls(FolderArgs),
    /// Print the records of all files, oldest first, one per line
    Cat(FolderArgs),
    /// Check every record; print what is damaged, and exit with 1 if anything is
    Verify(FolderArgs),
    /// Print the intact records of damaged files, those in the quarantine included, and what is between them
    Salvage(FolderArgs),
    /// Send the files, oldest first, to an HTTP endpoint or a stream of the daemon, and delete what has arrived
    ///
    /// A file is deleted when the endpoint has answered 2xx, or when the daemon has acknowledged all of its records. If
    /// anything fails, the file stays and the command says why.
    Send(Box<send::SendArgs>),
    /// Print how much there is
    Stat(FolderArgs),
    /// Delete all files that nobody is using
    Reset(FolderArgs),
}

/// Which buffer.
#[derive(Args, Clone, Debug)]
pub(crate) struct FolderArgs {
    /// The folder of the files
    #[arg(value_name = "DIR")]
    dir: PathBuf,
    /// What stands behind the number in the names of the files
    #[arg(long, value_name = "NAME", default_value = "events")]
    base_filename: String,
}

/// The bytes around the records of a file.
struct Envelope {
    header: Callback,
    footer: Callback,
    separator: Vec<u8>,
}

impl Envelope {
    fn none() -> Self {
        Self { header: Box::new(Vec::new), footer: Box::new(Vec::new), separator: Vec::new() }
    }
}

impl FolderArgs {
    fn options(&self, envelope: Envelope, max_file_size: usize) -> LedgerOptions {
        let Envelope { header, footer, separator } = envelope;
        let (storage_location, base_filename) = (self.dir.clone(), self.base_filename.clone());
        LedgerStore::options(LedgerConfig {
            storage_location,
            base_filename,
            max_file_size,
            header,
            footer,
            separator,
        })
        // What is there was allowed when it was written.
        .max_record_size(u32::MAX as usize)
    }

    /// Opens what must be there: only `append` makes a folder.
    fn existing(&self, envelope: Envelope) -> Result<LedgerStore, Failure> {
        let found = std::fs::metadata(&self.dir).and_then(|found| {
            if found.is_dir() { Ok(()) } else { Err(std::io::ErrorKind::NotADirectory.into()) }
        });
        found.map_err(|source| BufferError::Folder { folder: self.dir.clone(), source })?;
        Ok(self.options(envelope, DEFAULT_MAX_FILE_SIZE).open().map_err(BufferError::Open)?)
    }
}

/// Looks at every file, oldest first, without keeping others from using them. What goes away meanwhile is left out.
fn each_file(
    store: &LedgerStore,
    mut look: impl FnMut(&FileInfo, &mut LedgerReader) -> Result<(), Failure>,
) -> Result<(), Failure> {
    for file in store.files().map_err(BufferError::Io)? {
        match store.peek(&file) {
            Ok(mut reader) => look(&file, &mut reader)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(BufferError::Io(error).into()),
        }
    }
    Ok(())
}

/// The name of a file without its folder.
fn name(path: &Path) -> std::path::Display<'_> {
    Path::new(path.file_name().unwrap_or(path.as_os_str())).display()
}

/// Prints the records of a file, one per line; a ready-made batch of the older store as it is.
fn print_records(reader: &mut LedgerReader, console: &mut Console<'_>) -> Result<(), Failure> {
    if reader.is_legacy() {
        let mut block = vec![0; 64 << 10];
        loop {
            match reader.read(&mut block).map_err(BufferError::Io)? {
                0 => break,
                read => console.out.write_all(block.get(..read).unwrap_or_default())?,
            }
        }
        return Ok(console.out.write_all(b"\n")?);
    }
    for record in reader.records() {
        console.out.write_all(&record.map_err(BufferError::Io)?)?;
        console.out.write_all(b"\n")?;
    }
    Ok(())
}

/// Runs a command of this group.
///
/// # Errors
/// [`Failure`].
pub(crate) fn dispatch(
    command: BufferCommand,
    settings: &Settings,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    match command {
        BufferCommand::Append(args) => append::run(&args, console),
        BufferCommand::Ls(args) => ls::run(&args, console),
        BufferCommand::Cat(args) => cat::run(&args, console),
        BufferCommand::Verify(args) => verify::run(&args, console),
        BufferCommand::Salvage(args) => salvage::run(&args, console),
        BufferCommand::Send(args) => send::run(&args, settings, console),
        BufferCommand::Stat(args) => stat::run(&args, console),
        BufferCommand::Reset(args) => reset::run(&args, console),
    }
}
