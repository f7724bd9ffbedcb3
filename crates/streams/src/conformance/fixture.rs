//! What the cases share: a fresh store, samples, and shorthands that fail loudly.

use std::future::Future;
use std::ops::Range;
use std::time::Duration;

use super::{Harness, IdOf, PayloadOf};
use crate::{Append, Appended, Entry, Expect, Page, Read, Store};

/// How long a case waits for what must come, before it calls it lost. Not a measure of speed.
const HANG: Duration = Duration::from_secs(60);

/// The stream that most cases use.
pub(super) const STREAM: &str = "orders";

/// Texts that have broken a store somewhere: quoting, escaping, wildcards, paths, patterns, encodings, collations.
pub(super) const ODD_TEXTS: &[&str] = &[
    " ",
    "  two  spaces ",
    "a b",
    "a,b",
    "a;b",
    "a|b",
    "a/b",
    "a\\b",
    "\\",
    "a\"b",
    "\"",
    "''",
    "a'b",
    "`",
    "--",
    "/* */",
    "%",
    "a%",
    "_",
    "a_",
    "*",
    "?",
    "[a]",
    "[\"a\"]",
    "{\"a\":1}",
    "]",
    "(",
    "a.b",
    ".",
    "..",
    "$",
    "$a",
    "$.a",
    "a$b",
    "#",
    "@",
    "&amp;",
    "<b>",
    "a<b",
    "\\u003c",
    "\\n",
    "\n",
    "\r\n",
    "\t",
    "\u{1}",
    "\u{1b}[0m",
    "\u{7f}",
    "null",
    "NULL",
    "true",
    "0",
    "-1",
    "1e3",
    "NaN",
    "ä",
    "a\u{308}",
    "Ä",
    "ß",
    "İ",
    "ı",
    "日本語",
    "🦀",
    "👩‍👩‍👧",
    "\u{202e}abc",
    "\u{feff}",
    "\u{2028}",
    "\u{ffff}",
    "\u{10ffff}",
    "e\u{301}",
    "é",
    "a",
    "A",
    "a ",
];

/// A fresh store and the harness that made it.
pub(super) struct Fixture<'h, H: Harness> {
    pub(super) harness: &'h H,
    pub(super) store: H::Store,
}

/// An input of a harness's store.
pub(super) type Input<H> = Append<PayloadOf<H>>;

impl<'h, H: Harness> Fixture<'h, H> {
    pub(super) async fn open(harness: &'h H) -> Self {
        Self { harness, store: harness.open().await }
    }

    /// The n-th sample as an input without attributes.
    pub(super) fn input(&self, n: u64) -> Input<H> {
        Append::new(sample(self.harness, n))
    }

    pub(super) fn inputs(&self, samples: Range<u64>) -> Vec<Input<H>> {
        samples.map(|n| self.input(n)).collect()
    }

    /// Appends a batch without expectation.
    pub(super) async fn append(&self, stream: &str, batch: Vec<Input<H>>) -> Appended<IdOf<H>> {
        append(&self.store, stream, batch).await
    }

    /// Appends one new entry and answers its id.
    pub(super) async fn append_one(&self, stream: &str, input: Input<H>) -> IdOf<H> {
        let appended = self.append(stream, vec![input]).await;
        assert_eq!((appended.ids.len(), &appended.duplicates[..]), (1, &[][..]), "one new entry");
        appended.ids[0].clone()
    }

    /// Appends the first `count` samples, one call each.
    pub(super) async fn fill(&self, stream: &str, count: u64) -> Vec<IdOf<H>> {
        let mut ids = Vec::new();
        for n in 0..count {
            ids.push(self.append_one(stream, self.input(n)).await);
        }
        ids
    }

    pub(super) async fn page(&self, stream: &str, read: Read<IdOf<H>>) -> Page<IdOf<H>, PayloadOf<H>> {
        page(&self.store, stream, read).await
    }

    /// Everything in a stream.
    pub(super) async fn all(&self, stream: &str) -> Vec<Entry<IdOf<H>, PayloadOf<H>>> {
        everything(&self.store, stream).await
    }

    /// Ids of a page.
    pub(super) async fn ids(&self, stream: &str, read: Read<IdOf<H>>) -> Vec<IdOf<H>> {
        ids(&self.page(stream, read).await)
    }

    /// The only entry of a stream.
    pub(super) async fn only(&self, stream: &str) -> Entry<IdOf<H>, PayloadOf<H>> {
        let mut entries = self.all(stream).await;
        assert_eq!(entries.len(), 1, "stream {stream:?} has one entry");
        entries.remove(0)
    }

    /// Names of all streams, at most 1,000.
    pub(super) async fn streams(&self) -> Vec<String> {
        self.store.list_streams(None, 1000).await.expect("list")
    }

    /// Fails if the store holds anything.
    pub(super) async fn assert_empty(&self) {
        assert_eq!(self.streams().await, [""; 0], "nothing was written");
    }
}

/// The n-th sample payload.
pub(super) fn sample<H: Harness>(harness: &H, n: u64) -> PayloadOf<H> {
    harness.json(&format!("{{\"sample\":{n}}}"))
}

/// The payload that holds a text inside a JSON document.
pub(super) fn text_payload<H: Harness>(harness: &H, text: &str) -> PayloadOf<H> {
    let text = serde_json::to_string(text).expect("a text has a JSON form");
    harness.json(&format!("{{\"text\":{text}}}"))
}

/// A payload of exactly this size.
pub(super) fn sized_payload<H: Harness>(harness: &H, bytes: usize) -> PayloadOf<H> {
    use crate::Payload;

    assert!(bytes >= 2, "the shortest JSON text used here is \"\"");
    let payload = harness.json(&format!("\"{}\"", "x".repeat(bytes - 2)));
    assert_eq!(payload.size_bytes(), bytes, "the size of a JSON payload is the length of its text");
    payload
}

pub(super) async fn append<S: Store>(
    store: &S,
    stream: &str,
    batch: Vec<Append<S::Payload>>,
) -> Appended<S::Id> {
    store.append(stream, batch, Expect::Any).await.expect("append")
}

pub(super) async fn page<S: Store>(store: &S, stream: &str, read: Read<S::Id>) -> Page<S::Id, S::Payload> {
    let page = store.read(stream, &read).await.expect("read");
    assert_page(&page, &read);
    page
}

/// What is true of every page, whatever was asked for.
pub(super) fn assert_page<Id: crate::EntryId, P: crate::Payload>(page: &Page<Id, P>, read: &Read<Id>) {
    let ids = ids(page);
    let mut upwards = ids.clone();
    if read.order == crate::Order::Descending {
        upwards.reverse();
    }
    assert!(rise(&upwards), "a page is in order and holds nothing twice: {ids:?}");
    assert!(page.damaged.is_empty(), "nothing is damaged: {:?}", page.damaged);
    assert_eq!(page.next.as_ref(), ids.last(), "the next cursor is the last id");
    assert!(ids.len() <= read.limit, "{} entries in a page of {}", ids.len(), read.limit);
    let bytes: usize = page.iter().map(|entry| entry.payload.size_bytes()).sum();
    assert!(bytes <= read.max_bytes || ids.len() == 1, "{bytes} bytes in a page of {}", read.max_bytes);
    assert!(!page.more || !ids.is_empty(), "a page that was cut holds an entry");
}

/// Everything in a stream, in one page.
pub(super) async fn everything<S: Store>(store: &S, stream: &str) -> Vec<Entry<S::Id, S::Payload>> {
    let all = page(store, stream, Read::new().limit(crate::limits::MAX_PAGE_ENTRIES)).await;
    assert!(!all.more, "one page holds the stream");
    all.entries
}

pub(super) fn ids<Id: Clone, P>(entries: &[Entry<Id, P>]) -> Vec<Id> {
    entries.iter().map(|entry| entry.id.clone()).collect()
}

/// Whether every id lies behind the one before it.
pub(super) fn rise<Id: crate::EntryId>(ids: &[Id]) -> bool {
    ids.is_sorted_by(|left, right| right.is_behind(left))
}

/// Puts ids into the order in which their entries stand.
pub(super) fn sort<Id: crate::EntryId>(ids: &mut [Id]) {
    ids.sort_by(|left, right| left.is_behind(right).cmp(&right.is_behind(left)));
}

/// Waits for what must come; fails if it does not.
pub(super) async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(HANG, future).await.expect("the store answers instead of hanging")
}

/// The facts of an error of the expected kind; fails on success and on any other kind.
macro_rules! expect_error {
    ($result:expr, $kind:ident) => {
        match $result.map(|_| ()) {
            Err($crate::StoreError::$kind(facts)) => facts,
            other => panic!("expected {}, got {other:?}", stringify!($kind)),
        }
    };
}
pub(super) use expect_error;
