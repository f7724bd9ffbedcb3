//! From `--db` and `--store` to a store.

use bytes::Bytes;
use ledger_sqlite::{Access, Database, OpenError, StreamNames};
use ledger_streams::{MemoryStore, Store};

use crate::args::DatabaseFile;
use crate::console::Console;
use crate::errors::Failure;
use crate::stream::{StoreCommand, Stores};

/// A store in a local file, or what stands in for one that does not exist.
type LocalStore = dyn Store<Id = i64, Payload = Bytes>;

/// What a command is going to do with a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// Read it. A missing store reads as empty; neither file nor tables are made.
    Read,
    /// Wait for its entries: it must exist.
    Follow,
    /// Change entries that it has. A missing store has none.
    Change,
    /// Add entries. What is missing is made.
    Create,
}

/// Opens the database file.
///
/// # Errors
/// [`Failure::NoDatabase`], [`Failure::Open`].
pub(crate) async fn database(file: &DatabaseFile, purpose: Purpose) -> Result<Database, Failure> {
    let access = match purpose {
        Purpose::Read | Purpose::Follow => Access::ReadOnly,
        Purpose::Change => Access::Existing,
        Purpose::Create => Access::Create,
    };
    // One command reads one thing at a time.
    Ok(Database::open(file.path()?).access(access).read_connections(1).connect().await?)
}

impl Stores for DatabaseFile {
    async fn run<C: StoreCommand>(&self, command: C, console: &mut Console<'_>) -> Result<(), Failure> {
        let database = database(self, C::PURPOSE).await?;
        let result = match open(&database, command.target().store(), C::PURPOSE, console).await {
            Ok(store) => command.run(&*store, console).await,
            Err(failure) => Err(failure),
        };
        database.close().await;
        result
    }
}

async fn open(
    database: &Database,
    store: &str,
    purpose: Purpose,
    console: &mut Console<'_>,
) -> Result<Box<LocalStore>, Failure> {
    // Names go through the table of stream names, as in databases that a daemon of this format writes.
    match database.store(store).stream_names(StreamNames::Mapped).open().await {
        Ok(store) => Ok(Box::new(store)),
        Err(OpenError::StoreMissing { store, existing, .. }) if purpose != Purpose::Follow => {
            let empty = MemoryStore::new(&store).map_err(OpenError::from)?;
            console.note(format_args!("Note: there is no store {store:?}; {}", those_there_are(&existing)));
            Ok(Box::new(empty))
        }
        Err(error) => Err(error.into()),
    }
}

fn those_there_are(existing: &[String]) -> String {
    match existing {
        [] => "the database has none".to_owned(),
        names => format!("there are: {}", names.join(", ")),
    }
}
