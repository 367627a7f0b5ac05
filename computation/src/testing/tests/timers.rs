//! Timers: at their time, in order, replaced and cleared (I8); and what they hold (I7).

use super::*;
use crate::testing::{HarnessError, TimerAt};

#[test]
fn an_event_timer_fires_when_the_watermark_reaches_it_and_not_before() {
    let mut harness = harness();
    harness.push(&ORDERS, "k", at(1), &Do::Event { a: Some(60), b: None }).unwrap();
    harness.advance_watermark(EventTime::from_micros(59_999_999)).unwrap();
    harness.advance_clock(Duration::from_secs(1_000_000)).unwrap();
    assert!(fired(&mut harness).is_empty());
    harness.advance_watermark(at(60)).unwrap();
    assert_eq!(fired(&mut harness), [timer("a", 60)]);
    harness.finish().unwrap();
    assert!(fired(&mut harness).is_empty(), "once");
    assert_eq!(harness.counters().timers_fired, 1);
}

#[test]
fn timers_of_a_key_fire_in_time_order_however_far_the_watermark_jumps() {
    let mut harness = harness();
    harness.push(&ORDERS, "k", at(1), &Do::Event { a: Some(30), b: Some(10) }).unwrap();
    harness.advance_watermark(at(100)).unwrap();
    assert_eq!(fired(&mut harness), [timer("b", 100), timer("a", 100)]);
}

#[test]
fn setting_a_timer_again_replaces_it_and_clearing_it_ends_it() {
    let mut harness = harness();
    harness.push(&ORDERS, "k", at(1), &Do::Event { a: Some(10), b: Some(20) }).unwrap();
    harness.push(&ORDERS, "k", at(1), &Do::Event { a: Some(30), b: None }).unwrap();
    harness.push(&ORDERS, "k", at(1), &Do::Processing { a: Some(5), b: None }).unwrap();
    let set: Vec<_> = harness.timers("k").unwrap().into_iter().map(|timer| (timer.tag, timer.at)).collect();
    let five = TimerAt::Processing(Harness::START.plus(Duration::from_secs(5)));
    let expected = [("b", TimerAt::Event(at(20))), ("a", TimerAt::Event(at(30))), ("a", five)];
    assert_eq!(set, expected.map(|(tag, at)| (tag.to_owned(), at)));
    assert!(harness.timers("other").unwrap().is_empty());
    harness.advance_watermark(at(20)).unwrap();
    harness.push(&ORDERS, "k", at(20), &Do::Clear).unwrap();
    harness.finish().unwrap();
    harness.advance_clock(Duration::from_secs(60)).unwrap();
    assert_eq!(fired(&mut harness), [timer("b", 20)]);
}

#[test]
fn a_processing_timer_fires_at_its_own_moment_of_the_clock() {
    let mut harness = harness();
    harness.push(&ORDERS, "k", at(1), &Do::Processing { a: Some(30), b: Some(10) }).unwrap();
    harness.push(&ORDERS, "l", at(1), &Do::Processing { a: Some(20), b: None }).unwrap();
    harness.advance_clock(Duration::from_secs(9)).unwrap();
    assert!(fired(&mut harness).is_empty());
    harness.advance_clock(Duration::from_secs(3600)).unwrap();
    assert_eq!(fired(&mut harness), [timer("b", 10), timer("a", 20), timer("a", 30)]);
    assert_eq!(seconds(harness.now()), 3609);
}

#[test]
fn a_timer_holds_the_output_watermark_until_it_has_fired() {
    let mut harness = harness();
    assert_eq!(harness.output_watermark(), EventTime::MIN);
    harness.push(&ORDERS, "k", at(1), &Do::Holding { fires: 60, holds: 20 }).unwrap();
    harness.advance_watermark(at(50)).unwrap();
    assert_eq!(harness.input_watermark().unwrap(), at(50));
    assert_eq!(harness.output_watermark(), at(20));
    harness.advance_watermark(at(60)).unwrap();
    assert_eq!(harness.output_watermark(), at(60));
    harness.finish().unwrap();
    assert_eq!(harness.output_watermark(), EventTime::MAX);
}

#[test]
fn a_timer_that_is_always_due_is_told_and_not_waited_for() {
    let mut harness = builder().turns_max(50).build().unwrap();
    let error = harness.push(&ORDERS, "k", at(1), &Do::Spin).unwrap_err();
    assert!(matches!(error, HarnessError::Restless { turns: 50 }), "{error}");
}
