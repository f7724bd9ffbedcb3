//! How operations get to a connection: by group commit and the read pool, or inside a caller's transaction.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use ledger_streams::{Capabilities, Changes, NotSupported, StoreClosed, StoreError};
use rusqlite::Connection;

use crate::Database;
use crate::bells::Changed;
use crate::error::Failure;
use crate::options::Access;
use crate::session::{Session, SessionHandle};
use crate::store::StoreHandle;
use crate::writer::Message;

/// Runs operations. Not for use outside of this crate.
#[allow(
    unreachable_pub,
    reason = "a bound of a public type, in a private room so that nobody else implements it"
)]
pub trait Executor: Clone + Send + Sync + 'static {
    /// The database that operations run on.
    fn database(&self) -> &Database;

    /// Whether the store was closed.
    fn is_closed(&self) -> bool;

    /// Closes the store, waiting for writes under way.
    fn close(&self) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// What stores with this executor can do beyond what all can.
    fn own_capabilities(handle: &StoreHandle<Self>) -> Capabilities<'_, i64, Bytes>;

    /// Runs an operation that reads.
    fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> impl Future<Output = Result<T, Failure>> + Send;

    /// Runs an operation that writes, undoing it alone if it fails.
    fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        changed: Option<Changed>,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> impl Future<Output = Result<T, Failure>> + Send;

    /// Stores a count some time, if that can be done.
    fn keep_count(&self, operation: impl FnOnce(&Connection) -> Result<(), Failure> + Send + 'static);
}

/// Runs operations by group commit and on the read pool.
#[derive(Clone)]
pub struct Shared {
    opened: Arc<Opened>,
}

/// What all clones of an open store share.
struct Opened {
    database: Database,
    changes: Changes,
    is_closed: AtomicBool,
}

impl Drop for Opened {
    fn drop(&mut self) {
        self.database.bells().take_down(&self.changes);
    }
}

impl Shared {
    pub(crate) fn new(database: Database, changes: Changes) -> Self {
        Self { opened: Arc::new(Opened { database, changes, is_closed: AtomicBool::new(false) }) }
    }

    pub(crate) fn changes(&self) -> &Changes {
        &self.opened.changes
    }
}

impl Executor for Shared {
    fn database(&self) -> &Database {
        &self.opened.database
    }

    fn is_closed(&self) -> bool {
        self.opened.is_closed.load(Ordering::SeqCst)
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.opened.is_closed.store(true, Ordering::SeqCst);
        self.opened.changes.close();
        // Whatever was asked for before is done once this is.
        match self.write(0, None, |_| Ok(())).await {
            Err(Failure::Store(StoreError::Closed(StoreClosed { .. }))) | Ok(()) => Ok(()),
            Err(failure) => Err(failure.explain(&self.opened.database.name())),
        }
    }

    fn own_capabilities(handle: &StoreHandle<Self>) -> Capabilities<'_, i64, Bytes> {
        Capabilities {
            health: Some(handle),
            search_index: Some(handle),
            subscribe: Some(handle),
            ..Capabilities::default()
        }
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.opened.database.read(operation).await
    }

    async fn write<T: Send + 'static>(
        &self,
        bytes: usize,
        changed: Option<Changed>,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.opened.database.write(bytes, changed, operation).await
    }

    fn keep_count(&self, operation: impl FnOnce(&Connection) -> Result<(), Failure> + Send + 'static) {
        if self.opened.database.access() != Access::ReadOnly {
            self.opened.database.write_some_time(operation);
        }
    }
}

/// Runs operations inside a transaction of the caller.
#[derive(Clone)]
pub struct InTransaction {
    database: Database,
    session: SessionHandle,
}

impl InTransaction {
    pub(crate) async fn begin(database: &Database) -> Result<Self, StoreError> {
        let closed = || database.closed().explain(&database.name());
        let (session, handle, has_begun) = Session::new();
        database.writer().send(Message::Session(session)).await.ok_or_else(closed)?;
        has_begun.await.map_err(|_| closed())??;
        Ok(Self { database: database.clone(), session: handle })
    }

    pub(crate) fn session(&self) -> &SessionHandle {
        &self.session
    }
}

impl Executor for InTransaction {
    fn database(&self) -> &Database {
        &self.database
    }

    fn is_closed(&self) -> bool {
        false
    }

    async fn close(&self) -> Result<(), StoreError> {
        Err(NotSupported {
            operation: "close (commit or roll back instead)",
            store: "transaction".to_owned(),
        }
        .into())
    }

    fn own_capabilities(_: &StoreHandle<Self>) -> Capabilities<'_, i64, Bytes> {
        Capabilities::default()
    }

    async fn read<T: Send + 'static>(
        &self,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.session.run(None, operation).await
    }

    async fn write<T: Send + 'static>(
        &self,
        _bytes: usize,
        changed: Option<Changed>,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        self.session.run(changed, operation).await
    }

    /// A count of entries that may be rolled back is not kept.
    fn keep_count(&self, _: impl FnOnce(&Connection) -> Result<(), Failure> + Send + 'static) {}
}
