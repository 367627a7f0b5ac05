//! Operators against plain computations, in disorder and through crashes (I7, I9, I11, I12).

use crate::flow::dedup::{Dedup, Deduplicate};
use crate::flow::disturbed::{at, disordered, random, run};
use crate::flow::enrich::{Enrich, asking};
use crate::flow::rate::{Limit, Rate};
use crate::flow::suppress::Suppress;
use crate::outlet::Outlet;
use crate::pipeline::RetryPolicy;
use crate::testing::{Harness, Output};
use crate::window::{Pane, PaneInfo, Timing, Window};
use crate::{EventTime, Failure, Step, Stream};
use rand::RngExt;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

static IN: Stream<u32> = Stream::new("in");
static OUT: Stream<u32> = Stream::new("out");
static PANES: Stream<Pane<u32>> = Stream::new("panes");
static FINAL: Stream<Pane<u32>> = Stream::new("final");

const KEYS: u64 = 3;

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn values(harness: &mut Harness) -> Vec<u32> {
    harness.output(&OUT).unwrap().into_iter().map(|output| output.value).collect()
}

fn dedup(dedup: Dedup) -> Harness {
    Harness::new(Step::new("dedup", Deduplicate { dedup, outlet: Outlet::to(&OUT) }).reads(&IN)).unwrap()
}

#[test]
fn of_the_same_records_one_passes_whatever_the_order_and_whatever_crashes() {
    let mut random = random();
    for _ in 0..30 {
        // Three times each: at one time, or up to 4 s apart; those of the next group are more than 5 s away.
        let groups: Vec<(u64, u32)> = (0..40).map(|n| (random.random_range(0..KEYS), n)).collect();
        let mut events = Vec::new();
        for (key, group) in &groups {
            for _ in 0..3 {
                events.push((*key, i64::from(*group) * 10 + random.random_range(0..5), *group));
            }
        }
        let events = disordered(&mut random, events, |event| event.1, 30);
        let mut harness = dedup(Dedup::within(secs(5)));
        let mut passed = Vec::new();
        let push = |harness: &mut Harness, (key, second, group): &(u64, i64, u32)| {
            harness.push(&IN, *key, at(*second), group).unwrap();
        };
        run(
            &mut harness,
            &mut random,
            &events,
            |event| event.1,
            push,
            |harness, _| passed.extend(values(harness)),
        );
        passed.sort_unstable();
        assert_eq!(passed, (0..40).collect::<Vec<u32>>());
        for key in 0..KEYS {
            assert_eq!((harness.entries(key).unwrap(), harness.timers(key).unwrap().len()), (0, 0), "I11");
        }
    }
}

#[test]
fn a_record_too_late_to_tell_whether_it_is_the_same_is_counted() {
    let mut harness = dedup(Dedup::within(secs(5)).allowed_lateness(secs(10)));
    harness.advance_watermark(at(100)).unwrap();
    for (second, value) in [(89, 1), (90, 2), (94, 3), (95, 4)] {
        harness.push(&IN, "k", at(second), &value).unwrap();
    }
    assert_eq!((values(&mut harness), harness.late_dropped()), (vec![2, 4], 1));
}

fn window(start: i64) -> Window {
    Window::new(at(start), at(start + 10)).unwrap()
}

fn pane(start: i64, value: u32, retraction: bool) -> Pane<u32> {
    let info =
        PaneInfo { index: 0, nonspeculative_index: None, timing: Timing::Early, first: true, last: false };
    Pane { window: window(start), value, info, retraction }
}

fn suppress(lateness: Duration) -> Harness {
    let operator = Suppress { lateness, outlet: Outlet::to(&FINAL) };
    Harness::new(Step::new("suppress", operator).reads(&PANES)).unwrap()
}

fn finals(harness: &mut Harness) -> Vec<(Window, u32)> {
    harness
        .output(&FINAL)
        .unwrap()
        .into_iter()
        .map(|output| (output.value.window, output.value.value))
        .collect()
}

#[test]
fn only_the_last_pane_of_a_window_is_told_and_it_is_not_late_then() {
    let mut harness = suppress(secs(5));
    let push = |harness: &mut Harness, pane: Pane<u32>| {
        harness.push(&PANES, "k", pane.window.latest(), &pane).unwrap();
    };
    push(&mut harness, pane(0, 1, false));
    push(&mut harness, pane(10, 7, false));
    push(&mut harness, pane(0, 2, false));
    push(&mut harness, pane(20, 9, false));
    push(&mut harness, pane(20, 9, true));
    harness.crash().unwrap();
    harness.advance_watermark(at(15)).unwrap();
    push(&mut harness, pane(0, 3, false));
    assert_eq!((finals(&mut harness), harness.output_watermark()), (vec![], window(0).latest()));
    harness.advance_watermark(at(16)).unwrap();
    assert_eq!(finals(&mut harness), [(window(0), 3)]);
    push(&mut harness, pane(0, 4, false));
    assert_eq!((finals(&mut harness), harness.late_dropped()), (vec![], 1));
    harness.finish().unwrap();
    assert_eq!(finals(&mut harness), [(window(10), 7)], "what was taken back is not told");
    assert_eq!((harness.entries("k").unwrap(), harness.timers("k").unwrap().len()), (0, 0));
}

fn limit(rate: Rate) -> Harness {
    Harness::new(Step::new("limit", Limit { rate, outlet: Outlet::to(&OUT) }).reads(&IN)).unwrap()
}

#[test]
fn records_pass_at_their_rate_in_their_order_and_the_watermark_waits_for_them() {
    let mut harness = limit(Rate::of(10, secs(60)).burst(2));
    for value in 0..7u32 {
        harness.push(&IN, "k", at(100 - i64::from(value)), &value).unwrap();
    }
    harness.advance_watermark(at(200)).unwrap();
    assert_eq!((values(&mut harness), harness.output_watermark()), (vec![0, 1], at(94)));
    harness.advance_clock(Duration::from_millis(5_999)).unwrap();
    assert!(values(&mut harness).is_empty());
    harness.advance_clock(Duration::from_millis(1)).unwrap();
    assert_eq!(values(&mut harness), [2]);
    harness.crash().unwrap();
    harness.advance_clock(secs(12)).unwrap();
    assert_eq!((values(&mut harness), harness.output_watermark()), (vec![3, 4], at(94)));
    harness.advance_clock(secs(60)).unwrap();
    assert_eq!((values(&mut harness), harness.output_watermark()), (vec![5, 6], at(200)));
    assert_eq!((harness.entries("k").unwrap(), harness.timers("k").unwrap().len()), (0, 0));
}

#[test]
fn in_no_time_more_pass_than_the_rate_and_the_burst_say_whatever_comes_when() {
    let mut random = random();
    for _ in 0..20 {
        let (records, burst) = (random.random_range(1..50), random.random_range(1..10));
        let mut harness = limit(Rate::per_second(records).burst(burst));
        let (mut pushed, mut passed, mut times) = (0u32, Vec::new(), Vec::new());
        for _ in 0..60 {
            for _ in 0..random.random_range(0..8) {
                harness.push(&IN, "k", at(0), &pushed).unwrap();
                pushed += 1;
            }
            if random.random_bool(0.1) {
                harness.crash().unwrap();
            }
            harness.advance_clock(Duration::from_millis(random.random_range(0..80))).unwrap();
            let new = values(&mut harness);
            times.extend(new.iter().map(|_| harness.now().as_micros()));
            passed.extend(new);
        }
        harness.advance_clock(secs(600)).unwrap();
        let seen = times.len();
        passed.extend(values(&mut harness));
        assert_eq!(passed, (0..pushed).collect::<Vec<u32>>(), "I9, I12");
        // A record is seen up to 80 ms after it has passed.
        for (from, first) in times.iter().enumerate().take(seen) {
            for (to, last) in times.iter().enumerate().skip(from) {
                let allowed = (last - first + 80_000) as f64 / 1e6 * f64::from(records) + f64::from(burst);
                assert!((to - from + 1) as f64 <= allowed + 1.0, "{} in {} us", to - from + 1, last - first);
            }
        }
    }
}

#[test]
fn a_record_more_than_may_wait_is_a_dead_letter_that_says_so() {
    let mut harness = limit(Rate::per_second(1).held_records_max(2));
    for value in 0..4 {
        harness.push(&IN, "k", at(0), &value).unwrap();
    }
    let letters = harness.dead_letters().unwrap();
    assert_eq!(letters.len(), 1);
    assert!(letters[0].error.contains("2 records of key k wait for their rate"), "{}", letters[0].error);
    harness.advance_clock(secs(10)).unwrap();
    assert_eq!(values(&mut harness), [0, 1, 2]);
}

fn enrich<F>(how: Enrich, ask: impl Fn(u32) -> F + Send + Sync + 'static) -> Harness
where
    F: Future<Output = Result<u32, Failure>> + Send + 'static,
{
    Harness::new(vec![asking("ask".into(), how, &IN, ask, Outlet::to(&OUT)).unwrap()]).unwrap()
}

#[test]
fn so_many_questions_are_under_way_at_once_and_never_more() {
    const UNDER_WAY_MAX: usize = 8;
    let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    // Nobody gets an answer before eight ask.
    let barrier = Arc::new(tokio::sync::Barrier::new(UNDER_WAY_MAX));
    let (seen, counted) = (most.clone(), now.clone());
    let mut harness = enrich(Enrich::concurrency(UNDER_WAY_MAX).timeout(secs(60)), move |value| {
        let (barrier, most, now) = (barrier.clone(), most.clone(), now.clone());
        async move {
            most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            barrier.wait().await;
            now.fetch_sub(1, Ordering::SeqCst);
            Ok(value * 2)
        }
    });
    harness.push_all(&IN, (0..64u32).map(|value| (u64::from(value), at(1), value))).unwrap();
    assert_eq!(values(&mut harness), (0..64).map(|value| value * 2).collect::<Vec<u32>>());
    assert_eq!((seen.load(Ordering::SeqCst), counted.load(Ordering::SeqCst)), (UNDER_WAY_MAX, 0));
}

#[test]
fn every_answer_counts_once_and_in_the_order_of_its_key_whatever_fails_and_crashes() {
    let mut random = random();
    for _ in 0..10 {
        let tried = Arc::new(std::sync::Mutex::new(BTreeMap::<u32, u32>::new()));
        let asked = tried.clone();
        let mut harness = enrich(Enrich::concurrency(4), move |value| {
            let mut asked = asked.lock().unwrap();
            let times = asked.entry(value).or_default();
            *times += 1;
            let fails = value.is_multiple_of(7) && *times == 1;
            async move { if fails { Err(Failure::retry("not now")) } else { Ok(value) } }
        });
        let events: Vec<(u64, i64, u32)> =
            (0..80).map(|n| (random.random_range(0..KEYS), i64::from(n), n)).collect();
        let mut told = BTreeMap::<Vec<u8>, Vec<u32>>::new();
        let push = |harness: &mut Harness, (key, second, value): &(u64, i64, u32)| {
            harness.push(&IN, *key, at(*second), value).unwrap();
        };
        let mut see = |harness: &mut Harness, _: EventTime| {
            harness.advance_clock(secs(1)).unwrap();
            for Output { key, value, .. } in harness.output(&OUT).unwrap() {
                told.entry(key.as_bytes().to_vec()).or_default().push(value);
            }
        };
        run(&mut harness, &mut random, &events, |event| event.1, push, &mut see);
        see(&mut harness, EventTime::MIN);
        for (key, values) in told {
            let of_key = events.iter().filter(|event| event.0.to_be_bytes()[..] == key[..]);
            assert_eq!(values, of_key.map(|event| event.2).collect::<Vec<u32>>(), "I9, I12");
        }
        assert_eq!(tried.lock().unwrap().len(), 80);
    }
}

#[test]
fn a_question_without_an_answer_and_one_that_panics_are_given_up_and_stop_no_other_key() {
    let policy = RetryPolicy { crashes_max: 2, ..RetryPolicy::default() };
    let how = Enrich::concurrency(4).timeout(Duration::from_millis(20)).retry(policy);
    let ask = |value| async move {
        match value {
            1 => std::future::pending().await,
            2 => panic!("a bad question"),
            3 => Err(Failure::permanent("never heard of it")),
            _ => Ok(value),
        }
    };
    let fused = Outlet::to(&OUT).behind("map", |value: u32, key, _, give| {
        assert_ne!(value, 4, "a bad answer");
        give(value, key);
    });
    let mut harness = Harness::new(vec![asking("ask".into(), how, &IN, ask, fused).unwrap()]).unwrap();
    harness.push_all(&IN, (0..6u32).map(|value| (u64::from(value), at(1), value))).unwrap();
    harness.advance_clock(secs(1)).unwrap();
    assert_eq!(values(&mut harness), [0, 5]);
    let letters = harness.dead_letters().unwrap();
    assert_eq!(letters.len(), 4);
    for says in ["never heard of it", "did not return within 20ms", "a bad question", "a bad answer"] {
        assert!(letters.iter().any(|letter| letter.error.contains(says)), "{says}: {letters:?}");
    }
}
