use std::sync::Arc;

use bytes::Bytes;
use ledger_streams::{
    AnnotationChanges, Append, Appended, Damaged, Duplicate, Durability, Entry, Event, Expect, Filter, Order,
    Origin, Page, Position, Read, Stat, Timestamp,
};
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::proto;
use crate::status::RequestError;

fn at(seconds: i64, nanos: i32) -> Timestamp {
    Timestamp::new(seconds, nanos).unwrap()
}

fn sample(id: i64, payload_bytes: usize) -> Entry<i64, Bytes> {
    Entry {
        id,
        stream: "s".into(),
        payload: vec![b'x'; payload_bytes].into(),
        order_key: "o".into(),
        dedup_key: "d".into(),
        schema_version: 3,
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        tags: vec!["b".into(), "a".into(), "b".into()],
        annotations: [("note".to_owned(), "x".to_owned())].into(),
        source_id: "41".into(),
        created_at: at(1_795_233_264, 444_000_000),
        updated_at: Some(at(-1, -1)),
    }
}

fn copy() -> Append<Bytes> {
    let origin = Origin {
        source_id: "7".into(),
        annotations: [("a".to_owned(), "b".to_owned())].into(),
        created_at: Some(at(-5, -1)),
        updated_at: Some(at(5, 1)),
    };
    let input = Append::new(Bytes::from_static(b"\0\xff")).order_key("o").dedup_key("d").schema_version(0);
    input.tag("t").tag("t").metadata("k", "v").origin(origin)
}

#[test]
fn an_append_survives_the_wire() {
    for expect in [Expect::Any, Expect::Empty, Expect::LastId(9)] {
        let message = append_request("s", vec![copy(), Append::new(Bytes::new())], &expect);
        let message = proto::AppendRequest::decode(&*message.encode_to_vec()).unwrap();
        let (stream, entries, expected) = into_append::<i64>(message, true).unwrap();
        assert_eq!((&*stream, expected), ("s", expect));
        assert_eq!(entries, [copy(), Append::new(Bytes::new())]);
    }
}

#[test]
fn an_unset_version_means_one_unless_the_caller_is_exact() {
    for (exact, version) in [(false, 1), (true, 0)] {
        let entries = vec![proto::EntryInput::default()];
        let message = proto::AppendRequest { stream: "s".into(), entries, expect: None };
        let (_, entries, _) = into_append::<i64>(message, exact).unwrap();
        assert_eq!(entries[0].schema_version, version);
    }
}

#[test]
fn bad_requests_name_the_field() {
    let bad = prost_types::Timestamp { seconds: 0, nanos: -1 };
    let input = proto::EntryInput { updated_at: Some(bad), ..Default::default() };
    let message = proto::AppendRequest { entries: vec![input], ..Default::default() };
    assert_eq!(into_append::<i64>(message, false), Err(RequestError::InvalidTime { field: "updated_at" }));

    let far = prost_types::Timestamp { seconds: i64::MAX, nanos: 0 };
    let options = proto::ReadOptions { until: Some(far), ..Default::default() };
    let refused = PageRequest::<i64>::from_message(Some(options), 1).unwrap_err();
    assert_eq!(refused, RequestError::InvalidTime { field: "until" });

    let options = proto::ReadOptions { after: "x".into(), ..Default::default() };
    let refused = PageRequest::<i64>::from_message(Some(options), 1).unwrap_err();
    assert_eq!(refused.to_string(), r#"ledger: invalid cursor type: expected a decimal 64-bit id, got "x""#);

    let message = proto::SubscribeRequest { position: 7, ..Default::default() };
    let refused = into_position::<i64>(&message).unwrap_err();
    assert_eq!(refused, RequestError::UnknownValue { field: "position", number: 7 });
}

#[test]
fn an_acknowledgement_survives_the_wire() {
    let levels = [Durability::Memory, Durability::Os, Durability::Synced, Durability::Replicated];
    for durability in levels {
        let answer =
            Appended { ids: vec![4, 10], duplicates: vec![Duplicate { index: 1, id: 3 }], durability };
        assert_eq!(into_appended(appended(&answer)), Ok(answer));
    }
    let of_the_original = proto::AppendResponse { ids: vec!["5".into()], ..Default::default() };
    let expected = Appended { ids: vec![5], duplicates: Vec::new(), durability: Durability::Synced };
    assert_eq!(into_appended(of_the_original), Ok(expected));
}

#[test]
fn deleting_an_annotation_wins_over_setting_it() {
    let set = [("a".to_owned(), "1".to_owned()), ("b".to_owned(), "2".to_owned())].into();
    let delete = vec!["b".to_owned(), "c".to_owned()];
    let message = proto::SetAnnotationsRequest { set, delete, ..Default::default() };
    let expected = AnnotationChanges::new().set("a", "1").delete("b").delete("c");
    assert_eq!(annotation_changes(message), expected);
}

#[test]
fn the_size_of_a_stream_survives_the_wire() {
    for (count, first_id, last_id) in [(0, None, None), (2, Some(9), Some(10))] {
        let size = Stat { stream: "s".into(), count, first_id, last_id };
        assert_eq!(into_stat(stat(size.clone())), Ok(size));
    }
    let zeros = proto::StatResponse { first_id: "0".into(), last_id: "0".into(), ..Default::default() };
    assert_eq!(into_stat::<i64>(zeros).unwrap().first_id, None, "as the original answers");
}

fn any_read() -> impl Strategy<Value = Read<i64>> {
    let keys = || prop::collection::btree_map("[a-c]?", "[a-c]?", 0..3);
    let time = || prop::option::of((-300_000_000_000_i64..200_000_000_000, 0..1_000_000_000));
    let tags = prop::collection::vec("[a-c]?", 0..3);
    let page = (prop::option::of(any::<i64>()), 1..200_usize, 1..1000_usize, any::<bool>(), "[a-c]?");
    (page, tags, keys(), keys(), time(), time()).prop_map(
        |(page, tags, metadata, annotations, since, until)| {
            let (after, limit, max_bytes, descending, order_key) = page;
            let time = |time: Option<(i64, i32)>| time.map(|(seconds, nanos)| at(seconds, nanos));
            let mut read =
                Read { after, ..Read::new().limit(limit).max_bytes(max_bytes).order_key(order_key) };
            read.order = if descending { Order::Descending } else { Order::Ascending };
            read.filter.tags = tags;
            read.filter.metadata = metadata.into_iter().collect();
            read.filter.annotations = annotations.into_iter().collect();
            (read.filter.since, read.filter.until) = (time(since), time(until));
            read
        },
    )
}

proptest! {
    #[test]
    fn a_read_survives_the_wire(read in any_read()) {
        let request = PageRequest::from_message(read_options(&read), 1 << 20).unwrap();
        prop_assert_eq!(request.read, read);
    }

    #[test]
    fn a_time_survives_the_wire(seconds in -377_705_023_201_i64..253_402_207_200, nanos in 0..1_000_000_000) {
        let time = at(seconds, nanos);
        let message = timestamp(time);
        prop_assert_eq!((message.seconds, message.nanos), (seconds, nanos));
        prop_assert_eq!(time::into_time(message), Some(time));
    }
}

#[test]
fn a_key_with_two_values_matches_nothing_and_is_not_asked_for() {
    assert!(read_options(&Read::<i64>::new().metadata("k", "1").metadata("k", "1")).is_some());
    assert!(read_options(&Read::<i64>::new().metadata("k", "1").metadata("k", "2")).is_none());
    assert!(read_options(&Read::<i64>::new().annotation("k", "1").annotation("k", "2")).is_none());
}

fn answer(request: &PageRequest<i64>, page: Page<i64, Bytes>) -> proto::ReadResponse {
    request.answer(page).into()
}

fn broken(id: i64) -> Damaged<i64> {
    Damaged { id, stream: "s".into(), field: "tags", reason: "no list".into() }
}

#[test]
fn a_page_survives_the_wire() {
    let read = Read::new();
    let request = PageRequest::from_message(read_options(&read), 1 << 20).unwrap();
    let whole = Page {
        entries: vec![sample(9, 1), sample(10, 2)],
        damaged: vec![broken(11)],
        next: Some(11),
        more: true,
    };
    let message = answer(&request, whole.clone());
    let message = proto::ReadResponse::decode(&*message.encode_to_vec()).unwrap();
    let (page, cut_short) = into_page(message, &read).unwrap();
    assert_eq!(page, whole);
    assert!(cut_short, "the daemon's bound is lower than what was asked for, so there may be room for more");
    let (page, _) = into_page(answer(&request, Page::empty()), &read).unwrap();
    assert!(page.is_end() && !page.more);
}

#[test]
fn a_page_is_cut_where_its_message_would_be_too_large() {
    let read = Read::new();
    let request = PageRequest::from_message(read_options(&read), 10_000).unwrap();
    let entries = vec![sample(8, 3000), sample(10, 2000), sample(12, 2000)];
    let whole = Page { entries, damaged: vec![broken(9), broken(11)], next: Some(12), more: false };
    let message = answer(&request, whole);
    assert!(message.encoded_len() <= 10_000);
    let (page, cut_short) = into_page(message, &read).unwrap();
    assert!(cut_short && page.more);
    assert_eq!((page.entries.len(), page.damaged.len(), page.next), (2, 2, Some(11)));

    let huge = Page { entries: vec![sample(1, 20_000)], damaged: Vec::new(), next: Some(1), more: false };
    assert_eq!(answer(&request, huge).entries.len(), 1, "a page holds at least one entry");
}

#[test]
fn clients_that_say_nothing_get_messages_they_can_take() {
    let request = PageRequest::<i64>::from_message(None, 1 << 30).unwrap();
    assert_eq!((request.read.limit, request.read.max_bytes), (100, CLASSIC_MESSAGE_BYTES));
    let entries: Vec<_> = (1..=80).map(|id| sample(id, 60_000)).collect();
    let message = answer(&request, Page { entries, damaged: Vec::new(), next: Some(80), more: false });
    assert!(message.encoded_len() <= CLASSIC_MESSAGE_BYTES);
    assert!(message.more() && message.entries.len() > 60);
}

#[test]
fn of_the_original_a_full_page_means_more() {
    let of_the_original = |ids: std::ops::Range<i64>| proto::ReadResponse {
        entries: ids.map(|id| EntryMessages::new(1).message(sample(id, 1))).collect(),
        ..Default::default()
    };
    let read = Read::<i64>::new().limit(3);
    let (page, _) = into_page(of_the_original(1..4), &read).unwrap();
    assert_eq!((page.more, page.next), (true, Some(3)));
    let (page, _) = into_page(of_the_original(1..3), &read).unwrap();
    assert_eq!((page.more, page.next), (false, Some(2)));
}

#[test]
fn events_are_coalesced_and_carry_the_position() {
    let mut position = "7".to_owned();
    let events = vec![
        Event::CaughtUp,
        Event::Behind { at_least: 3 },
        Event::Entry(sample(9, 1)),
        Event::Entry(sample(10, 1)),
        Event::Damaged(broken(11)),
        Event::Entry(sample(12, 1)),
    ];
    let messages = subscribe_responses(events.clone(), &Filter::default(), &mut position);
    let positions: Vec<_> = messages.iter().map(|message| &*message.position).collect();
    assert_eq!(positions, ["7", "7", "10", "11", "12"]);
    assert_eq!(position, "12");
    let back: Vec<_> =
        messages.into_iter().flat_map(|message| into_events::<i64>(message).unwrap()).collect();
    assert_eq!(back, events);
}

#[test]
fn entries_that_do_not_meet_the_conditions_are_passed_over_and_the_position_goes_on() {
    let filter = Filter { tags: vec!["wanted".to_owned()], ..Filter::default() };
    let other = |id: i64| Event::Entry(sample(id, 1));
    let wanted = |id: i64| {
        let mut entry = sample(id, 1);
        entry.tags = filter.tags.clone();
        Event::Entry(entry)
    };
    let deliver = |events: Vec<Event<i64, Bytes>>| {
        let mut position = "7".to_owned();
        let messages = subscribe_responses(events, &filter, &mut position);
        let messages: Vec<_> = messages
            .into_iter()
            .map(|message| (message.position.clone(), into_events::<i64>(message).unwrap()))
            .collect();
        assert_eq!(messages.last().unwrap().0, position, "the last message says where it stands");
        messages
    };
    let told = |at: &str, events: Vec<Event<i64, Bytes>>| (at.to_owned(), events);
    assert_eq!(deliver(vec![other(8), other(9)]), [told("9", vec![])]);
    assert_eq!(deliver(vec![other(8), Event::CaughtUp]), [told("8", vec![Event::CaughtUp])]);
    // Those that are wanted still come together.
    let mixed = vec![other(8), wanted(9), other(10), wanted(11), other(12)];
    assert_eq!(deliver(mixed), [told("12", vec![wanted(9), wanted(11)])]);
    let damaged = vec![other(8), Event::Damaged(broken(9)), other(10)];
    assert_eq!(deliver(damaged), [told("9", vec![Event::Damaged(broken(9))]), told("10", vec![])]);
}

#[test]
fn large_entries_are_sent_apart() {
    let events = (1..=5).map(|id| Event::Entry(sample(id, 400_000))).collect();
    let messages = subscribe_responses::<i64>(events, &Filter::default(), &mut String::new());
    assert_eq!(messages.len(), 3);
    assert!(messages.iter().all(|message| message.encoded_len() < CLASSIC_MESSAGE_BYTES / 2));
}

#[test]
fn a_position_survives_the_wire() {
    let request = |position: i32, after: &str| proto::SubscribeRequest {
        stream: "s".into(),
        position,
        after: after.into(),
        options: None,
    };
    assert_eq!(into_position(&request(0, "")), Ok(Position::<i64>::Start));
    assert_eq!(into_position(&request(1, "")), Ok(Position::<i64>::Now));
    assert_eq!(into_position(&request(1, "5")), Ok(Position::After(5)));
}

#[test]
fn ids_of_another_type_are_named() {
    let message = proto::Entry { id: "6740aa".into(), ..Default::default() };
    let error = into_entry::<i64>(message, &mut "".into()).unwrap_err();
    assert!(error.to_string().contains("6740aa"), "{error}");
}

#[test]
fn messages_made_one_after_the_other_keep_their_own_names_and_ids() {
    let mut messages = EntryMessages::new(2000);
    // More ids than fit into the memory that is taken at a time.
    for id in 0..2000 {
        let stream: Arc<str> = ["a", "a", "", "b"][usize::try_from(id % 4).unwrap()].into();
        let entry = Entry { stream, ..sample(id, 3) };
        let message = messages.message(entry.clone());
        assert_eq!(into_entry::<i64>(message, &mut "".into()).unwrap(), entry);
    }
}

#[test]
fn an_entry_whose_texts_are_none_is_named() {
    for (id, stream, what) in [(&b"\xff"[..], &b"s"[..], "an id"), (b"1", b"s\xff", "a stream")] {
        let message = proto::Entry {
            id: Bytes::from_static(id),
            stream: Bytes::from_static(stream),
            ..Default::default()
        };
        let error = into_entry::<i64>(message, &mut "".into()).unwrap_err();
        assert!(error.to_string().contains(what), "{error}");
    }
}
