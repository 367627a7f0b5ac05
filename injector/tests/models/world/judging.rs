//! Whether what was announced is true: the judge knows what the store holds, and nothing of how the injectors work.

use super::injectors::Phase;
use super::*;
use crate::owners::bounds;
use crate::{JOURNALED_FIRST, NEVER_BACK, NOTHING_NEW, NOTHING_PASSED};
use pelton_injector::leader;
use pelton_proto::{Message, store};

impl World<'_> {
    /// What stands announced in the journal.
    fn journal(&self) -> [EventTime; 2] {
        let table = self.table.lock().unwrap();
        COMPUTATIONS.map(|computation| {
            let value = table.0.get(&self.keys.announced(computation)).cloned();
            let value = value.map(|value| store::Announced::decode(value).unwrap());
            value.map_or(EventTime::MIN, |value| EventTime::from_micros(value.low_watermark_us))
        })
    }

    fn epoch(record: &[u8]) -> u64 {
        leader::decode(record).unwrap().epoch.unwrap().get()
    }

    /// A leader's commit has landed.
    pub(super) fn landed(&mut self, number: usize, record: &[u8]) {
        let epoch = Self::epoch(record);
        let journal = self.journal();
        let process = &mut self.processes[number];
        if epoch > process.epoch {
            process.epoch = epoch;
        }
        for (other, process) in self.processes.iter_mut().enumerate() {
            if other != number && process.epoch < epoch && process.last_word.is_none() {
                process.last_word = Some(journal);
            }
        }
    }

    /// A leader begins, perhaps after another has followed it already.
    pub(super) fn begins(&mut self, number: usize) {
        let followed = self.standing() != Some(self.processes[number].epoch);
        let journal = self.journal();
        self.processes[number].last_word = followed.then_some(journal);
    }

    /// Which leadership stands.
    fn standing(&self) -> Option<u64> {
        self.table.lock().unwrap().0.get(&self.keys.leader()).map(|record| Self::epoch(record))
    }

    fn violate(&mut self, property: &'static str) {
        self.violated.insert(property);
    }

    pub(super) fn judge(&mut self) {
        let journal = self.journal();
        let standing = self.standing();
        let (mut early, mut new, mut back) = (false, false, false);
        let mut announced = self.announced;
        for process in &self.processes {
            let Phase::Leads(injector, _) = &process.phase else { continue };
            let table = injector.announced();
            let values = COMPUTATIONS.map(|computation| table.of(computation).low_watermark);
            for stage in [PRODUCER, CONSUMER] {
                early |= values[stage] > journal[stage];
                new |= process.last_word.is_some_and(|last| values[stage] > last[stage]);
                // What the leader starts from, and goes on with, is no less than what anybody was told.
                back |= Some(table.epoch().get()) == standing && values[stage] < self.announced[stage];
                announced[stage] = announced[stage].max(values[stage]);
            }
        }
        back |= (0..2).any(|stage| journal[stage] < self.journaled[stage]);
        if announced[CONSUMER] == EventTime::MAX {
            self.witnessed.saw("all was announced to be done");
        }
        let limits = bounds(&self.rows, self.bounds.records);
        let passed = (0..2).any(|stage| announced[stage] > limits[stage]);
        (self.announced, self.journaled) = (announced, journal);
        let found =
            [(early, JOURNALED_FIRST), (new, NOTHING_NEW), (back, NEVER_BACK), (passed, NOTHING_PASSED)];
        found.into_iter().filter(|(broken, _)| *broken).for_each(|(_, property)| self.violate(property));
    }
}
