//! The ids of new productions, and the promise about them (I6).
//!
//! An id carries the system time its sender gave it. What a sender has once reported as its oldest
//! unacknowledged time is a promise: every later id is at least that, idle or not, whatever the clock says. So a clock
//! that runs away would lift everything that is assigned and promised after it; an injector elsewhere therefore says how
//! late an id may be, and the clock counts up to that only.

use pelton_domain::{RecordId, Sequencer, SystemTime};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The latest system time that an id may carry, whatever the clock says. Clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct IdCeiling(Arc<AtomicU64>);

impl IdCeiling {
    /// None: for an injector in this process, which has the same clock.
    pub(crate) fn none() -> Self {
        Self(Arc::new(AtomicU64::new(u64::MAX)))
    }

    /// What the injector in charge said last: not the greatest that was heard, which may be of one whose own clock was
    /// wrong.
    pub(crate) fn set(&self, most: SystemTime) {
        self.0.store(most.as_millis(), Ordering::Release);
    }

    pub(crate) fn get(&self) -> SystemTime {
        SystemTime::from_millis(self.0.load(Ordering::Acquire))
    }
}

#[derive(Clone, Debug)]
pub(crate) struct IdClock {
    sequencer: Sequencer,
    last: SystemTime,
    counter: u32,
    ceiling: IdCeiling,
}

impl IdClock {
    /// A clock that assigns nothing before `floor`: the floor in the fence, or what was announced since.
    pub(crate) fn new(sequencer: Sequencer, floor: SystemTime) -> Self {
        Self { sequencer, last: floor, counter: 0, ceiling: IdCeiling::none() }
    }

    /// The same, with a ceiling. Where the floor is above it, the floor holds.
    pub(crate) fn below(self, ceiling: IdCeiling) -> Self {
        Self { ceiling, ..self }
    }

    /// The next id; ids of one clock ascend.
    pub(crate) fn assign(&mut self, now: SystemTime) -> RecordId {
        self.advance(now);
        if self.counter >= 1 << 30 {
            (self.last, self.counter) = (SystemTime::from_millis(self.last.as_millis() + 1), 0);
        }
        let id = RecordId::assigned(self.last, self.sequencer, self.counter);
        self.counter += 1;
        id
    }

    /// Promises that every later id is at least the returned time.
    pub(crate) fn promise(&mut self, now: SystemTime) -> SystemTime {
        self.advance(now);
        self.last
    }

    /// The least time that a later id can carry.
    pub(crate) fn floor(&self) -> SystemTime {
        self.last
    }

    fn advance(&mut self, now: SystemTime) {
        let now = now.min(self.ceiling.get());
        if now > self.last {
            self.last = now;
            self.counter = 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn ids_ascend_and_keep_every_promise(steps in proptest::collection::vec((any::<bool>(), 0u64..1000), 1..200)) {
            let mut clock = IdClock::new(Sequencer::new(3).unwrap(), SystemTime::from_millis(500));
            let (mut last, mut promised) = (None, SystemTime::from_millis(500));
            for (promise, now) in steps {
                let now = SystemTime::from_millis(now);
                if promise {
                    promised = clock.promise(now).max(promised);
                } else {
                    let id = clock.assign(now);
                    prop_assert!(id.system_time() >= promised, "I6: an id is older than the promise");
                    prop_assert!(Some(id) > last);
                    last = Some(id);
                }
            }
        }

        #[test]
        fn i6_a_clock_gone_wild_lifts_neither_ids_nor_promises_over_the_ceiling(
            floor in 0u64..1000,
            steps in proptest::collection::vec((any::<bool>(), 0u64..1 << 47, proptest::option::of(0u64..2000)), 1..200),
        ) {
            let ceiling = IdCeiling::none();
            ceiling.set(SystemTime::from_millis(1000));
            let mut clock = IdClock::new(Sequencer::new(3).unwrap(), SystemTime::from_millis(floor));
            clock = clock.below(ceiling.clone());
            let (mut most, mut last, mut promised) = (1000, None, SystemTime::ZERO);
            for (promise, now, next) in steps {
                if let Some(next) = next {
                    ceiling.set(SystemTime::from_millis(next));
                    most = most.max(next);
                }
                let now = SystemTime::from_millis(now);
                if promise {
                    promised = clock.promise(now);
                } else {
                    let id = clock.assign(now);
                    prop_assert!(Some(id) > last && id.system_time() >= promised);
                    last = Some(id);
                }
                prop_assert!(clock.floor().as_millis() <= most.max(floor));
            }
        }
    }
}
