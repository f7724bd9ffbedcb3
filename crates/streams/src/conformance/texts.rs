//! Texts of every kind, wherever a text can stand.

use super::fixture::{Fixture, ODD_TEXTS, STREAM, expect_error};
use super::{Harness, fixture::Input};
use crate::{AnnotationChanges, Expect, InvalidText, Origin, Read, Store};

/// Any text can be the name of a stream, and no two texts name the same one.
pub async fn any_text_names_a_stream<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut all = Vec::new();
    for (n, name) in (0..).zip(ODD_TEXTS) {
        all.push(on.append_one(name, on.input(n).dedup_key("key")).await);
    }
    for (id, name) in all.iter().zip(ODD_TEXTS) {
        let entry = on.only(name).await;
        assert_eq!((&entry.id, &*entry.stream), (id, *name));
        assert_eq!(on.store.count(name).await.unwrap(), 1);
        assert_eq!(on.store.stat(name).await.unwrap().stream, *name);
    }
    let mut names = ODD_TEXTS.to_vec();
    names.sort_unstable();
    assert_eq!(on.streams().await, names);
}

/// Keys, tags, metadata and annotations of any text read back as they were given.
pub async fn any_text_is_kept_in_attributes<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let mut inputs = Vec::new();
    for text in ODD_TEXTS {
        let annotations =
            [((*text).to_owned(), format!("{text}!")), ("plain".to_owned(), (*text).to_owned())];
        let origin =
            Origin { source_id: (*text).to_owned(), annotations: annotations.into(), ..Origin::default() };
        let input = on.input(1).order_key(*text).dedup_key(*text).tag(*text).tag(format!("{text}{text}"));
        inputs.push(input.metadata(*text, format!("{text}?")).metadata("plain", *text).origin(origin));
    }
    assert_eq!(on.append(STREAM, inputs.clone()).await.len(), inputs.len());
    for (entry, input) in on.all(STREAM).await.iter().zip(inputs) {
        assert_eq!((&entry.order_key, &entry.dedup_key), (&input.order_key, &input.dedup_key));
        assert_eq!((&entry.tags, &entry.metadata), (&input.tags, &input.metadata));
        let origin = input.origin.unwrap();
        assert_eq!((&entry.source_id, &entry.annotations), (&origin.source_id, &origin.annotations));
    }
}

/// Changes set any text, one key beside the other.
pub async fn any_text_can_be_set_later<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1)).await;
    let tags: Vec<String> = ODD_TEXTS.iter().copied().chain([""]).map(str::to_owned).collect();
    on.store.set_tags(STREAM, &id, tags.clone()).await.unwrap();
    assert_eq!(on.only(STREAM).await.tags, tags);

    for text in &tags {
        let changes = AnnotationChanges::new().set(text, format!("{text}!"));
        on.store.set_annotations(STREAM, &id, changes).await.unwrap();
    }
    let mut expected: std::collections::BTreeMap<_, _> =
        tags.iter().map(|text| (text.clone(), format!("{text}!"))).collect();
    assert_eq!(on.only(STREAM).await.annotations, expected);
    for text in &tags {
        on.store.set_annotations(STREAM, &id, AnnotationChanges::new().delete(text)).await.unwrap();
        expected.remove(text);
        assert_eq!(on.only(STREAM).await.annotations, expected);
    }
}

/// Empty keys and values of metadata are kept.
pub async fn empty_texts_are_kept<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let input = on.input(1).metadata("", "no key").metadata("no value", "").tag("");
    on.append_one(STREAM, input.clone()).await;
    let entry = on.only(STREAM).await;
    assert_eq!((entry.metadata, entry.tags), (input.metadata, input.tags));
}

/// Long texts are kept to the last byte.
pub async fn long_texts_are_kept<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let long = "ä🦀".repeat(10_000);
    let input = on.input(1).tag(&long).metadata(&long, &long);
    let id = on.append_one(STREAM, input.clone()).await;
    on.store.set_annotations(STREAM, &id, AnnotationChanges::new().set(&long, &long)).await.unwrap();
    let entry = on.only(STREAM).await;
    assert_eq!(
        (&entry.tags, &entry.metadata, &entry.annotations),
        (&input.tags, &input.metadata, &input.metadata)
    );
    assert_eq!(
        on.ids(STREAM, Read::new().tag(&long).metadata(&long, &long).annotation(&long, &long)).await,
        [id]
    );
}

/// U+0000, which not every backend can keep, is refused in every text that would be written, and nothing is written.
pub async fn the_zero_character_is_refused<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let bad = "ab\0c";
    let annotated = |key: &str, value: &str| {
        let annotations = [(key.to_owned(), value.to_owned())].into();
        on.input(1).origin(Origin { annotations, ..Origin::default() })
    };
    let inputs: [Input<H>; 8] = [
        on.input(1).order_key(bad),
        on.input(1).dedup_key(bad),
        on.input(1).tag("good").tag(bad),
        on.input(1).metadata(bad, "value"),
        on.input(1).metadata("key", bad),
        annotated(bad, "value"),
        annotated("key", bad),
        on.input(1).origin(Origin { source_id: bad.to_owned(), ..Origin::default() }),
    ];
    let is_located = |facts: InvalidText| assert_eq!(facts.at, 2, "{facts}");
    for input in inputs {
        is_located(expect_error!(
            on.store.append(STREAM, vec![on.input(0), input], Expect::Any).await,
            InvalidText
        ));
    }
    is_located(expect_error!(on.store.append(bad, on.inputs(0..1), Expect::Any).await, InvalidText));
    on.assert_empty().await;
}

/// U+0000 is refused in changes, and the entry stays as it was.
pub async fn the_zero_character_is_refused_in_changes<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one(STREAM, on.input(1).tag("old")).await;
    let before = on.only(STREAM).await;
    expect_error!(on.store.set_tags(STREAM, &id, vec!["good".into(), "\0".into()]).await, InvalidText);
    for changes in [
        AnnotationChanges::new().set("good", "1").set("\0", "value"),
        AnnotationChanges::new().set("good", "1").set("key", "\0"),
        AnnotationChanges::new().set("good", "1").delete("\0"),
    ] {
        expect_error!(on.store.set_annotations(STREAM, &id, changes).await, InvalidText);
    }
    assert_eq!(on.only(STREAM).await, before);
}

/// Reading with U+0000 in a name finds nothing, because nothing can have it.
pub async fn the_zero_character_finds_nothing<H: Harness>(harness: &H) {
    let on = Fixture::open(harness).await;
    let id = on.append_one("a", on.input(1)).await;
    for name in ["a\0", "\0", "a\0b"] {
        assert!(on.page(name, Read::new()).await.is_end());
        assert_eq!(on.store.count(name).await.unwrap(), 0);
        assert_eq!(on.store.stat(name).await.unwrap().first_id, None);
        assert_eq!(on.store.trim(name, &id).await.unwrap(), 0);
        expect_error!(on.store.set_tags(name, &id, Vec::new()).await, EntryNotFound);
        expect_error!(on.store.set_annotations(name, &id, AnnotationChanges::new()).await, EntryNotFound);
    }
    assert_eq!(on.store.count("a").await.unwrap(), 1);
}
