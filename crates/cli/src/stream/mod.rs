//! `ledger stream …`: the entries of streams.

mod append;
mod count;
mod export;
mod import;
mod list;
mod mutate;
mod read;
mod rename;
mod search;
mod tail;
mod trim;

use bytes::Bytes;
use clap::{Args, Subcommand};
use ledger_streams::{DEFAULT_STORE_NAME, Store};

use crate::args::{DatabaseFile, Ignored, not_empty};
use crate::console::Console;
use crate::errors::Failure;
use crate::open::{Purpose, with_store};

/// Arguments of the group.
#[derive(Args, Debug)]
pub(crate) struct StreamArgs {
    #[command(subcommand)]
    pub(crate) command: Option<StreamCommand>,
}

/// The commands of the group.
#[derive(Subcommand, Debug)]
pub(crate) enum StreamCommand {
    /// List the streams of a store
    List(list::ListArgs),
    /// Append an entry, or a file of them
    Append(Box<append::AppendArgs>),
    /// Print the entries of a stream
    Read(read::ReadArgs),
    /// Print the entries that contain a text
    Search(search::SearchArgs),
    /// Print the number of entries of a stream
    Count(count::CountArgs),
    /// Print the number of entries of a stream, its first and its last id
    Stat(count::StatArgs),
    /// Replace the tags of an entry
    Tag(mutate::TagArgs),
    /// Set and delete annotations of an entry
    Annotate(mutate::AnnotateArgs),
    /// Delete the oldest entries of a stream
    Trim(trim::TrimArgs),
    /// Give a stream another name
    Rename(rename::RenameArgs),
    /// Follow a stream: print its entries, then new ones as they come, until Ctrl+C
    Tail(tail::TailArgs),
    /// Write entries out as JSON Lines, with everything that belongs to them
    Export(export::ExportArgs),
    /// Store what export wrote
    Import(import::ImportArgs),
}

/// Which store.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArg {
    /// Store (table) to work on
    #[arg(short = 's', long = "store", value_name = "NAME", default_value = DEFAULT_STORE_NAME)]
    name: String,
}

/// Which stream of which store.
#[derive(Args, Clone, Debug)]
pub(crate) struct StreamArg {
    #[command(flatten)]
    store: StoreArg,
    /// Stream to work on
    #[arg(short = 'S', long, value_name = "NAME", default_value = "default")]
    stream: String,
}

impl StreamArg {
    /// The name of the stream.
    ///
    /// # Errors
    /// [`Failure::Arguments`] if it is empty.
    fn name(&self) -> Result<&str, Failure> {
        not_empty("stream", &self.stream)
    }
}

/// The value of an option that has none by default.
///
/// # Errors
/// [`Failure::OptionRequired`] if it was not given, or is empty.
fn required<'t>(
    command: &'static str,
    option: &'static str,
    value: &'t Option<String>,
) -> Result<&'t str, Failure> {
    let missing = Failure::OptionRequired { option, command: ["stream", command] };
    value.as_deref().filter(|value| !value.is_empty()).ok_or(missing)
}

/// A command on a store, whatever kind of store it is.
trait StoreCommand: Sized {
    /// What it does with the store.
    const PURPOSE: Purpose;

    /// Name of the store.
    fn store(&self) -> &str;

    /// Arguments without effect.
    fn ignored(&self) -> Option<&Ignored> {
        None
    }

    /// Checks what can be checked before a database is opened, and perhaps made.
    ///
    /// # Errors
    /// [`Failure`] if the arguments make no sense.
    fn check(&self) -> Result<(), Failure> {
        Ok(())
    }

    /// Does it.
    ///
    /// # Errors
    /// [`Failure`].
    async fn run<S: Store<Payload = Bytes> + ?Sized>(
        self,
        store: &S,
        console: &mut Console<'_>,
    ) -> Result<(), Failure>;
}

/// Runs a command of this group.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn dispatch(
    command: StreamCommand,
    file: &DatabaseFile,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    match command {
        StreamCommand::List(args) => on_store(args, file, console).await,
        StreamCommand::Append(args) => on_store(append::prepare(*args)?, file, console).await,
        StreamCommand::Read(args) => on_store(args, file, console).await,
        StreamCommand::Search(args) => on_store(args, file, console).await,
        StreamCommand::Count(args) => on_store(args, file, console).await,
        StreamCommand::Stat(args) => on_store(args, file, console).await,
        StreamCommand::Tag(args) => on_store(args, file, console).await,
        StreamCommand::Annotate(args) => on_store(args, file, console).await,
        StreamCommand::Trim(args) => on_store(args, file, console).await,
        StreamCommand::Rename(args) => on_store(args, file, console).await,
        StreamCommand::Tail(args) => on_store(args, file, console).await,
        StreamCommand::Export(args) => on_store(args, file, console).await,
        StreamCommand::Import(args) => on_store(import::prepare(args)?, file, console).await,
    }
}

async fn on_store<C: StoreCommand>(
    command: C,
    file: &DatabaseFile,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    if let Some(ignored) = command.ignored() {
        ignored.warn(console);
    }
    command.check()?;
    let store = command.store().to_owned();
    with_store(file, &store, C::PURPOSE, console, async |store, console| command.run(store, console).await)
        .await
}
