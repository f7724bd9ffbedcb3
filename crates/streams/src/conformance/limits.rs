//! Every bound of [`limits`](crate::limits): at the bound all is well, one past it is a typed error and nothing happens.

use super::fixture::{Fixture, Input, STREAM, expect_error, ids, sized_payload, within};
use super::{Harness, IdOf};
use crate::limits::{
    MAX_ATTRIBUTE_BYTES, MAX_BATCH_BYTES, MAX_BATCH_ENTRIES, MAX_KEY_BYTES, MAX_PAGE_BYTES, MAX_PAGE_ENTRIES,
    MAX_PAYLOAD_BYTES, MAX_QUERY_BYTES, MAX_STREAM_NAME_BYTES,
};
use crate::{AnnotationChanges, Append, Expect, LimitExceeded, Origin, Read, Store};

fn assert_facts(facts: &LimitExceeded, limit: usize) {
    assert_eq!((facts.limit, facts.actual), (limit, limit + 1), "{facts}");
}

/// Fails unless the store refuses a batch because it is one past a bound, and stays empty.
async fn assert_refused<H: Harness>(on: &Fixture<'_, H>, batch: Vec<Input<H>>, limit: usize) {
    assert_facts(&expect_error!(on.store.append(STREAM, batch, Expect::Any).await, LimitExceeded), limit);
    on.assert_empty().await;
}

/// Pages of entries, of names and of search results are bounded by number.
pub async fn of_a_page_by_number<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1)).await;
    let largest = Read::new().limit(MAX_PAGE_ENTRIES);
    let too_large = Read::new().limit(MAX_PAGE_ENTRIES + 1);
    assert_eq!(on.ids(STREAM, largest.clone()).await, [id]);
    assert_facts(&expect_error!(on.store.read(STREAM, &too_large).await, LimitExceeded), MAX_PAGE_ENTRIES);
    expect_error!(on.store.read(STREAM, &Read::new().limit(usize::MAX)).await, LimitExceeded);

    assert_eq!(on.store.list_streams(None, MAX_PAGE_ENTRIES).await.unwrap(), [STREAM]);
    let facts = expect_error!(on.store.list_streams(None, MAX_PAGE_ENTRIES + 1).await, LimitExceeded);
    assert_facts(&facts, MAX_PAGE_ENTRIES);

    if let Some(search) = on.store.capabilities().search {
        assert_eq!(search.search(None, "sample", &largest).await.unwrap().len(), 1);
        let facts = expect_error!(search.search(None, "sample", &too_large).await, LimitExceeded);
        assert_facts(&facts, MAX_PAGE_ENTRIES);
    }
}

/// Pages are bounded by bytes, whatever was asked for.
pub async fn of_a_page_by_bytes<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1)).await;
    let largest = Read::new().max_bytes(MAX_PAGE_BYTES);
    let too_large = Read::new().max_bytes(MAX_PAGE_BYTES + 1);
    assert_eq!(on.ids(STREAM, largest).await, [id]);
    assert_facts(&expect_error!(on.store.read(STREAM, &too_large).await, LimitExceeded), MAX_PAGE_BYTES);
    if let Some(search) = on.store.capabilities().search {
        let facts = expect_error!(search.search(None, "sample", &too_large).await, LimitExceeded);
        assert_facts(&facts, MAX_PAGE_BYTES);
    }
}

/// The largest payloads fill the largest batch, and each of them fills a page.
pub async fn of_payloads_and_batches_by_bytes<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    assert_refused(&on, vec![Append::new(sized_payload(harness, MAX_PAYLOAD_BYTES + 1))], MAX_PAYLOAD_BYTES)
        .await;

    assert_eq!(MAX_BATCH_BYTES, 2 * MAX_PAYLOAD_BYTES);
    let largest = sized_payload(harness, MAX_PAYLOAD_BYTES);
    let batch = || vec![Append::new(largest.clone()), Append::new(largest.clone())];
    let mut too_large = batch();
    too_large[1] = too_large[1].clone().tag("x");
    assert_refused(&on, too_large, MAX_BATCH_BYTES).await;

    let written = on.append(STREAM, batch()).await.ids;
    assert_eq!(written.len(), 2);
    let mut read = Read::new();
    for id in written {
        let page = on.page(STREAM, read.clone()).await;
        assert_eq!(ids(&page), [id]);
        assert!(page[0].payload == largest, "the payload is kept");
        read.after = page.next;
    }
    assert!(on.page(STREAM, read).await.is_end());
}

/// A batch is bounded by number.
pub async fn of_a_batch_by_number<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let input = on.input(1);
    assert_refused(&on, vec![input.clone(); MAX_BATCH_ENTRIES + 1], MAX_BATCH_ENTRIES).await;
    let appended = on.append(STREAM, vec![input; MAX_BATCH_ENTRIES]).await;
    assert_eq!(appended.len(), MAX_BATCH_ENTRIES);
    assert_eq!(on.store.count(STREAM).await.unwrap(), u64::try_from(MAX_BATCH_ENTRIES).unwrap());
    let page = on.page(STREAM, Read::new().limit(MAX_PAGE_ENTRIES)).await;
    assert!(ids(&page) == appended.ids, "one page holds one batch");
}

/// Names of streams are bounded by bytes, not by characters, wherever they are written.
pub async fn of_stream_names<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let longest = format!("{}é", "n".repeat(MAX_STREAM_NAME_BYTES - 2));
    let too_long = format!("{longest}n");
    let facts = expect_error!(on.store.append(&too_long, on.inputs(0..1), Expect::Any).await, LimitExceeded);
    assert_facts(&facts, MAX_STREAM_NAME_BYTES);
    on.assert_empty().await;
    on.append_one(&longest, on.input(1)).await;
    assert_eq!(on.streams().await, [&*longest]);
    assert_eq!(&*on.only(&longest).await.stream, longest);

    if let Some(rename) = on.store.capabilities().rename {
        let facts = expect_error!(within(rename.rename_stream(&longest, &too_long)).await, LimitExceeded);
        assert_facts(&facts, MAX_STREAM_NAME_BYTES);
        within(rename.rename_stream(&longest, "short")).await.unwrap();
        within(rename.rename_stream("short", &longest)).await.unwrap();
        assert_eq!(on.streams().await, [longest]);
    }
}

/// Names that are too long for any stream are not found; huge ones neither.
pub async fn of_names_that_are_only_read<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1)).await;
    for bytes in [MAX_STREAM_NAME_BYTES + 1, 10_000, 1 << 20] {
        let name = "n".repeat(bytes);
        assert!(on.page(&name, Read::new()).await.is_end());
        assert_eq!(on.store.count(&name).await.unwrap(), 0);
        assert_eq!(on.store.trim(&name, &id).await.unwrap(), 0);
        expect_error!(on.store.set_tags(&name, &id, Vec::new()).await, EntryNotFound);
        assert_eq!(on.store.list_streams(Some(&name), 10).await.unwrap(), [STREAM]);
        assert_eq!(on.ids(STREAM, Read::new().tag(&name)).await, []);
        assert_eq!(on.ids(STREAM, Read::new().order_key(&name)).await, []);
    }
}

/// Ordering keys, deduplication keys and source ids are bounded by bytes, and work at their bound.
pub async fn of_keys<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let longest = format!("{}é", "k".repeat(MAX_KEY_BYTES - 2));
    let too_long = format!("{longest}k");
    let source = |id: &str| Origin { source_id: id.to_owned(), ..Origin::default() };
    assert_refused(&on, vec![on.input(1).order_key(&too_long)], MAX_KEY_BYTES).await;
    assert_refused(&on, vec![on.input(1).dedup_key(&too_long)], MAX_KEY_BYTES).await;
    assert_refused(&on, vec![on.input(1).origin(source(&too_long))], MAX_KEY_BYTES).await;

    // Equal up to the last byte: a store that cuts or hashes them carelessly takes them for one.
    let almost = format!("{}ê", "k".repeat(MAX_KEY_BYTES - 2));
    let with = |key: &str| on.input(1).order_key(key).dedup_key(key).origin(source(key));
    let batch = || vec![with(&longest), with(&almost)];
    let appended = on.append(STREAM, batch()).await;
    assert_eq!(appended.len(), 2);
    assert_eq!(on.append(STREAM, batch()).await.duplicates.len(), 2);
    assert_eq!(on.ids(STREAM, Read::new().order_key(&longest)).await, appended.ids[..1]);
    let entry = on.all(STREAM).await.remove(1);
    assert_eq!((&entry.order_key, &entry.dedup_key, &entry.source_id), (&almost, &almost, &almost));
    assert_eq!(on.ids(STREAM, Read::new().order_key(&too_long)).await, []);
}

/// Metadata, tags and annotations of an entry are bounded together.
pub async fn of_attributes_at_append<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let with = |bytes: usize| {
        let annotations = [("a".to_owned(), "b".to_owned())].into();
        let input = on.input(1).tag("t").metadata("k", "v".repeat(bytes - 4));
        vec![input.origin(Origin { annotations, ..Origin::default() })]
    };
    assert_refused(&on, with(MAX_ATTRIBUTE_BYTES + 1), MAX_ATTRIBUTE_BYTES).await;
    on.append(STREAM, with(MAX_ATTRIBUTE_BYTES)).await;
    assert_eq!(on.only(STREAM).await.metadata["k"].len(), MAX_ATTRIBUTE_BYTES - 4);
}

/// Changes of tags and annotations keep to the same bound.
pub async fn of_attributes_in_one_change<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let tags = |bytes: usize| vec!["t".repeat(bytes - 1), "t".to_owned()];
    let annotations = |bytes: usize| AnnotationChanges::new().set("a", "b".repeat(bytes - 1)).delete("");
    let id = on.append_one("tags", on.input(1)).await;
    let facts =
        expect_error!(on.store.set_tags("tags", &id, tags(MAX_ATTRIBUTE_BYTES + 1)).await, LimitExceeded);
    assert_facts(&facts, MAX_ATTRIBUTE_BYTES);
    assert_eq!(on.only("tags").await.updated_at, None);
    on.store.set_tags("tags", &id, tags(MAX_ATTRIBUTE_BYTES)).await.unwrap();
    assert!(on.only("tags").await.tags == tags(MAX_ATTRIBUTE_BYTES));

    let id = on.append_one("annotations", on.input(1)).await;
    let too_large = annotations(MAX_ATTRIBUTE_BYTES + 1);
    let facts = expect_error!(on.store.set_annotations("annotations", &id, too_large).await, LimitExceeded);
    assert_facts(&facts, MAX_ATTRIBUTE_BYTES);
    assert_eq!(on.only("annotations").await.updated_at, None);
    on.store.set_annotations("annotations", &id, annotations(MAX_ATTRIBUTE_BYTES)).await.unwrap();
    assert_eq!(on.only("annotations").await.annotations["a"].len(), MAX_ATTRIBUTE_BYTES - 1);
}

/// Many small changes cannot take an entry past the bound either; one that would is refused and changes nothing.
pub async fn of_attributes_that_grow<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let third = MAX_ATTRIBUTE_BYTES / 3;
    let id = on.append_one(STREAM, on.input(1).metadata("m", "v".repeat(third - 1))).await;
    let annotate = async |key: &str, bytes: usize| {
        let changes = AnnotationChanges::new().set(key, "v".repeat(bytes - key.len()));
        on.store.set_annotations(STREAM, &id, changes).await
    };
    annotate("a", third).await.unwrap();
    let rest = MAX_ATTRIBUTE_BYTES - 2 * third;
    let facts =
        expect_error!(on.store.set_tags(STREAM, &id, vec!["t".repeat(rest + 1)]).await, LimitExceeded);
    assert_facts(&facts, MAX_ATTRIBUTE_BYTES);
    on.store.set_tags(STREAM, &id, vec!["t".repeat(rest)]).await.unwrap();

    let full = on.only(STREAM).await;
    assert_facts(&expect_error!(annotate("b", 1).await, LimitExceeded), MAX_ATTRIBUTE_BYTES);
    assert_facts(&expect_error!(annotate("a", third + 1).await, LimitExceeded), MAX_ATTRIBUTE_BYTES);
    assert!(on.only(STREAM).await == full, "a refused change changes nothing");
    annotate("a", third - 1).await.unwrap();
    annotate("b", 1).await.unwrap();
}

/// Search texts are bounded by bytes.
pub async fn of_search_texts<H: Harness>(harness: &H) {
    if !harness.promised().search {
        return;
    }
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, Append::new(sized_payload(harness, MAX_QUERY_BYTES + 2))).await;
    let capabilities = on.store.capabilities();
    let search = capabilities.search.expect("promised");
    let longest = "x".repeat(MAX_QUERY_BYTES);
    assert_eq!(ids(&search.search(None, &longest, &Read::new()).await.unwrap()), [id]);
    let too_long = "x".repeat(MAX_QUERY_BYTES + 1);
    let facts = expect_error!(search.search(None, &too_long, &Read::new()).await, LimitExceeded);
    assert_facts(&facts, MAX_QUERY_BYTES);
}

/// Names and positions of consumers are bounded by bytes.
pub async fn of_cursors<H: Harness>(harness: &H) {
    if !harness.promised().cursors {
        return;
    }
    let on = Fixture::open(harness).await;
    let (longest, too_long) = ("9".repeat(MAX_KEY_BYTES), "9".repeat(MAX_KEY_BYTES + 1));
    let capabilities = on.store.capabilities();
    let cursors = capabilities.cursors.expect("promised");
    assert_facts(&expect_error!(cursors.set_cursor(&too_long, "1").await, LimitExceeded), MAX_KEY_BYTES);
    assert_facts(&expect_error!(cursors.set_cursor("c", &too_long).await, LimitExceeded), MAX_KEY_BYTES);
    assert_eq!(cursors.get_cursor("c").await.unwrap(), None);
    assert_eq!(cursors.get_cursor(&too_long).await.unwrap(), None);
    assert!(cursors.set_cursor(&longest, &longest).await.unwrap());
    assert_eq!(cursors.get_cursor(&longest).await.unwrap(), Some(longest));
}

/// Ids of an append that was refused are not missing: the next append goes on as if nothing had been.
pub async fn what_was_refused_leaves_no_trace<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let first = on.append_one(STREAM, on.input(1)).await;
    let too_long = "k".repeat(MAX_KEY_BYTES + 1);
    let bad = vec![on.input(2).dedup_key("key"), on.input(3).dedup_key(too_long)];
    expect_error!(on.store.append(STREAM, bad, Expect::Any).await, LimitExceeded);
    let appended: Vec<IdOf<H>> = on
        .store
        .append(STREAM, vec![on.input(2).dedup_key("key")], Expect::LastId(first.clone()))
        .await
        .unwrap()
        .ids;
    assert_eq!(on.ids(STREAM, Read::new()).await, [vec![first], appended].concat());
}
