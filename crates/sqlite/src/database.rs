//! The threads behind a database file.

use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use ledger_streams::{StoreError, StoreName, Watch};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::OpenError;
use crate::bells::Bells;
use crate::error::{DatabaseName, Failure};
use crate::foreign::ForeignWatch;
use crate::layout::{self, Shape};
use crate::options::{Access, DatabaseOptions, StoreOptions, StreamNames};
use crate::readers::Readers;
use crate::writer::{Message, Writer};

/// An open database file: one writer thread and a read pool, shared by all its stores. Cheap to clone; the threads
/// end when the last clone and the last store are gone.
#[derive(Clone)]
pub struct Database {
    inner: Arc<Inner>,
}

struct Inner {
    options: DatabaseOptions,
    writer: Writer,
    readers: Readers,
    bells: Arc<Bells>,
    foreign_watch: OnceLock<Option<ForeignWatch>>,
    /// Comes when all threads have ended.
    ended: Mutex<Option<oneshot::Receiver<()>>>,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Database").field("path", &self.inner.options.path).finish_non_exhaustive()
    }
}

impl Database {
    /// Settings for opening a file; nothing is touched before [`DatabaseOptions::connect`].
    pub fn open(path: impl AsRef<Path>) -> DatabaseOptions {
        DatabaseOptions::new(path.as_ref())
    }

    pub(crate) async fn connect(options: DatabaseOptions) -> Result<Self, OpenError> {
        let bells = Arc::new(Bells::default());
        let (readers, reader_threads) = Readers::start(&options)?;
        let (writer, ended) = Writer::start(options.clone(), bells.clone(), reader_threads).await?;
        let (foreign_watch, ended) = (OnceLock::new(), Mutex::new(Some(ended)));
        Ok(Self { inner: Arc::new(Inner { options, writer, readers, bells, foreign_watch, ended }) })
    }

    /// Settings for opening a store, that is a table, of this database.
    pub fn store(&self, name: impl Into<String>) -> StoreOptions {
        StoreOptions {
            database: self.clone(),
            table: name.into(),
            names: StreamNames::Direct,
            full_text_search: false,
        }
    }

    /// Names of the stores in this database.
    ///
    /// # Errors
    /// See [`StoreError`].
    pub async fn stores(&self) -> Result<Vec<String>, StoreError> {
        self.read(layout::stores).await.map_err(|failure| failure.explain(&self.name()))
    }

    /// Hears of writes by other processes from now on, whatever they concern: new stores too, which have no subscribers
    /// of their own yet. Rings carry no data, and a ring may be about nothing.
    pub fn watch_others(&self) -> Watch {
        self.watch_foreign_writes();
        self.inner.bells.watch_others()
    }

    /// Path of the file.
    pub fn path(&self) -> &Path {
        &self.inner.options.path
    }

    /// How many writes wait for the writer, those that it is committing left out. At most 4,096; further callers wait
    /// for room.
    pub fn queued_writes(&self) -> usize {
        self.inner.writer.queued()
    }

    /// Finishes the writes under way, writes the log back into the file and ends the threads. Every later operation
    /// on its stores fails with [`StoreError::Closed`].
    pub async fn close(&self) {
        self.inner.readers.close();
        let _ = self.inner.writer.send(Message::Close).await;
        let ended = self.inner.ended.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ended) = ended {
            let _ = ended.await;
        }
        self.inner.bells.close();
    }

    /// Makes or checks a store's tables; answers what they have.
    pub(crate) async fn prepare(
        &self,
        store: StoreName,
        names: StreamNames,
        full_text_search: bool,
    ) -> Result<Shape, OpenError> {
        let database = self.name();
        let must_exist = self.access() != Access::Create;
        let check = {
            let (store, database) = (store.clone(), database.path.clone());
            move |connection: &Connection| {
                if layout::store_exists(connection, &store, &database).map_err(Failure::Open)? {
                    return Shape::of(connection, &store);
                }
                if !must_exist {
                    return Ok(Shape::COMPLETE);
                }
                let existing = layout::stores(connection)?;
                Err(Failure::Open(OpenError::StoreMissing { store: store.to_string(), database, existing }))
            }
        };
        let path = database.path.clone();
        let create = move |connection: &Connection| {
            crate::ops::all_or_nothing(connection, || {
                layout::create_store(connection, &store, &path).map_err(Failure::Open)?;
                if names == StreamNames::Mapped {
                    layout::create_names(connection).map_err(Failure::Open)?;
                }
                if full_text_search {
                    layout::create_search_index(connection, &store)?;
                }
                Ok(Shape::COMPLETE)
            })
        };
        let mut prepared = self.read(check).await;
        if prepared.is_ok() && self.access() != Access::ReadOnly {
            prepared = self.write(0, None, create).await;
        }
        prepared.map_err(|failure| match failure {
            Failure::Open(OpenError::Sqlite(error)) | Failure::Sqlite(error) => {
                OpenError::Store(database.explain("open store", &error))
            }
            Failure::Open(error) => error,
            Failure::Store(error) => OpenError::Store(error),
        })
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.inner.readers.submit(operation).await.unwrap_or_else(|| Err(self.closed()))
    }

    pub(crate) async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        changed: Option<crate::bells::Changed>,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.inner.writer.submit(bytes, changed, operation).await.unwrap_or_else(|| Err(self.closed()))
    }

    /// Has an operation done when there is time; nobody waits for it, and it may be left out.
    pub(crate) fn write_some_time(
        &self,
        operation: impl FnOnce(&Connection) -> Result<(), Failure> + Send + 'static,
    ) {
        self.inner.writer.submit_some_time(operation);
    }

    pub(crate) fn closed(&self) -> Failure {
        ledger_streams::StoreClosed { store: self.name().path }.into()
    }

    pub(crate) fn writer(&self) -> &Writer {
        &self.inner.writer
    }

    pub(crate) fn bells(&self) -> &Bells {
        &self.inner.bells
    }

    pub(crate) fn name(&self) -> DatabaseName {
        self.inner.options.name()
    }

    pub(crate) fn access(&self) -> Access {
        self.inner.options.access
    }

    pub(crate) fn durability(&self) -> ledger_streams::Durability {
        self.inner.options.durability
    }

    /// From now on, writes by other processes ring the bells too.
    pub(crate) fn watch_foreign_writes(&self) {
        self.inner.foreign_watch.get_or_init(|| {
            ForeignWatch::start(&self.inner.options.path, self.inner.writer.clone())
                .inspect_err(|error| tracing::error!(%error, "writes by other processes will not be noticed"))
                .ok()
        });
    }
}
