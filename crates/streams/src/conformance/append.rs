//! Appending: what goes in comes out, all or nothing.

use super::Harness;
use super::fixture::{Fixture, STREAM, expect_error, ids, rise, sort, text_payload, within};
use crate::{Append, Appended, Expect, Origin, Read, Store, Timestamp};

/// An entry reads back with every attribute that it was given, and with those that the store adds.
pub async fn an_entry_comes_back_as_it_was_appended<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let input = on
        .input(1)
        .order_key("customer-1")
        .dedup_key("request-1")
        .schema_version(3)
        .metadata("env", "prod")
        .metadata("source", "web")
        .tag("new")
        .tag("paid");
    let id = on.append_one(STREAM, input.clone()).await;

    let entry = on.only(STREAM).await;
    assert_eq!(entry.id, id);
    assert_eq!(&*entry.stream, STREAM);
    assert_eq!(entry.payload, input.payload);
    assert_eq!(entry.order_key, "customer-1");
    assert_eq!(entry.dedup_key, "request-1");
    assert_eq!(entry.schema_version, 3);
    assert_eq!(entry.metadata, input.metadata);
    assert_eq!(entry.tags, ["new", "paid"]);
    assert!(entry.annotations.is_empty());
    assert_eq!(entry.source_id, "");
    assert!(entry.created_at > Timestamp::UNIX_EPOCH, "the store's clock stamps the entry");
    assert_eq!(entry.updated_at, None);
}

/// An entry without attributes reads back without attributes and at version 1.
pub async fn an_entry_needs_nothing_but_a_payload<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    on.append_one(STREAM, on.input(1)).await;

    let entry = on.only(STREAM).await;
    assert_eq!((&*entry.order_key, &*entry.dedup_key, &*entry.source_id), ("", "", ""));
    assert_eq!(entry.schema_version, 1);
    assert!(entry.metadata.is_empty() && entry.tags.is_empty() && entry.annotations.is_empty());
}

/// The ids of a batch are answered in input order, rise, and belong to the entries in that order.
pub async fn a_batch_keeps_its_order<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let batch = on.inputs(0..50);
    let appended = on.append(STREAM, batch.clone()).await;

    assert!(rise(&appended.ids), "{:?}", appended.ids);
    assert!(appended.duplicates.is_empty());
    let entries = on.all(STREAM).await;
    assert_eq!(ids(&entries), appended.ids);
    for (entry, input) in entries.iter().zip(&batch) {
        assert_eq!(entry.payload, input.payload);
    }
    assert_eq!(entries.len(), batch.len());
}

/// Ids rise through the whole store, whichever stream is appended to.
pub async fn ids_rise_through_the_store<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut all = Vec::new();
    for n in 0..10 {
        let stream = if n % 2 == 0 { "even" } else { "odd" };
        all.push(on.append_one(stream, on.input(n)).await);
    }
    assert!(rise(&all), "{all:?}");
}

/// A stream holds what was appended to it and nothing else.
pub async fn streams_do_not_see_each_other<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let one = on.append_one("one", on.input(1)).await;
    let two = on.append_one("two", on.input(2)).await;

    assert_eq!(on.ids("one", Read::new()).await, [one]);
    assert_eq!(on.ids("two", Read::new()).await, [two]);
    assert_eq!(&*on.only("two").await.stream, "two");
    assert_eq!(on.store.count("one").await.unwrap(), 1);
}

/// An empty batch is acknowledged whatever it expects, and does not make a stream.
pub async fn an_empty_batch_writes_nothing<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let nothing = Appended::nothing(harness.durability());
    for expect in [Expect::Any, Expect::Empty, Expect::LastId(harness.missing_id())] {
        assert_eq!(on.store.append(STREAM, Vec::new(), expect).await.unwrap(), nothing);
    }
    on.assert_empty().await;

    on.append_one(STREAM, on.input(1)).await;
    assert_eq!(on.store.append(STREAM, Vec::new(), Expect::Empty).await.unwrap(), nothing);
    assert_eq!(on.store.count(STREAM).await.unwrap(), 1);
}

/// One entry that cannot be written keeps the whole batch out, wherever it stands in it.
pub async fn a_batch_with_a_bad_entry_writes_nothing<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    for bad in [0, 2, 4] {
        let mut batch = on.inputs(0..5);
        batch[bad] = batch[bad].clone().tag("\0");
        expect_error!(on.store.append(STREAM, batch, Expect::Any).await, InvalidText);
        on.assert_empty().await;
    }

    let origin = Origin { source_id: "taken".into(), ..Origin::default() };
    on.append_one("other", on.input(1).origin(origin.clone())).await;
    let mut batch = on.inputs(0..5);
    batch[3] = batch[3].clone().origin(origin);
    expect_error!(on.store.append(STREAM, batch, Expect::Any).await, SourceTaken);
    assert_eq!(on.store.count(STREAM).await.unwrap(), 0, "the entries before the bad one are not written");
    assert_eq!(on.streams().await, ["other"]);
}

/// A failed append leaves nothing behind that would be in the way of the next one.
pub async fn an_append_after_a_failed_one_succeeds<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let bad = on.input(1).dedup_key("key").tag("\0");
    expect_error!(on.store.append(STREAM, vec![on.input(0), bad], Expect::Any).await, InvalidText);

    let id = on.append_one(STREAM, on.input(1).dedup_key("key")).await;
    assert_eq!(on.only(STREAM).await.id, id);
}

/// Every acknowledgement names the level of the store: of new entries, of duplicates, of nothing.
pub async fn acknowledgements_name_the_durability<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let promised = harness.durability();
    let keyed = || vec![on.input(1).dedup_key("key")];
    assert_eq!(on.append(STREAM, keyed()).await.durability, promised);
    assert_eq!(on.append(STREAM, keyed()).await.durability, promised, "of a duplicate");
    assert_eq!(on.append(STREAM, Vec::new()).await.durability, promised, "of nothing");
}

/// Schema versions are kept as they are; one that the store cannot hold is refused, never cut.
pub async fn schema_versions_are_kept<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    for version in [0, 1, 2, 3, 65_536, i64::from(i32::MAX)] {
        let stream = format!("version {version}");
        on.append_one(&stream, on.input(1).schema_version(version)).await;
        assert_eq!(on.only(&stream).await.schema_version, version);
    }
    for version in [-1, i64::from(u32::MAX), i64::MAX] {
        let stream = format!("version {version}");
        match on.store.append(&stream, vec![on.input(1).schema_version(version)], Expect::Any).await {
            Ok(_) => assert_eq!(on.only(&stream).await.schema_version, version),
            Err(crate::StoreError::LimitExceeded(_)) => assert_eq!(on.store.count(&stream).await.unwrap(), 0),
            Err(other) => panic!("a version is kept or refused as too large, got {other:?}"),
        }
    }
}

/// An empty payload is an entry like any other.
pub async fn an_empty_payload_is_kept<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let Some(empty) = harness.raw(b"") else { return };
    let batch = vec![on.input(0), Append::new(empty.clone()), on.input(2)];
    assert_eq!(on.append(STREAM, batch).await.len(), 3);
    assert_eq!(on.all(STREAM).await[1].payload, empty);
}

/// Payloads of bytes are kept byte by byte, whether they are text or not.
pub async fn payload_bytes_are_kept_verbatim<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let every_byte: Vec<u8> = (0..=u8::MAX).collect();
    let samples: [&[u8]; 6] =
        [&every_byte, b"\0", b"\xff\xfe", b" {\"b\" : 1,\n\"a\":1.0} ", b"\"a\\u003cb<\"", b"null"];
    for (n, bytes) in samples.into_iter().enumerate() {
        let Some(payload) = harness.raw(bytes) else { return };
        let stream = format!("sample {n}");
        on.append_one(&stream, Append::new(payload.clone())).await;
        assert_eq!(on.only(&stream).await.payload, payload);
    }
}

/// Payloads with every kind of text in them are kept.
pub async fn payloads_of_odd_texts_are_kept<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let texts = super::fixture::ODD_TEXTS.iter().chain(&["", "a\0b"]);
    let batch: Vec<_> = texts.map(|text| Append::new(text_payload(harness, text))).collect();
    on.append(STREAM, batch.clone()).await;
    let entries = on.all(STREAM).await;
    assert_eq!(entries.len(), batch.len());
    for (entry, input) in entries.iter().zip(&batch) {
        assert_eq!(entry.payload, input.payload);
    }
}

/// Whoever has got an acknowledgement finds the entry, through every handle and in every view of the store.
pub async fn an_acknowledged_entry_is_visible_at_once<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let other = on.store.clone();
    for n in 0..20 {
        let id = on.append_one(STREAM, on.input(n)).await;
        let last = other.read(STREAM, &Read::new().descending().limit(1)).await.unwrap();
        assert_eq!(ids(&last), std::slice::from_ref(&id));
        assert_eq!(other.stat(STREAM).await.unwrap().last_id, Some(id));
        assert_eq!(other.count(STREAM).await.unwrap(), n + 1);
    }
    assert_eq!(other.list_streams(None, 10).await.unwrap(), [STREAM]);
}

/// Appends of many tasks to many streams all arrive, each where it belongs.
pub async fn concurrent_appends_all_arrive<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16 {
        let store = on.store.clone();
        let batches: Vec<_> = (0..10).map(|n| on.inputs(n..n + 1 + task % 3)).collect();
        tasks.spawn(async move {
            let stream = format!("stream {}", task % 4);
            let mut acknowledged = Vec::new();
            for batch in batches {
                acknowledged.extend(super::fixture::append(&store, &stream, batch).await.ids);
            }
            (stream, acknowledged)
        });
    }
    let mut by_stream = std::collections::BTreeMap::<_, Vec<_>>::new();
    for (stream, acknowledged) in within(tasks.join_all()).await {
        assert!(rise(&acknowledged), "ids of one task rise");
        by_stream.entry(stream).or_default().extend(acknowledged);
    }
    for (stream, mut acknowledged) in by_stream {
        sort(&mut acknowledged);
        assert_eq!(ids(&on.all(&stream).await), acknowledged);
    }
}

/// Ids have a text form, and parsing it gives the id back; the empty text is never an id.
pub async fn ids_have_a_text_form<H: Harness>(harness: &H) {
    use crate::EntryId;

    let on = Fixture::open(harness).await;
    for id in on.fill(STREAM, 12).await {
        assert_eq!(super::IdOf::<H>::parse(&id.to_string()).unwrap(), id);
    }
    let error = super::IdOf::<H>::parse("").unwrap_err();
    assert_eq!(error.text, "");
    assert!(error.to_string().starts_with("ledger: invalid cursor type"), "{error}");
}
