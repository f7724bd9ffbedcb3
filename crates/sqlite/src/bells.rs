//! Which subscribers a commit wakes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ledger_streams::{Changes, StoreName, Watch};

use crate::StreamNames;
use crate::ops::Table;

/// The bells of all open stores of a database.
#[derive(Default)]
pub(crate) struct Bells {
    /// Rings for writes by other processes, whatever they concern.
    of_others: Changes,
    by_store: Mutex<HashMap<StoreName, Vec<Bell>>>,
}

struct Bell {
    names: StreamNames,
    changes: Changes,
}

/// A stream that a write has added to, by the name that its writer uses.
#[derive(Clone)]
#[allow(unreachable_pub, reason = "it stands in the signature of a sealed public trait")]
pub struct Changed {
    pub(crate) table: Arc<Table>,
    pub(crate) stream: Arc<str>,
}

impl Bells {
    /// A bell for a store that is being opened.
    pub(crate) fn hang(&self, table: &Table) -> Changes {
        let changes = Changes::new();
        let bell = Bell { names: table.names, changes: changes.clone() };
        self.bells().entry(table.store.clone()).or_default().push(bell);
        changes
    }

    /// Takes away the bells of stores that were closed or dropped.
    pub(crate) fn take_down(&self, changes: &Changes) {
        let mut bells = self.bells();
        for of_store in bells.values_mut() {
            of_store.retain(|bell| !bell.changes.is_same(changes));
        }
        bells.retain(|_, of_store| !of_store.is_empty());
    }

    /// Joins those who hear of every write by another process.
    pub(crate) fn watch_others(&self) -> Watch {
        self.of_others.watch("")
    }

    pub(crate) fn has_audience(&self) -> bool {
        self.of_others.has_audience()
            || self.bells().values().flatten().any(|bell| bell.changes.has_audience())
    }

    /// Rings for streams that were written to by this process.
    pub(crate) fn ring(&self, changed: &[Changed]) {
        let bells = self.bells();
        for Changed { table, stream } in changed {
            for bell in bells.get(&table.store).into_iter().flatten() {
                if bell.names == table.names {
                    bell.changes.ring([&**stream]);
                } else {
                    bell.changes.ring_all();
                }
            }
        }
    }

    /// Rings for everything: another process has written something.
    pub(crate) fn ring_all(&self) {
        self.of_others.ring_all();
        self.bells().values().flatten().for_each(|bell| bell.changes.ring_all());
    }

    /// Sends all subscribers home: the database is closed.
    pub(crate) fn close(&self) {
        self.of_others.close();
        self.bells().values().flatten().for_each(|bell| bell.changes.close());
    }

    fn bells(&self) -> MutexGuard<'_, HashMap<StoreName, Vec<Bell>>> {
        self.by_store.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
