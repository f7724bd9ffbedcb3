//! Substring search over payloads.

use super::fixture::{
    Fixture, Input, ODD_TEXTS, STREAM, assert_page, ids, sized_payload, text_payload, within,
};
use super::{Harness, IdOf, PayloadOf};
use crate::{AnnotationChanges, Append, Origin, Page, Read, SearchIndex, Store, Timestamp};

async fn search<H: Harness>(
    on: &Fixture<'_, H>,
    stream: Option<&str>,
    query: &str,
    read: Read<IdOf<H>>,
) -> Page<IdOf<H>, PayloadOf<H>> {
    let capabilities = on.store.capabilities();
    let search = capabilities.search.expect("promised");
    let page = within(search.search(stream, query, &read)).await.expect("search");
    assert_page(&page, &read);
    page
}

/// Ids of the entries of a stream whose payload holds a text.
async fn found<H: Harness>(on: &Fixture<'_, H>, query: &str) -> Vec<IdOf<H>> {
    ids(&search(on, Some(STREAM), query, Read::new().limit(1000)).await)
}

/// An input whose payload holds a text inside JSON.
fn text<H: Harness>(on: &Fixture<'_, H>, text: &str) -> Input<H> {
    Append::new(text_payload(on.harness, text))
}

/// A text is found anywhere in a payload, and the entries are as a read would show them.
pub async fn finds_what_contains_the_text<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    let on = Fixture::open(harness).await;
    let input = text(&on, "the needle in the hay").order_key("k").dedup_key("d").tag("t").metadata("m", "1");
    let id = on.append_one(STREAM, input).await;
    on.append_one(
        STREAM,
        text(&on, "only hay").tag("needle").metadata("needle", "needle").order_key("needle"),
    )
    .await;
    on.store.set_annotations(STREAM, &id, AnnotationChanges::new().set("a", "1")).await.unwrap();

    let page = search(&on, Some(STREAM), "needle", Read::new()).await;
    assert_eq!(page.entries, on.all(STREAM).await[..1], "attributes are not searched");
    assert!(!page.more);
    for query in ["the needle in the hay", "n", "he nee", "dle in", "\"the needle"] {
        assert_eq!(found(&on, query).await[0], id, "{query:?}");
    }
    for query in ["needles", "needle  in", "haythe"] {
        assert_eq!(found(&on, query).await, [], "{query:?}");
    }
}

/// All streams of the store are searched at once, in the order of ids, and every entry says which stream it is from.
pub async fn all_streams_at_once<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    let on = Fixture::open(harness).await;
    let names = ["b", "a", "ü \"quoted\"", "b", "", "a"];
    let mut all = Vec::new();
    for name in names {
        all.push(on.append_one(name, text(&on, "needle")).await);
        on.append_one(name, text(&on, "hay")).await;
    }
    let page = search(&on, None, "needle", Read::new()).await;
    assert_eq!(ids(&page), all);
    assert!(page.iter().map(|entry| &*entry.stream).eq(names));
    let page = search(&on, None, "needle", Read::new().descending().after(all[3].clone())).await;
    assert_eq!(ids(&page), [all[2].clone(), all[1].clone(), all[0].clone()]);

    assert_eq!(ids(&search(&on, Some("a"), "needle", Read::new()).await), [all[1].clone(), all[5].clone()]);
    assert_eq!(
        ids(&search(&on, Some(""), "needle", Read::new()).await),
        [all[4].clone()],
        "the empty name is a stream"
    );
    assert!(search(&on, Some("unknown"), "needle", Read::new()).await.is_end());
    assert_eq!(on.streams().await.len(), 4, "searching makes no stream");
}

/// Letters of ASCII match in either case; all other characters as they are.
pub async fn ascii_letters_match_in_either_case<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, text(&on, "Login FAILED für Käthe")).await;
    for query in ["login", "LOGIN", "lOgIn failed", "FüR", "käthe", "Käthe"] {
        assert_eq!(found(&on, query).await, std::slice::from_ref(&id), "{query:?}");
    }
    for query in ["KÄTHE", "FÜR", "kathe"] {
        assert_eq!(found(&on, query).await, [], "{query:?}");
    }
}

/// No character is a wildcard, and none ends or escapes anything (W53).
pub async fn no_character_is_a_wildcard<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    let on = Fixture::open(harness).await;
    let texts = [
        "100%", "1000", "a_b", "axb", "a\\b", "a*b", "a?b", "it's", "its", "[a-z]", "^a", "a$", "a.b",
        "x OR y",
    ];
    let mut all = Vec::new();
    for sample in texts {
        all.push(on.append_one(STREAM, text(&on, sample)).await);
    }
    for (id, query) in all.iter().zip(texts) {
        assert_eq!(found(&on, query).await, std::slice::from_ref(id), "{query:?}");
    }
    for query in ["100_", "a%b", "1%0", "%%", "__", "\\%", "\\\\\\", "a..b", "' OR '1'='1", "x* y"] {
        assert_eq!(found(&on, query).await, [], "{query:?}");
    }
}

/// Text inside a JSON document is found as it was typed, however its encoder escaped it.
pub async fn text_in_json_is_found_as_it_was_typed<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    let on = Fixture::open(harness).await;
    let samples = ODD_TEXTS.iter().chain(&["say \"hi\"", "two\nlines", "C:\\dir", "a\0b", "tab\there"]);
    for sample in samples {
        let id = on.append_one(STREAM, text(&on, &format!("begin{sample}end"))).await;
        assert!(found(&on, &format!("n{sample}e")).await.contains(&id), "{sample:?}");
    }
    let escaped =
        on.append_one("escaped", Append::new(harness.json(r#"{"text":"a\u003cb \u0026 \u2028c"}"#))).await;
    for query in ["a<b", "& ", "<", "b & \u{2028}c", "<B"] {
        let page = search(&on, Some("escaped"), query, Read::new()).await;
        assert_eq!(ids(&page), std::slice::from_ref(&escaped), "{query:?}");
    }
}

/// The empty query matches everything, empty payloads included.
pub async fn the_empty_query_matches_everything<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    let on = Fixture::open(harness).await;
    on.append(STREAM, on.inputs(0..3)).await;
    if let Some(empty) = harness.raw(b"") {
        on.append_one(STREAM, Append::new(empty)).await;
    }
    assert_eq!(found(&on, "").await, ids(&on.all(STREAM).await));
}

/// Payloads that are not text neither fail a search nor hide what they contain (W53).
pub async fn payloads_need_not_be_text<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut inputs = vec![text(&on, "needle")];
    for bytes in [&b"\xff\xfe\x00\x01"[..], b"\xffNEEDLE\xfe", b"nee\0dle", b"needl\xc3"] {
        let Some(payload) = harness.raw(bytes) else { return };
        inputs.push(Append::new(payload));
    }
    let all = on.append(STREAM, inputs).await.ids;
    assert_eq!(found(&on, "needle").await, [all[0].clone(), all[2].clone()]);
    assert_eq!(found(&on, "nee\0dle").await, [all[3].clone()]);
}

/// Every filter applies to a search, alone and together (W53).
pub async fn every_filter_applies<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    const KINDS: u64 = 5;
    let on = Fixture::open(harness).await;
    let early: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    let late: Timestamp = "2024-01-02T00:00:00Z".parse().unwrap();
    let mut all = Vec::new();
    for bits in 0..1 << KINDS {
        let has = |kind: u64| bits & (1 << kind) != 0;
        let mut origin = Origin { created_at: Some(if has(4) { early } else { late }), ..Origin::default() };
        origin.annotations.extend(has(3).then(|| ("by".to_owned(), "UPS".to_owned())));
        let mut input = text(&on, "needle").order_key(if has(0) { "key" } else { "" });
        input.tags.extend(has(1).then(|| "paid".to_owned()));
        input.metadata.extend(has(2).then(|| ("env".to_owned(), "prod".to_owned())));
        all.push(on.append_one(STREAM, input.clone().origin(origin)).await);
        input.payload = text_payload(harness, "hay");
        on.append_one(STREAM, input).await;
    }
    for filters in 0..1 << KINDS {
        let wants = |kind: u64| filters & (1 << kind) != 0;
        let mut read = Read::new().order_key(if wants(0) { "key" } else { "" });
        read.filter.tags.extend(wants(1).then(|| "paid".to_owned()));
        read.filter.metadata.extend(wants(2).then(|| ("env".to_owned(), "prod".to_owned())));
        read.filter.annotations.extend(wants(3).then(|| ("by".to_owned(), "UPS".to_owned())));
        read.filter.until = wants(4).then_some(late);
        let expected: Vec<_> =
            (0..).zip(&all).filter(|(bits, _)| bits & filters == filters).map(|(_, id)| id.clone()).collect();
        for stream in [Some(STREAM), None] {
            let page = search(&on, stream, "needle", read.clone()).await;
            assert_eq!(ids(&page), expected, "{:?}", read.filter);
        }
    }
}

/// Cursor, direction, limits by number and by bytes apply to a search as they do to a read.
pub async fn pages_follow_each_other<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    let on = Fixture::open(harness).await;
    let mut all = Vec::new();
    for n in 0..40 {
        let stream = if n % 3 == 0 { "other" } else { STREAM };
        on.append_one(stream, text(&on, "hay")).await;
        all.push(on.append_one(stream, Append::new(sized_payload(harness, 50 + n % 7))).await);
    }
    for base in [Read::new(), Read::new().descending()] {
        let big = ids(&search(&on, None, "xxx", base.clone()).await);
        let mut expected = all.clone();
        if base.order == crate::Order::Descending {
            expected.reverse();
        }
        assert_eq!(big, expected);
        for (limit, max_bytes) in [(1, 1 << 20), (3, 1 << 20), (40, 1 << 20), (100, 1), (100, 120)] {
            let mut read = base.clone().limit(limit).max_bytes(max_bytes);
            let mut walked = Vec::new();
            loop {
                let page = search(&on, None, "xxx", read.clone()).await;
                walked.extend(ids(&page));
                assert!(walked.len() <= big.len(), "a walk comes to an end");
                match page.next {
                    Some(next) if page.more => read.after = Some(next),
                    _ => break,
                }
            }
            assert_eq!(walked, big, "limit {limit}, max_bytes {max_bytes}");
        }
    }
}

/// A search sees the entries of now: new ones at once, trimmed ones no more.
pub async fn follows_appends_and_trims<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    let on = Fixture::open(harness).await;
    assert_follows(&on).await;
}

/// An index changes nothing that is found, whether entries came before it or after; making it again is fine.
pub async fn an_index_changes_nothing_that_is_found<H: Harness>(harness: &H) {
    if !harness.promised().search_index {
        return;
    }
    let on = Fixture::open(harness).await;
    let samples = ["needle", "a needle", "NEEDLE", "ne", "100%", "a\"b", "für", "日本語", "nee dle", ""];
    let queries = [
        "needle", "ne", "n", "%", "0%", "a\"b", "ü", "für", "FÜR", "日", "本語", "eedl", "nothing", "", "\"",
    ];
    let batch = || {
        let mut batch: Vec<_> = samples.iter().map(|sample| text(&on, sample)).collect();
        batch.extend(harness.raw(b"\xffneedle\0x").map(Append::new));
        batch
    };
    on.append(STREAM, batch()).await;
    let mut before = Vec::new();
    for query in queries {
        before.push(found(&on, query).await);
    }
    for _ in 0..2 {
        ensure_index(&on).await;
    }
    for (query, before) in queries.iter().zip(&before) {
        assert_eq!(found(&on, query).await, *before, "{query:?} among entries from before the index");
    }
    let trimmed = ids(&on.all(STREAM).await).pop().unwrap();
    let added = on.append(STREAM, batch()).await.ids;
    on.store.trim(STREAM, &trimmed).await.unwrap();
    let old = before.iter().map(Vec::len);
    for (query, count) in queries.iter().zip(old) {
        let found = found(&on, query).await;
        assert_eq!(found.len(), count, "{query:?} among entries from after the index");
        assert!(found.iter().all(|id| added.contains(id)));
    }
    let on = Fixture::open(harness).await;
    ensure_index(&on).await;
    assert_follows(&on).await;
}

async fn ensure_index<H: Harness>(on: &Fixture<'_, H>) {
    let capabilities = on.store.capabilities();
    let index: &dyn SearchIndex<Id = _, Payload = _> = capabilities.search_index.expect("promised");
    within(index.ensure_search_index()).await.expect("make the index");
}

async fn assert_follows<H: Harness>(on: &Fixture<'_, H>) {
    assert_eq!(found(on, "needle").await, []);
    let mut all = Vec::new();
    for n in 0..5 {
        all.push(on.append_one(STREAM, text(on, "needle")).await);
        assert_eq!(found(on, "needle").await, all, "{n}");
    }
    on.store.set_tags(STREAM, &all[3], vec!["new".into()]).await.unwrap();
    on.store.trim(STREAM, &all[1]).await.unwrap();
    assert_eq!(found(on, "needle").await, all[2..]);
    let page = search(on, Some(STREAM), "needle", Read::new().tag("new")).await;
    assert_eq!(ids(&page), all[3..4]);
}
