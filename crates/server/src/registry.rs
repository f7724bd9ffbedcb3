//! The stores of the daemon's database.
//!
//! A store is opened when it is first used and made by an append or an explicit request, never by a read (W29): to a
//! read a store that is not there is an empty one.

use std::collections::HashMap;
use std::sync::{PoisonError, RwLock};

use ledger_sqlite::{Database, OpenError, SqliteStore, StreamNames};
use ledger_streams::{Backend, InvalidStoreName, LimitExceeded, StoreError, StoreName, Watch};
use tokio::sync::{Mutex, watch};

/// Most stores in a database that the daemon adds to.
const MAX_STORES: usize = 1000;

/// Open stores, and the way to the others.
pub(crate) struct Registry {
    database: Database,
    open: RwLock<HashMap<String, SqliteStore>>,
    /// Held while a store is being opened, so that it happens once. Open stores do not wait for it.
    opening: Mutex<()>,
    /// Rings when a store was opened.
    opened: watch::Sender<()>,
}

impl Registry {
    pub(crate) fn new(database: Database) -> Self {
        Self { database, open: RwLock::default(), opening: Mutex::new(()), opened: watch::channel(()).0 }
    }

    /// A store for reading; `None` if there is none of this name.
    pub(crate) async fn find(&self, name: &str) -> Result<Option<SqliteStore>, StoreError> {
        if let Some(store) = self.cached(name) {
            return Ok(Some(store));
        }
        StoreName::new(name)?;
        if !self.database.stores().await?.iter().any(|existing| existing == name) {
            return Ok(None);
        }
        self.open(name).await.map(Some)
    }

    /// A store for appending: makes it if it is missing.
    pub(crate) async fn find_or_create(&self, name: &str) -> Result<SqliteStore, StoreError> {
        if let Some(store) = self.find(name).await? {
            return Ok(store);
        }
        let actual = self.database.stores().await?.len();
        if actual >= MAX_STORES {
            let what = "number of stores in the database";
            return Err(LimitExceeded { what, limit: MAX_STORES, actual }.into());
        }
        self.open(name).await
    }

    /// Notices stores that come from now on.
    pub(crate) fn watch_new(&self) -> NewStores {
        NewStores { opened: self.opened.subscribe(), others: self.database.watch_others() }
    }

    /// Whether the database answers.
    pub(crate) async fn check_health(&self) -> Result<(), StoreError> {
        self.database.stores().await.map(drop)
    }

    /// Finishes the writes under way and closes the database.
    pub(crate) async fn close(&self) {
        self.database.close().await;
    }

    fn cached(&self, name: &str) -> Option<SqliteStore> {
        self.open.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    async fn open(&self, name: &str) -> Result<SqliteStore, StoreError> {
        let _opening = self.opening.lock().await;
        if let Some(store) = self.cached(name) {
            return Ok(store);
        }
        let store = self.database.store(name).stream_names(StreamNames::Mapped).open().await;
        let store = store.map_err(|error| explain(name, error))?;
        self.open.write().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), store.clone());
        self.opened.send_replace(());
        Ok(store)
    }
}

/// Wakes when there may be a new store.
pub(crate) struct NewStores {
    /// Made by a client of this daemon.
    opened: watch::Receiver<()>,
    /// Made by another program that works on the database.
    others: Watch,
}

impl NewStores {
    /// Waits until there may be one; `false` once the database is closed. Cancel-safe.
    pub(crate) async fn next(&mut self) -> bool {
        tokio::select! {
            opened = self.opened.changed() => opened.is_ok(),
            is_open = self.others.changed() => is_open,
        }
    }
}

/// Why a store could not be opened, as far as it is the client's business.
fn explain(name: &str, error: OpenError) -> StoreError {
    let invalid = |reason| InvalidStoreName { name: name.to_owned(), reason }.into();
    match error {
        OpenError::InvalidName(error) => error.into(),
        OpenError::ReservedName { .. } => {
            invalid("it is reserved: other tables of a store are named like this")
        }
        OpenError::NameTaken { .. } => invalid("there is a store of this name in letters of another case"),
        OpenError::ForeignTable { .. } => invalid("the database has a table of this name that is no store"),
        OpenError::Store(error) => error,
        error => Backend {
            backend: "sqlite",
            step: format!("open store {name:?}"),
            advice: error.to_string(),
            outcome_unknown: false,
            source: Some(Box::new(error)),
        }
        .into(),
    }
}
