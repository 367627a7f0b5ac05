//! One worker's stream: what goes to it, and how it ends (I11).
//!
//! Control messages lie in a bounded queue; whoever does not read them is cut off, and joins again. Announced values do not
//! queue: a slow reader gets the latest of each. Nothing is spawned for a stream but its reader.

use super::wire;
use crate::announced::{Announced, AnnouncedTable};
use futures_util::Stream;
use futures_util::stream::unfold;
use pelton_proto::injector::{self as proto, InjectorMessage, injector_message::Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tonic::Status;

/// The injector's end of a stream.
#[derive(Debug)]
pub(super) struct Session {
    control: mpsc::Sender<InjectorMessage>,
    end: Option<oneshot::Sender<Option<Status>>>,
    /// Cancelled when the session ends: its reader stops.
    over: CancellationToken,
    /// When something was last said to it.
    said: Duration,
    muted: Muted,
}

/// The computations whose announced values are not for the worker.
type Muted = Arc<RwLock<BTreeSet<u32>>>;

/// The other end: what the worker's stream is made of.
pub(super) struct Outgoing {
    control: mpsc::Receiver<InjectorMessage>,
    end: oneshot::Receiver<Option<Status>>,
    tables: watch::Receiver<Arc<AnnouncedTable>>,
    sent: BTreeMap<u32, Announced>,
    muted: Muted,
    ended: bool,
}

/// The queue is full: the worker does not read.
pub(super) struct TooSlow;

impl Session {
    pub(super) fn open(
        tables: watch::Receiver<Arc<AnnouncedTable>>,
        control_messages_max: usize,
        over: CancellationToken,
        now: Duration,
    ) -> (Self, Outgoing) {
        let (control, queue) = mpsc::channel(control_messages_max.max(1));
        let (end, ended) = oneshot::channel();
        let muted = Muted::default();
        let session = Self { control, end: Some(end), over, said: now, muted: muted.clone() };
        let mut tables = tables;
        tables.mark_changed();
        let sent = BTreeMap::new();
        (session, Outgoing { control: queue, end: ended, tables, sent, muted, ended: false })
    }

    /// From now on it hears nothing of what these announce.
    pub(super) fn mute(&self, computations: BTreeSet<u32>) {
        *self.muted.write().unwrap_or_else(PoisonError::into_inner) = computations;
    }

    /// Whether it hears nothing of `computation`.
    pub(super) fn is_mute(&self, computation: u32) -> bool {
        self.muted.read().unwrap_or_else(PoisonError::into_inner).contains(&computation)
    }

    pub(super) fn tell(&mut self, message: InjectorMessage, now: Duration) -> Result<(), TooSlow> {
        self.said = now;
        match self.control.try_send(message) {
            Err(mpsc::error::TrySendError::Full(_)) => Err(TooSlow),
            // Closed: its reader says so soon.
            Ok(()) | Err(mpsc::error::TrySendError::Closed(_)) => Ok(()),
        }
    }

    /// How long nothing was said.
    pub(super) fn quiet(&self, now: Duration) -> Duration {
        now.saturating_sub(self.said)
    }

    /// Ends the stream: with OK where there is no status.
    pub(super) fn end(mut self, status: Option<Status>) {
        if let Some(end) = self.end.take() {
            let _ = end.send(status);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.over.cancel();
    }
}

impl Outgoing {
    /// The stream of messages: the first control message, which is the Welcome, and then whatever comes.
    pub(super) fn stream(self) -> impl Stream<Item = Result<InjectorMessage, Status>> + Send + 'static {
        unfold(self, |mut outgoing| async move { Some((outgoing.next().await?, outgoing)) })
    }

    async fn next(&mut self) -> Option<Result<InjectorMessage, Status>> {
        if self.ended {
            return None;
        }
        loop {
            tokio::select! {
                biased;
                end = &mut self.end => {
                    self.ended = true;
                    let gone = || Some(Status::unavailable("this injector leads no more; look for another"));
                    return end.unwrap_or_else(|_| gone()).map(Err);
                }
                Some(message) = self.control.recv() => return Some(Ok(message)),
                Ok(()) = self.tables.changed() => {
                    if let Some(message) = self.news() {
                        return Some(Ok(message));
                    }
                }
                else => return None,
            }
        }
    }

    /// What has grown since the last message: at first, everything.
    fn news(&mut self) -> Option<InjectorMessage> {
        // Read before the table: whoever is muted later was told only of what stood there then.
        let muted = self.muted.read().unwrap_or_else(PoisonError::into_inner).clone();
        let table = self.tables.borrow_and_update().clone();
        let mut entries = Vec::new();
        for (computation, announced) in table.iter().filter(|(computation, _)| !muted.contains(computation)) {
            if self.sent.get(&computation) != Some(&announced) {
                self.sent.insert(computation, announced);
                entries.push(wire::announced(computation, announced));
            }
        }
        (!entries.is_empty()).then(|| wire::message(Kind::Announced(proto::Announced { entries })))
    }
}
