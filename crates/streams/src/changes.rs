//! Wake-up of subscribers in one process: who waits for which stream.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

/// The bell of a store: writers ring it for a stream, subscribers wait for it. Cheap to clone.
///
/// Rings carry no data and are coalesced: a subscriber that wakes reads what is there. So nothing can be lost
/// between a read and the next wait, and a slow subscriber costs no memory.
#[derive(Clone, Default)]
pub struct Changes {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Number of streams waited for, so that a writer without an audience does not take the lock.
    waited_for: AtomicUsize,
    bells: Mutex<Bells>,
}

#[derive(Default)]
struct Bells {
    by_stream: HashMap<Arc<str>, watch::Sender<()>>,
    closed: bool,
}

/// A place in the audience of one stream.
pub struct Watch {
    changes: Changes,
    stream: Arc<str>,
    receiver: Option<watch::Receiver<()>>,
}

impl Changes {
    /// A bell that nobody waits for yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Joins the audience of a stream. Rings from now on are noticed.
    pub fn watch(&self, stream: &str) -> Watch {
        let stream: Arc<str> = stream.into();
        let mut bells = self.bells();
        let receiver = if bells.closed {
            None
        } else {
            Some(bells.by_stream.entry(stream.clone()).or_insert_with(|| watch::channel(()).0).subscribe())
        };
        self.inner.waited_for.store(bells.by_stream.len(), Ordering::SeqCst);
        drop(bells);
        Watch { changes: self.clone(), stream, receiver }
    }

    /// Whether both are handles of the same bell.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.inner, &other.inner)
    }

    /// Whether anybody waits.
    pub fn has_audience(&self) -> bool {
        self.inner.waited_for.load(Ordering::SeqCst) > 0
    }

    /// Rings for these streams.
    pub fn ring<'a>(&self, streams: impl IntoIterator<Item = &'a str>) {
        if !self.has_audience() {
            return;
        }
        let bells = self.bells();
        for stream in streams {
            if let Some(bell) = bells.by_stream.get(stream) {
                bell.send_replace(());
            }
        }
    }

    /// Rings for all streams.
    pub fn ring_all(&self) {
        if !self.has_audience() {
            return;
        }
        for bell in self.bells().by_stream.values() {
            bell.send_replace(());
        }
    }

    /// Sends everybody home: waits end with `false`, now and later.
    pub fn close(&self) {
        let mut bells = self.bells();
        bells.closed = true;
        bells.by_stream.clear();
        self.inner.waited_for.store(0, Ordering::SeqCst);
    }

    fn bells(&self) -> MutexGuard<'_, Bells> {
        self.inner.bells.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// Marks everything up to now as seen; call it before reading, so that what comes during the read rings again.
    pub fn mark_seen(&mut self) {
        if let Some(receiver) = &mut self.receiver {
            receiver.mark_unchanged();
        }
    }

    /// Waits for the next ring; `false` once the store is closed.
    pub async fn changed(&mut self) -> bool {
        match &mut self.receiver {
            Some(receiver) => receiver.changed().await.is_ok(),
            None => false,
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.receiver = None;
        let mut bells = self.changes.bells();
        if bells.by_stream.get(&self.stream).is_some_and(|bell| bell.receiver_count() == 0) {
            bells.by_stream.remove(&self.stream);
        }
        self.changes.inner.waited_for.store(bells.by_stream.len(), Ordering::SeqCst);
    }
}

#[cfg(test)]
mod tests {
    use super::Changes;

    #[tokio::test]
    async fn a_ring_between_mark_and_wait_is_not_lost() {
        let changes = Changes::new();
        let mut watch = changes.watch("a");
        watch.mark_seen();
        changes.ring(["a"]);
        assert!(watch.changed().await);
    }

    #[tokio::test]
    async fn closing_ends_every_wait() {
        let changes = Changes::new();
        let mut early = changes.watch("a");
        changes.close();
        assert!(!early.changed().await);
        assert!(!changes.watch("a").changed().await);
    }

    #[test]
    fn a_stream_nobody_waits_for_costs_nothing() {
        let changes = Changes::new();
        let (first, second) = (changes.watch("a"), changes.watch("a"));
        drop(first);
        assert!(changes.has_audience());
        drop(second);
        assert!(!changes.has_audience());
    }
}
