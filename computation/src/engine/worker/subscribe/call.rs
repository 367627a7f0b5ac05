//! One subscription: where it is, and its next answer.

use super::logs::{Logs, Room};
use super::tail::Tail;
use crate::engine::published::Reached;
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use pelton_domain::EventTime;
use pelton_proto::subscribe::{PublishedRecord, SubscribeResponse};
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// What one answer holds at most, but for one record that has more.
const ANSWER_RECORDS_MAX: usize = 1000;
const ANSWER_BYTES_MAX: usize = 256 << 10;

pub(super) struct Subscription {
    logs: Logs,
    /// The next offset of each partition.
    next: Vec<u64>,
    reached: watch::Receiver<Reached>,
    /// The watermark that the client knows.
    told: EventTime,
    /// The partition whose turn it is.
    turn: usize,
    state: State,
    stop: CancellationToken,
    _tail: Arc<Tail>,
    _room: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Opened,
    Reading,
    Ended,
}

impl Subscription {
    pub(super) fn new(
        logs: Logs,
        tail: Arc<Tail>,
        next: Vec<u64>,
        stop: CancellationToken,
        room: OwnedSemaphorePermit,
    ) -> Self {
        let (reached, told, state) = (tail.subscribe(), EventTime::MIN, State::Opened);
        Self { logs, next, reached, told, turn: 0, state, stop, _tail: tail, _room: room }
    }

    /// Its answers, each made when it is asked for.
    pub(super) fn answers(self) -> BoxStream<'static, Result<SubscribeResponse, Status>> {
        stream::unfold(self, |mut subscription| async {
            if subscription.state == State::Ended {
                return None;
            }
            let answer = subscription.answer().await;
            if answer.as_ref().map_or(true, |answer| answer.end) {
                subscription.state = State::Ended;
            }
            Some((answer, subscription))
        })
        .boxed()
    }

    async fn answer(&mut self) -> Result<SubscribeResponse, Status> {
        if self.state == State::Opened {
            self.state = State::Reading;
            return Ok(self.with(Vec::new(), None));
        }
        loop {
            let reached = self.reached.borrow_and_update().clone();
            let records = self.gather(&reached.next).await?;
            let has_all = self.next.iter().zip(reached.next.iter()).all(|(mine, known)| mine >= known);
            let watermark = (has_all && reached.watermark > self.told).then_some(reached.watermark);
            if !records.is_empty() || watermark.is_some() {
                return Ok(self.with(records, watermark));
            }
            tokio::select! {
                changed = self.reached.changed() => changed.map_err(|_| stopping())?,
                () = self.stop.cancelled() => return Err(stopping()),
            }
        }
    }

    /// Records of all partitions that have more, as many as one answer holds.
    async fn gather(&mut self, known: &[u64]) -> Result<Vec<PublishedRecord>, Status> {
        let (mut records, count) = (Vec::new(), self.next.len());
        let mut room = Room { records: ANSWER_RECORDS_MAX, bytes: ANSWER_BYTES_MAX };
        for _ in 0..count {
            if room.records == 0 || room.bytes == 0 {
                break;
            }
            let partition = self.turn % count;
            self.turn = (partition + 1) % count;
            let Some(next) = self.next.get_mut(partition) else { continue };
            if known.get(partition).is_some_and(|known| *next < *known) {
                let more = self.logs.read(partition, *next, &mut room).await?;
                *next += u64::try_from(more.len()).unwrap_or(0);
                records.extend(more);
            }
        }
        Ok(records)
    }

    fn with(&mut self, records: Vec<PublishedRecord>, watermark: Option<EventTime>) -> SubscribeResponse {
        self.told = watermark.unwrap_or(self.told);
        SubscribeResponse {
            records,
            token: self.logs.token(&self.next),
            watermark_us: watermark.map(EventTime::as_micros),
            end: watermark == Some(EventTime::MAX),
        }
    }
}

pub(super) fn stopping() -> Status {
    Status::unavailable("this worker stops: subscribe with the last token at another worker")
}
