use super::*;
use std::time::Duration;

/// A window of ten seconds under a trigger, driven by hand.
struct Driven {
    trigger: Trigger,
    state: State,
    watermark_s: i64,
    now_us: i64,
    finished: bool,
}

impl Driven {
    fn new(trigger: Trigger) -> Self {
        let state = trigger.fresh();
        Self { trigger, state, watermark_s: -1, now_us: 0, finished: false }
    }

    fn moment(&self) -> Moment {
        let watermark = EventTime::from_secs(self.watermark_s);
        Moment { watermark, now_us: self.now_us, end: EventTime::from_secs(10) }
    }

    /// Whether it fires; and then it does.
    fn ask(&mut self) -> bool {
        let moment = self.moment();
        let fires = !self.finished && self.trigger.should_fire(&mut self.state, &moment);
        if fires {
            self.finished = self.trigger.on_fire(&mut self.state, &moment);
        }
        assert!(self.trigger.fits(&self.state), "the state keeps its shape");
        fires
    }

    fn record(&mut self) -> bool {
        let moment = self.moment();
        self.trigger.on_element(&mut self.state, &moment);
        self.ask()
    }

    fn records<const N: usize>(&mut self) -> [bool; N] {
        std::array::from_fn(|_| self.record())
    }

    fn watermark(&mut self, seconds: i64) -> bool {
        self.watermark_s = seconds;
        if seconds < 10 || !self.state.is_armed() {
            return false;
        }
        self.state.disarm();
        self.ask()
    }
}

#[test]
fn the_default_trigger_fires_on_time_and_then_with_every_late_record() {
    let mut window = Driven::new(Trigger::Default);
    assert_eq!((window.records(), window.watermark(9)), ([false; 3], false));
    assert!(window.watermark(10) && !window.watermark(11));
    assert_eq!((window.records(), window.finished), ([true; 2], false));
    assert!(!window.watermark(12), "a late record arms nothing that has not fired");
}

#[test]
fn after_watermark_fires_early_on_time_and_late() {
    let trigger = Trigger::after_watermark().early(Trigger::after_count(2)).late(Trigger::after_count(3));
    let mut window = Driven::new(trigger);
    assert_eq!(window.records(), [false, true, false, true, false]);
    assert!(window.watermark(10));
    assert_eq!((window.records(), window.finished), ([false, false, true, false], false));
    let mut window = Driven::new(Trigger::after_watermark());
    assert!(!window.record() && window.watermark(10) && window.finished);
}

#[test]
fn a_sequence_goes_from_one_to_the_next() {
    let sequence = [Trigger::after_count(2), Trigger::after_watermark(), Trigger::after_count(1)];
    let mut window = Driven::new(Trigger::after_each(sequence));
    assert_eq!((window.records(), window.watermark(9)), ([false, true, false], false));
    assert!(window.watermark(10) && !window.finished);
    assert!(window.record() && window.finished);
}

#[test]
fn first_all_and_finally_fire_as_they_say() {
    let two_or_three = [Trigger::after_count(2), Trigger::after_count(3)];
    assert_eq!(Driven::new(Trigger::after_first(two_or_three.clone())).records(), [false, true, false]);
    assert_eq!(Driven::new(Trigger::after_all(two_or_three)).records(), [false, false, true, false]);
    let until_three = Trigger::after_count(1).repeatedly().or_finally(Trigger::after_count(3));
    assert_eq!(Driven::new(until_three.clone()).records(), [true, true, true, false]);
    assert_eq!(Driven::new(until_three.repeatedly()).records(), [true; 7]);
    assert_eq!(Driven::new(Trigger::Never).records(), [false; 4]);
}

#[test]
fn a_delay_counts_from_the_first_record_of_each_pane() {
    let delay = Trigger::after_processing_time(Duration::from_micros(5));
    let mut window = Driven::new(delay.clone().repeatedly());
    assert_eq!(window.trigger.due_us(&window.state), None);
    assert!(!window.record());
    window.now_us = 3;
    assert!(!window.record());
    assert_eq!(window.trigger.due_us(&window.state), Some(5));
    window.now_us = 5;
    assert!(window.ask() && !window.ask());
    window.now_us = 9;
    assert!(!window.record());
    assert_eq!(window.trigger.due_us(&window.state), Some(14));
    let mut once = Driven::new(delay);
    assert!(!once.record());
    once.now_us = 5;
    assert!(once.ask() && once.finished);
}

#[test]
fn merging_adds_counts_and_keeps_the_furthest() {
    let trigger = Trigger::after_each([Trigger::after_count(3), Trigger::after_watermark()]).repeatedly();
    let (mut ahead, mut behind) = (Driven::new(trigger.clone()), Driven::new(trigger));
    assert_eq!((ahead.records(), behind.records()), ([false, false, true, false], [false, false]));
    behind.state.merge(ahead.state.clone());
    assert!(behind.state.is_armed(), "the merged window is at the second of the sequence");
    assert!(behind.watermark(10));
    let mut counts = Driven::new(Trigger::after_count(3));
    assert_eq!(counts.records(), [false, false]);
    let other = counts.state.clone();
    counts.state.merge(other);
    assert!(counts.ask());
}

#[test]
fn the_state_of_another_trigger_is_known_as_such() {
    let triggers = [
        Trigger::Default,
        Trigger::Never,
        Trigger::after_count(1),
        Trigger::after_processing_time(Duration::ZERO),
        Trigger::after_watermark(),
        Trigger::after_watermark().early(Trigger::after_count(1)),
        Trigger::after_watermark().late(Trigger::after_count(1)),
        Trigger::after_each([Trigger::Never]),
        Trigger::after_all([Trigger::Never]),
        Trigger::after_all([Trigger::after_count(1), Trigger::Never]),
        Trigger::Default.or_finally(Trigger::Never),
        Trigger::Default.repeatedly(),
    ];
    for (n, a) in triggers.iter().enumerate() {
        for (m, b) in triggers.iter().enumerate() {
            assert_eq!(a.fits(&b.fresh()), n == m, "{a:?} and {b:?}");
        }
    }
}
