//! What reaches the store, and what workers are told in the end.

use super::*;

impl World<'_> {
    /// The table that a call of `life` reaches.
    pub(super) fn table_of(&self, life: usize) -> usize {
        let anywhere = self.mutation == Some(Mutation::LifeNotNamed) && self.used.restored;
        if anywhere { 1 } else { life }
    }

    /// A commit reaches the store.
    pub(super) fn land(&mut self, at: (usize, u32)) -> Result<(), CommitError> {
        let Some(flight) = self.ledger.flights.remove(&at) else { return Ok(()) };
        let Some(commit) = self.flights.remove(&at) else { return Ok(()) };
        let table = self.table_of(flight.step.life);
        let mutation = self.mutation;
        let checked = |precondition: &Precondition| {
            let is_fence = pelton_statestore::keys::is_fence(precondition.at());
            match mutation {
                Some(Mutation::FenceNotChecked) => !is_fence,
                Some(Mutation::AssignmentNotChecked) => is_fence,
                _ => true,
            }
        };
        if let Some(refused) = self.tables[table].refuses(&commit, checked) {
            if flight.lost {
                self.witnessed.saw("a late commit was refused");
            }
            return Err(refused);
        }
        let half = self.mutation == Some(Mutation::HalfACommit);
        let count = if half { commit.writes.len().div_ceil(2) } else { commit.writes.len() };
        for write in commit.writes.iter().take(count) {
            let stays = self.mutation == Some(Mutation::OldFencesStay)
                && matches!(write, Write::Delete { key } if pelton_statestore::keys::is_fence(key));
            if !stays {
                self.tables[table].write(write);
            }
        }
        self.account(table, &flight);
        Ok(())
    }

    /// Notes what has landed, and looks at what stands now.
    fn account(&mut self, table: usize, flight: &crate::ledger::Flight) {
        let bounds: Vec<KeyInterval> = self.standing(table).iter().map(|fence| fence.interval).collect();
        if !KeyInterval::is_partition_of(&bounds, &[KeyInterval::FULL]) {
            self.ledger.violate("I1");
        }
        for (part, number) in &flight.step.takes {
            if self.journaled(table, *part) != Some(Self::entry(flight.step.worker, *part, *number)) {
                self.ledger.violate("I1");
            }
        }
        for half in 0..2 {
            let row = |name: char| self.tables[table].get(&Bytes::from(format!("{name}{half}")));
            if row('x') != row('y') {
                self.ledger.violate("I2");
            }
        }
        if table == 1 && flight.step.worker == RESTORED && !self.used.adopted {
            self.ledger.violate("life");
        }
        if table != flight.step.life {
            self.ledger.violate("life");
        }
        self.ledger.lands(flight, self.witnessed);
    }

    /// A worker's step is over.
    pub(super) fn done(&mut self, number: usize, step: &Step, done: Done) {
        match done {
            Done::TookOver(Ok(reign)) => {
                self.ledger.told_yes(step, self.witnessed);
                self.workers[number].reigns.insert(step.part(), reign);
                let restored = number == RESTORED;
                self.witnessed.saw(if restored {
                    "a restored store was adopted"
                } else {
                    "an interval was taken over"
                });
            }
            Done::TookOver(Err(error)) => {
                self.ledger.told_no(step);
                self.witnessed.saw(match error {
                    TakeOverError::OtherIncarnation { .. } => "a restored store was refused",
                    TakeOverError::NoSuchInterval { .. } => "a take-over found other bounds",
                    _ => "a take-over came too late",
                });
            }
            Done::Committed(reign, Ok(())) => {
                self.ledger.told_yes(step, self.witnessed);
                self.workers[number].reigns.insert(step.part(), reign);
                self.witnessed.saw("a batch was committed");
            }
            Done::Committed(reign, Err(_)) => {
                self.ledger.told_no(step);
                let mine = |fence: &fence::Fence| {
                    fence.interval == reign.interval() && fence.sequencer == Some(reign.sequencer())
                };
                // To be told that a reign is over while it stands would be a guess.
                if self.standing(self.table_of(step.life)).iter().any(mine) {
                    self.ledger.violate("I3 no");
                }
                self.witnessed.saw("a batch was fenced off");
            }
            Done::Reshaped(Ok(reigns)) => {
                self.ledger.told_yes(step, self.witnessed);
                for ((part, _), reign) in step.takes.iter().zip(reigns) {
                    self.workers[number].reigns.insert(*part, reign);
                }
                self.witnessed.saw(if step.takes.len() == 2 { "a split" } else { "a merge" });
            }
            Done::Reshaped(Err(_)) => {
                self.ledger.told_no(step);
                self.witnessed.saw("a split or merge came too late");
            }
        }
    }
}
