//! What the owners of the intervals do. Each commit is one step of the store, under the fence: what becomes of lost answers
//! and late commits there is the matter of the store's models (I1, I3).

use super::injectors::Phase;
use super::*;
use crate::owners::earliest;

impl World<'_> {
    pub(super) fn actions_of_owner(
        &self,
        worker: usize,
        stage: usize,
        owner: &Owner,
        actions: &mut Vec<Action>,
    ) {
        let records = 1..=self.bounds.records;
        let made = |record: &u8| *record < self.rows[PRODUCER].next;
        if stage == PRODUCER {
            if owner.row.next <= self.bounds.records {
                actions.push(Action::Produce(worker));
            }
            let unacknowledged = owner.row.outbox & !owner.acknowledged & self.rows[CONSUMER].seen;
            actions.extend(
                records
                    .filter(|record| unacknowledged & (1 << record) != 0)
                    .map(|record| Action::Acknowledged(worker, record)),
            );
            return;
        }
        // A repeated record changes nothing, by dedup.
        let new = records.filter(made).filter(|record| owner.row.seen & (1 << record) == 0);
        actions.extend(new.map(|record| Action::Receive(worker, record)));
        if owner.row.held != 0 {
            actions.push(Action::Release(worker));
        }
        for (number, process) in self.processes.iter().enumerate() {
            if let Phase::Leads(injector, _) = &process.phase
                && injector.announced().of(COMPUTATIONS[PRODUCER]).low_watermark > owner.applied
            {
                actions.push(Action::Hear(worker, number));
            }
        }
    }

    /// `take_over`, and the scan that follows it.
    pub(super) fn take_over(&mut self, told: usize) {
        let Told { worker, stage, assigned, scanned } = self.told.remove(told);
        let reign = assigned.assignment.sequencer.get();
        let stands = self.table.lock().unwrap().holds(&assigned.require);
        if !stands || self.rows[stage].reign >= reign {
            self.witnessed.saw("a take-over came too late");
            return;
        }
        let row = Row { reign, ..scanned.unwrap_or(self.rows[stage]) };
        self.rows[stage].reign = reign;
        self.owners.insert((worker, stage), Owner { row, acknowledged: 0, applied: row.input });
        self.witnessed.saw("an interval was taken over");
    }

    /// A commit under the fence; without it, the owner is one no more.
    fn commit(&mut self, worker: usize, stage: usize, change: impl FnOnce(&mut Row)) {
        let Some(owner) = self.owners.get_mut(&(worker, stage)) else { return };
        let mut row = Row { input: owner.applied, ..owner.row };
        change(&mut row);
        if self.rows[stage].reign != owner.row.reign {
            self.owners.remove(&(worker, stage));
            self.witnessed.saw("an owner was fenced off");
            return;
        }
        owner.row = row;
        self.rows[stage] = row;
    }

    pub(super) fn produce(&mut self, worker: usize) {
        self.commit(worker, PRODUCER, |row| {
            row.outbox |= 1 << row.next;
            row.next += 1;
        });
    }

    pub(super) fn receive(&mut self, worker: usize, record: u8) {
        self.commit(worker, CONSUMER, |row| {
            row.seen |= 1 << record;
            row.held |= 1 << record;
        });
    }

    pub(super) fn release(&mut self, worker: usize) {
        self.commit(worker, CONSUMER, |row| row.held &= row.held - 1);
    }

    pub(super) fn acknowledged(&mut self, worker: usize, record: u8) {
        if let Some(owner) = self.owners.get_mut(&(worker, PRODUCER)) {
            owner.acknowledged |= 1 << record;
        }
    }

    /// Of all that is heard the greatest stays, whoever said it.
    pub(super) fn hear(&mut self, worker: usize, process: usize) {
        let Phase::Leads(injector, _) = &self.processes[process].phase else { return };
        let said = injector.announced().of(COMPUTATIONS[PRODUCER]).low_watermark;
        if let Some(owner) = self.owners.get_mut(&(worker, CONSUMER)) {
            owner.applied = owner.applied.max(said);
            self.witnessed.saw("an announcement was heard");
        }
    }

    /// The report of every owner, as of now.
    pub(super) fn owners_say(&mut self) {
        let outbox_held = !self.is(Mutation::OutboxNotHeld);
        let mut said = Vec::new();
        for (&(_, stage), owner) in &self.owners {
            let hold = owner.hold(stage, self.bounds.records, outbox_held);
            // Nobody produces for the producer: what it waits for from outside is its own hold.
            let input = if stage == PRODUCER { EventTime::MAX } else { owner.applied };
            said.push(Said { stage, reign: owner.row.reign, low_watermark: input.min(hold), hold });
        }
        if self.is(Mutation::ReportedBeforeTakeOver) {
            for told in self.told.iter().filter(|told| told.stage == CONSUMER) {
                let reign = told.assigned.assignment.sequencer.get();
                let (low_watermark, hold) = (self.announced[PRODUCER], earliest(0));
                said.push(Said { stage: CONSUMER, reign, low_watermark, hold });
            }
        }
        for said in said.into_iter().filter(|said| self.bounds.reporting.contains(&said.stage)) {
            if self.is(Mutation::InjectorLeads) {
                self.said.insert(said);
            } else if said.low_watermark > EventTime::MIN {
                // Who reports minus infinity holds as much as who reports nothing.
                self.said.insert(Said { hold: said.low_watermark, ..said });
            }
        }
    }
}
