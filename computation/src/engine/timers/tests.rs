//! What the timer table promises (I8, I7), without a store.

use super::*;
use pelton_domain::Name;
use pelton_statestore::PipelineKeys;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn address(key: &str, tag: &'static str) -> TimerAddress {
    TimerAddress {
        key: Key::from(key),
        domain: TimeDomain::Event,
        namespace: Bytes::new(),
        tag: Bytes::from_static(tag.as_bytes()),
    }
}

fn entry(at: i64, output: i64) -> TimerEntry {
    TimerEntry { fire_at_us: at, output_time: EventTime::from_micros(output), payload: Bytes::new() }
}

#[test]
fn a_timer_replaced_while_it_is_being_read_does_not_fire() {
    let mut timers = Timers::default();
    timers.change(address("k", "a"), Some(entry(10, 10)));
    timers.keep();
    let (taken, old) = timers.take_due(TimeDomain::Event, 10, 5).remove(0);
    timers.change(taken.clone(), Some(entry(20, 20)));
    timers.keep();
    assert!(!timers.is_current(&taken, &old), "I8: the old one must not fire");
    assert!(timers.take_due(TimeDomain::Event, 19, 5).is_empty());
    assert_eq!(timers.take_due(TimeDomain::Event, 20, 5).len(), 1);
}

#[test]
fn timers_come_due_in_time_order_and_never_early() {
    let mut timers = Timers::default();
    for (tag, at) in [("c", 30), ("a", 10), ("b", 20)] {
        timers.load(&address("k", tag), entry(at, at));
    }
    let tags: Vec<_> = timers.take_due(TimeDomain::Event, 29, 9).into_iter().map(|(a, _)| a.tag).collect();
    assert_eq!(tags, ["a", "b"]);
    assert_eq!(timers.next_due(TimeDomain::Event), Some(30));
}

#[test]
fn a_failed_call_leaves_timers_and_holds_as_they_were() {
    let mut timers = Timers::default();
    timers.load(&address("k", "a"), entry(10, 5));
    timers.change(address("k", "a"), None);
    timers.change(address("k", "b"), Some(entry(1, 1)));
    assert_eq!((timers.hold(), timers.released()), (EventTime::from_micros(1), EventTime::from_micros(5)));
    timers.rollback();
    assert_eq!((timers.hold(), timers.released()), (EventTime::from_micros(5), EventTime::MAX));
    assert_eq!((timers.changed.len(), timers.len()), (0, 1));
    assert_eq!(timers.take_due(TimeDomain::Event, 10, 9).len(), 1);
}

#[test]
fn a_timer_that_has_fired_is_left_until_that_is_committed() {
    let mut timers = Timers::default();
    timers.load(&address("k", "a"), entry(i64::MAX, i64::MAX));
    assert_eq!(timers.take_due(TimeDomain::Event, i64::MAX, 1).len(), 1);
    timers.change(address("k", "a"), None);
    timers.keep();
    assert_eq!((timers.len(), timers.left()), (0, 1), "in the open batch");
    let keys = PipelineKeys::new(&Name::new("p").unwrap()).computation(1);
    timers.seal(&keys, &mut Vec::new());
    assert_eq!((timers.len(), timers.left()), (0, 1), "its commit is under way");
    timers.committed(9);
    assert_eq!(timers.left(), 0);
}

#[test]
fn the_timers_of_a_waiting_key_wait_and_the_others_fire() {
    let mut timers = Timers::default();
    timers.load(&address("bad", "a"), entry(1, 1));
    timers.load(&address("good", "a"), entry(2, 2));
    timers.suspend(&Key::from("bad"));
    timers.change(address("bad", "b"), Some(entry(0, 0)));
    timers.keep();
    assert_eq!(timers.take_due(TimeDomain::Event, 9, 9).len(), 1);
    assert_eq!(timers.hold(), EventTime::from_micros(0), "I7: they hold all the same");
    assert_eq!(timers.suspended_due(&Key::from("bad"), 9, 0).unwrap().0.tag, "b");
    timers.resume(&Key::from("bad"));
    assert_eq!(timers.take_due(TimeDomain::Event, 9, 9).len(), 2);
}

/// A table and the store under it, with batches as the interval makes them.
struct World {
    timers: Timers,
    stored: BTreeMap<TimerAddress, TimerEntry>,
    sealed: Option<BTreeMap<TimerAddress, Option<TimerEntry>>>,
    open: BTreeMap<TimerAddress, Option<TimerEntry>>,
    /// What is set, by a table that has no limit.
    truth: BTreeMap<TimerAddress, TimerEntry>,
    near_max: usize,
    reads: usize,
}

impl World {
    fn new(near_max: usize) -> Self {
        let timers = Timers::default();
        let (stored, open, truth) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Self { timers, stored, sealed: None, open, truth, near_max, reads: 0 }
    }

    fn change(&mut self, address: TimerAddress, entry: Option<TimerEntry>) {
        self.timers.change(address.clone(), entry.clone());
        self.timers.keep();
        match &entry {
            Some(entry) => self.truth.insert(address.clone(), entry.clone()),
            None => self.truth.remove(&address),
        };
        self.open.insert(address, entry);
    }

    fn seal(&mut self) {
        if self.sealed.is_none() {
            let keys = PipelineKeys::new(&Name::new("p").unwrap()).computation(1);
            let mut writes = Vec::new();
            self.timers.seal(&keys, &mut writes);
            let open = std::mem::take(&mut self.open);
            assert_eq!(writes.len(), open.len(), "every change is written, and nothing else");
            self.sealed = Some(open);
        }
    }

    fn commit(&mut self) {
        for (address, entry) in self.sealed.take().into_iter().flatten() {
            match entry {
                Some(entry) => self.stored.insert(address, entry),
                None => self.stored.remove(&address),
            };
        }
        self.timers.committed(self.near_max);
    }

    fn read(&mut self) {
        let mut nearest = Nearest::new(self.near_max);
        for (address, entry) in self.stored.clone() {
            self.timers.read(&mut nearest, address, entry);
        }
        self.timers.bring_near(nearest);
        self.reads += 1;
    }

    /// Fires all that is due; returns whose and when, in order.
    fn advance(&mut self, to: i64) -> Vec<(TimerAddress, i64)> {
        let mut fired = Vec::new();
        while self.timers.next_due(TimeDomain::Event).is_some_and(|at| at <= to) {
            if self.timers.must_read(to, i64::MIN) {
                self.read();
            }
            for (address, entry) in self.timers.take_due(TimeDomain::Event, to, 3) {
                assert!(self.timers.is_current(&address, &entry));
                fired.push((address.clone(), entry.fire_at_us));
                self.change(address, None);
            }
        }
        fired
    }
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, u8, i64, i64),
    Clear(u8, u8),
    Advance(i64),
    Seal,
    Commit,
    Read,
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        6 => (0..4u8, 0..6u8, 0..60i64, 0..60i64).prop_map(|(k, t, at, hold)| Step::Set(k, t, at, hold)),
        1 => (0..4u8, 0..6u8).prop_map(|(k, t)| Step::Clear(k, t)),
        1 => (0..20i64).prop_map(Step::Advance),
        2 => Just(Step::Seal),
        2 => Just(Step::Commit),
        1 => Just(Step::Read),
    ];
    prop::collection::vec(step, 1..120)
}

fn tagged(key: u8, tag: u8) -> TimerAddress {
    TimerAddress {
        key: Key::new(vec![key]),
        domain: TimeDomain::Event,
        namespace: Bytes::new(),
        tag: Bytes::from(vec![tag]),
    }
}

proptest! {
    #[test]
    fn with_far_timers_what_fires_and_what_holds_is_as_without_a_limit(steps in steps(), near_max in 2..8usize) {
        let mut world = World::new(near_max);
        let mut watermark = 0;
        for step in steps {
            match step {
                Step::Set(key, tag, delay, hold) => {
                    world.change(tagged(key, tag), Some(entry(watermark + 1 + delay, watermark + hold)));
                }
                Step::Clear(key, tag) => world.change(tagged(key, tag), None),
                Step::Seal => world.seal(),
                Step::Commit => world.commit(),
                Step::Read => world.read(),
                Step::Advance(by) => {
                    watermark += by;
                    let mut due: Vec<_> = world.truth.iter().map(|(a, e)| (a.clone(), e.fire_at_us)).collect();
                    due.retain(|(_, at)| *at <= watermark);
                    let mut fired = world.advance(watermark);
                    prop_assert!(fired.is_sorted_by_key(|(_, at)| *at), "I8: not in time order");
                    fired.sort();
                    due.sort();
                    prop_assert_eq!(fired, due, "I8");
                }
            }
            let held = world.truth.values().map(|e| e.output_time).min().unwrap_or(EventTime::MAX);
            prop_assert!(world.timers.hold() <= held, "I7: a hold was let go");
            for (address, entry) in &world.truth {
                match world.timers.look_up(address) {
                    Known::Set(known) => prop_assert_eq!(known, entry),
                    Known::Ask => prop_assert_eq!(world.stored.get(address), Some(entry)),
                    Known::Unset => prop_assert!(false, "{address:?} is set"),
                }
            }
        }
        let all = world.truth.len();
        prop_assert_eq!(world.advance(i64::MAX).len(), all);
        prop_assert_eq!(world.timers.len(), 0);
    }
}

#[test]
fn the_table_stays_within_its_limit() {
    let mut world = World::new(10);
    for i in 0..200u8 {
        world.change(tagged(i, 0), Some(entry(i64::from(i), i64::from(i))));
        world.seal();
        world.commit();
        assert!(world.timers.entries.len() <= 10, "I11");
    }
    assert_eq!(world.advance(i64::MAX).len(), 200);
    assert!(world.reads > 10, "they were far");
}
