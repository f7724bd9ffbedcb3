//! `ledger stream import`: storing what export wrote ([`jsonl`](crate::jsonl)).

use std::path::PathBuf;

use bytes::Bytes;
use clap::Args;
use ledger_streams::{Expect, Store};

use super::{StoreArg, StoreCommand, Target};
use crate::args::not_empty;
use crate::console::Console;
use crate::errors::Failure;
use crate::jsonl::Exported;
use crate::load::{LoadArgs, LoadFile, load};
use crate::open::Purpose;

/// Arguments of the command.
#[derive(Args, Debug)]
#[command(override_usage = "ledger stream import [OPTIONS] <FILE>")]
pub(crate) struct ImportArgs {
    /// The file; - for standard input
    #[arg(value_name = "FILE")]
    file: Option<PathBuf>,
    #[command(flatten)]
    store: StoreArg,
    /// Stream that all entries go to; those that the file names if none is given
    #[arg(short = 'S', long, value_name = "NAME")]
    stream: Option<String>,
    #[command(flatten)]
    load: LoadArgs,
}

/// What is to be imported.
pub(crate) struct Job {
    /// Where to.
    pub(crate) store: StoreArg,
    file: LoadFile,
    lines: Exported,
}

/// Checks the arguments and opens the file.
///
/// # Errors
/// [`Failure`] if they make no sense or the file cannot be had.
pub(crate) fn prepare(args: ImportArgs) -> Result<Job, Failure> {
    let path = args.store.extra.only(&args.file)?;
    if let Some(stream) = &args.stream {
        not_empty("stream", stream)?;
    }
    let file = LoadFile::open(path, args.load)?;
    Ok(Job { store: args.store, file, lines: Exported { stream: args.stream } })
}

impl StoreCommand for Job {
    const PURPOSE: Purpose = Purpose::Create;

    fn target(&self) -> Target<'_> {
        (&self.store).into()
    }

    /// Imports, and prints how many entries there were.
    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure> {
        let loaded = load(store, self.file, self.lines, Expect::Any, console, |_, _| Ok(())).await?;
        Ok(writeln!(console.out, "imported {loaded}")?)
    }
}
