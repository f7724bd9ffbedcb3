//! How a database and a store are opened.

use std::path::{Path, PathBuf};
use std::time::Duration;

use ledger_streams::{DEFAULT_STORE_NAME, Durability};

use crate::error::DatabaseName;
use crate::{Database, OpenError, SqliteStore};

/// What opening may do to the file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Read and write; make the file and the tables if they are missing.
    #[default]
    Create,
    /// Read and write what exists.
    Existing,
    /// Only read; the file and its tables stay as they are.
    ReadOnly,
}

/// What the column `stream` holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum StreamNames {
    /// The name itself: what a program that embeds the library sees.
    #[default]
    Direct,
    /// An internal id that a table leads to from the name: what a daemon of this format writes. Streams can then be
    /// renamed.
    Mapped,
}

/// Settings of a [`Database`]; made by [`Database::open`].
#[derive(Clone, Debug)]
pub struct DatabaseOptions {
    pub(crate) path: PathBuf,
    pub(crate) access: Access,
    pub(crate) durability: Durability,
    pub(crate) busy_timeout: Duration,
    pub(crate) read_connections: usize,
}

impl DatabaseOptions {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            access: Access::Create,
            durability: Durability::Synced,
            busy_timeout: Duration::from_secs(5),
            read_connections: 4,
        }
    }

    /// What errors say about the database.
    pub(crate) fn name(&self) -> DatabaseName {
        let busy_timeout_ms = u64::try_from(self.busy_timeout.as_millis()).unwrap_or(u64::MAX);
        DatabaseName { path: self.path.display().to_string(), busy_timeout_ms }
    }

    /// What opening may do to the file (default: create what is missing).
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.access = access;
        self
    }

    /// What an acknowledged write survives: `Synced` (default) or `Os`.
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.durability = durability;
        self
    }

    /// How long to wait for a lock that another program holds (default 5 s).
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.busy_timeout = timeout;
        self
    }

    /// Number of connections, each with its thread, that serve reads (default 4, at least 1).
    #[must_use]
    pub fn read_connections(mut self, connections: usize) -> Self {
        self.read_connections = connections.max(1);
        self
    }

    /// Opens the database.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn connect(self) -> Result<Database, OpenError> {
        Database::connect(self).await
    }
}

/// Settings of one store of a [`Database`]; made by [`Database::store`].
#[derive(Clone, Debug)]
pub struct StoreOptions {
    pub(crate) database: Database,
    pub(crate) table: String,
    pub(crate) names: StreamNames,
    pub(crate) full_text_search: bool,
}

impl StoreOptions {
    /// What the column `stream` holds (default: the name itself).
    #[must_use]
    pub fn stream_names(mut self, names: StreamNames) -> Self {
        self.names = names;
        self
    }

    /// Makes the search index if it is missing. It finds the same as a search without it, only faster.
    #[must_use]
    pub fn full_text_search(mut self, wanted: bool) -> Self {
        self.full_text_search = wanted;
        self
    }

    /// Opens the store; makes it if it is missing and the database's [`Access`] is `Create`.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn open(self) -> Result<SqliteStore, OpenError> {
        SqliteStore::connect(self).await
    }
}

/// Settings of a database that has one store; made by [`SqliteStore::open`].
#[derive(Clone, Debug)]
pub struct SqliteStoreOptions {
    database: DatabaseOptions,
    table: String,
    names: StreamNames,
    full_text_search: bool,
}

impl SqliteStoreOptions {
    pub(crate) fn new(path: &Path) -> Self {
        Self {
            database: DatabaseOptions::new(path),
            table: DEFAULT_STORE_NAME.to_owned(),
            names: StreamNames::Direct,
            full_text_search: false,
        }
    }

    /// Name of the store, that is of its table (default `ledger_entries`).
    #[must_use]
    pub fn table(mut self, name: impl Into<String>) -> Self {
        self.table = name.into();
        self
    }

    /// As [`DatabaseOptions::access`].
    #[must_use]
    pub fn access(mut self, access: Access) -> Self {
        self.database = self.database.access(access);
        self
    }

    /// As [`DatabaseOptions::durability`].
    #[must_use]
    pub fn durability(mut self, durability: Durability) -> Self {
        self.database = self.database.durability(durability);
        self
    }

    /// As [`DatabaseOptions::busy_timeout`].
    #[must_use]
    pub fn busy_timeout(mut self, timeout: Duration) -> Self {
        self.database = self.database.busy_timeout(timeout);
        self
    }

    /// As [`StoreOptions::stream_names`].
    #[must_use]
    pub fn stream_names(mut self, names: StreamNames) -> Self {
        self.names = names;
        self
    }

    /// As [`StoreOptions::full_text_search`].
    #[must_use]
    pub fn full_text_search(mut self, wanted: bool) -> Self {
        self.full_text_search = wanted;
        self
    }

    /// Opens the database and the store in it.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub async fn build(self) -> Result<SqliteStore, OpenError> {
        let database = self.database.connect().await?;
        database
            .store(self.table)
            .stream_names(self.names)
            .full_text_search(self.full_text_search)
            .open()
            .await
    }
}
