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

use crate::args::{ExtraArgs, not_empty};
use crate::console::Console;
use crate::errors::Failure;
use crate::open::Purpose;

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
    ///
    /// One object per line: id, stream, payload (as it is if it is JSON on one line, else payload_base64), order_key,
    /// dedup_key, schema_version, metadata, tags, annotations, source_id, created_at, updated_at. What is empty is left
    /// out.
    Export(export::ExportArgs),
    /// Store what export wrote
    ///
    /// Everything is kept but the id. An entry whose deduplication key or source id is there already is not stored
    /// again; one that has neither is.
    Import(import::ImportArgs),
}

/// Which store.
#[derive(Args, Clone, Debug)]
pub(crate) struct StoreArg {
    /// Store (table) to work on
    #[arg(short = 's', long = "store", value_name = "NAME", default_value = DEFAULT_STORE_NAME)]
    name: String,
    #[command(flatten)]
    extra: ExtraArgs,
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

impl StoreArg {
    /// The name of the store.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }
}

/// What a command is for.
pub(crate) struct Target<'a> {
    store: &'a StoreArg,
    /// Absent for commands on a store as a whole.
    stream: Option<&'a str>,
}

impl Target<'_> {
    /// Name of the store.
    pub(crate) fn store(&self) -> &str {
        self.store.name()
    }
}

impl<'a> From<&'a StoreArg> for Target<'a> {
    fn from(store: &'a StoreArg) -> Self {
        Self { store, stream: None }
    }
}

impl<'a> From<&'a StreamArg> for Target<'a> {
    fn from(StreamArg { store, stream }: &'a StreamArg) -> Self {
        Self { store, stream: Some(stream) }
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
pub(crate) trait StoreCommand: Sized {
    /// What it does with the store.
    const PURPOSE: Purpose;

    /// What it is for.
    fn target(&self) -> Target<'_>;

    /// Checks what else can be checked before a store is opened, and perhaps made.
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

/// Where stores are: in a local file, or behind a daemon.
pub(crate) trait Stores {
    /// Opens the store that a command is for, and runs the command on it.
    ///
    /// # Errors
    /// Those of opening, and of the command.
    async fn run<C: StoreCommand>(&self, command: C, console: &mut Console<'_>) -> Result<(), Failure>;
}

/// Runs a command of this group.
///
/// # Errors
/// [`Failure`].
pub(crate) async fn dispatch<P: Stores>(
    command: StreamCommand,
    stores: &P,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    match command {
        StreamCommand::List(args) => checked(args, stores, console).await,
        StreamCommand::Append(args) => checked(append::prepare(*args)?, stores, console).await,
        StreamCommand::Read(args) => checked(args, stores, console).await,
        StreamCommand::Search(args) => checked(args, stores, console).await,
        StreamCommand::Count(args) => checked(args, stores, console).await,
        StreamCommand::Stat(args) => checked(args, stores, console).await,
        StreamCommand::Tag(args) => checked(args, stores, console).await,
        StreamCommand::Annotate(args) => checked(args, stores, console).await,
        StreamCommand::Trim(args) => checked(args, stores, console).await,
        StreamCommand::Rename(args) => checked(args, stores, console).await,
        StreamCommand::Tail(args) => checked(args, stores, console).await,
        StreamCommand::Export(args) => checked(args, stores, console).await,
        StreamCommand::Import(args) => checked(import::prepare(args)?, stores, console).await,
    }
}

async fn checked<C: StoreCommand>(
    command: C,
    stores: &impl Stores,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    let Target { store, stream } = command.target();
    stream.map_or(Ok(""), |stream| not_empty("stream", stream))?;
    command.check()?;
    store.extra.warn(console);
    stores.run(command, console).await
}

#[cfg(test)]
mod tests;
