//! The future behind an [`Injector`](crate::Injector): the only one that writes the journal, one commit at a time.
//!
//! * I7: an advance is journaled with the leader's fence, then made visible, then announced; a deposed leader
//!   therefore says nothing new. An assignment is journaled, then registered, and only then told to anyone.
//! * No tick: it sleeps until an advance or a request comes. After a journal commit for advances it lets a gap
//!   pass before the next, in which advances gather; an idle injector journals at once.
//! * Where others stand by, it renews the leadership by an empty commit when nothing else was committed for a while.
//! * Dropping it is a crash: the next leader goes on from the journal.

use crate::aggregate::{ReassignRefused, check_reassign};
use crate::announced::AnnouncedTable;
use crate::assign::{Assignment, Worker};
use crate::end::End;
use crate::injector::{AssignError, Assigned, Shared};
use crate::journal;
use crate::leader::{Leader, LeaderError};
use crate::options::InjectorOptions;
use crate::sequencers::Sequencers;
use pelton_domain::KeyInterval;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_statestore::{PipelineKeys, StoreFault, Write};
use std::convert::Infallible;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Sleep;

/// One call of `assign` or `reassign`.
pub(crate) struct AssignRequest {
    pub(crate) computation: u32,
    /// Exactly what is to be replaced, where the caller says so.
    pub(crate) old: Option<Vec<KeyInterval>>,
    pub(crate) new: Vec<(KeyInterval, Worker)>,
    pub(crate) reply: oneshot::Sender<Result<Vec<Assigned>, AssignError>>,
}

/// The writer of one pipeline's journal.
pub(crate) struct Driver {
    shared: Arc<Shared>,
    leader: Leader,
    sequencers: Sequencers,
    keys: PipelineKeys,
    requests: mpsc::Receiver<AssignRequest>,
    announcer: Announcer,
    gap: Duration,
    renewal: Option<Duration>,
    records_max: usize,
    wrote: bool,
}

impl Driver {
    pub(crate) fn new(
        shared: Arc<Shared>,
        leader: Leader,
        sequencers: Sequencers,
        keys: PipelineKeys,
        requests: mpsc::Receiver<AssignRequest>,
        tables: watch::Sender<Arc<AnnouncedTable>>,
        options: &InjectorOptions,
    ) -> Self {
        let announcer = Announcer { shared: shared.clone(), tables };
        let gap = Duration::from_millis(options.journal_gap_ms_min);
        let records_max = options.journal_records_max.max(1);
        let renewal = options.renewal_ms.map(|ms| Duration::from_millis(ms.max(1)));
        Self {
            shared,
            leader,
            sequencers,
            keys,
            requests,
            announcer,
            gap,
            renewal,
            records_max,
            wrote: false,
        }
    }

    /// Works until it is stopped, deposed, or the store is broken.
    pub(crate) async fn run(mut self) -> End {
        let shared = self.shared.clone();
        let end = tokio::select! {
            biased;
            () = shared.stop.notified() => End::Stopped,
            end = self.work() => match end { Err(end) => end, Ok(never) => match never {} },
        };
        tracing::info!(epoch = %self.leader.epoch(), %end, "the injector ends");
        self.announcer.end(&end);
        end
    }

    async fn work(&mut self) -> Result<Infallible, End> {
        let mut gap = pin!(tokio::time::sleep(Duration::ZERO));
        let mut renewal = pin!(after(self.renewal));
        let shared = self.shared.clone();
        loop {
            let request = tokio::select! {
                biased;
                () = advance_after(gap.as_mut(), &shared) => {
                    // A timer of no length would still wait for the next millisecond.
                    if self.announce().await? && !self.gap.is_zero() {
                        gap.set(tokio::time::sleep(self.gap));
                    }
                    // One request after each announcement: neither side can starve the other.
                    self.requests.try_recv().ok()
                }
                request = self.requests.recv() => Some(request.ok_or(End::Stopped)?),
                () = renewal.as_mut() => {
                    self.renew().await?;
                    None
                }
            };
            if let Some(request) = request {
                self.serve(request).await?;
            }
            // Every commit changes the token in the leader's record.
            if std::mem::take(&mut self.wrote) {
                renewal.set(after(self.renewal));
            }
        }
    }

    /// Shows those that stand by that this leader lives, by a new token and nothing else.
    async fn renew(&mut self) -> Result<(), End> {
        self.commit(Vec::new()).await.map_err(ended_by)
    }

    async fn commit(&mut self, writes: Vec<Write>) -> Result<(), LeaderError> {
        self.wrote = true;
        self.leader.commit(writes).await
    }

    /// Journals every advance there is, then makes it known; false where there was none.
    #[tracing::instrument(level = "debug", skip_all, fields(epoch = %self.leader.epoch()))]
    async fn announce(&mut self) -> Result<bool, End> {
        let mut advances_max = self.records_max;
        loop {
            let Some(proposal) = self.shared.aggregate().proposal(advances_max) else { return Ok(false) };
            let advances = proposal.advances().to_vec();
            let writes: Vec<Write> = advances
                .iter()
                .map(|(computation, value)| journal::announce(&self.keys, *computation, *value))
                .collect();
            if mutant(Mutant::ToldBeforeJournaled) {
                let old = self.shared.aggregate().all_announced().collect::<Vec<_>>();
                let all = old.into_iter().chain(advances.iter().copied());
                self.announcer.announce(AnnouncedTable::new(self.leader.epoch(), all));
            }
            match self.commit(writes).await {
                Ok(()) => {}
                Err(LeaderError::TooLarge { .. }) if advances.len() > 1 => {
                    advances_max = advances.len() / 2;
                    continue;
                }
                Err(error) => return Err(ended_by(error)),
            }
            let (announced, more) = {
                let mut aggregate = self.shared.aggregate();
                aggregate.journaled(proposal);
                let announced: Vec<_> = aggregate.all_announced().collect();
                (announced, aggregate.proposal(1).is_some())
            };
            self.announcer.announce(AnnouncedTable::new(self.leader.epoch(), announced));
            self.shared.instruments.journaled();
            self.shared.instruments.announced(advances.into_iter());
            if more {
                self.shared.advance.notify_one();
            }
            return Ok(true);
        }
    }

    /// Answers one request. A caller that went away meanwhile leaves an assignment that nobody takes over by.
    async fn serve(&mut self, request: AssignRequest) -> Result<(), End> {
        let AssignRequest { computation, old, new, reply } = request;
        let answer = self.assign(computation, old, new).await;
        let end = match &answer {
            Err(AssignError::Ended(end)) => Err(end.clone()),
            _ => Ok(()),
        };
        let _ = reply.send(answer);
        end
    }

    #[tracing::instrument(level = "debug", skip_all, fields(epoch = %self.leader.epoch(), computation, intervals = new.len()))]
    async fn assign(
        &mut self,
        computation: u32,
        expected: Option<Vec<KeyInterval>>,
        mut new: Vec<(KeyInterval, Worker)>,
    ) -> Result<Vec<Assigned>, AssignError> {
        new.sort_unstable();
        let parts: Vec<KeyInterval> = new.iter().map(|(interval, _)| *interval).collect();
        let old = self.shared.aggregate().replaced_by(computation, &parts)?;
        if let Some(expected) = expected {
            check_expected(&old, expected)?;
        }
        if new.is_empty() {
            return Ok(Vec::new());
        }
        let count = u64::try_from(new.len()).unwrap_or(u64::MAX);
        let failed = |error: crate::sequencers::SequencersError| End::Failed(StoreFault(error.to_string()));
        let block = self.sequencers.take(count).await.map_err(failed)?;
        let assignment = |((interval, worker), sequencer)| Assignment { interval, sequencer, worker };
        let new: Vec<Assignment> = new.into_iter().zip(block).map(assignment).collect();
        check_reassign(&old, &new)?;
        let mut assigned = Vec::with_capacity(new.len());
        for step in journal::steps(old, new, self.records_max) {
            let writes = journal::assign(&self.keys, computation, &step.old, &step.new);
            match self.commit(writes).await {
                Ok(()) => self.shared.instruments.journaled(),
                Err(LeaderError::TooLarge { what, size_bytes, limit_bytes }) => {
                    return Err(AssignError::TooLarge { what, size_bytes, limit_bytes });
                }
                Err(error) => return Err(ended_by(error).into()),
            }
            // Nothing is proposed while this runs, and from here on the new intervals hold: what stands
            // announced now stands until their owners report.
            let announced = {
                let mut aggregate = self.shared.aggregate();
                aggregate.reassign(computation, step.new.clone())?;
                aggregate.announced(computation)
            };
            assigned.extend(step.new.into_iter().map(|assignment| Assigned {
                require: journal::requirement(&self.keys, computation, &assignment),
                assignment,
                announced,
            }));
        }
        Ok(assigned)
    }
}

/// Waits for the gap to pass, then for something to announce. Safe to cancel: a wake-up is not lost.
async fn advance_after(gap: Pin<&mut Sleep>, shared: &Shared) {
    gap.await;
    shared.advance.notified().await;
}

/// Waits so long; for ever where it is not said how long.
async fn after(wait: Option<Duration>) {
    match wait {
        Some(wait) => tokio::time::sleep(wait).await,
        None => std::future::pending().await,
    }
}

fn check_expected(old: &[Assignment], mut expected: Vec<KeyInterval>) -> Result<(), ReassignRefused> {
    expected.sort_unstable();
    let mut found: Vec<KeyInterval> = old.iter().map(|assignment| assignment.interval).collect();
    found.sort_unstable();
    let unexpected = found.iter().find(|interval| expected.binary_search(interval).is_err());
    let missing = expected.iter().find(|interval| found.binary_search(interval).is_err());
    match unexpected.or(missing) {
        Some(interval) => Err(ReassignRefused::OtherIntervals { interval: *interval }),
        None => Ok(()),
    }
}

fn ended_by(error: LeaderError) -> End {
    match error {
        LeaderError::Deposed { held, current } => End::Deposed { held, current },
        LeaderError::Fatal(fault) => End::Failed(fault),
        LeaderError::TooLarge { .. } | LeaderError::Interrupted | LeaderError::Malformed(_) => {
            End::Failed(StoreFault(error.to_string()))
        }
    }
}

/// The sending end of the announcements: whoever holds it ends them with a reason, even by being dropped.
struct Announcer {
    shared: Arc<Shared>,
    tables: watch::Sender<Arc<AnnouncedTable>>,
}

impl Announcer {
    fn announce(&self, table: AnnouncedTable) {
        self.tables.send_replace(Arc::new(table));
    }

    /// Repeats the last table with the reason why none comes after it.
    fn end(&self, end: &End) {
        self.shared.ended.store(true, Ordering::Release);
        self.tables.send_if_modified(|table| {
            let first = table.end().is_none();
            if first {
                *table = Arc::new(table.ended(end.clone()));
            }
            first
        });
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.end(&End::Abandoned);
    }
}
