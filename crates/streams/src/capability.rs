//! What only some backends can do. Each is a trait of its own, found at run time through
//! [`Store::capabilities`](crate::Store::capabilities).

use async_trait::async_trait;

use crate::{Page, Position, Read, Store, StoreError, Subscription};

/// The capabilities of a store; what it cannot do is `None`.
///
/// A wrapper of a store forwards what the wrapped one has, so nothing is hidden and nothing is claimed.
pub struct Capabilities<'a, Id, P> {
    /// Substring search over payloads.
    pub search: Option<&'a dyn Search<Id = Id, Payload = P>>,
    /// An index that makes search fast.
    pub search_index: Option<&'a dyn SearchIndex<Id = Id, Payload = P>>,
    /// A check that the database answers.
    pub health: Option<&'a dyn Health<Id = Id, Payload = P>>,
    /// Named positions of consumers, kept beside the entries.
    pub cursors: Option<&'a dyn CursorStore<Id = Id, Payload = P>>,
    /// Look-up of copied entries by their identity at the source.
    pub find_by_source: Option<&'a dyn FindBySource<Id = Id, Payload = P>>,
    /// Live subscriptions.
    pub subscribe: Option<&'a dyn Subscribe<Id = Id, Payload = P>>,
    /// Renaming of streams.
    pub rename: Option<&'a dyn RenameStream<Id = Id, Payload = P>>,
}

impl<Id, P> Default for Capabilities<'_, Id, P> {
    fn default() -> Self {
        Self {
            search: None,
            search_index: None,
            health: None,
            cursors: None,
            find_by_source: None,
            subscribe: None,
            rename: None,
        }
    }
}

/// Substring search over payloads.
#[async_trait]
pub trait Search: Store {
    /// One page of entries whose payload contains the text, in one stream or (with `None`) in all of the store.
    ///
    /// Letters of ASCII match in either case; no character is a wildcard. Text that stands inside a JSON string is
    /// found as it was typed ([`Query`](crate::Query)). Cursor, limits, order and every filter apply as in
    /// [`read`](Store::read). An empty query matches everything.
    async fn search(
        &self,
        stream: Option<&str>,
        query: &str,
        read: &Read<Self::Id>,
    ) -> Result<Page<Self::Id, Self::Payload>, StoreError>;
}

/// An index that makes [`Search`] fast without changing what it finds.
#[async_trait]
pub trait SearchIndex: Store {
    /// Makes the index if it is missing and fills it with what is there. From then on every append keeps it in step.
    async fn ensure_search_index(&self) -> Result<(), StoreError>;
}

/// A check that the database answers.
#[async_trait]
pub trait Health: Store {
    /// Touches the database.
    async fn health(&self) -> Result<(), StoreError>;
}

/// Named positions of consumers. They only move forward, so a late or repeated write does no harm.
#[async_trait]
pub trait CursorStore: Store {
    /// The position of a consumer, `None` if it has none.
    async fn get_cursor(&self, name: &str) -> Result<Option<String>, StoreError>;

    /// Moves a consumer forward; answers whether it moved. Decimal texts compare as numbers, others by bytes.
    async fn set_cursor(&self, name: &str, position: &str) -> Result<bool, StoreError>;
}

/// Look-up of copied entries by their identity at the source.
#[async_trait]
pub trait FindBySource: Store {
    /// The id of the copy in this stream, `None` if there is none.
    async fn find_by_source(&self, stream: &str, source_id: &str) -> Result<Option<Self::Id>, StoreError>;
}

/// Live subscriptions.
#[async_trait]
pub trait Subscribe: Store {
    /// Delivers the entries of a stream behind a position: first those that are there, then new ones as they come.
    async fn subscribe(
        &self,
        stream: &str,
        position: Position<Self::Id>,
    ) -> Result<Subscription<Self::Id, Self::Payload>, StoreError>;
}

/// Renaming of streams.
#[async_trait]
pub trait RenameStream: Store {
    /// Gives a stream a new name; its entries stay as they are. Equal names are fine.
    ///
    /// # Errors
    /// [`StoreError::StreamNotFound`] if there is none of the old name, [`StoreError::StreamExists`] if there is one
    /// of the new name.
    async fn rename_stream(&self, from: &str, to: &str) -> Result<(), StoreError>;
}

/// Transactions of the caller: everything done through the transaction becomes visible together, or not at all.
///
/// The transaction is itself a [`Store`], so a [`Stream`](crate::Stream) can be made from it and whatever is generic
/// over stores works inside it. A wrong kind of transaction does not compile.
#[async_trait]
pub trait Transactions: Store {
    /// The transaction of this backend.
    type Transaction: Transaction<Id = Self::Id, Payload = Self::Payload>;

    /// Begins a transaction.
    async fn begin(&self) -> Result<Self::Transaction, StoreError>;
}

/// A transaction under way. Dropping it rolls it back.
#[async_trait]
pub trait Transaction: Store + Sized {
    /// Makes everything durable and visible.
    async fn commit(self) -> Result<(), StoreError>;

    /// Undoes everything.
    async fn rollback(self) -> Result<(), StoreError>;
}

/// Whether a consumer's new position lies ahead of the old one: numbers by value (so that 10 follows 9), any other
/// text by its bytes.
pub fn cursor_is_ahead(new: &str, old: &str) -> bool {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if is_number(new) && is_number(old) {
        let (new, old) = (new.trim_start_matches('0'), old.trim_start_matches('0'));
        (new.len(), new) > (old.len(), old)
    } else {
        new > old
    }
}

#[cfg(test)]
mod tests {
    use super::cursor_is_ahead;

    #[test]
    fn cursors_compare_as_numbers_where_both_are() {
        assert!(cursor_is_ahead("10", "9"));
        assert!(cursor_is_ahead("0000000000000000010", "9"));
        assert!(!cursor_is_ahead("9", "10"));
        assert!(!cursor_is_ahead("007", "7"));
        assert!(cursor_is_ahead("b", "a"));
        assert!(!cursor_is_ahead("", "0"));
    }
}
