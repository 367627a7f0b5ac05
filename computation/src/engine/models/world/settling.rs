//! What becomes of a world in which from now on nothing fails: all is made, and all is processed.
//!
//! The newest owner of each side goes on; every earlier one stops for good, and what it has sent is lost, since nobody may
//! rely on it.

use super::*;

const ROUNDS: usize = 6;

impl World<'_> {
    /// Whether every record is processed in the end.
    pub(in crate::engine::models) async fn settles(&mut self) -> bool {
        for side in [PRODUCER, CONSUMER] {
            if self.owners[side].last().is_none_or(Option::is_none) {
                self.move_to_new_owner(side).await;
            }
            let last = self.owners[side].len() - 1;
            self.owners[side][..last].iter_mut().for_each(|owner| *owner = None);
        }
        let [producer, consumer] = [PRODUCER, CONSUMER].map(|side| self.owners[side].len() - 1);
        let newest = [reign_number(PRODUCER, producer), reign_number(CONSUMER, consumer)];
        self.letters.retain(|letter| newest.contains(&letter.from));
        self.reroute(producer);
        for _ in 0..ROUNDS {
            let done_before = self.all_processed();
            self.used.ticks += 1;
            while let Some(owner) = self.owners[PRODUCER][producer].as_ref()
                && self.next_for(owner) <= self.bounds.records
            {
                self.feed(producer).await;
            }
            self.commit_all(PRODUCER, producer).await;
            self.resend(producer);
            self.deliver_all(Kind::Delivery).await;
            self.commit_all(CONSUMER, consumer).await;
            self.deliver_all(Kind::Acknowledgement).await;
            self.commit_all(PRODUCER, producer).await;
            self.report(producer).await;
            self.hear(consumer);
            // One more round, for what would come twice.
            if done_before {
                break;
            }
        }
        self.all_processed()
    }

    fn all_processed(&self) -> bool {
        let mut processed = self.ledger.processed.clone();
        processed.sort_unstable();
        processed == (1..=self.bounds.records).collect::<Vec<_>>()
    }

    async fn commit_all(&mut self, side: usize, number: usize) {
        for _ in 0..2 {
            let Some(owner) = self.wake(side, number) else { return };
            if owner.core.sealed.is_some() || owner.core.should_seal() {
                self.commit(side, number).await;
            }
        }
    }

    async fn deliver_all(&mut self, kind: Kind) {
        let letters: Vec<Letter> =
            self.letters.iter().filter(|letter| letter.kind == kind).copied().collect();
        for letter in letters.into_iter().filter(|letter| self.may_arrive(letter)).collect::<Vec<_>>() {
            self.arrive(letter).await;
        }
    }
}
