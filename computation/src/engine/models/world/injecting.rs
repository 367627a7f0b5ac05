//! The injector, as far as promises go: the real aggregate, with a journal that is written at once.

use super::*;
use bytes::Bytes;
use pelton_domain::EventTime;
use pelton_injector::{Announced, IntervalReport, Load};
use pelton_proto::{Message, store};
use pelton_statestore::{Commit, StateStore, Write};

impl World<'_> {
    /// The dedup horizon of the consumer: what is announced of its only producer.
    pub(super) fn horizon(&self) -> SystemTime {
        self.aggregate.announced(self.pipeline.specs[PRODUCER].number).oldest_unacknowledged
    }

    /// The interval is a new owner's, under a new sequencer.
    pub(super) async fn assign(&mut self, side: usize, sequencer: Sequencer) {
        let computation = self.pipeline.specs[side].number;
        let assignment = Assignment { interval: KeyInterval::FULL, sequencer, worker: "w".into() };
        self.aggregate.reassign(computation, vec![assignment]).unwrap();
        if self.is(Mutation::MissingIntervalIgnored) && side == PRODUCER && sequencer.get() > 1 {
            let Announced { low_watermark, oldest_unacknowledged } = Announced::MOST;
            self.take_up(IntervalReport {
                computation,
                interval: KeyInterval::FULL,
                sequencer,
                low_watermark,
                oldest_unacknowledged,
                holder: None,
                load: Load::default(),
            })
            .await;
        }
    }

    pub(super) async fn report(&mut self, number: usize) {
        let clock_alone = self.is(Mutation::OutboxNotPromised);
        let Some(owner) = self.wake(PRODUCER, number) else { return };
        let Some(mut report) = owner.core.next_report(Load::default()) else { return };
        if clock_alone {
            report.oldest_unacknowledged = owner.core.scope.ids.floor();
        }
        self.take_up(report).await;
    }

    async fn take_up(&mut self, mut report: IntervalReport) {
        let computation = report.computation;
        if self.is(Mutation::StaleReportCounts) {
            let assigned = self.aggregate.intervals(computation).next().unwrap().assignment;
            report.sequencer = assigned.sequencer;
        }
        if let Err(refused) = self.aggregate.report(report, START) {
            self.witnessed.saw(refused.reason());
            return;
        }
        let Some(proposal) = self.aggregate.proposal(1) else { return };
        let (_, value) = proposal.advances()[0];
        if !self.is(Mutation::AnnouncedBeforeJournaled) {
            let message = store::Announced {
                low_watermark_us: value.low_watermark.as_micros(),
                oldest_unacknowledged_ms: value.oldest_unacknowledged.as_millis(),
            };
            let value: Bytes = message.encode_to_vec().into();
            let writes = vec![Write::Put { key: self.keys.announced(computation), value }];
            self.store.commit(Commit { preconditions: vec![], writes }).await.unwrap();
        }
        self.aggregate.journaled(proposal);
        self.witnessed.saw("a horizon was announced");
    }

    pub(super) fn hear(&mut self, number: usize) {
        let horizon = self.horizon();
        let early = self.is(Mutation::ForgottenEarly);
        let Some(owner) = self.wake(CONSUMER, number) else { return };
        owner.core.apply_announced(EventTime::MIN, horizon);
        if early {
            owner.core.collectable = owner.core.collectable.map(|(from, to)| (from, to + 1));
        }
        if owner.core.collectable.is_some() {
            self.witnessed.saw("ids were forgotten");
        }
    }
}
