//! Transactions of the caller, on the writer's connection.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use ledger_streams::{Backend, StoreError};
use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::bells::Changed;
use crate::error::{DatabaseName, Failure};
use crate::ops::all_or_nothing;
use crate::writer::execute;

/// A transaction that is not used for this long is rolled back: every other writer waits for it.
const MAX_IDLE: Duration = Duration::from_secs(10);

/// The writer's end of a transaction.
pub(crate) struct Session {
    begun: oneshot::Sender<Result<(), StoreError>>,
    steps: Receiver<Step>,
    max_idle: Duration,
}

/// The caller's end of a transaction.
#[derive(Clone)]
pub(crate) struct SessionHandle {
    steps: Sender<Step>,
}

enum Step {
    Run { operation: Box<dyn FnOnce(&Connection) + Send>, changed: Option<Changed> },
    Commit(oneshot::Sender<Result<(), StoreError>>),
    Rollback(oneshot::Sender<Result<(), StoreError>>),
}

impl Session {
    /// Both ends, and the news that the transaction has begun.
    pub(crate) fn new() -> (Self, SessionHandle, oneshot::Receiver<Result<(), StoreError>>) {
        let (steps, receiver) = channel();
        let (begun, has_begun) = oneshot::channel();
        (Self { begun, steps: receiver, max_idle: MAX_IDLE }, SessionHandle { steps }, has_begun)
    }

    /// Tells the caller that there will be no transaction.
    pub(crate) fn refuse(self, reason: StoreError) {
        let _ = self.begun.send(Err(reason));
    }

    /// Serves the caller until the transaction ends; answers what it has changed, or why it failed.
    pub(crate) fn run(
        self,
        connection: &Connection,
        database: &DatabaseName,
    ) -> Result<Vec<Changed>, rusqlite::Error> {
        if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
            let _ = self.begun.send(Err(database.explain("begin", &error)));
            return Err(error);
        }
        if self.begun.send(Ok(())).is_err() {
            return end(connection, "ROLLBACK").map(|()| Vec::new());
        }
        let mut all_changed = Vec::new();
        loop {
            match self.steps.recv_timeout(self.max_idle) {
                Ok(Step::Run { operation, changed }) => {
                    operation(connection);
                    all_changed.extend(changed);
                }
                Ok(Step::Commit(reply)) => {
                    let ended = end(connection, "COMMIT");
                    let _ = reply
                        .send(ended.as_ref().copied().map_err(|error| database.explain("commit", error)));
                    return ended.map(|()| all_changed);
                }
                Ok(Step::Rollback(reply)) => {
                    let ended = end(connection, "ROLLBACK");
                    let _ = reply
                        .send(ended.as_ref().copied().map_err(|error| database.explain("rollback", error)));
                    return ended.map(|()| Vec::new());
                }
                Err(RecvTimeoutError::Disconnected | RecvTimeoutError::Timeout) => {
                    return end(connection, "ROLLBACK").map(|()| Vec::new());
                }
            }
        }
    }
}

/// Ends the transaction; whatever happens, none is open afterwards.
fn end(connection: &Connection, how: &str) -> Result<(), rusqlite::Error> {
    let ended = execute(connection, how);
    if !connection.is_autocommit() {
        let _ = execute(connection, "ROLLBACK");
    }
    ended
}

impl SessionHandle {
    /// Runs an operation inside the transaction; if it fails, it alone is undone.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        changed: Option<Changed>,
        operation: impl FnOnce(&Connection) -> Result<T, Failure> + Send + 'static,
    ) -> Result<T, Failure> {
        let (reply, answer) = oneshot::channel();
        let operation = Box::new(move |connection: &Connection| {
            let result = if connection.is_autocommit() {
                Err(ended().into())
            } else {
                all_or_nothing(connection, || operation(connection))
            };
            let _ = reply.send(result);
        });
        self.steps.send(Step::Run { operation, changed }).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    pub(crate) async fn commit(&self) -> Result<(), StoreError> {
        self.end(Step::Commit).await
    }

    pub(crate) async fn rollback(&self) -> Result<(), StoreError> {
        self.end(Step::Rollback).await
    }

    async fn end(
        &self,
        step: impl FnOnce(oneshot::Sender<Result<(), StoreError>>) -> Step,
    ) -> Result<(), StoreError> {
        let (reply, answer) = oneshot::channel();
        self.steps.send(step(reply)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

fn ended() -> StoreError {
    Backend {
        backend: "sqlite",
        step: "transaction".to_owned(),
        advice: format!(
            "it has ended and was rolled back, because it was idle for {} s or its database was closed; begin again",
            MAX_IDLE.as_secs()
        ),
        outcome_unknown: false,
        source: None,
    }
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_forgotten_transaction_is_rolled_back_and_says_so() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE t (x)").unwrap();
        let database = DatabaseName { path: "test".to_owned(), busy_timeout_ms: 0 };
        let (mut session, handle, has_begun) = Session::new();
        session.max_idle = Duration::ZERO;
        let operation =
            |connection: &Connection| connection.execute_batch("INSERT INTO t VALUES (1)").unwrap();
        handle.steps.send(Step::Run { operation: Box::new(operation), changed: None }).unwrap();
        let ended = session.run(&connection, &database);
        has_begun.await.unwrap().unwrap();
        assert!(ended.unwrap().is_empty());
        assert_eq!(
            connection.query_row("SELECT count(*) FROM t", [], |row| row.get::<_, i64>(0)).unwrap(),
            0
        );
        for error in [
            handle.commit().await,
            handle.run(None, |_| Ok(())).await.map_err(|failure| match failure {
                Failure::Store(error) => error,
                other => panic!("{other:?}"),
            }),
        ] {
            assert!(error.unwrap_err().to_string().contains("begin again"));
        }
    }
}
