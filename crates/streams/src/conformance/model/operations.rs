//! What is done in a random sequence. Few names and values, so that they meet often.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{select, subsequence};
use proptest::strategy::Union;

use super::super::Promised;

pub(super) const STREAMS: &[&str] = &["a", "B", "ü \"x\""];
pub(super) const PAYLOADS: &[&str] =
    &["{}", r#"{"text":"first needle"}"#, r#"{"text":"100%"}"#, r#"{"text":"a \"quoted\" NEEDLE"}"#];
/// Times that copies bring along, all long ago: entries that the store's clock stamps are later.
pub(super) const TIMES: &[&str] =
    &["2020-01-01T00:00:00Z", "2020-01-01T00:00:00.001Z", "2021-06-01T12:00:00Z"];
const KEYS: &[&str] = &["k", "K", "k2"];
const SOURCES: &[&str] = &["s1", "s2", "s3"];
const ORDER_KEYS: &[&str] = &["", "x", "y"];
const TAGS: &[&str] = &["t", "T", "q\"\\,"];
const ATTRIBUTE_KEYS: &[&str] = &["m", "$a.b", ""];
const VALUES: &[&str] = &["1", "2", ""];
const QUERIES: &[&str] = &["", "needle", "0%", "_", "a \"quoted\"", "none"];
const CONSUMERS: &[&str] = &["bridge", "hook"];
const POSITIONS: &[&str] = &["9", "10", "010", "x", ""];

/// Which entry is meant; both stores find their own.
#[derive(Clone, Debug)]
pub(super) enum Reference {
    /// The entry that was created as the n-th, modulo the number of entries; it may be trimmed by now.
    Nth(usize),
    /// An entry that never was.
    Missing,
}

#[derive(Clone, Debug)]
pub(super) enum Expectation {
    Any,
    Empty,
    Last(Reference),
    /// The entry that is the last of the stream; it holds.
    ActualLast,
}

pub(super) type Pairs = Vec<(&'static str, &'static str)>;

#[derive(Clone, Debug)]
pub(super) struct Item {
    pub(super) payload: usize,
    pub(super) order_key: &'static str,
    pub(super) dedup_key: Option<&'static str>,
    pub(super) schema_version: i64,
    pub(super) tags: Vec<&'static str>,
    pub(super) metadata: Pairs,
    pub(super) copy: Option<Copied>,
    /// Carries a character that is refused.
    pub(super) is_bad: bool,
}

#[derive(Clone, Debug)]
pub(super) struct Copied {
    pub(super) source_id: Option<&'static str>,
    pub(super) annotations: Pairs,
    pub(super) created_at: Option<&'static str>,
    pub(super) updated_at: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) struct Selection {
    pub(super) after: Option<usize>,
    pub(super) limit: usize,
    pub(super) max_bytes: usize,
    pub(super) descending: bool,
    pub(super) order_key: &'static str,
    pub(super) tags: Vec<&'static str>,
    pub(super) metadata: Pairs,
    pub(super) annotations: Pairs,
    pub(super) since: Option<&'static str>,
    pub(super) until: Option<&'static str>,
}

#[derive(Clone, Debug)]
pub(super) enum Operation {
    Append {
        stream: &'static str,
        batch: Vec<Item>,
        expect: Expectation,
    },
    Read {
        stream: &'static str,
        selection: Selection,
    },
    Search {
        stream: Option<&'static str>,
        query: &'static str,
        selection: Selection,
    },
    Count {
        stream: &'static str,
    },
    Stat {
        stream: &'static str,
    },
    SetTags {
        stream: &'static str,
        entry: Reference,
        tags: Vec<&'static str>,
    },
    SetAnnotations {
        stream: &'static str,
        entry: Reference,
        changes: Vec<(&'static str, Option<&'static str>)>,
    },
    Trim {
        stream: &'static str,
        up_to: usize,
    },
    List {
        after: Option<&'static str>,
        limit: usize,
    },
    Rename {
        from: &'static str,
        to: &'static str,
    },
    FindBySource {
        stream: &'static str,
        source_id: &'static str,
    },
    SetCursor {
        name: &'static str,
        position: &'static str,
    },
    GetCursor {
        name: &'static str,
    },
}

impl Selection {
    fn everything() -> Self {
        Self {
            after: None,
            limit: 1000,
            max_bytes: 1 << 20,
            descending: false,
            order_key: "",
            tags: Vec::new(),
            metadata: Vec::new(),
            annotations: Vec::new(),
            since: None,
            until: None,
        }
    }
}

impl Operation {
    /// The list of all streams.
    pub(super) fn everything_listed() -> Self {
        Self::List { after: None, limit: 1000 }
    }

    /// The whole of a stream, seen in different ways.
    pub(super) fn everything_in(stream: &'static str) -> [Self; 4] {
        let descending = Selection { descending: true, ..Selection::everything() };
        [
            Self::Read { stream, selection: Selection::everything() },
            Self::Read { stream, selection: descending },
            Self::Count { stream },
            Self::Stat { stream },
        ]
    }
}

/// Sequences of up to 40 operations that a store with these capabilities can do.
pub(super) fn operations(promised: Promised) -> impl Strategy<Value = Vec<Operation>> {
    let mut kinds = vec![
        (12, append().boxed()),
        (
            4,
            (stream(), selection())
                .prop_map(|(stream, selection)| Operation::Read { stream, selection })
                .boxed(),
        ),
        (1, stream().prop_map(|stream| Operation::Count { stream }).boxed()),
        (1, stream().prop_map(|stream| Operation::Stat { stream }).boxed()),
        (2, set_tags().boxed()),
        (3, set_annotations().boxed()),
        (2, (stream(), 0..64_usize).prop_map(|(stream, up_to)| Operation::Trim { stream, up_to }).boxed()),
        (
            1,
            (option::of(stream()), 1..4_usize)
                .prop_map(|(after, limit)| Operation::List { after, limit })
                .boxed(),
        ),
    ];
    if promised.search {
        kinds.push((3, search().boxed()));
    }
    if promised.rename {
        kinds.push((2, (stream(), stream()).prop_map(|(from, to)| Operation::Rename { from, to }).boxed()));
    }
    if promised.find_by_source {
        let find = (stream(), select(SOURCES));
        kinds.push((
            1,
            find.prop_map(|(stream, source_id)| Operation::FindBySource { stream, source_id }).boxed(),
        ));
    }
    if promised.cursors {
        let set = (select(CONSUMERS), select(POSITIONS));
        kinds.push((2, set.prop_map(|(name, position)| Operation::SetCursor { name, position }).boxed()));
        kinds.push((1, select(CONSUMERS).prop_map(|name| Operation::GetCursor { name }).boxed()));
    }
    // Mostly long, because that finds more; in two parts that can both be shrunk to almost nothing.
    let kinds = Union::new_weighted(kinds);
    let both = |(mut first, second): (Vec<_>, Vec<_>)| {
        first.extend(second);
        first.truncate(40);
        first
    };
    (vec(kinds.clone(), 1..=30), vec(kinds, 0..=30)).prop_map(both)
}

fn stream() -> impl Strategy<Value = &'static str> {
    // Most of what happens happens in one stream, so that it meets.
    prop_oneof![4 => Just(STREAMS[0]), 1 => select(STREAMS)]
}

fn reference() -> impl Strategy<Value = Reference> {
    prop_oneof![9 => (0..64_usize).prop_map(Reference::Nth), 1 => Just(Reference::Missing)]
}

fn expectation() -> impl Strategy<Value = Expectation> {
    prop_oneof![
        6 => Just(Expectation::Any),
        1 => Just(Expectation::Empty),
        2 => Just(Expectation::ActualLast),
        1 => reference().prop_map(Expectation::Last),
    ]
}

fn pairs() -> impl Strategy<Value = Pairs> {
    vec((select(ATTRIBUTE_KEYS), select(VALUES)), 0..3)
}

fn tags() -> impl Strategy<Value = Vec<&'static str>> {
    vec(select(TAGS), 0..4)
}

fn append() -> impl Strategy<Value = Operation> {
    (stream(), vec(item(), 0..5), expectation()).prop_map(|(stream, batch, expect)| Operation::Append {
        stream,
        batch,
        expect,
    })
}

fn item() -> impl Strategy<Value = Item> {
    let keys = (select(ORDER_KEYS), option::weighted(0.3, select(KEYS)), 0..4_i64);
    let copy = option::weighted(0.3, copied());
    (0..PAYLOADS.len(), keys, tags(), pairs(), copy, prop::bool::weighted(0.02)).prop_map(
        |(payload, (order_key, dedup_key, schema_version), tags, metadata, copy, is_bad)| Item {
            payload,
            order_key,
            dedup_key,
            schema_version,
            tags,
            metadata,
            copy,
            is_bad,
        },
    )
}

fn copied() -> impl Strategy<Value = Copied> {
    (option::of(select(SOURCES)), pairs(), option::of(select(TIMES)), option::of(select(TIMES))).prop_map(
        |(source_id, annotations, created_at, updated_at)| Copied {
            source_id,
            annotations,
            created_at,
            updated_at,
        },
    )
}

fn selection() -> impl Strategy<Value = Selection> {
    let page = (
        option::weighted(0.3, 0..64_usize),
        prop_oneof![1..5_usize, Just(1000)],
        prop_oneof![3 => Just(1 << 20), 1 => 0..80_usize],
        any::<bool>(),
    );
    let tags = prop_oneof![4 => Just(Vec::new()), 1 => subsequence(TAGS, 1..=2)];
    let time = || option::weighted(0.1, select(TIMES));
    let few_pairs = || prop_oneof![4 => Just(Vec::new()), 1 => pairs()];
    let order_key = prop_oneof![3 => Just(""), 1 => select(ORDER_KEYS)];
    (page, order_key, tags, few_pairs(), few_pairs(), time(), time()).prop_map(
        |((after, limit, max_bytes, descending), order_key, tags, metadata, annotations, since, until)| {
            Selection {
                after,
                limit,
                max_bytes,
                descending,
                order_key,
                tags,
                metadata,
                annotations,
                since,
                until,
            }
        },
    )
}

fn search() -> impl Strategy<Value = Operation> {
    (option::of(stream()), select(QUERIES), selection())
        .prop_map(|(stream, query, selection)| Operation::Search { stream, query, selection })
}

fn set_tags() -> impl Strategy<Value = Operation> {
    (stream(), reference(), tags()).prop_map(|(stream, entry, tags)| Operation::SetTags {
        stream,
        entry,
        tags,
    })
}

fn set_annotations() -> impl Strategy<Value = Operation> {
    let changes = vec((select(ATTRIBUTE_KEYS), option::weighted(0.7, select(VALUES))), 0..4);
    (stream(), reference(), changes).prop_map(|(stream, entry, changes)| Operation::SetAnnotations {
        stream,
        entry,
        changes,
    })
}
