//! The store of this crate, and its transactions.

use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use ledger_streams::limits::{
    check_attributes, check_batch, check_key, check_read, check_search, check_stream_name,
};
use ledger_streams::{
    AnnotationChanges, Append, Appended, Capabilities, CursorStore, Expect, FindBySource, Follow, Health,
    NotSupported, Page, Payload, Position, Read, ReadOnly, RenameStream, Search, SearchIndex, Stat, Store,
    StoreClosed, StoreError, StoreName, Subscribe, Subscription, Transaction, Transactions,
};
use rusqlite::Connection;

use crate::bells::Changed;
use crate::error::Failure;
use crate::executor::{Executor, InTransaction, Shared};
use crate::ops::{self, Table};
use crate::options::{Access, SqliteStoreOptions, StoreOptions, StreamNames};
use crate::{Database, OpenError, layout};

/// A store in an SQLite database. Cheap to clone.
pub type SqliteStore = StoreHandle<Shared>;

/// A transaction of the caller: a [`Store`] whose changes become visible together when it is
/// [committed](Transaction::commit). Dropping it rolls it back. All other writers of the database wait meanwhile, so
/// one that is idle for 10 s is rolled back.
pub type SqliteTransaction = StoreHandle<InTransaction>;

/// A store bound to the means by which its operations get to a connection; see [`SqliteStore`] and
/// [`SqliteTransaction`].
#[derive(Clone)]
pub struct StoreHandle<E> {
    table: Arc<Table>,
    executor: E,
}

impl SqliteStore {
    /// Settings for opening a file that has one store; nothing is touched before
    /// [`build`](SqliteStoreOptions::build). For several stores in one file see [`Database`].
    pub fn open(path: impl AsRef<Path>) -> SqliteStoreOptions {
        SqliteStoreOptions::new(path.as_ref())
    }

    pub(crate) async fn connect(options: StoreOptions) -> Result<Self, OpenError> {
        let StoreOptions { database, table, names, full_text_search } = options;
        let store = StoreName::new(table)?;
        let shape = database.prepare(store.clone(), names, full_text_search).await?;
        let table = Table::new(store, names, database.durability(), shape);
        let changes = database.bells().hang(&table);
        Ok(Self { table, executor: Shared::new(database, changes) })
    }

    /// The database that the store is in.
    pub fn database(&self) -> &Database {
        self.executor.database()
    }
}

impl SqliteTransaction {
    /// Runs SQL of your own inside the transaction, on the thread that owns the connection.
    ///
    /// Do not begin, commit or roll back in it.
    ///
    /// # Errors
    /// Whatever the function returns is undone and handed on.
    pub async fn with_connection<T: Send + 'static>(
        &self,
        sql: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.write(0, None, move |connection, _| Ok(sql(connection)?)).await
    }
}

impl<E: Executor> StoreHandle<E> {
    async fn read_with<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection, &Table) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        let table = self.table.clone();
        let result = self.executor.read(move |connection| operation(connection, &table)).await;
        result.map_err(|failure| failure.explain(&self.executor.database().name()))
    }

    /// Runs an operation that writes; `added_to` is the stream whose subscribers it wakes.
    async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        added_to: Option<Arc<str>>,
        operation: impl FnOnce(&Connection, &Table) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.check_writable()?;
        let table = self.table.clone();
        let changed = added_to.map(|stream| Changed { table: table.clone(), stream });
        let result =
            self.executor.write(bytes, changed, move |connection| operation(connection, &table)).await;
        result.map_err(|failure| failure.explain(&self.executor.database().name()))
    }

    fn check_open(&self) -> Result<(), StoreClosed> {
        if self.executor.is_closed() {
            Err(StoreClosed { store: self.table.store.to_string() })
        } else {
            Ok(())
        }
    }

    fn check_writable(&self) -> Result<(), ReadOnly> {
        match self.executor.database().access() {
            Access::ReadOnly => Err(ReadOnly { store: self.table.store.to_string() }),
            Access::Create | Access::Existing => Ok(()),
        }
    }
}

#[async_trait]
impl<E: Executor> Store for StoreHandle<E> {
    type Id = i64;
    type Payload = Bytes;

    fn name(&self) -> &str {
        self.table.store.as_str()
    }

    async fn append(
        &self,
        stream: &str,
        entries: Vec<Append<Bytes>>,
        expect: Expect<i64>,
    ) -> Result<Appended<i64>, StoreError> {
        self.check_open()?;
        self.check_writable()?;
        if entries.is_empty() {
            return Ok(Appended::nothing(self.table.durability));
        }
        check_batch(stream, &entries)?;
        let bytes = entries.iter().map(|entry| entry.payload.size_bytes()).sum();
        let stream: Arc<str> = stream.into();
        let operation = {
            let stream = stream.clone();
            move |connection: &Connection, table: &Table| {
                ops::append(connection, table, &stream, &entries, &expect)
            }
        };
        self.write(bytes, Some(stream), operation).await
    }

    async fn read(&self, stream: &str, read: &Read<i64>) -> Result<Page<i64, Bytes>, StoreError> {
        self.check_open()?;
        check_read(read)?;
        let (stream, read) = (stream.to_owned(), read.clone());
        self.read_with(move |connection, table| ops::read(connection, table, &stream, &read)).await
    }

    async fn count(&self, stream: &str) -> Result<u64, StoreError> {
        Ok(self.stat(stream).await?.count)
    }

    async fn stat(&self, stream: &str) -> Result<Stat<i64>, StoreError> {
        self.check_open()?;
        let stream = stream.to_owned();
        let (stat, new_count) =
            self.read_with(move |connection, table| ops::stat(connection, table, &stream)).await?;
        if let Some(new_count) = new_count {
            let table = self.table.clone();
            self.executor.keep_count(move |connection| ops::keep_count(connection, &table, &new_count));
        }
        Ok(stat)
    }

    async fn set_tags(&self, stream: &str, id: &i64, tags: Vec<String>) -> Result<(), StoreError> {
        self.check_open()?;
        let bytes = check_attributes(tags.iter().map(String::as_str))?;
        let (stream, id) = (stream.to_owned(), *id);
        self.write(bytes, None, move |connection, table| ops::set_tags(connection, table, &stream, id, &tags))
            .await
    }

    async fn set_annotations(
        &self,
        stream: &str,
        id: &i64,
        changes: AnnotationChanges,
    ) -> Result<(), StoreError> {
        self.check_open()?;
        let bytes =
            check_attributes(changes.iter().flat_map(|(key, value)| [key, value.unwrap_or_default()]))?;
        let (stream, id) = (stream.to_owned(), *id);
        let operation = move |connection: &Connection, table: &Table| {
            ops::set_annotations(connection, table, &stream, id, changes)
        };
        self.write(bytes, None, operation).await
    }

    async fn trim(&self, stream: &str, up_to: &i64) -> Result<u64, StoreError> {
        self.check_open()?;
        let (stream, up_to) = (stream.to_owned(), *up_to);
        self.write(0, None, move |connection, table| ops::trim(connection, table, &stream, up_to)).await
    }

    async fn list_streams(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.check_open()?;
        let page: Read<i64> = Read::new().limit(limit);
        check_read(&page)?;
        let after = after.map(str::to_owned);
        let operation = move |connection: &Connection, table: &Table| {
            ops::list_streams(connection, table, after.as_deref(), page.limit)
        };
        self.read_with(operation).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.executor.close().await
    }

    fn capabilities(&self) -> Capabilities<'_, i64, Bytes> {
        let rename: Option<&dyn RenameStream<Id = i64, Payload = Bytes>> = match self.table.names {
            StreamNames::Mapped => Some(self),
            StreamNames::Direct => None,
        };
        Capabilities {
            search: Some(self),
            cursors: Some(self),
            find_by_source: Some(self),
            rename,
            ..E::own_capabilities(self)
        }
    }
}

#[async_trait]
impl<E: Executor> Search for StoreHandle<E> {
    async fn search(
        &self,
        stream: Option<&str>,
        query: &str,
        read: &Read<i64>,
    ) -> Result<Page<i64, Bytes>, StoreError> {
        self.check_open()?;
        check_search(query, read)?;
        let (stream, query, read) = (stream.map(str::to_owned), query.to_owned(), read.clone());
        let operation = move |connection: &Connection, table: &Table| {
            ops::search(connection, table, stream.as_deref(), &query, &read)
        };
        self.read_with(operation).await
    }
}

#[async_trait]
impl<E: Executor> CursorStore for StoreHandle<E> {
    async fn get_cursor(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.check_open()?;
        let name = name.to_owned();
        self.read_with(move |connection, table| ops::get_cursor(connection, table, &name)).await
    }

    async fn set_cursor(&self, name: &str, position: &str) -> Result<bool, StoreError> {
        self.check_open()?;
        check_key("cursor name (bytes)", name)?;
        check_key("cursor (bytes)", position)?;
        let (name, position) = (name.to_owned(), position.to_owned());
        self.write(0, None, move |connection, table| ops::set_cursor(connection, table, &name, &position))
            .await
    }
}

#[async_trait]
impl<E: Executor> FindBySource for StoreHandle<E> {
    async fn find_by_source(&self, stream: &str, source_id: &str) -> Result<Option<i64>, StoreError> {
        self.check_open()?;
        let (stream, source_id) = (stream.to_owned(), source_id.to_owned());
        self.read_with(move |connection, table| ops::find_by_source(connection, table, &stream, &source_id))
            .await
    }
}

#[async_trait]
impl<E: Executor> RenameStream for StoreHandle<E> {
    async fn rename_stream(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.check_open()?;
        if self.table.names == StreamNames::Direct {
            return Err(NotSupported { operation: "rename", store: self.table.store.to_string() }.into());
        }
        check_stream_name(to)?;
        if from == to {
            return Ok(());
        }
        let (from, to) = (from.to_owned(), to.to_owned());
        // Whoever waits for the new name finds entries there now.
        let added_to = Some(to.as_str().into());
        self.write(0, added_to, move |connection, table| ops::rename_stream(connection, table, &from, &to))
            .await
    }
}

#[async_trait]
impl Health for SqliteStore {
    async fn health(&self) -> Result<(), StoreError> {
        self.check_open()?;
        self.read_with(|connection, table| layout::table_exists(connection, table.store.as_str()).map(drop))
            .await
    }
}

#[async_trait]
impl SearchIndex for SqliteStore {
    async fn ensure_search_index(&self) -> Result<(), StoreError> {
        self.check_open()?;
        let operation = |connection: &Connection, table: &Table| {
            ops::all_or_nothing(connection, || layout::create_search_index(connection, &table.store))
        };
        self.write(0, None, operation).await
    }
}

#[async_trait]
impl Subscribe for SqliteStore {
    async fn subscribe(
        &self,
        stream: &str,
        position: Position<i64>,
    ) -> Result<Subscription<i64, Bytes>, StoreError> {
        self.check_open()?;
        let watch = self.executor.changes().watch(stream);
        self.executor.database().watch_foreign_writes();
        Ok(Subscription::new(Follow::begin(Arc::new(self.clone()), stream, watch, position).await?))
    }
}

#[async_trait]
impl Transactions for SqliteStore {
    type Transaction = SqliteTransaction;

    async fn begin(&self) -> Result<SqliteTransaction, StoreError> {
        self.check_open()?;
        self.check_writable()?;
        let executor = InTransaction::begin(self.executor.database()).await?;
        Ok(StoreHandle { table: self.table.clone(), executor })
    }
}

#[async_trait]
impl Transaction for SqliteTransaction {
    async fn commit(self) -> Result<(), StoreError> {
        self.executor.session().commit().await
    }

    async fn rollback(self) -> Result<(), StoreError> {
        self.executor.session().rollback().await
    }
}
