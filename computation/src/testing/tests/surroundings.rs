//! Where a harness runs: in async tests, on stores that fail, with computations that read nothing; always the same.

use super::*;
use crate::testing::HarnessError;
use pelton_statestore::memory::{FaultPlan, Memory};

fn run(mut harness: Harness) -> Vec<crate::testing::Output<u64>> {
    for second in 0..5 {
        harness.push(&ORDERS, "k", at(second), &Do::Count).unwrap();
        harness.advance_clock(Duration::from_secs(1)).unwrap();
        harness.advance_watermark(at(second)).unwrap();
    }
    harness.output(&COUNTS).unwrap()
}

#[test]
fn the_same_calls_give_the_same_results_ids_included() {
    let first = run(harness());
    assert_eq!(first.iter().map(|output| output.value).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    assert_eq!(run(harness()), first);
}

#[tokio::test]
async fn it_works_in_an_async_test_as_well() {
    assert_eq!(run(harness()).len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_in_an_async_test_on_several_threads() {
    assert_eq!(run(harness()).len(), 5);
}

#[test]
fn a_store_that_fails_and_leaves_outcomes_unknown_changes_no_result() {
    for seed in 0..5 {
        let store = Arc::new(Memory::with_faults(seed, FaultPlan::stormy()));
        let values: Vec<_> = run(builder().store(store).build().unwrap()).iter().map(|o| o.value).collect();
        assert_eq!(values, [1, 2, 3, 4, 5], "I3: seed {seed}");
    }
}

/// Counts by itself, three times: a source of a kind.
#[derive(Clone)]
struct Ticking;

impl Computation for Ticking {
    type Input = ();

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&SEEN).output(&COUNTS);
    }

    async fn process(&mut self, _: &mut Context<'_>, _: Input<()>) -> Result<(), Failure> {
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let seen = SEEN.get(cx).await?.unwrap_or(0) + 1;
        SEEN.set(cx, &seen)?;
        let now = at(i64::try_from(seen).unwrap_or(0));
        cx.emit(&COUNTS, "all", now, &seen)?;
        match seen {
            3 => Ok(()),
            _ => cx.set_timer(Timer::after("next", Duration::from_secs(1)).output_at(now)),
        }
    }
}

#[test]
fn a_computation_that_reads_nothing_starts_by_its_timer_and_ends_by_itself() {
    let mut harness = Harness::new(Step::new("ticking", Ticking).starts_with_key("clock")).unwrap();
    assert_eq!((counts(&mut harness), harness.output_watermark()), (vec![1], at(1)));
    harness.crash().unwrap();
    harness.advance_clock(Duration::from_secs(1)).unwrap();
    assert_eq!((counts(&mut harness), harness.output_watermark()), (vec![2], at(2)));
    harness.advance_clock(Duration::from_secs(1)).unwrap();
    assert_eq!((counts(&mut harness), harness.output_watermark()), (vec![3], EventTime::MAX));
    assert!(matches!(harness.advance_watermark(at(9)), Err(HarnessError::NoInput { .. })));
}
