//! The ids of new productions, and the promise about them (I6).
//!
//! An id carries the system time its sender gave it. What a sender has once reported as its oldest
//! unacknowledged time is a promise: every later id is at least that, idle or not, whatever the clock says.

use pelton_domain::{RecordId, Sequencer, SystemTime};

#[derive(Clone, Debug)]
pub(crate) struct IdClock {
    sequencer: Sequencer,
    last: SystemTime,
    counter: u32,
}

impl IdClock {
    /// A clock that assigns nothing before `floor`: the floor in the fence, or what was announced since.
    pub(crate) fn new(sequencer: Sequencer, floor: SystemTime) -> Self {
        Self { sequencer, last: floor, counter: 0 }
    }

    /// The next id; ids of one clock ascend.
    pub(crate) fn assign(&mut self, now: SystemTime) -> RecordId {
        self.advance(now);
        if self.counter >= 1 << 30 {
            self.advance(SystemTime::from_millis(self.last.as_millis() + 1));
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
    }
}
