//! A journal of JSON Lines on a workstation, and the SQLite archive derived from it.
//!
//! Tools that watch coding agents append what they see to one file of JSON Lines, the *ledger*: turns, tool results, stamps.
//! The file is the truth. Everything else is derived and can be made anew: the index that keeps records from being written
//! twice, and the archive that answers questions without reading the whole file. The content of conversations is kept beside
//! it, one file per session. This crate shares all these files, and the locks around them, with the program in TypeScript that
//! introduced them: both may work in one home at the same time.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! use relayburn_ledger::record::{Number, Turn, Usage};
//! use relayburn_ledger::stamp::{Selector, Stamp};
//! use relayburn_ledger::{Archive, Home, Ledger, Query};
//!
//! let home = Home::at(folder.path());
//! let ledger = Ledger::new(home.clone());
//! let turn = Turn {
//!     source: "codex".into(),
//!     session_id: "s-1".into(),
//!     message_id: "m-1".into(),
//!     ts: "2026-04-20T00:00:00.000Z".into(),
//!     usage: Usage { input: Number(100.0), ..Usage::default() },
//!     ..Turn::default()
//! };
//! assert_eq!(ledger.append(&[turn.clone()])?, 1);
//! assert_eq!(ledger.append(&[turn])?, 0); // known by its id
//! ledger.stamp(&Stamp::now(Selector::session("s-1"), vec![("tier".into(), "best".into())]))?;
//!
//! let archive = Archive::new(home)?;
//! archive.build(&mut |_done, _total| {})?;
//! let best = archive.turns(&Query { enrichment: vec![("tier".into(), "best".into())], ..Query::default() })?;
//! assert_eq!(best[0].usage[0], 100.0);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Rooms
//!
//! | module | subject |
//! |---|---|
//! | [`jsonl`], [`lock`] | the generic layer: files of JSON Lines, and locks that are files. They know nothing of the rest |
//! | [`json`] | JSON as `JSON.parse` and `JSON.stringify` see it |
//! | [`home`], [`config`] | where everything is, and how it is configured |
//! | [`mod@line`], [`record`], [`stamp`], [`hash`] | what a line is; records; stamps; identity |
//! | [`ledger`], `index` | appending each record once |
//! | [`reader`] | reading the ledger as it stands |
//! | [`reclassify`] | rewriting labels in place |
//! | [`content`], [`cursors`] | the sidecars |
//! | [`archive`] | the tables |
//! | [`state`] | the commands `burn state …` |
//!
//! # Promises
//!
//! - An append that returned survives a power cut ([`Durability::Synced`](jsonl::Durability); the index need not, it is
//!   found again in the ledger).
//! - A record that was appended is not appended again, whatever process tries, and whenever it was killed.
//! - One bad line is left out of the archive, counted and named; nothing else is lost with it.
//! - Looking changes nothing: status and queries neither create nor alter a file. A newer archive is refused, untouched.
//! - Readers of the archive see the old one until a rebuild is complete.
//! - The memory of builds does not depend on the length of the ledger. Two things grow slowly with its content: a build holds
//!   a hash of every session it touches, and the stamps that name no session. An index rebuild holds the hashes of all ids,
//!   about 40 bytes each.
//!
//! What is *not* here: the ingest that reads the logs of agents, the classifier that labels turns, prices, and the storage
//! adapter that keeps everything in one SQLite database (`RELAYBURN_STORAGE=sqlite`; the archive refuses to run with it).
//!
//! # The cases of the original's tests
//!
//! Numbers are those of specification §8; files are in `tests/`. Which test shows the cure of which weakness of §9 is in
//! `docs/compatibility.md`.
//!
//! | case | test |
//! |---|---|
//! | archive 1 | `archive.rs: without_a_ledger_an_empty_archive_is_made` |
//! | archive 2, 11–14 | `fixture.rs: a_full_rebuild_has_every_row_of_the_original`, `archive.rs: events_keep_absent_null_and_true_apart` |
//! | archive 3–6 | `archive.rs: stamps_reach_turns_before_and_after_them` |
//! | archive 7, 10 | `archive.rs: a_second_build_without_changes_applies_nothing`, `a_torn_last_line_is_left_for_later` |
//! | archive 8 | `archive.rs: many_stamps_do_not_slow_a_turn_down` |
//! | archive 9, 15, 16, 24 | `fixture.rs: incremental_builds_have_every_row_and_every_count_of_the_original`, `a_full_rebuild_has_…`, `rebuild.rs: repeated_records_come_to_the_same_…` |
//! | archive 17, 20, 19 | `fixture.rs: the_file_begins_as_documented`, `archive.rs: builds_set_their_times` |
//! | archive 18 | `archive.rs: a_ledger_that_shrank_is_archived_anew` |
//! | archive 21 | `archive.rs: a_torn_last_line_is_left_for_later` |
//! | archive 22, 23 | `fixture.rs: a_full_rebuild_has_…` (the fixture mixes all classes), `every_recorded_command_answers_as_the_original` in `cli.rs` (histogram) |
//! | archive 25, 26 | `fixture.rs: archives_of_early_releases_are_shown_as_they_are_and_completed_by_the_next_build`; nothing is wiped by looking |
//! | archive 27, 28 | `archive.rs: vacuum_tells_the_sizes_and_keeps_the_rows` |
//! | archive 29 | `archive.rs: builds_and_vacuums_wait_for_each_other` |
//! | archive 30 | `archive.rs: availability_is_a_regular_file_and_queries_create_nothing`, `cli.rs: another_storage_is_refused` |
//! | archive query 1, 8, 9 | `archive.rs: availability_is_a_regular_file_and_queries_create_nothing`, `fixture.rs: every_query_selects_what_the_original_selects` |
//! | archive query 2–7, 10–14 | `fixture.rs: unfiltered_turns_equal_those_of_the_original`, `every_query_selects_…` |
//! | archive query 15 | `archive.rs: a_damaged_archive_is_named_and_made_anew_by_the_next_build` |
//! | lock 1–6 | `lock.rs`, in their order |
//! | ledger 1, 2 | `ledger.rs: turns_come_back_as_they_were_written_with_an_empty_enrichment` |
//! | ledger 3, 5–9, 13 | `ledger.rs: stamps_reach_the_turns_that_they_select` |
//! | ledger 4 | `ledger.rs: a_stamp_with_a_parent_agent_brings_one_relationship` |
//! | ledger 10 | `ledger.rs: stamps_reach_the_turns_that_they_select` |
//! | ledger 11, 12 | `ledger.rs: a_known_id_or_content_is_not_appended_again` |
//! | ledger 14–18, 20–22 | `ledger.rs: other_records_round_trip_and_are_deduplicated` |
//! | ledger 19, 23, 24 | `ledger.rs: an_index_rebuild_covers_every_kind_and_leaves_no_duplicates`, `records_that_the_index_misses_are_found_again` |
//! | cursors 1–4, 6, 7 | `ledger.rs: cursors_survive_and_concurrent_changes_of_other_keys_stay` |
//! | cursors 5 | `lock.rs: contenders_never_overlap_and_all_get_their_turn` |
//! | content 1–5, 13, 24–26 | `ledger.rs: content_is_kept_per_session_and_once`, `content_of_the_fixture_reads_as_the_original_reads_it` |
//! | content 6–12 | `ledger.rs: pruning_obeys_age_and_predicate` |
//! | config 14–23 | `src/config.rs` |
//! | reclassify 1–3, 5, 6 | `ledger.rs: reclassifying_fills_labels_and_leaves_every_other_byte`, `appends_during_a_pass_over_the_ledger_survive_it` |
//! | reclassify 4, hook settings, sqlite adapter | belong to the classifier, the hooks and the adapter, which are not here |
//! | `burn state` | `cli.rs` |
#![forbid(unsafe_code)]

pub mod archive;
pub mod config;
pub mod content;
pub mod cursors;
mod fields;
pub mod hash;
pub mod home;
mod index;
pub mod json;
pub mod jsonl;
pub mod ledger;
pub mod line;
pub mod lock;
mod parallel;
pub mod reader;
pub mod reclassify;
pub mod record;
pub mod stamp;
pub mod state;

pub use archive::{Archive, ArchiveError};
pub use home::Home;
pub use index::Rebuilt;
pub use ledger::{Ledger, LedgerError};
pub use reader::Query;
