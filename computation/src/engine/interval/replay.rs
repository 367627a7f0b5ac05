//! Replaying the dead letters of an interval: from the dead letters to the queue of their key, under a new id.

use super::super::clock::system_time;
use super::super::failing::RecordWork;
use super::super::outbox::Item;
use super::core::Core;
use crate::failure::Failure;
use pelton_domain::{EventTime, Record};
use pelton_proto::{convert, store};
use pelton_statestore::Write;

impl Core {
    /// Parks every dead letter that is a record, and removes it from the dead letters, in the open batch.
    /// Returns how many.
    pub(crate) async fn replay_dead_letters(&mut self) -> Result<usize, Failure> {
        let mut replayed = 0;
        // Those of the batches that have not committed stay where they are.
        for (place, value) in self.scope.scan_all(self.scope.keys.dead_letters(self.interval)).await? {
            let (key, _) = self.scope.keys.read_dead_letter(&place).map_err(Failure::engine)?;
            let letter: store::DeadLetter =
                convert::decode("dead letter", &value).map_err(Failure::engine)?;
            // The removal of one whose replay is on its way to the store cannot be seen there.
            let on_its_way = self.sealed.as_ref().is_some_and(|sealed| sealed.replayed.contains(&place));
            let is_record = letter.stream != 0 && !letter.id.is_empty();
            if !is_record || on_its_way || !self.scope.batch.replayed.insert(place.clone()) {
                continue;
            }
            let id = self.scope.ids.assign(system_time(self.scope.now));
            let event_time = EventTime::from_micros(letter.event_time_us);
            let record = Record { id, key: key.clone(), value: letter.value, event_time };
            let item = Item { stream: letter.stream, record };
            self.scope.timers.suspend(&key);
            self.scope.batch.write(Write::Delete { key: place });
            self.park(RecordWork { item, receipt: 0, duplicates: Vec::new() });
            replayed += 1;
        }
        Ok(replayed)
    }
}
