//! The suite has teeth: for every broken promise there is a case that fails.
//!
//! Each test first runs a case on a sound store in the same wrapper, where it must pass, then on one with a single
//! defect, where it must fail.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test")]

mod broken;
mod journalled;

use std::panic::{AssertUnwindSafe, catch_unwind};

use broken::Defect;

/// Runs a case and tells whether it failed. The clock stands still while a task can run and jumps when all wait, so a
/// case that would hang fails at once.
fn fails(case: impl Future<Output = ()>) -> bool {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_time().start_paused(true).build().unwrap();
    catch_unwind(AssertUnwindSafe(|| runtime.block_on(case))).is_err()
}

macro_rules! defects {
    ($sound:expr; $($defect:expr => $name:ident: $($module:ident::$case:ident)*;)*) => {
        $(
            #[test]
            fn $name() {
                use ledger_streams::conformance::*;
                $(
                    assert!(!$crate::fails($module::$case(&$sound)), "the wrapper alone breaks nothing");
                    assert!($crate::fails($module::$case(&$defect)), "{} does not find it", stringify!($case));
                )*
            }
        )*
    };
}
use defects;

defects! {
    Defect::None;

    Defect::DropsDedupKeys => dropped_dedup_keys: dedup::a_known_key_is_skipped_and_its_holder_named
        dedup::concurrent_appends_of_one_key_write_one_entry append::an_entry_comes_back_as_it_was_appended;
    Defect::NamesDuplicatesByTheirOrder => wrongly_named_duplicates: dedup::the_first_of_equal_keys_in_a_batch_wins;
    Defect::ForgetsExpectations => forgotten_expectations: expect::empty_conflicts_with_a_stream_that_has_entries
        expect::last_id_conflicts_with_any_other_entry expect::last_id_conflicts_with_an_empty_stream
        expect::an_append_with_two_reasons_to_fail_writes_nothing
        expect::a_batch_that_is_partly_known_must_meet_its_expectation;
    Defect::ChecksExpectationsBeforeDuplicates => retries_that_conflict:
        expect::a_retry_is_a_duplicate_whatever_it_expects;
    Defect::ChecksExpectationsTooEarly => racing_expectations: expect::of_concurrent_appends_one_wins;
    Defect::WritesWhatItCanOfABatch => partly_written_batches: append::a_batch_with_a_bad_entry_writes_nothing;
    Defect::WritesBatchesOneByOne => torn_batches: order_of_visibility::batches_become_visible_whole;
    Defect::ClaimsToSync => claimed_durability: append::acknowledgements_name_the_durability
        append::an_empty_batch_writes_nothing;
    Defect::DropsTakenSources => dropped_copies: origin::a_source_id_of_another_stream_is_refused;
    Defect::DropsOriginTimes => dropped_times: origin::times_of_copies_are_kept filters::time_range;
    Defect::DropsEmptyPayloads => dropped_empty_payloads: append::an_empty_payload_is_kept;
    Defect::AcceptsZeroCharacters => accepted_zero_characters: texts::the_zero_character_is_refused
        texts::the_zero_character_is_refused_in_changes;
    Defect::StampsVersionZero => version_zero: append::an_entry_needs_nothing_but_a_payload
        append::schema_versions_are_kept;
    Defect::TakesEmptyKeysForKeys => empty_keys: dedup::an_empty_key_never_deduplicates origin::an_origin_may_be_empty;
    Defect::ComparesWithTheLastOfTheStore => expectations_of_the_store: expect::last_id_holds_for_the_last_entry;
    Defect::DropsOriginAnnotations => dropped_annotations: origin::a_copy_keeps_what_it_brings_along
        origin::a_copy_can_be_changed_like_any_entry;
    Defect::DropsSourceIds => dropped_source_ids: origin::a_replay_is_a_duplicate
        origin::concurrent_replays_write_one_copy origin::a_copy_is_found_by_its_source_id;
    Defect::DropsEmptyTexts => dropped_empty_texts: texts::empty_texts_are_kept
        tags_and_annotations::tags_keep_order_and_repetition;
    Defect::CutsLongTexts => cut_texts: texts::long_texts_are_kept limits::of_attributes_at_append limits::of_keys;
    Defect::RefusesNothing => unrefused_excess: limits::of_stream_names limits::of_attributes_at_append limits::of_keys
        limits::of_a_batch_by_number limits::of_search_texts limits::of_cursors;

    Defect::IgnoresTags => ignored_tags: filters::tags filters::every_combination
        search::every_filter_applies filters::odd_texts_are_told_apart;
    Defect::IgnoresMetadata => ignored_metadata: filters::metadata filters::one_key_with_two_values_finds_nothing;
    Defect::IgnoresTime => ignored_times: filters::time_range filters::every_combination;
    Defect::IgnoresDirection => ignored_direction: read::descending_pages_go_back;
    Defect::IgnoresBytes => ignored_page_bytes: read::a_page_is_cut_by_bytes read::a_page_holds_at_least_one_entry;
    Defect::IncludesTheCursor => inclusive_cursors: read::pages_follow_each_other
        read::a_cursor_need_not_be_an_entry_of_the_stream;
    Defect::HidesAnEntryOfAFullPage => hidden_entries: read::walking_in_tiny_pages_equals_one_big_page;
    Defect::SaysThatThereIsNoMore => pages_that_deny_their_rest: read::pages_follow_each_other
        read::walking_in_tiny_pages_equals_one_big_page search::pages_follow_each_other;
    Defect::ShowsSomeEntriesLate => late_visibility: order_of_visibility::a_walk_misses_nothing_that_is_being_written
        order_of_visibility::a_walk_over_all_streams_misses_nothing
        order_of_visibility::the_end_of_a_stream_only_moves_forward append::an_acknowledged_entry_is_visible_at_once;
    Defect::CutsLongPagesSilently => silently_cut_pages: limits::of_a_page_by_number limits::of_a_page_by_bytes;
    Defect::FailsOnUnknownStreams => unknown_streams_that_fail: read::an_unknown_stream_is_an_empty_page;
    Defect::CountsTheWholeStore => counts_of_the_store: stat::counts_one_stream stat::of_an_unknown_stream_is_nothing
        append::streams_do_not_see_each_other;

    Defect::SortsTags => sorted_tags: tags_and_annotations::tags_keep_order_and_repetition;
    Defect::LosesConcurrentAnnotations => lost_annotations: tags_and_annotations::concurrent_annotations_all_survive;
    Defect::DoesNotStampEmptyChanges => unstamped_changes: tags_and_annotations::changing_nothing_counts_as_a_change;
    Defect::ChangesMissingEntriesSilently => silent_changes_of_nothing:
        tags_and_annotations::an_entry_that_is_not_in_the_stream_is_not_found;
    Defect::TrimsBelowTheId => short_trims: trim::deletes_up_to_and_including_the_id;
    Defect::TrimsEveryStream => trims_of_other_streams: trim::the_id_need_not_be_an_entry_of_the_stream;
    Defect::IgnoresEmptyTagLists => tags_that_stay: tags_and_annotations::an_empty_list_clears_the_tags;
    Defect::ReplacesAnnotations => replaced_annotations: tags_and_annotations::annotations_are_merged;
    Defect::ClearsAnnotationsWithTags => cleared_annotations: tags_and_annotations::tags_and_annotations_are_independent
        tags_and_annotations::concurrent_tags_and_annotations_both_survive;
    Defect::AnnotationsGrowWithoutBound => unbounded_annotations: limits::of_attributes_that_grow;

    Defect::ListsInAlphabeticalOrder => alphabetical_lists: list::streams_are_listed_in_byte_order;
    Defect::ListsTrimmedStreams => listed_ghosts: list::a_trimmed_stream_is_not_listed;

    Defect::LosesWakeUps => lost_wake_ups: subscribe::a_waiting_subscriber_is_woken
        subscribe::closing_the_store_ends_every_subscription
        subscribe::no_gap_and_no_repeat_under_concurrent_writers rename::a_subscriber_of_the_new_name_gets_the_entries;
    Defect::DeliversWithoutTags => stripped_entries: subscribe::entries_arrive_as_they_are_read;
    Defect::FollowsKnownStreamsOnly => refused_subscriptions: subscribe::a_stream_that_does_not_exist_yet;
    Defect::LosesEventsOfInterruptedWaits => interrupted_waits: subscribe::an_interrupted_wait_loses_nothing;
    Defect::RepeatsEntries => repeated_entries: subscribe::no_gap_and_no_repeat_under_concurrent_writers
        subscribe::catching_up_with_a_long_stream;
    Defect::DecidesLaterWhatNowMeans => a_late_now: subscribe::from_now;
    Defect::NeverTellsWhoIsBehind => untold_slowness: subscribe::a_slow_subscriber_is_told_and_loses_nothing;
    Defect::TellsTooEarlyThatItHasCaughtUp => early_news_of_the_end: subscribe::from_the_start
        subscribe::catching_up_with_a_long_stream;

    Defect::HidesACapability => hidden_capabilities: capabilities::are_exactly_those_promised
        capabilities::the_store_can_be_used_as_a_trait_object;
    Defect::HasNoName => missing_names: capabilities::the_store_has_a_name;
    Defect::SharesStores => shared_stores: capabilities::two_stores_share_nothing;
    Defect::SearchesTags => searched_tags: search::finds_what_contains_the_text;
    Defect::SearchesCaseSensitively => searches_with_case: search::ascii_letters_match_in_either_case
        search::text_in_json_is_found_as_it_was_typed;
    Defect::IndexesNewEntriesOnly => half_an_index: search::an_index_changes_nothing_that_is_found;
    Defect::SearchesWithWildcards => wildcards: search::no_character_is_a_wildcard;
    Defect::SearchesWithoutFilters => searches_without_filters: search::every_filter_applies;
    Defect::SearchesWithoutStreamNames => searches_without_names: search::all_streams_at_once;
    Defect::RenamesOverOtherStreams => overwritten_streams: rename::a_name_that_is_taken_is_refused;
    Defect::RefusesEqualNames => refused_equal_names: rename::equal_names_are_fine;
    Defect::RenamesToLowerCase => changed_names: rename::names_of_any_kind_and_in_any_order;
    Defect::HasOneCursorForAll => shared_cursors: cursors::each_consumer_has_its_own cursors::any_text_names_a_consumer;
    Defect::RacesForCursors => racing_cursors: cursors::of_concurrent_positions_the_furthest_remains;
    Defect::ComparesCursorsAsText => cursors_compared_as_text: cursors::decimal_positions_compare_as_numbers;
    Defect::MovesCursorsBack => cursors_that_claim_to_move: cursors::positions_only_move_forward;

    Defect::AcceptsAfterClose => use_after_close: closed::every_operation_fails closed::every_capability_fails
        closed::closed_comes_before_bad_arguments subscribe::closing_the_store_ends_every_subscription;
    Defect::AnswersEmptyBatchesAfterClose => empty_batches_after_close: closed::every_operation_fails;
}

/// Defects that the comparison with the in-memory store finds by itself, so often that missing one in a run is out of the
/// question.
#[test]
fn the_model_finds_defects_by_itself() {
    use ledger_streams::conformance::model::random_operations_match_the_model as case;

    ledger_streams::conformance::run(case(&Defect::None));
    for defect in [
        Defect::DropsDedupKeys,
        Defect::NamesDuplicatesByTheirOrder,
        Defect::ForgetsExpectations,
        Defect::WritesWhatItCanOfABatch,
        Defect::IgnoresTags,
        Defect::IgnoresMetadata,
        Defect::IgnoresDirection,
        Defect::IgnoresBytes,
        Defect::IncludesTheCursor,
        Defect::SaysThatThereIsNoMore,
        Defect::SortsTags,
        Defect::DoesNotStampEmptyChanges,
        Defect::ChangesMissingEntriesSilently,
        Defect::TrimsBelowTheId,
        Defect::ListsTrimmedStreams,
        Defect::SearchesWithoutFilters,
    ] {
        let run = AssertUnwindSafe(|| ledger_streams::conformance::run(case(&defect)));
        assert!(catch_unwind(run).is_err(), "{defect:?}");
    }
}
