//! The list of streams.

use super::Harness;
use super::fixture::{Fixture, expect_error};
use crate::{Expect, Read, Store};

/// Every stream with entries is listed once, in the order of the bytes of its name.
pub async fn streams_are_listed_in_byte_order<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    on.assert_empty().await;
    let mut names = vec![
        "b", "a", "B", "Z", "_", "a-b", "a.b", "a b", "aa", "é", "e\u{301}", "z", "ä", "日本", "🦀",
        "\u{ffff}", "0", "10", "9", "%",
    ];
    for name in &names {
        on.append(name, on.inputs(0..2)).await;
        on.append_one(name, on.input(3)).await;
    }
    names.sort_unstable();
    assert_eq!(on.streams().await, names);
}

/// Pages of names continue behind the last one; the name behind which to go on need not exist.
pub async fn pages_of_names_follow_each_other<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    for name in ["B", "a", "c", "é", "🦀"] {
        on.append_one(name, on.input(1)).await;
    }
    let list = async |after: Option<&str>, limit| on.store.list_streams(after, limit).await.unwrap();
    assert_eq!(list(None, 2).await, ["B", "a"]);
    assert_eq!(list(Some("a"), 2).await, ["c", "é"]);
    assert_eq!(list(Some("é"), 2).await, ["🦀"]);
    assert_eq!(list(Some("🦀"), 2).await, [""; 0]);
    assert_eq!(list(Some("b"), 10).await, ["c", "é", "🦀"]);
    assert_eq!(list(Some("a\0"), 1).await, ["c"], "a cursor may be any text");
    assert_eq!(list(Some(""), 1).await, ["B"]);
    assert_eq!(list(Some("\u{10ffff}"), 10).await, [""; 0]);
}

/// A page of names holds 100 if nothing else is asked for.
pub async fn a_page_of_names_is_as_long_as_asked<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let names: Vec<_> = (0..103).map(|n| format!("stream {n:03}")).collect();
    for name in &names {
        on.append_one(name, on.input(1)).await;
    }
    for (limit, expected) in [(0, 100), (1, 1), (102, 102), (103, 103), (104, 103)] {
        assert_eq!(on.store.list_streams(None, limit).await.unwrap(), names[..expected]);
    }
}

/// The stream with the empty name is a stream like any other.
pub async fn the_empty_name_is_listed<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one("", on.input(1)).await;
    on.append_one("a", on.input(2)).await;
    assert_eq!(on.streams().await, ["", "a"]);
    assert_eq!(on.store.list_streams(Some(""), 10).await.unwrap(), ["a"]);
    assert_eq!(on.ids("", Read::new()).await, [id]);
}

/// A stream whose entries are all trimmed is listed no more, until it has entries again (W31).
pub async fn a_trimmed_stream_is_not_listed<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let gone = on.fill("gone", 2).await;
    on.append_one("kept", on.input(1)).await;
    on.store.trim("gone", &gone[0]).await.unwrap();
    assert_eq!(on.streams().await, ["gone", "kept"]);
    on.store.trim("gone", &gone[1]).await.unwrap();
    assert_eq!(on.streams().await, ["kept"]);
    assert_eq!(on.store.list_streams(None, 1).await.unwrap(), ["kept"], "it takes no place in a page");
    on.append_one("gone", on.input(1)).await;
    assert_eq!(on.streams().await, ["gone", "kept"]);
}

/// Nothing but an entry makes a stream: no read, no failed or empty append (W29, W31).
pub async fn only_entries_make_a_stream<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let missing = harness.missing_id();
    on.page("a", Read::new()).await;
    on.store.count("a").await.unwrap();
    on.store.stat("a").await.unwrap();
    on.store.trim("a", &missing).await.unwrap();
    on.append("a", Vec::new()).await;
    expect_error!(on.store.set_tags("a", &missing, Vec::new()).await, EntryNotFound);
    expect_error!(on.store.append("a", on.inputs(0..1), Expect::LastId(missing)).await, Conflict);
    expect_error!(on.store.append("a", vec![on.input(1).tag("\0")], Expect::Any).await, InvalidText);
    on.assert_empty().await;
}
