//! What owners do, by the real code: they run records, close and commit batches, and take over.

use super::*;
use crate::codec::{Codec, Postcard};
use crate::engine::bundle::Bundle;
use crate::engine::clock::ClockHandle;
use crate::engine::ids::{IdCeiling, IdClock};
use crate::engine::interval::commit::Committed;
use crate::engine::outbox::Item;
use crate::engine::recovery::Recovery;
use crate::engine::router::Mail;
use bytes::Bytes;
use pelton_domain::{EventTime, Key, Record};
use pelton_statestore::fence::take_over;
use pelton_statestore::{Commit, StateStore, Write};

/// The record from outside that is numbered so.
fn outside(value: u64) -> Record {
    let id = RecordId::assigned(SystemTime::from_millis(value), sequencer(50), 0);
    let bytes = <Postcard as Codec<u64>>::encode(&value).unwrap();
    Record { id, key: Key::from("k"), value: bytes, event_time: EventTime::from_secs(1) }
}

pub(super) fn value_of(bytes: &Bytes) -> u64 {
    <Postcard as Codec<u64>>::decode(bytes).unwrap()
}

pub(super) fn upstream() -> Party {
    Party::of(99, KeyInterval::FULL, sequencer(50))
}

/// Runs what waits in an owner's intake.
async fn run(owner: &mut Owner) {
    if !owner.core.may_run() || !owner.core.has_work() {
        return;
    }
    let work = owner.core.gather(16).await.unwrap();
    let keys: Vec<Key> = work.iter().map(|work| work.key().clone()).collect();
    owner.core.scope.prefetch(keys.iter()).await.unwrap();
    let mut bundle = Bundle::new(&mut owner.core, work);
    owner.processor.run(&mut bundle).await;
    owner.core.end_bundle();
}

impl World<'_> {
    pub(super) fn actions_of(&self, side: usize, number: usize, owner: &Owner, actions: &mut Vec<Action>) {
        let mut core_now = owner.core.scope.now;
        core_now = core_now.max(self.now(number));
        let due = owner.core.should_seal()
            || owner.core.sealed.is_none()
                && owner.core.removable_since.is_some_and(|since| since <= core_now);
        if self.bounds.seals {
            if due {
                actions.push(Action::Seal(side, number));
            }
            if owner.core.sealed.is_some() {
                actions.push(Action::Commit(side, number));
            }
        } else if due {
            actions.push(Action::Commit(side, number));
        }
        if side == CONSUMER {
            if self.horizon() > owner.core.dedup.horizon() {
                actions.push(Action::Hear(number));
            }
            return;
        }
        if self.next_for(owner) <= self.bounds.records {
            actions.push(Action::Feed(number));
        }
        if owner.core.outbox.is_waiting() && self.used.resends < self.bounds.resends_max {
            actions.push(Action::Resend(number));
        }
        if owner.route.0 != self.party(CONSUMER, self.owners[CONSUMER].len() - 1) {
            actions.push(Action::Reroute(number));
        }
        actions.push(Action::Report(number));
    }

    /// What the outside gives an owner next: what it has not had committed, in order.
    pub(super) fn next_for(&self, owner: &Owner) -> u64 {
        let committed = self.ledger.made.keys().last().copied().unwrap_or(0);
        owner.fed.last().copied().unwrap_or(0).max(if owner.fed.is_empty() { committed } else { 0 }) + 1
    }

    pub(super) async fn feed(&mut self, number: usize) {
        let stream = self.pipeline.specs[PRODUCER].inputs[0];
        let Some(owner) = self.owners[PRODUCER][number].as_ref() else { return };
        let value = self.next_for(owner);
        let Some(owner) = self.wake(PRODUCER, number) else { return };
        let delivery = Delivery {
            chunk: crate::engine::outbox::ChunkId::strong(pelton_domain::CommitNumber(value)),
            items: vec![Item { stream, record: outside(value) }].into(),
            bytes: 10,
        };
        let at = u64::try_from(owner.fed.len()).unwrap();
        owner.fed.push(value);
        owner.core.take_mail(Mail::Deliver { from: upstream(), epoch: 1, number: at, delivery });
        run(owner).await;
        self.collect_mail(PRODUCER, number);
    }

    /// A delivery has arrived at the consumer: it runs what is new.
    pub(super) async fn run_consumer(&mut self, number: usize) {
        let pipeline = self.pipeline;
        let Some(owner) = self.wake(CONSUMER, number) else { return };
        run(owner).await;
        owner.ran.extend(pipeline.ran());
    }

    pub(super) fn seal(&mut self, side: usize, number: usize) {
        let early = side == CONSUMER && self.is(Mutation::AcknowledgedBeforeCommit);
        let Some(owner) = self.wake(side, number) else { return };
        let route = owner.route;
        owner.core.seal(&route);
        owner.ran_sealed = std::mem::take(&mut owner.ran);
        if early {
            let settled = owner.core.sealed.as_ref().map(|sealed| sealed.settled.clone()).unwrap_or_default();
            settled.into_iter().for_each(|(receipt, count)| owner.core.release(receipt, count));
        }
        self.collect_mail(side, number);
    }

    pub(super) async fn commit(&mut self, side: usize, number: usize) {
        if self.owners[side][number].as_ref().is_some_and(|owner| owner.core.sealed.is_none()) {
            self.seal(side, number);
        }
        let wrong = self.mutation.is_some();
        let Some(owner) = self.wake(side, number) else { return };
        let Some((writes, mut update)) = owner.core.take_commit() else { return };
        if wrong {
            // The fence's own assertions would find it, and this is about what follows from it.
            update.dedup_horizon = update.dedup_horizon.max(owner.reign.fence().dedup_horizon);
            update.id_time_floor = update.id_time_floor.max(owner.reign.fence().id_time_floor);
        }
        if owner.reign.commit(writes, &update).await.is_err() {
            self.owners[side][number] = None;
            self.witnessed.saw("a batch was fenced off");
            return;
        }
        let Some(batch) = owner.core.sealed.take() else { return };
        let made: Vec<_> =
            batch.productions.iter().map(|p| (value_of(&p.item.record.value), p.item.record.id)).collect();
        let processed = std::mem::take(&mut owner.ran_sealed);
        let removed = !batch.removed_chunks.is_empty();
        let route = owner.route;
        owner.core.committed(Committed::of(batch), &route);
        if removed {
            self.witnessed.saw("an acknowledged production was removed");
        }
        self.ledger.made.extend(made);
        if !processed.is_empty() {
            self.witnessed.saw("the consumer has committed records");
        }
        self.ledger.processed.extend(processed);
        self.collect_mail(side, number);
    }

    pub(super) fn resend(&mut self, number: usize) {
        self.used.resends += 1;
        if let Some(owner) = self.wake(PRODUCER, number) {
            let now = owner.core.scope.now;
            owner.core.outbox.resend(Duration::ZERO, now);
            self.collect_mail(PRODUCER, number);
            self.witnessed.saw("productions were sent again");
        }
    }

    pub(super) fn reroute(&mut self, number: usize) {
        let newest = Route(self.party(CONSUMER, self.owners[CONSUMER].len() - 1));
        if let Some(owner) = self.wake(PRODUCER, number) {
            owner.route = newest;
            let now = owner.core.scope.now;
            owner.core.outbox.reroute(&newest, now);
            self.collect_mail(PRODUCER, number);
        }
    }

    /// The interval is assigned anew, and taken over: the fence first, and then the scan.
    pub(super) async fn move_to_new_owner(&mut self, side: usize) {
        let number = self.owners[side].len();
        self.used.moves[side] += 1;
        let party = self.party(side, number);
        self.assign(side, party.sequencer).await;
        let (handle, keys) = (self.handle(), self.computation(side));
        let tokens = tokens(party.sequencer.get());
        let taken = take_over(&handle, &keys, KeyInterval::FULL, party.sequencer, vec![], &tokens);
        let reign = taken.await.unwrap();
        let clock = Arc::new(ManualClock::at(self.now(number)));
        let consumers = self.owners[CONSUMER].len() + usize::from(side == CONSUMER);
        let route = Route(self.party(CONSUMER, consumers - 1));
        let read = self.scanned[side].take().unwrap_or_else(|| self.store.clone());
        let read: StoreHandle = Arc::new(read);
        let clock_handle: ClockHandle = clock.clone();
        let recovery = Recovery {
            store: &read,
            pipeline: &self.keys,
            keys: &keys,
            spec: &self.pipeline.specs[side],
            options: self.options,
            clock: &clock_handle,
            // This worker has heard nothing of what is announced: the journal must do.
            id_floor: SystemTime::ZERO,
            id_ceiling: IdCeiling::none(),
        };
        let mut core = recovery.recover(&reign, &route).await.unwrap();
        core.scope.store = handle;
        self.spoil(side, &mut core);
        let processor = self.pipeline.processor(side);
        let owner = Owner {
            core,
            reign,
            processor,
            clock,
            route,
            fed: Vec::new(),
            ran: Vec::new(),
            ran_sealed: Vec::new(),
            heard: BTreeSet::new(),
        };
        self.owners[side].push(Some(owner));
        self.collect_mail(side, number);
        if number > 0 {
            self.witnessed.saw(["the producer was taken over", "the consumer was taken over"][side]);
        }
    }

    /// Only where it is wrong: what a new owner does not do.
    fn spoil(&self, side: usize, core: &mut Core) {
        if self.is(Mutation::IdsByOwnClock) {
            core.scope.ids = IdClock::new(core.me.sequencer, SystemTime::ZERO);
        }
        if self.is(Mutation::OutboxNotScanned) && side == PRODUCER {
            core.outbox = crate::engine::outbox::Outbox::new(self.options.credit());
        }
    }

    /// Only where it is wrong: reads what the store holds, for a new owner that takes the fence later.
    pub(super) async fn scan_first(&mut self, side: usize) {
        let copy = empty_store();
        let put = |(key, value): (Bytes, Bytes)| Write::Put { key, value };
        let writes = self.store.dump().into_iter().map(put).collect();
        copy.commit(Commit { preconditions: vec![], writes }).await.unwrap();
        self.scanned[side] = Some(copy);
    }
}
