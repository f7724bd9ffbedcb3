//! The list of cases, and the macros that turn it into tests.

use std::future::Future;
use std::time::Duration;

/// After this long a case counts as hanging. Not a measure of speed.
const HANG: Duration = Duration::from_secs(600);

/// Runs a case on a runtime of its own with several threads.
pub fn run(case: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build();
    let runtime = runtime.expect("a runtime for the case");
    let finished = runtime.block_on(async { tokio::time::timeout(HANG, case).await });
    // A store that hangs in a thread of its own must not hang the test as well.
    runtime.shutdown_background();
    finished.expect("the case ends instead of hanging");
}

/// Makes a test of every case of the [suite](crate::conformance) for a [`Harness`](crate::conformance::Harness).
///
/// The argument is an expression that makes the harness; it is evaluated once per case.
#[macro_export]
macro_rules! conformance_suite {
    ($harness:expr) => {
        $crate::__conformance_cases! { [$crate::__conformance_tests] [$harness] }
    };
}

/// Makes a test of every case about [`Transactions`](crate::Transactions); see [`conformance_suite!`].
#[macro_export]
macro_rules! conformance_suite_of_transactions {
    ($harness:expr) => {
        $crate::__conformance_cases_of_transactions! { [$crate::__conformance_tests] [$harness] }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_tests {
    ([$harness:expr] $($module:ident { $($case:ident)* })*) => {
        $(
            mod $module {
                #[allow(unused_imports, reason = "the harness may be named by an absolute path")]
                use super::*;
                $(
                    #[test]
                    fn $case() {
                        let harness = $harness;
                        $crate::conformance::run($crate::conformance::$module::$case(&harness));
                    }
                )*
            }
        )*
    };
}

/// Every case, by subject. A test below compares it with the files.
#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases {
    ([$($macro:tt)*] [$($argument:tt)*]) => {
        $($macro)*! {
            [$($argument)*]
            append {
                an_entry_comes_back_as_it_was_appended
                an_entry_needs_nothing_but_a_payload
                a_batch_keeps_its_order
                ids_rise_through_the_store
                streams_do_not_see_each_other
                an_empty_batch_writes_nothing
                a_batch_with_a_bad_entry_writes_nothing
                an_append_after_a_failed_one_succeeds
                acknowledgements_name_the_durability
                schema_versions_are_kept
                an_empty_payload_is_kept
                payload_bytes_are_kept_verbatim
                payloads_of_odd_texts_are_kept
                an_acknowledged_entry_is_visible_at_once
                concurrent_appends_all_arrive
                ids_have_a_text_form
            }
            dedup {
                a_known_key_is_skipped_and_its_holder_named
                an_empty_key_never_deduplicates
                the_same_key_in_two_streams_is_two_entries
                the_first_of_equal_keys_in_a_batch_wins
                a_batch_of_known_and_new_keys_writes_the_new_ones
                the_payload_is_not_compared
                a_key_can_be_used_again_after_trim
                keys_are_compared_byte_by_byte
                concurrent_appends_of_one_key_write_one_entry
                batches_with_keys_in_opposite_order_all_succeed
            }
            expect {
                empty_holds_while_there_are_no_entries
                empty_conflicts_with_a_stream_that_has_entries
                last_id_holds_for_the_last_entry
                last_id_conflicts_with_any_other_entry
                last_id_conflicts_with_an_empty_stream
                a_retry_is_a_duplicate_whatever_it_expects
                a_batch_that_is_partly_known_must_meet_its_expectation
                an_append_with_two_reasons_to_fail_writes_nothing
                of_concurrent_appends_one_wins
                a_conflict_is_enough_to_try_again
            }
            origin {
                a_copy_keeps_what_it_brings_along
                an_origin_may_be_empty
                times_of_copies_are_kept
                a_copy_can_be_changed_like_any_entry
                a_replay_is_a_duplicate
                the_first_of_equal_source_ids_in_a_batch_wins
                the_dedup_key_is_looked_at_first
                a_source_id_of_another_stream_is_refused
                a_source_id_can_be_used_again_after_trim
                concurrent_replays_write_one_copy
                a_copy_is_found_by_its_source_id
                a_copy_can_have_a_dedup_key
            }
            read {
                an_unknown_stream_is_an_empty_page
                pages_follow_each_other
                descending_pages_go_back
                a_cursor_need_not_be_an_entry_of_the_stream
                a_page_is_as_long_as_asked
                a_page_is_cut_by_bytes
                a_page_holds_at_least_one_entry
                walking_in_tiny_pages_equals_one_big_page
                a_walk_goes_on_with_new_entries
            }
            filters {
                order_key
                tags
                tags_that_were_replaced
                metadata
                one_key_with_two_values_finds_nothing
                annotations
                time_range
                every_combination
                filtered_pages_are_full
                a_filter_that_nothing_meets_is_an_end
                odd_texts_are_told_apart
                filters_are_not_patterns
            }
            texts {
                any_text_names_a_stream
                any_text_is_kept_in_attributes
                any_text_can_be_set_later
                empty_texts_are_kept
                long_texts_are_kept
                the_zero_character_is_refused
                the_zero_character_is_refused_in_changes
                the_zero_character_finds_nothing
            }
            stat {
                of_an_unknown_stream_is_nothing
                counts_one_stream
                duplicates_do_not_count
                follows_a_trim
            }
            trim {
                deletes_up_to_and_including_the_id
                is_idempotent
                of_an_unknown_stream_deletes_nothing
                the_id_need_not_be_an_entry_of_the_stream
                ids_are_never_used_again
                what_is_trimmed_is_gone
                concurrent_trims_count_each_entry_once
            }
            list {
                streams_are_listed_in_byte_order
                pages_of_names_follow_each_other
                a_page_of_names_is_as_long_as_asked
                the_empty_name_is_listed
                a_trimmed_stream_is_not_listed
                only_entries_make_a_stream
            }
            tags_and_annotations {
                tags_are_replaced
                an_empty_list_clears_the_tags
                tags_keep_order_and_repetition
                annotations_are_merged
                changing_nothing_counts_as_a_change
                other_entries_stay_as_they_are
                tags_and_annotations_are_independent
                an_entry_that_is_not_in_the_stream_is_not_found
                concurrent_annotations_all_survive
                concurrent_tags_and_annotations_both_survive
            }
            subscribe {
                from_the_start
                entries_arrive_as_they_are_read
                from_now
                from_behind_an_id
                a_stream_that_does_not_exist_yet
                catching_up_with_a_long_stream
                large_payloads_arrive
                two_subscribers_do_not_share
                a_slow_subscriber_is_told_and_loses_nothing
                no_gap_and_no_repeat_under_concurrent_writers
                an_interrupted_wait_loses_nothing
                a_waiting_subscriber_is_woken
                only_new_entries_are_news
                a_duplicate_is_no_news
                closing_the_store_ends_every_subscription
            }
            order_of_visibility {
                a_walk_misses_nothing_that_is_being_written
                a_walk_over_all_streams_misses_nothing
                the_end_of_a_stream_only_moves_forward
                batches_become_visible_whole
                what_was_delivered_can_be_read
            }
            search {
                finds_what_contains_the_text
                all_streams_at_once
                ascii_letters_match_in_either_case
                no_character_is_a_wildcard
                text_in_json_is_found_as_it_was_typed
                the_empty_query_matches_everything
                payloads_need_not_be_text
                every_filter_applies
                pages_follow_each_other
                follows_appends_and_trims
                an_index_changes_nothing_that_is_found
            }
            rename {
                entries_stay_as_they_are
                the_stream_goes_on_under_its_new_name
                the_old_name_can_be_used_again
                a_name_that_is_taken_is_refused
                an_unknown_stream_is_refused
                equal_names_are_fine
                names_of_any_kind_and_in_any_order
                source_ids_and_searches_follow
                a_subscriber_of_the_new_name_gets_the_entries
                appends_at_the_same_time_are_not_lost
            }
            cursors {
                each_consumer_has_its_own
                positions_only_move_forward
                decimal_positions_compare_as_numbers
                other_positions_compare_by_bytes
                any_text_names_a_consumer
                of_concurrent_positions_the_furthest_remains
                positions_are_kept_beside_the_entries
            }
            capabilities {
                are_exactly_those_promised
                the_store_has_a_name
                an_open_store_is_healthy
                the_store_can_be_used_as_a_trait_object
                two_stores_share_nothing
            }
            closed {
                every_operation_fails
                every_capability_fails
                closed_comes_before_bad_arguments
                closing_twice_is_fine
                appends_under_way_are_answered
            }
            limits {
                of_a_page_by_number
                of_a_page_by_bytes
                of_payloads_and_batches_by_bytes
                of_a_batch_by_number
                of_stream_names
                of_names_that_are_only_read
                of_keys
                of_attributes_at_append
                of_attributes_in_one_change
                of_attributes_that_grow
                of_search_texts
                of_cursors
                what_was_refused_leaves_no_trace
            }
            model {
                random_operations_match_the_model
            }
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __conformance_cases_of_transactions {
    ([$($macro:tt)*] [$($argument:tt)*]) => {
        $($macro)*! {
            [$($argument)*]
            transactions {
                writes_are_seen_inside_only
                every_operation_is_kept_after_commit
                a_rollback_undoes_everything
                dropping_is_a_rollback
                readers_do_not_wait
                appends_of_others_are_not_lost
                a_walk_misses_nothing_of_a_transaction
                transactions_take_turns
                subscribers_hear_of_what_is_committed
                a_failed_operation_leaves_the_transaction_usable
                capabilities_work_inside
                positions_of_consumers_join_in
                a_typed_stream_works_inside
                an_empty_transaction_is_fine
                a_closed_store_begins_none
            }
        }
    };
}

#[cfg(test)]
mod tests {
    macro_rules! assert_listed {
        ([] $($module:ident { $($case:ident)* })*) => {
            [$((include_str!(concat!(stringify!($module), ".rs")), stringify!($module), vec![$(stringify!($case)),*])),*]
        };
    }

    #[test]
    fn every_case_is_in_the_list() {
        let listed = __conformance_cases! { [assert_listed] [] };
        let of_transactions = __conformance_cases_of_transactions! { [assert_listed] [] };
        for (source, module, listed) in listed.into_iter().chain(of_transactions) {
            let cases: Vec<_> = source
                .lines()
                .filter_map(|line| line.strip_prefix("pub async fn "))
                .map(|rest| rest.split(['<', '(']).next().unwrap())
                .collect();
            assert_eq!(listed, cases, "in {module}");
            assert!(!cases.is_empty(), "in {module}");
        }
    }

    #[test]
    fn every_subject_is_in_the_list() {
        let listed = __conformance_cases! { [assert_listed] [] };
        let of_transactions = __conformance_cases_of_transactions! { [assert_listed] [] };
        let mut listed: Vec<_> =
            listed.iter().chain(&of_transactions).map(|(_, module, _)| *module).collect();
        listed.sort_unstable();
        let modules = include_str!("mod.rs").lines().filter_map(|line| line.strip_prefix("pub mod "));
        let modules: Vec<_> = modules.map(|rest| rest.trim_end_matches(';')).collect();
        assert_eq!(listed, modules);
    }
}
