//! The network: all that was ever sent, and what arrives of it.

use super::owning::{upstream, value_of};
use super::*;
use crate::engine::models::{ACKNOWLEDGED, NOTHING_TWICE};
use crate::engine::router::Mail;

impl World<'_> {
    /// Takes up what an owner has sent since.
    pub(super) fn collect_mail(&mut self, side: usize, number: usize) {
        let Some(owner) = self.owners[side][number].as_mut() else { return };
        let me = reign_number(side, number);
        let now = owner.core.scope.now;
        let mut mail = std::mem::take(&mut owner.core.outgoing);
        let from = owner.core.me;
        owner.core.outbox.pump(now, |to, epoch, number, delivery| {
            mail.push((to, Mail::Deliver { from, epoch, number, delivery }));
        });
        let fed = owner.fed.clone();
        for (to, mail) in mail {
            let (to_outside, to) = (to == upstream(), to.sequencer.get());
            let letter = |kind, epoch, number| Letter { kind, from: me, to, epoch, number };
            match mail {
                Mail::Deliver { epoch, number, delivery, .. } => {
                    let letter = letter(Kind::Delivery, epoch, number);
                    self.letters.insert(letter);
                    self.deliveries.insert(letter, delivery);
                }
                Mail::Acknowledge { number, .. } if to_outside => {
                    let value = fed.get(usize::try_from(number).unwrap()).copied().unwrap_or(0);
                    if !self.ledger.made.contains_key(&value) {
                        self.ledger.violated.insert(ACKNOWLEDGED);
                    }
                }
                Mail::Acknowledge { epoch, number, .. } => {
                    self.acknowledges(Letter { from: to, to: me, ..letter(Kind::Delivery, epoch, number) });
                    self.letters.insert(letter(Kind::Acknowledgement, epoch, number));
                }
                Mail::Refuse { epoch, .. } => {
                    self.letters.insert(letter(Kind::Refusal, epoch, 0));
                    self.witnessed.saw("a delivery behind a gap was refused");
                }
            }
        }
    }

    /// I4: all of a delivery that is acknowledged has been committed.
    fn acknowledges(&mut self, delivery: Letter) {
        let Some(sent) = self.deliveries.get(&delivery) else { return };
        let committed = |value: u64| self.ledger.processed.contains(&value);
        if !sent.items.iter().all(|item| committed(value_of(&item.record.value))) {
            self.ledger.violated.insert(ACKNOWLEDGED);
        }
    }

    /// Whether anybody is there to take it.
    pub(super) fn may_arrive(&self, letter: &Letter) -> bool {
        let reign = usize::try_from(letter.to).unwrap() - 1;
        let owner = self.owners[reign / 10].get(reign % 10).and_then(Option::as_ref);
        owner.is_some_and(|owner| self.bounds.repeats || !owner.heard.contains(letter))
    }

    pub(super) async fn arrive(&mut self, letter: Letter) {
        let Letter { kind, from, to, epoch, number } = letter;
        let from_side = (usize::try_from(from).unwrap() - 1) / 10;
        let from = Party::of(self.pipeline.specs[from_side].number, KeyInterval::FULL, sequencer(from));
        let mail = match kind {
            Kind::Delivery => {
                let Some(delivery) = self.deliveries.get(&letter).cloned() else { return };
                Mail::Deliver { from, epoch, number, delivery }
            }
            Kind::Acknowledgement => Mail::Acknowledge { from, epoch, number, at_end: false },
            Kind::Refusal => Mail::Refuse { from, epoch },
        };
        let at_once = self.is(Mutation::InFlightAcknowledged);
        let Some((side, owner, _)) = self.owner_of(to) else { return };
        let Some(found) = self.wake(side, owner) else { return };
        found.heard.insert(letter);
        found.core.take_mail(mail);
        if side == CONSUMER {
            self.run_consumer(owner).await;
            if at_once && kind == Kind::Delivery {
                self.acknowledge_in_flight(owner, letter);
            }
        }
        self.collect_mail(side, owner);
    }

    /// Only where it is wrong: nothing of the delivery is new, so it is acknowledged.
    fn acknowledge_in_flight(&mut self, owner: usize, letter: Letter) {
        let Some(sent) = self.deliveries.get(&letter).cloned() else { return };
        let Some(found) = self.owners[CONSUMER][owner].as_mut() else { return };
        let ran = |value: u64| found.ran_sealed.contains(&value);
        if sent.items.iter().all(|item| ran(value_of(&item.record.value))) {
            let mail = Mail::Acknowledge {
                from: found.core.me,
                epoch: letter.epoch,
                number: letter.number,
                at_end: false,
            };
            let producer = self.pipeline.specs[PRODUCER].number;
            let to = Party::of(producer, KeyInterval::FULL, sequencer(letter.from));
            found.core.outgoing.push((to, mail));
        }
    }

    pub(super) fn judge(&mut self) {
        let processed = &self.ledger.processed;
        let mut sorted = processed.clone();
        sorted.sort_unstable();
        sorted.dedup();
        if sorted.len() != processed.len() {
            self.ledger.violated.insert(NOTHING_TWICE);
        }
        if sorted != *processed && sorted.len() == processed.len() {
            self.ledger.violated.insert(crate::engine::models::IN_ORDER);
        }
        let horizon = self.horizon();
        let waiting = self.ledger.made.iter().filter(|(value, _)| !processed.contains(value));
        if waiting.into_iter().any(|(_, id)| id.system_time() < horizon) {
            self.ledger.violated.insert(crate::engine::models::HORIZON);
        }
    }
}
