//! What the suite has to know about a store.

use crate::{Durability, Store};

/// The id type of a harness's store.
pub type IdOf<H> = <<H as Harness>::Store as Store>::Id;
/// The payload type of a harness's store.
pub type PayloadOf<H> = <<H as Harness>::Store as Store>::Payload;

/// A store under test: how to make one, and what it promises.
///
/// One harness serves one case and is dropped after it, so it may own a temporary folder or a server.
pub trait Harness: Send + Sync + 'static {
    /// The store; its clones are handles of the same entries.
    type Store: Store + Clone + 'static;

    /// Opens a store without entries. Stores opened by two calls do not share entries.
    fn open(&self) -> impl Future<Output = Self::Store> + Send;

    /// The capabilities that the store has.
    fn promised(&self) -> Promised;

    /// The level that its acknowledgements must name.
    fn durability(&self) -> Durability;

    /// An id that no entry will ever have; where it lies among the others does not matter.
    fn missing_id(&self) -> IdOf<Self>;

    /// Whether subscriptions are pushed over a network. What is on its way there no longer waits at the store: it can
    /// neither be held back nor counted.
    fn is_remote(&self) -> bool {
        false
    }

    /// The payload that holds this JSON text. Different texts give different payloads.
    fn json(&self, text: &str) -> PayloadOf<Self>;

    /// The payload that holds exactly these bytes; `None` if the payload type cannot hold arbitrary bytes.
    fn raw(&self, bytes: &[u8]) -> Option<PayloadOf<Self>>;
}

/// Which capabilities a store promises; see [`Capabilities`](crate::Capabilities).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Promised {
    /// Substring search.
    pub search: bool,
    /// An index for search.
    pub search_index: bool,
    /// Health check.
    pub health: bool,
    /// Named positions of consumers.
    pub cursors: bool,
    /// Look-up by source id.
    pub find_by_source: bool,
    /// Live subscriptions.
    pub subscribe: bool,
    /// Renaming of streams.
    pub rename: bool,
}

impl Promised {
    /// Every capability.
    pub const EVERYTHING: Self = Self {
        search: true,
        search_index: true,
        health: true,
        cursors: true,
        find_by_source: true,
        subscribe: true,
        rename: true,
    };

    /// What a store says it has.
    pub fn by<S: Store + ?Sized>(store: &S) -> Self {
        let has = store.capabilities();
        Self {
            search: has.search.is_some(),
            search_index: has.search_index.is_some(),
            health: has.health.is_some(),
            cursors: has.cursors.is_some(),
            find_by_source: has.find_by_source.is_some(),
            subscribe: has.subscribe.is_some(),
            rename: has.rename.is_some(),
        }
    }
}
