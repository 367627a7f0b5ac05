//! The loop that owns one interval: mail in, bundles through, commits out.
//!
//! Nothing in the path of a record waits for a tick: a record that arrives at an idle interval runs and is
//! committed at once, and those that arrive during that commit form the next batch.

use super::super::authority::Authority;
use super::super::batch::SealedBatch;
use super::super::bundle::{Bundle, Processor};
use super::super::clock::ClockHandle;
use super::super::outbox::Routes;
use super::super::published::Grown;
use super::super::router::{Mail, RouteTable, Router};
use super::commit::Committed;
use super::core::Core;
use super::load::LoadMeter;
use super::written::{WriteBudget, Written};
use crate::engine::worker::IntervalStatus;
use crate::timer::TimeDomain;
use pelton_domain::mutants::{Mutant, mutant};
use pelton_domain::{CommitNumber, ProcessingTime, SystemTime};
use pelton_injector::{AnnouncedTable, ReportRefused};
use pelton_statestore::{FencedError, Reign};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Calls of one bundle: short enough that mail and acknowledgements are seen in between.
const BUNDLE_CALLS_MAX: usize = 1024;
/// Pieces of mail taken in at once.
const MAIL_MAX: usize = 256;

/// How an interval's task ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// As asked: everything begun is committed.
    Stopped(Box<Stopped>),
    /// Another owns the interval, or its state here is in doubt: take it over afresh, if it is still ours.
    Abandoned(String),
    /// There is no interval of these bounds any more.
    Gone(String),
    /// The store or the injector is gone for good.
    Failed(String),
}

/// What is left of an interval that was stopped.
#[derive(Debug)]
pub(crate) struct Stopped {
    pub(crate) reign: Reign,
    /// The end of the newest time bucket it has packed ids of.
    pub(crate) dedup_end: SystemTime,
}

/// What can be asked of a running interval.
#[derive(Debug)]
pub(crate) enum Request {
    /// Take the dead letters up again; answered with how many, once they are in a batch that has committed.
    ReplayDeadLetters(oneshot::Sender<usize>),
}

/// The task of one interval.
pub(crate) struct IntervalTask {
    pub(crate) core: Core,
    pub(crate) processor: Box<dyn Processor>,
    pub(crate) reign: Reign,
    pub(crate) mailbox: mpsc::UnboundedReceiver<Mail>,
    pub(crate) requests: Arc<Mutex<mpsc::Receiver<Request>>>,
    pub(crate) answers: Vec<(CommitNumber, oneshot::Sender<usize>, usize)>,
    pub(crate) router: Router,
    pub(crate) authority: Authority,
    pub(crate) clock: ClockHandle,
    pub(crate) stop: CancellationToken,
    pub(crate) status: Arc<IntervalStatus>,
    pub(crate) budget: WriteBudget,
    /// What the commit under way writes.
    pub(crate) writing: Written,
    /// Who is told of what its commits publish, where it keeps the log of a published stream.
    pub(crate) grown: Option<Grown>,
    /// What the commit under way publishes.
    pub(crate) publishing: Vec<(usize, u64)>,
    pub(crate) meter: LoadMeter,
}

pub(crate) type CommitTask = JoinHandle<(Reign, Result<(), FencedError>)>;

impl IntervalTask {
    /// Runs until the end of the reign.
    pub(crate) async fn run(mut self) -> Ended {
        let mut routes = self.router.changes();
        let mut announced = self.authority.subscribe();
        let mut table = self.router.table();
        let requests = self.requests.clone();
        let mut requests = requests.lock().await;
        let mut commit: Option<CommitTask> = None;
        self.core.scope.now = self.clock.now();
        self.apply(&announced.borrow_and_update());
        // Owners may have come since the scan; those that come from here on are told of.
        self.reroute(&table);
        loop {
            if let Err(ended) = self.step(&table, &mut commit).await {
                return ended;
            }
            if self.stop.is_cancelled() && commit.is_none() {
                return Ended::Stopped(Box::new(Stopped {
                    reign: self.reign,
                    dedup_end: self.core.dedup.newest_bucket_end(),
                }));
            }
            let runnable = self.core.may_run() && self.core.has_work() && !self.stop.is_cancelled();
            let wait = self.wait();
            tokio::select! {
                biased;
                ended = async { match commit.as_mut() { Some(task) => task.await, None => std::future::pending().await } } => {
                    commit = None;
                    self.core.scope.now = self.clock.now();
                    if let Err(ended) = self.commit_ended(ended, &table) {
                        return ended;
                    }
                }
                changed = routes.changed() => {
                    if changed.is_ok() {
                        routes.borrow_and_update();
                        table = self.router.table();
                        self.reroute(&table);
                    }
                }
                mail = self.mailbox.recv() => match mail {
                    Some(mail) => self.take_mail(mail),
                    None => return Ended::Abandoned("another owns it: its mailbox was closed".into()),
                },
                // Closed requests are no reason to end: whoever stops the interval says so itself.
                Some(request) = requests.recv(), if !requests.is_closed() => {
                    if let Err(ended) = self.take_request(request).await {
                        return ended;
                    }
                }
                changed = announced.changed() => {
                    let news = announced.borrow_and_update().clone();
                    if changed.is_err() || news.end().is_some() {
                        let reason = news.end().map_or("it is gone".to_owned(), ToString::to_string);
                        return Ended::Failed(format!("the injector ended: {reason}"));
                    }
                    self.apply(&news);
                }
                // Others on the same thread get their turn between two bundles.
                () = tokio::task::yield_now(), if runnable => {}
                () = self.stop.cancelled(), if !self.stop.is_cancelled() => {}
                () = tokio::time::sleep(wait.unwrap_or_default()), if wait.is_some() => {}
            }
        }
    }

    /// One turn: a bundle, if there is work and room; a commit, if none is under way; and the mail.
    pub(crate) async fn step(
        &mut self,
        table: &RouteTable,
        commit: &mut Option<CommitTask>,
    ) -> Result<(), Ended> {
        self.core.scope.now = self.clock.now();
        let stopping = self.stop.is_cancelled();
        if !self.core.failing.is_empty() && !stopping {
            self.core.tend_failing().await.map_err(|failure| self.fault(&failure))?;
        }
        if !stopping && self.core.next_sweep().is_some_and(|at| at <= self.core.scope.now) {
            self.core.sweep_page().await.map_err(|failure| self.fault(&failure))?;
        }
        if !stopping && self.core.must_read_timers() {
            self.core.read_timers().await.map_err(|failure| self.fault(&failure))?;
        }
        if !stopping && self.core.may_run() && self.core.has_work() {
            self.run_bundle().await?;
        }
        if self.core.should_seal() {
            self.core.seal(table);
        }
        if commit.is_none()
            && let Some((writes, update)) = self.core.take_commit()
        {
            let mut reign = self.reign.clone();
            self.writing = WriteBudget::of(&self.core.scope.keys, &writes, reign.fence_size_bytes());
            self.publishing =
                self.grown.as_ref().map_or(Vec::new(), |grown| grown.by(&self.core.scope.keys, &writes));
            *commit = Some(tokio::spawn(async move {
                let result = reign.commit(writes, &update).await;
                (reign, result)
            }));
        }
        self.core.outbox.resend(self.core.options.resend_after, self.core.scope.now);
        self.send(table);
        self.meter.worked(self.core.scope.now, self.clock.now());
        self.report()
    }

    async fn run_bundle(&mut self) -> Result<(), Ended> {
        let room = self.core.options.batch_calls_max.saturating_sub(self.core.scope.batch.calls);
        let calls_max = room.min(BUNDLE_CALLS_MAX).min(self.processor.calls_max());
        let gathered = self.core.gather(calls_max).await;
        let work = gathered.map_err(|failure| self.fault(&failure))?;
        if work.is_empty() {
            self.core.end_bundle();
            return Ok(());
        }
        let keys: Vec<_> = work.iter().map(|work| work.key().clone()).collect();
        self.core.scope.prefetch(keys.iter()).await.map_err(|failure| self.fault(&failure))?;
        let mut bundle = Bundle::new(&mut self.core, work);
        self.processor.run(&mut bundle).await;
        self.core.end_bundle();
        match self.core.scope.fault() {
            Some(fault) => Err(Ended::Failed(fault.to_owned())),
            None => Ok(()),
        }
    }

    fn fault(&self, failure: &crate::failure::Failure) -> Ended {
        match self.core.scope.fault() {
            Some(fault) => Ended::Failed(fault.to_owned()),
            None => Ended::Failed(failure.to_string()),
        }
    }

    pub(crate) async fn take_request(&mut self, request: Request) -> Result<(), Ended> {
        let Request::ReplayDeadLetters(reply) = request;
        let replayed = self.core.replay_dead_letters().await.map_err(|failure| self.fault(&failure))?;
        self.answers.push((self.core.scope.batch.number, reply, replayed));
        Ok(())
    }

    pub(crate) fn take_mail(&mut self, mail: Mail) {
        self.core.scope.now = self.clock.now();
        self.core.take_mail(mail);
        for _ in 0..MAIL_MAX {
            match self.mailbox.try_recv() {
                Ok(mail) => self.core.take_mail(mail),
                Err(_) => break,
            }
        }
    }

    pub(crate) fn apply(&mut self, table: &AnnouncedTable) {
        let graph = self.authority.graph();
        let computation = self.core.me.address.computation;
        self.core
            .apply_announced(graph.input_watermark(computation, table), graph.horizon(computation, table));
    }

    pub(crate) fn reroute(&mut self, table: &RouteTable) {
        self.core.outbox.reroute(table, self.core.scope.now);
        self.core.forget_senders(|p| table.owner(p.address.computation, p.address.first) == Some(p));
    }

    pub(crate) fn commit_ended(
        &mut self,
        ended: Result<(Reign, Result<(), FencedError>), tokio::task::JoinError>,
        table: &RouteTable,
    ) -> Result<(), Ended> {
        let (reign, result) =
            ended.map_err(|error| Ended::Abandoned(format!("a commit was lost: {error}")))?;
        let result = match result {
            Err(FencedError::Fenced { .. }) if mutant(Mutant::RefusedCommitIgnored) => Ok(()),
            result => result,
        };
        match result {
            Ok(()) => {
                self.reign = reign;
                let Some(batch) = self.core.sealed.take() else {
                    return Err(Ended::Abandoned("a commit ended that nobody began".into()));
                };
                self.count(&batch);
                self.answer(batch.number);
                self.core.committed(Committed::of(batch), table);
                Ok(())
            }
            // Every call's effects are bounded, so this is a bug; doing it again would end the same way.
            Err(error @ FencedError::TooLarge { .. }) => Err(Ended::Failed(error.to_string())),
            Err(FencedError::Fatal(fault)) => Err(Ended::Failed(format!("the store failed: {fault}"))),
            Err(error) => Err(Ended::Abandoned(error.to_string())),
        }
    }

    /// Answers the requests whose effects are committed.
    fn answer(&mut self, committed: CommitNumber) {
        for (_, reply, count) in self.answers.extract_if(.., |(number, ..)| *number <= committed) {
            // Nobody waits for it any more: the effects stay.
            let _ = reply.send(count);
        }
    }

    fn count(&self, batch: &SealedBatch) {
        metrics::counter!("pelton_commits_total").increment(1);
        if let Some(grown) = &self.grown {
            grown.grow(self.publishing.iter().copied());
        }
        self.budget.committed(&self.writing, batch.records);
        self.status.update(&batch.update.counters);
    }

    fn send(&mut self, table: &RouteTable) {
        let me = self.core.me;
        let outgoing = &mut self.core.outgoing;
        self.core.outbox.pump(self.core.scope.now, |to, epoch, number, delivery| {
            outgoing.push((to, Mail::Deliver { from: me, epoch, number, delivery }));
        });
        for (to, mail) in outgoing.drain(..) {
            table.send(to, mail);
        }
    }

    fn report(&mut self) -> Result<(), Ended> {
        self.status.observe(&self.core);
        let Some(report) = self.core.next_report(self.meter.load(&self.core)) else { return Ok(()) };
        match self.authority.report(report) {
            Ok(()) => Ok(()),
            Err(refused @ (ReportRefused::Stale { .. } | ReportRefused::NotAssigned { .. })) => {
                Err(Ended::Abandoned(refused.to_string()))
            }
            Err(refused) => Err(Ended::Failed(refused.to_string())),
        }
    }

    /// How long nothing is to be done unless something arrives.
    pub(crate) fn wait(&self) -> Option<Duration> {
        let core = &self.core;
        // What an interval that stops does not begin is nothing to wake up for: only its commit is.
        let may_begin = !self.stop.is_cancelled();
        let may_run = may_begin && core.may_run();
        let timer = core.scope.timers.next_due(TimeDomain::Processing).map(ProcessingTime::from_micros);
        let timer = timer.filter(|_| may_run);
        let removal = core
            .removable_since
            .filter(|_| core.sealed.is_none())
            .map(|since| since.plus(core.options.removal_delay));
        let resend = core.outbox.is_waiting().then(|| core.scope.now.plus(core.options.resend_after));
        let straggler = core.sealed.as_ref().and_then(|sealed| sealed.weak_until);
        let failing = core.failing.next_at(&core.scope.spec.options.retry).filter(|_| may_run);
        let upkeep = [core.next_sweep(), core.timers_in_doubt_at()].map(|at| at.filter(|_| may_begin));
        let all = [core.next_report_at(), timer, removal, resend, straggler, failing];
        let next = all.into_iter().chain(upkeep).flatten().min()?;
        let micros = next.as_micros().saturating_sub(core.scope.now.as_micros()).max(0);
        Some(Duration::from_micros(u64::try_from(micros).unwrap_or(0)))
    }
}
