//! A multiset of hold times with its minimum (I7).

use pelton_domain::EventTime;
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default)]
pub(crate) struct Holds(BTreeMap<EventTime, u32>);

impl Holds {
    /// Adds a hold; plus infinity holds nothing.
    pub(crate) fn add(&mut self, time: EventTime) {
        if time != EventTime::MAX {
            *self.0.entry(time).or_insert(0) += 1;
        }
    }

    pub(crate) fn remove(&mut self, time: EventTime) {
        if let Some(count) = self.0.get_mut(&time) {
            *count -= 1;
            if *count == 0 {
                self.0.remove(&time);
            }
        }
    }

    /// The earliest hold, or plus infinity.
    pub(crate) fn min(&self) -> EventTime {
        self.0.first_key_value().map_or(EventTime::MAX, |(time, _)| *time)
    }
}
