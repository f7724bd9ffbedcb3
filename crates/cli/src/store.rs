//! `ledger store …`: the stores of a database.

use clap::{Args, Subcommand};
use ledger_sqlite::{OpenError, StreamNames};
use ledger_streams::StoreName;

use crate::args::{DatabaseFile, ExtraArgs};
use crate::console::Console;
use crate::errors::Failure;
use crate::open::{self, Purpose};
use crate::output::quoted;

/// Arguments of the group.
#[derive(Args, Debug)]
pub(crate) struct StoreArgs {
    #[command(subcommand)]
    pub(crate) command: Option<StoreCommand>,
}

/// The commands of the group.
#[derive(Subcommand, Debug)]
pub(crate) enum StoreCommand {
    /// List the stores of the database
    List(ExtraArgs),
    /// Create a store, and the database if there is none; a store that exists stays as it is
    #[command(override_usage = "ledger store create [OPTIONS] <NAME>")]
    Create(CreateArgs),
}

/// Arguments of `create`.
#[derive(Args, Debug)]
pub(crate) struct CreateArgs {
    /// Name of the store: letters, digits and _, at most 45
    name: Option<String>,
    /// Make an index that speeds up search, also for a store that exists. It finds the same as a search without it,
    /// and costs time and room on every append
    #[arg(long)]
    search_index: bool,
    #[command(flatten)]
    extra: ExtraArgs,
}

/// Runs a command of this group.
pub(crate) async fn dispatch(
    command: StoreCommand,
    file: &DatabaseFile,
    console: &mut Console<'_>,
) -> Result<(), Failure> {
    match command {
        StoreCommand::List(extra) => {
            extra.warn(console);
            let database = open::database(file, Purpose::Read).await?;
            let stores = database.stores().await;
            database.close().await;
            for name in stores? {
                writeln!(console.out, "{name}")?;
            }
            Ok(())
        }
        StoreCommand::Create(args) => create(&args, file, console).await,
    }
}

async fn create(args: &CreateArgs, file: &DatabaseFile, console: &mut Console<'_>) -> Result<(), Failure> {
    let name = args.extra.only(&args.name)?.as_str();
    StoreName::new(name).map_err(OpenError::from)?;
    let database = open::database(file, Purpose::Create).await?;
    let created = async {
        let existed = database.stores().await?.iter().any(|store| store == name);
        let options = database.store(name).stream_names(StreamNames::Mapped);
        options.full_text_search(args.search_index).open().await?;
        Ok::<_, Failure>(!existed)
    };
    let created = created.await;
    database.close().await;
    let done = if created? { "created" } else { "exists already" };
    Ok(writeln!(console.out, "store {} {done}", quoted(name))?)
}
