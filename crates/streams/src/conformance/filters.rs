//! Read filters; all must hold (specification §1.6).

use super::fixture::{Fixture, ODD_TEXTS, STREAM, ids};
use super::{Harness, IdOf};
use crate::{AnnotationChanges, Origin, Read, Store, Timestamp};

/// Fails unless a filter finds exactly these entries, in either direction.
async fn assert_finds<H: Harness>(on: &Fixture<'_, H>, read: Read<IdOf<H>>, expected: &[&IdOf<H>]) {
    let mut expected: Vec<_> = expected.iter().map(|id| (*id).clone()).collect();
    assert_eq!(on.ids(STREAM, read.clone()).await, expected, "{:?}", read.filter);
    expected.reverse();
    assert_eq!(on.ids(STREAM, read.clone().descending()).await, expected, "descending {:?}", read.filter);
}

/// An ordering key finds the entries that have it; the empty key finds all.
pub async fn order_key<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut all = Vec::new();
    for key in ["a", "b", "a", "", "ab"] {
        all.push(on.append_one(STREAM, on.input(1).order_key(key)).await);
    }
    on.append_one("other", on.input(1).order_key("a")).await;
    assert_finds(&on, Read::new().order_key("a"), &[&all[0], &all[2]]).await;
    assert_finds(&on, Read::new().order_key("ab"), &[&all[4]]).await;
    assert_finds(&on, Read::new().order_key("A"), &[]).await;
    assert_finds(&on, Read::new().order_key(""), &all.iter().collect::<Vec<_>>()).await;
}

/// A tag finds the entries that carry it, wherever it stands among their tags; several tags must all be there.
pub async fn tags<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut all = Vec::new();
    let tags: [&[&str]; 6] =
        [&["a", "common"], &["common", "b"], &["a"], &[], &["ab", "ba"], &["", "a,common"]];
    for tags in tags {
        let mut input = on.input(1);
        input.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        all.push(on.append_one(STREAM, input).await);
    }
    on.append_one("other", on.input(1).tag("a").tag("common")).await;

    assert_finds(&on, Read::new().tag("a"), &[&all[0], &all[2]]).await;
    assert_finds(&on, Read::new().tag("common"), &[&all[0], &all[1]]).await;
    assert_finds(&on, Read::new().tag("common").tag("a"), &[&all[0]]).await;
    assert_finds(&on, Read::new().all_tags(["a", "common"]), &[&all[0]]).await;
    assert_finds(&on, Read::new().all_tags(["a", "a"]), &[&all[0], &all[2]]).await;
    assert_finds(&on, Read::new().all_tags(["a", "b"]), &[]).await;
    assert_finds(&on, Read::new().all_tags(["a", "b", "common", "x"]), &[]).await;
    assert_finds(&on, Read::new().tag("A"), &[]).await;
    assert_finds(&on, Read::new().all_tags([""]), &[&all[5]]).await;
    let everything: Vec<_> = all.iter().collect();
    assert_finds(&on, Read::new().tag(""), &everything).await;
    assert_finds(&on, Read::new().all_tags([""; 0]), &everything).await;
}

/// A tag filter sees the tags of now, not those of the append.
pub async fn tags_that_were_replaced<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1).tag("old")).await;
    on.store.set_tags(STREAM, &id, vec!["new".into()]).await.unwrap();
    assert_finds(&on, Read::new().tag("new"), &[&id]).await;
    assert_finds(&on, Read::new().tag("old"), &[]).await;
}

/// A metadata pair finds the entries that hold it; several pairs must all be there.
pub async fn metadata<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let pair = |pairs: &[(&str, &str)]| {
        pairs.iter().fold(on.input(1), |input, (key, value)| input.metadata(*key, *value))
    };
    let mut all = Vec::new();
    for pairs in [
        &[("source", "web"), ("env", "prod")][..],
        &[("source", "web"), ("env", "dev")],
        &[("source", "app"), ("env", "prod")],
        &[],
        &[("", "")],
        &[("web", "source")],
    ] {
        all.push(on.append_one(STREAM, pair(pairs)).await);
    }
    on.append_one("other", pair(&[("source", "web"), ("env", "prod")])).await;

    assert_finds(&on, Read::new().metadata("source", "web"), &[&all[0], &all[1]]).await;
    assert_finds(&on, Read::new().metadata("env", "prod"), &[&all[0], &all[2]]).await;
    assert_finds(&on, Read::new().metadata("env", "prod").metadata("source", "web"), &[&all[0]]).await;
    assert_finds(&on, Read::new().metadata("source", "web").metadata("source", "web"), &[&all[0], &all[1]])
        .await;
    assert_finds(&on, Read::new().metadata("source", "tv"), &[]).await;
    assert_finds(&on, Read::new().metadata("unknown", "web"), &[]).await;
    assert_finds(&on, Read::new().metadata("source", ""), &[]).await;
    assert_finds(&on, Read::new().metadata("unknown", ""), &[]).await;
    assert_finds(&on, Read::new().metadata("", ""), &[&all[4]]).await;
}

/// One key with two values finds nothing: an entry has one value per key.
pub async fn one_key_with_two_values_finds_nothing<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1).metadata("env", "prod")).await;
    on.append_one(STREAM, on.input(1).metadata("env", "dev")).await;
    let changes = AnnotationChanges::new().set("by", "UPS");
    on.store.set_annotations(STREAM, &id, changes).await.unwrap();
    assert_finds(&on, Read::new().metadata("env", "prod").metadata("env", "dev"), &[]).await;
    assert_finds(&on, Read::new().annotation("by", "UPS").annotation("by", "DHL"), &[]).await;
}

/// An annotation pair finds the entries that hold it now; metadata of the same name does not count.
pub async fn annotations<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let first = on.append_one(STREAM, on.input(1).metadata("by", "UPS")).await;
    let annotations = [("by".to_owned(), "UPS".to_owned())].into();
    let second = on.append_one(STREAM, on.input(1).origin(Origin { annotations, ..Origin::default() })).await;
    assert_finds(&on, Read::new().annotation("by", "UPS"), &[&second]).await;
    assert_finds(&on, Read::new().metadata("by", "UPS"), &[&first]).await;

    let set = AnnotationChanges::new().set("by", "UPS").set("to", "Köln");
    on.store.set_annotations(STREAM, &first, set).await.unwrap();
    on.store.set_annotations(STREAM, &second, AnnotationChanges::new().set("by", "DHL")).await.unwrap();
    assert_finds(&on, Read::new().annotation("by", "UPS"), &[&first]).await;
    assert_finds(&on, Read::new().annotation("by", "UPS").annotation("to", "Köln"), &[&first]).await;
    assert_finds(&on, Read::new().annotation("by", "DHL").annotation("to", "Köln"), &[]).await;

    on.store.set_annotations(STREAM, &first, AnnotationChanges::new().delete("by")).await.unwrap();
    assert_finds(&on, Read::new().annotation("by", "UPS"), &[]).await;
    assert_finds(&on, Read::new().annotation("to", "Köln"), &[&first]).await;
}

/// A range of time includes its beginning and excludes its end, also where they are finer than the times of entries.
pub async fn time_range<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let time = |text: &str| text.parse::<Timestamp>().unwrap();
    let mut all = Vec::new();
    // Times need not rise with ids.
    for text in ["2024-01-01T00:00:00.001Z", "2024-01-01T00:00:00.003Z", "2024-01-01T00:00:00.002Z"] {
        let origin = Origin { created_at: Some(time(text)), ..Origin::default() };
        all.push(on.append_one(STREAM, on.input(1).origin(origin)).await);
    }
    let (one, two, three) = (&all[0], &all[2], &all[1]);
    let at = |fraction: &str| time(&format!("2024-01-01T00:00:00.{fraction}Z"));

    assert_finds(&on, Read::new().since(at("001")), &[one, three, two]).await;
    assert_finds(&on, Read::new().since(at("002")), &[three, two]).await;
    assert_finds(&on, Read::new().since(at("004")), &[]).await;
    assert_finds(&on, Read::new().until(at("001")), &[]).await;
    assert_finds(&on, Read::new().until(at("003")), &[one, two]).await;
    assert_finds(&on, Read::new().since(at("002")).until(at("003")), &[two]).await;
    assert_finds(&on, Read::new().since(at("002")).until(at("002")), &[]).await;
    assert_finds(&on, Read::new().since(at("003")).until(at("001")), &[]).await;
    assert_finds(&on, Read::new().since(at("001000001")), &[three, two]).await;
    assert_finds(&on, Read::new().until(at("001000001")), &[one]).await;
    assert_finds(&on, Read::new().since(Timestamp::MIN).until(Timestamp::MAX), &[one, three, two]).await;
}

/// Every combination of filters finds the entries that meet all of them.
pub async fn every_combination<H: Harness>(harness: &H) {
    const KINDS: u64 = 5;
    let on = Fixture::open(harness).await;
    let noon: Timestamp = "2024-01-01T12:00:00Z".parse().unwrap();
    let midnight: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
    let mut all = Vec::new();
    for bits in 0..1 << KINDS {
        let has = |kind: u64| bits & (1 << kind) != 0;
        let mut origin =
            Origin { created_at: Some(if has(4) { noon } else { midnight }), ..Origin::default() };
        if has(3) {
            origin.annotations.insert("by".into(), "UPS".into());
        }
        let mut input = on.input(bits).tag("every").order_key(if has(0) { "key" } else { "other" });
        input.tags.extend(has(1).then(|| "paid".to_owned()));
        input.metadata.extend(has(2).then(|| ("env".to_owned(), "prod".to_owned())));
        all.push(on.append_one(STREAM, input.origin(origin)).await);
    }
    for filters in 0..1 << KINDS {
        let wants = |kind: u64| filters & (1 << kind) != 0;
        let mut read = Read::new().order_key(if wants(0) { "key" } else { "" });
        read.filter.tags.extend(wants(1).then(|| "paid".to_owned()));
        read.filter.metadata.extend(wants(2).then(|| ("env".to_owned(), "prod".to_owned())));
        read.filter.annotations.extend(wants(3).then(|| ("by".to_owned(), "UPS".to_owned())));
        read.filter.since = wants(4).then_some(noon);
        let expected: Vec<_> =
            (0..).zip(&all).filter(|(bits, _)| bits & filters == filters).map(|(_, id)| id).collect();
        assert_finds(&on, read, &expected).await;
    }
}

/// Filters apply before cursor and limit: pages are full of entries that match.
pub async fn filtered_pages_are_full<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut paid = Vec::new();
    for n in 0..30 {
        let input = if n % 5 == 4 { on.input(n).tag("paid") } else { on.input(n) };
        let id = on.append_one(STREAM, input).await;
        paid.extend((n % 5 == 4).then_some(id));
    }
    let read = Read::new().tag("paid").limit(2);
    let page = on.page(STREAM, read.clone()).await;
    assert_eq!((ids(&page), page.more), (paid[..2].to_vec(), true));
    let page = on.page(STREAM, read.clone().after(paid[3].clone())).await;
    assert_eq!(ids(&page), paid[4..]);
    let page = on.page(STREAM, read.clone().limit(7)).await;
    assert_eq!((ids(&page), page.more), (paid.clone(), false));
    let page = on.page(STREAM, read.after(paid[2].clone()).descending()).await;
    assert_eq!(ids(&page), [paid[1].clone(), paid[0].clone()]);
}

/// A filter that nothing meets gives an end, not an empty page with more behind it.
pub async fn a_filter_that_nothing_meets_is_an_end<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    on.fill(STREAM, 5).await;
    let page = on.page(STREAM, Read::new().tag("none").limit(2)).await;
    assert!(page.is_end() && !page.more);
}

/// Every filter finds texts of any kind exactly, and mistakes none for another.
pub async fn odd_texts_are_told_apart<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut all = Vec::new();
    for text in ODD_TEXTS {
        let annotations = [((*text).to_owned(), (*text).to_owned())].into();
        let input = on.input(1).order_key(*text).tag("before").tag(*text).tag("behind");
        let input = input.metadata(*text, *text).metadata("behind", "it");
        all.push(on.append_one(STREAM, input.origin(Origin { annotations, ..Origin::default() })).await);
    }
    for (id, text) in all.iter().zip(ODD_TEXTS) {
        assert_finds(&on, Read::new().order_key(*text), &[id]).await;
        assert_finds(&on, Read::new().tag(*text), &[id]).await;
        assert_finds(&on, Read::new().metadata(*text, *text), &[id]).await;
        assert_finds(&on, Read::new().annotation(*text, *text), &[id]).await;
        assert_finds(&on, Read::new().metadata(*text, "it"), &[]).await;
    }
}

/// Filters are values, never patterns or code.
pub async fn filters_are_not_patterns<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let annotations = [("key".to_owned(), "value".to_owned())].into();
    let input = on.input(1).order_key("value").tag("value").tag("other").metadata("key", "value");
    on.append_one(STREAM, input.origin(Origin { annotations, ..Origin::default() })).await;
    let patterns = [
        "%",
        "_____",
        "val%",
        "*",
        ".*",
        "value ",
        " value",
        "Value",
        "[\"value\"]",
        "\"value\"",
        "value\",\"other",
        "' OR '1'='1",
        "value' --",
        "{\"$ne\":\"\"}",
        "$exists",
        "value\0",
        "\0",
    ];
    for pattern in patterns {
        assert_finds(&on, Read::new().order_key(pattern), &[]).await;
        assert_finds(&on, Read::new().tag(pattern), &[]).await;
        assert_finds(&on, Read::new().metadata("key", pattern), &[]).await;
        assert_finds(&on, Read::new().metadata(pattern, "value"), &[]).await;
        assert_finds(&on, Read::new().annotation("key", pattern), &[]).await;
        assert_finds(&on, Read::new().annotation(pattern, "value"), &[]).await;
    }
}
