//! The suite that every backend passes.
//!
//! A backend shows how its stores are opened ([`Fixture`]), and [`conformance_suite!`](crate::conformance_suite)
//! makes one test of each case:
//!
//! ```ignore
//! pelton_statestore::conformance_suite!(memory, MemoryFixture);
//! ```
//!
//! The crate that runs it needs `tokio` with `macros`, `rt-multi-thread` and `time`. A case is one behaviour, and
//! its name the sentence that it proves. Nothing is timed. Random cases print their seed, and take one from the
//! environment variable `PELTON_SEED`.
//!
//! | module | what is proved |
//! |---|---|
//! | [`commits`], [`preconditions`], [`scans`], [`limits`] | the contract of [`StateStore`](crate::StateStore), call by call |
//! | [`concurrency`] | the same with many callers |
//! | [`model`] | any sequence of calls gives what an ordered map gives |
//! | [`reopening`] | what outlives an unclean stop |
//! | [`fencing`], [`reshaping`] | I1, I2 and I3 on top of it: zombies, late commits, lost answers, splits and merges |
//!
//! [`wire`] is a store behind a network that loses and delays, on top of any store.

pub mod commits;
pub mod concurrency;
pub mod fencing;
pub mod limits;
pub mod model;
pub mod preconditions;
pub mod reopening;
pub mod reshaping;
pub mod scans;
pub mod wire;

mod support;
mod world;

use crate::store::StoreHandle;
use futures_util::future::BoxFuture;

/// One store under test.
pub trait Fixture: Sized + Send + Sync + 'static {
    /// Opens a store of its own, with nothing under keys that begin with the byte 1 and `test`.
    fn open() -> BoxFuture<'static, Self>;

    /// The store.
    fn store(&self) -> StoreHandle;

    /// Stops the store as if its process had been killed, and opens it again.
    ///
    /// Every handle from [`store`](Self::store) has been dropped. `None` where there is no such thing: then the
    /// cases about it prove nothing.
    fn reopen(self) -> BoxFuture<'static, Option<Self>>;
}

/// Makes a module `$name` with one test for each case of the suite, run on the [`Fixture`] `$fixture`.
#[macro_export]
macro_rules! conformance_suite {
    ($name:ident, $fixture:ty) => {
        mod $name {
            use super::*;

            $crate::conformance_suite!(@commits $fixture:
                a_commit_is_all_or_nothing,
                a_committed_value_is_read_back,
                a_later_write_of_one_commit_wins,
                a_deleted_key_is_absent,
                deleting_an_absent_key_is_no_error,
                range_deletes_remove_every_key_of_the_range_and_no_other,
                range_deletes_spare_what_the_same_commit_puts_afterwards,
                range_deletes_take_what_the_same_commit_put_before,
                an_empty_or_inverted_range_deletes_nothing,
                a_commit_without_writes_succeeds,
                an_empty_value_is_a_value,
                keys_and_values_may_hold_any_bytes,
                many_keys_are_read_in_their_order,
                reading_no_keys_gives_no_values,
                the_incarnation_stays_the_same,
            );
            $crate::conformance_suite!(@preconditions $fixture:
                a_refused_commit_changes_nothing,
                a_refusal_names_the_key_or_the_start_of_the_range,
                a_value_precondition_compares_exact_bytes,
                an_absent_key_is_told_from_an_empty_value,
                an_empty_precondition_sees_a_key_in_its_range,
                an_empty_precondition_ignores_deleted_keys,
                an_empty_precondition_ends_where_its_range_ends,
                every_precondition_counts,
                a_commit_does_not_see_its_own_writes_in_its_preconditions,
                preconditions_alone_are_checked,
            );
            $crate::conformance_suite!(@scans $fixture:
                scans_page_in_order,
                a_page_holds_no_more_entries_than_asked_for,
                a_page_ends_once_it_has_its_bytes,
                a_page_holds_one_entry_however_large,
                a_range_includes_its_start_and_excludes_its_end,
                an_empty_or_inverted_range_holds_nothing,
                deleted_keys_are_not_scanned,
                a_scan_goes_on_behind_keys_that_were_deleted_meanwhile,
                keys_that_are_prefixes_of_each_other_are_told_apart,
            );
            $crate::conformance_suite!(@limits $fixture:
                limits_are_refused_with_sizes,
                a_commit_at_its_limits_succeeds,
                a_commit_over_the_limits_changes_nothing,
            );
            $crate::conformance_suite!(@concurrency $fixture:
                concurrent_commits_on_one_precondition_have_one_winner,
                concurrent_increments_all_count,
                a_page_is_a_snapshot,
                a_reader_sees_what_was_acknowledged_before,
                concurrent_commits_of_disjoint_keys_all_succeed,
                a_dropped_call_lands_whole_or_not_at_all,
            );
            $crate::conformance_suite!(@model $fixture:
                any_sequence_of_calls_gives_what_an_ordered_map_gives,
            );
            $crate::conformance_suite!(@reopening $fixture:
                reopening_after_an_unclean_stop_keeps_every_acknowledged_commit,
                reopening_keeps_deletes,
                reopening_keeps_the_incarnation,
                a_commit_under_way_at_an_unclean_stop_is_whole_or_absent,
                a_reopened_store_goes_on,
            );
            $crate::conformance_suite!(@fencing $fixture:
                a_zombies_late_commit_changes_nothing,
                a_zombie_that_wakes_is_told_that_it_is_fenced,
                a_new_owners_first_scan_sees_everything_committed_before,
                a_fenced_commit_that_was_in_doubt_may_have_landed_before,
                an_unknown_outcome_is_settled_by_the_token,
                a_commit_that_was_lost_is_made_again_once,
                after_a_cancelled_commit_a_reign_says_nothing_more,
                equal_commit_numbers_do_not_mean_the_same_attempt,
                a_late_attempt_of_a_commit_made_again_changes_nothing,
                a_late_attempt_that_lands_before_the_next_counts_once,
                a_late_take_over_changes_nothing,
                two_take_overs_leave_one_owner,
                fences_are_created_once,
                a_cloned_store_is_refused,
                no_interleaving_of_two_owners_loses_or_doubles_a_commit,
            );
            $crate::conformance_suite!(@reshaping $fixture:
                a_late_commit_under_old_bounds_changes_nothing_after_a_split,
                a_late_commit_under_old_bounds_changes_nothing_after_a_merge,
                a_commit_that_lands_before_a_split_refuses_it,
                a_commit_that_lands_before_a_merge_refuses_it,
                a_split_with_a_lost_answer_is_settled_by_the_token,
                a_late_split_changes_nothing_after_a_take_over,
                old_bounds_cannot_be_taken_over_after_a_split,
                parts_without_an_owner_can_be_taken_over,
            );
        }
    };
    (@$module:ident $fixture:ty: $($case:ident,)*) => {
        mod $module {
            use super::*;
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $case() {
                    $crate::conformance::$module::$case::<$fixture>().await;
                }
            )*
        }
    };
}
