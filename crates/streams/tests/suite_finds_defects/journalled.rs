//! A store with transactions, simple enough to be right: it proves that the cases about transactions can be passed,
//! and with a defect that they can be failed.
//!
//! Everything that was written is kept in a journal. A transaction takes the journal, so that other writers wait,
//! and works on a copy of the store that is made by doing everything in the journal again. A commit puts the copy in
//! the place of the store.

use std::collections::HashSet;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use ledger_streams::conformance::{Harness, Promised};
use ledger_streams::{
    AnnotationChanges, Append, Appended, Capabilities, Changes, CursorStore, Durability, Expect,
    FindBySource, Follow, Health, MemoryStore, Page, Position, Read, RenameStream, Search, Stat, Store,
    StoreError, Subscribe, Subscription, Transaction, Transactions,
};
use tokio::sync::{Mutex, OwnedMutexGuard};

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Defect {
    None,
    ShowsWritesBeforeTheCommit,
    KeepsWhatIsRolledBack,
    LetsOthersWriteMeanwhile,
    LetsOthersGoAheadWithHigherIds,
    DoesNotRingAtCommit,
    DoesNothingAtCommit,
    SetsCursorsOutside,
    HasNoCapabilitiesInside,
    FailsAfterAFailure,
    BeginsAfterClose,
}

#[derive(Clone)]
pub(crate) enum Write {
    Append { stream: String, entries: Vec<Append<Bytes>>, expect: Expect<i64> },
    SetTags { stream: String, id: i64, tags: Vec<String> },
    SetAnnotations { stream: String, id: i64, changes: AnnotationChanges },
    Trim { stream: String, up_to: i64 },
    Rename { from: String, to: String },
    SetCursor { name: String, position: String },
}

pub(crate) enum Answer {
    Appended(Appended<i64>),
    Count(u64),
    Moved(bool),
    Done,
}

impl Write {
    async fn perform(self, store: &MemoryStore) -> Result<Answer, StoreError> {
        match self {
            Self::Append { stream, entries, expect } => {
                store.append(&stream, entries, expect).await.map(Answer::Appended)
            }
            Self::SetTags { stream, id, tags } => {
                store.set_tags(&stream, &id, tags).await.map(|()| Answer::Done)
            }
            Self::SetAnnotations { stream, id, changes } => {
                store.set_annotations(&stream, &id, changes).await.map(|()| Answer::Done)
            }
            Self::Trim { stream, up_to } => store.trim(&stream, &up_to).await.map(Answer::Count),
            Self::Rename { from, to } => store.rename_stream(&from, &to).await.map(|()| Answer::Done),
            Self::SetCursor { name, position } => store.set_cursor(&name, &position).await.map(Answer::Moved),
        }
    }

    /// Streams whose subscribers have something new to read.
    fn news(&self) -> Option<&str> {
        match self {
            Self::Append { stream, .. } => Some(stream),
            Self::Rename { to, .. } => Some(to),
            _ => None,
        }
    }
}

type Journal = Vec<Write>;

#[derive(Clone)]
struct Shared {
    current: Arc<RwLock<MemoryStore>>,
    journal: Arc<Mutex<Journal>>,
    changes: Changes,
    defect: Defect,
    /// What a transaction has written into the store itself, because of a defect.
    hidden: Arc<RwLock<HashSet<i64>>>,
}

impl Shared {
    fn current(&self) -> MemoryStore {
        self.current.read().unwrap().clone()
    }
}

/// The store, or a transaction of it, depending on where writes go.
#[derive(Clone)]
pub(crate) struct Handle<W> {
    name: &'static str,
    writes: W,
}

pub(crate) type Journalled = Handle<Outside>;
type JournalledTransaction = Handle<Inside>;

#[derive(Clone)]
pub(crate) struct Outside(Shared);

pub(crate) struct Inside {
    shared: Shared,
    copy: MemoryStore,
    /// `None` if the defect lets others write meanwhile.
    journal: Mutex<Option<OwnedMutexGuard<Journal>>>,
    written: Mutex<(Journal, bool)>,
}

#[async_trait]
pub(crate) trait Writes: Send + Sync {
    /// Where to read.
    fn view(&self) -> MemoryStore;
    /// Where cursors are.
    fn cursors(&self) -> MemoryStore {
        self.view()
    }
    async fn write(&self, write: Write) -> Result<Answer, StoreError>;
    async fn close(&self) -> Result<(), StoreError>;
    fn defect(&self) -> Defect;
    /// Hides what a transaction has written into the store itself.
    fn hide(&self, _page: &mut Page<i64, Bytes>) {}
    fn capabilities(handle: &Handle<Self>) -> Capabilities<'_, i64, Bytes>
    where
        Self: Sized;
}

#[async_trait]
impl Writes for Outside {
    fn view(&self) -> MemoryStore {
        self.0.current()
    }

    async fn write(&self, write: Write) -> Result<Answer, StoreError> {
        let mut journal = self.0.journal.lock().await;
        let answer = write.clone().perform(&self.0.current()).await?;
        self.0.changes.ring(write.news());
        journal.push(write);
        Ok(answer)
    }

    async fn close(&self) -> Result<(), StoreError> {
        let _no_writer = self.0.journal.lock().await;
        self.0.current().close().await?;
        self.0.changes.close();
        Ok(())
    }

    fn defect(&self) -> Defect {
        self.0.defect
    }

    fn hide(&self, page: &mut Page<i64, Bytes>) {
        let hidden = self.0.hidden.read().unwrap();
        page.entries.retain(|entry| !hidden.contains(&entry.id));
        page.next = page.entries.last().map(|entry| entry.id);
    }

    fn capabilities(handle: &Handle<Self>) -> Capabilities<'_, i64, Bytes> {
        Capabilities {
            search: Some(handle),
            cursors: Some(handle),
            find_by_source: Some(handle),
            subscribe: Some(handle),
            rename: Some(handle),
            ..Capabilities::default()
        }
    }
}

#[async_trait]
impl Writes for Inside {
    fn view(&self) -> MemoryStore {
        self.copy.clone()
    }

    fn cursors(&self) -> MemoryStore {
        if self.defect() == Defect::SetsCursorsOutside { self.shared.current() } else { self.copy.clone() }
    }

    async fn write(&self, write: Write) -> Result<Answer, StoreError> {
        let mut written = self.written.lock().await;
        if self.defect() == Defect::FailsAfterAFailure && written.1 {
            return Err(self.copy.set_tags("unknown", &0, Vec::new()).await.unwrap_err());
        }
        let target =
            if matches!(write, Write::SetCursor { .. }) { self.cursors() } else { self.copy.clone() };
        let answer = write.clone().perform(&target).await;
        written.1 |= answer.is_err();
        if answer.is_ok() {
            written.0.push(write);
        }
        answer
    }

    async fn close(&self) -> Result<(), StoreError> {
        unreachable!("the suite closes stores, not transactions")
    }

    fn defect(&self) -> Defect {
        self.shared.defect
    }

    fn capabilities(handle: &Handle<Self>) -> Capabilities<'_, i64, Bytes> {
        if handle.writes.defect() == Defect::HasNoCapabilitiesInside {
            return Capabilities::default();
        }
        Capabilities {
            search: Some(handle),
            cursors: Some(handle),
            find_by_source: Some(handle),
            rename: Some(handle),
            ..Capabilities::default()
        }
    }
}

#[async_trait]
impl Transactions for Journalled {
    type Transaction = JournalledTransaction;

    async fn begin(&self) -> Result<JournalledTransaction, StoreError> {
        let shared = self.writes.0.clone();
        let journal = shared.journal.clone().lock_owned().await;
        if shared.defect != Defect::BeginsAfterClose {
            shared.current().health().await?;
        }
        let copy = MemoryStore::new(self.name).unwrap();
        for write in journal.iter() {
            write.clone().perform(&copy).await?;
        }
        let lets_others_write = [Defect::LetsOthersWriteMeanwhile, Defect::LetsOthersGoAheadWithHigherIds]
            .contains(&shared.defect);
        let journal = if lets_others_write { None } else { Some(journal) };
        if shared.defect == Defect::ShowsWritesBeforeTheCommit {
            *shared.current.write().unwrap() = copy.clone();
        }
        let inside = Inside { shared, copy, journal: Mutex::new(journal), written: Mutex::default() };
        Ok(Handle { name: self.name, writes: inside })
    }
}

#[async_trait]
impl Transaction for JournalledTransaction {
    async fn commit(self) -> Result<(), StoreError> {
        let Inside { shared, copy, journal, written } = self.writes;
        if shared.defect == Defect::DoesNothingAtCommit {
            return Ok(());
        }
        if shared.defect == Defect::LetsOthersGoAheadWithHigherIds {
            shared.hidden.write().unwrap().clear();
            return Ok(());
        }
        let mut journal = match journal.into_inner() {
            Some(journal) => journal,
            None => shared.journal.clone().lock_owned().await,
        };
        shared.current().health().await?;
        let (written, _) = written.into_inner();
        *shared.current.write().unwrap() = copy;
        if shared.defect != Defect::DoesNotRingAtCommit {
            shared.changes.ring(written.iter().filter_map(Write::news));
        }
        journal.extend(written);
        Ok(())
    }

    async fn rollback(self) -> Result<(), StoreError> {
        if self.writes.defect() == Defect::KeepsWhatIsRolledBack { self.commit().await } else { Ok(()) }
    }
}

#[async_trait]
impl<W: Writes> Store for Handle<W> {
    type Id = i64;
    type Payload = Bytes;

    fn name(&self) -> &str {
        self.name
    }

    async fn append(
        &self,
        stream: &str,
        entries: Vec<Append<Bytes>>,
        expect: Expect<i64>,
    ) -> Result<Appended<i64>, StoreError> {
        match self.writes.write(Write::Append { stream: stream.to_owned(), entries, expect }).await? {
            Answer::Appended(appended) => Ok(appended),
            _ => unreachable!(),
        }
    }

    async fn read(&self, stream: &str, read: &Read<i64>) -> Result<Page<i64, Bytes>, StoreError> {
        let mut page = self.writes.view().read(stream, read).await?;
        self.writes.hide(&mut page);
        Ok(page)
    }

    async fn count(&self, stream: &str) -> Result<u64, StoreError> {
        self.writes.view().count(stream).await
    }

    async fn stat(&self, stream: &str) -> Result<Stat<i64>, StoreError> {
        self.writes.view().stat(stream).await
    }

    async fn set_tags(&self, stream: &str, id: &i64, tags: Vec<String>) -> Result<(), StoreError> {
        self.writes.write(Write::SetTags { stream: stream.to_owned(), id: *id, tags }).await.map(drop)
    }

    async fn set_annotations(
        &self,
        stream: &str,
        id: &i64,
        changes: AnnotationChanges,
    ) -> Result<(), StoreError> {
        self.writes
            .write(Write::SetAnnotations { stream: stream.to_owned(), id: *id, changes })
            .await
            .map(drop)
    }

    async fn trim(&self, stream: &str, up_to: &i64) -> Result<u64, StoreError> {
        match self.writes.write(Write::Trim { stream: stream.to_owned(), up_to: *up_to }).await? {
            Answer::Count(trimmed) => Ok(trimmed),
            _ => unreachable!(),
        }
    }

    async fn list_streams(&self, after: Option<&str>, limit: usize) -> Result<Vec<String>, StoreError> {
        self.writes.view().list_streams(after, limit).await
    }

    async fn close(&self) -> Result<(), StoreError> {
        self.writes.close().await
    }

    fn capabilities(&self) -> Capabilities<'_, i64, Bytes> {
        W::capabilities(self)
    }
}

#[async_trait]
impl<W: Writes> Search for Handle<W> {
    async fn search(
        &self,
        stream: Option<&str>,
        query: &str,
        read: &Read<i64>,
    ) -> Result<Page<i64, Bytes>, StoreError> {
        self.writes.view().search(stream, query, read).await
    }
}

#[async_trait]
impl<W: Writes> CursorStore for Handle<W> {
    async fn get_cursor(&self, name: &str) -> Result<Option<String>, StoreError> {
        self.writes.cursors().get_cursor(name).await
    }

    async fn set_cursor(&self, name: &str, position: &str) -> Result<bool, StoreError> {
        let write = Write::SetCursor { name: name.to_owned(), position: position.to_owned() };
        match self.writes.write(write).await? {
            Answer::Moved(moved) => Ok(moved),
            _ => unreachable!(),
        }
    }
}

#[async_trait]
impl<W: Writes> FindBySource for Handle<W> {
    async fn find_by_source(&self, stream: &str, source_id: &str) -> Result<Option<i64>, StoreError> {
        self.writes.view().find_by_source(stream, source_id).await
    }
}

#[async_trait]
impl<W: Writes> RenameStream for Handle<W> {
    async fn rename_stream(&self, from: &str, to: &str) -> Result<(), StoreError> {
        self.writes.write(Write::Rename { from: from.to_owned(), to: to.to_owned() }).await.map(drop)
    }
}

#[async_trait]
impl Subscribe for Journalled {
    async fn subscribe(
        &self,
        stream: &str,
        position: Position<i64>,
    ) -> Result<Subscription<i64, Bytes>, StoreError> {
        self.writes.view().health().await?;
        let watch = self.writes.0.changes.watch(stream);
        Ok(Subscription::new(Follow::begin(Arc::new(self.clone()), stream, watch, position).await?))
    }
}

impl Harness for Defect {
    type Store = Journalled;

    async fn open(&self) -> Journalled {
        let name = "journalled";
        let current = Arc::new(RwLock::new(MemoryStore::new(name).unwrap()));
        let shared = Shared {
            current,
            journal: Arc::default(),
            changes: Changes::new(),
            defect: *self,
            hidden: Arc::default(),
        };
        Handle { name, writes: Outside(shared) }
    }
    fn promised(&self) -> Promised {
        Promised { search_index: false, health: false, ..Promised::EVERYTHING }
    }
    fn durability(&self) -> Durability {
        Durability::Memory
    }
    fn missing_id(&self) -> i64 {
        0
    }
    fn json(&self, text: &str) -> Bytes {
        Bytes::copy_from_slice(text.as_bytes())
    }
    fn raw(&self, bytes: &[u8]) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(bytes))
    }
}

ledger_streams::conformance_suite!(Defect::None);
ledger_streams::conformance_suite_of_transactions!(Defect::None);

super::defects! {
    Defect::None;

    Defect::ShowsWritesBeforeTheCommit => early_visibility: transactions::writes_are_seen_inside_only
        transactions::readers_do_not_wait;
    Defect::KeepsWhatIsRolledBack => kept_rollbacks: transactions::a_rollback_undoes_everything
        transactions::subscribers_hear_of_what_is_committed transactions::positions_of_consumers_join_in;
    Defect::LetsOthersWriteMeanwhile => lost_appends_of_others: transactions::appends_of_others_are_not_lost
        transactions::transactions_take_turns;
    Defect::LetsOthersGoAheadWithHigherIds => ids_visible_out_of_order:
        transactions::a_walk_misses_nothing_of_a_transaction;
    Defect::DoesNotRingAtCommit => silent_commits: transactions::subscribers_hear_of_what_is_committed;
    Defect::DoesNothingAtCommit => lost_commits: transactions::every_operation_is_kept_after_commit
        transactions::a_typed_stream_works_inside;
    Defect::SetsCursorsOutside => cursors_outside: transactions::positions_of_consumers_join_in;
    Defect::HasNoCapabilitiesInside => hidden_capabilities: transactions::capabilities_work_inside;
    Defect::FailsAfterAFailure => poisoned_transactions: transactions::a_failed_operation_leaves_the_transaction_usable;
    Defect::BeginsAfterClose => begun_after_close: transactions::a_closed_store_begins_none;
}
