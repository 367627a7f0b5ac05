//! What can be asked of a running engine: to finish, to stop, to split and to merge.

use super::{Engine, Running, Shared};
use crate::engine::interval::task::Stopped;
use crate::engine::reshape::{ReshapeError, reshape};
use pelton_domain::{KeyInterval, KeyPosition, Sequencer, SystemTime};
use pelton_statestore::fence::reign::Part;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};

/// Why a pipeline ended without having finished.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the pipeline cannot go on: {reason}")]
pub struct PipelineFailed {
    /// What went wrong.
    pub reason: String,
}

/// Why an interval was not split or merged. It runs on as it was.
#[derive(Debug, thiserror::Error)]
#[error("the intervals were not changed: {0}")]
pub struct ReshapeFailed(String);

impl Engine {
    /// Waits until every interval has been taken over and runs.
    ///
    /// # Errors
    /// [`PipelineFailed`] where one cannot.
    pub async fn started(&self) -> Result<(), PipelineFailed> {
        let failure = self.shared.failure.subscribe();
        while !self.status().computations.iter().all(|c| c.running == c.intervals) {
            if let Some(reason) = failure.borrow().clone() {
                return Err(PipelineFailed { reason });
            }
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Waits until all is done: every watermark at plus infinity and no timer left.
    ///
    /// # Errors
    /// [`PipelineFailed`] where it cannot go on.
    pub async fn finished(&self) -> Result<(), PipelineFailed> {
        let mut announced = self.injector.subscribe();
        let mut failure = self.shared.failure.subscribe();
        loop {
            if let Some(reason) = failure.borrow_and_update().clone() {
                return Err(PipelineFailed { reason });
            }
            if self.status().is_done() {
                return Ok(());
            }
            tokio::select! {
                biased;
                changed = announced.changed() => if changed.is_err() {
                    let end = self.injector.end().map_or("it is gone".into(), |end| end.to_string());
                    return Err(PipelineFailed { reason: format!("the injector ended: {end}") });
                },
                _ = failure.changed() => {}
                // Timers that hold nothing end without an announcement.
                () = tokio::time::sleep(std::time::Duration::from_millis(50)) => {}
            }
        }
    }

    /// Waits until the pipeline cannot go on.
    pub async fn failed(&self) -> PipelineFailed {
        let mut failure = self.shared.failure.subscribe();
        let reason = failure.wait_for(Option::is_some).await.ok().and_then(|reason| reason.clone());
        match reason {
            Some(reason) => PipelineFailed { reason },
            None => std::future::pending().await,
        }
    }

    /// Stops every interval once what it has begun is committed.
    pub async fn stop(self) {
        self.shared.stop_all().await;
        self.injector.stop();
        let _ = self.driver.await;
    }

    /// Drops everything at once, as a crash would: nothing is committed that was not under way already.
    pub fn abort(self) {
        for hosted in self.shared.computations.values() {
            let running = std::mem::take(&mut *hosted.running.lock().unwrap_or_else(PoisonError::into_inner));
            running.into_values().for_each(|running| running.task.abort());
        }
        self.driver.abort();
    }

    /// The intervals of a computation, in order.
    #[must_use]
    pub fn intervals(&self, computation: &str) -> Vec<KeyInterval> {
        let Some(number) = self.number(computation) else { return Vec::new() };
        let Some(hosted) = self.shared.hosted(number) else { return Vec::new() };
        hosted.running.lock().unwrap_or_else(PoisonError::into_inner).keys().copied().collect()
    }

    /// Splits the interval of `computation` that holds `at`, below `at`, while everything else runs on.
    ///
    /// # Errors
    /// [`ReshapeFailed`] where there is no such interval, or `at` is its first position.
    pub async fn split(&self, computation: &str, at: KeyPosition) -> Result<(), ReshapeFailed> {
        let fail = |reason: String| ReshapeFailed(reason);
        let old = self.intervals(computation).into_iter().find(|i| i.contains(at));
        let old = old.ok_or_else(|| fail(format!("{computation} has no interval with {at}")))?;
        let (low, high) =
            old.split_at(at).ok_or_else(|| fail(format!("{at} is the first position of {old}")))?;
        self.reshape(computation, vec![old], vec![low, high]).await
    }

    /// Merges the two neighbouring intervals of `computation` that meet at `at`, the first position of the second.
    ///
    /// # Errors
    /// [`ReshapeFailed`] where no two intervals meet there.
    pub async fn merge(&self, computation: &str, at: KeyPosition) -> Result<(), ReshapeFailed> {
        let intervals = self.intervals(computation);
        let place = intervals.iter().position(|i| i.first() == at).filter(|place| *place > 0);
        let pair = place.and_then(|place| Some((*intervals.get(place - 1)?, *intervals.get(place)?)));
        let (low, high) =
            pair.ok_or_else(|| ReshapeFailed(format!("no two intervals of {computation} meet at {at}")))?;
        let whole = KeyInterval::new(low.first(), high.last());
        let whole = whole.ok_or_else(|| ReshapeFailed("the merged interval is empty".into()))?;
        self.reshape(computation, vec![low, high], vec![whole]).await
    }

    pub(super) fn number(&self, computation: &str) -> Option<u32> {
        let found =
            self.shared.computations.iter().find(|(_, hosted)| hosted.spec.name.as_str() == computation);
        found.map(|(number, _)| *number)
    }

    async fn reshape(
        &self,
        name: &str,
        old: Vec<KeyInterval>,
        new: Vec<KeyInterval>,
    ) -> Result<(), ReshapeFailed> {
        let number =
            self.number(name).ok_or_else(|| ReshapeFailed(format!("there is no computation {name}")))?;
        self.shared.reshape(number, old, new).await
    }
}

impl Shared {
    /// Stops the intervals `old`, and goes on with `new` in their place; where that fails, with `old`, or with
    /// whatever the injector makes of it.
    pub(super) async fn reshape(
        self: &Arc<Self>,
        computation: u32,
        old: Vec<KeyInterval>,
        new: Vec<KeyInterval>,
    ) -> Result<(), ReshapeFailed> {
        let (mut left, stopped) = self.stop_intervals(computation, &old).await;
        let done = match stopped {
            Some(stopped) => self.reshape_stopped(computation, &old, &new, stopped, &mut left).await,
            None => Err("an interval did not stop with its reign".to_owned()),
        };
        let Err(reason) = done else { return Ok(()) };
        if !self.authority.left(computation, &left, &reason) {
            self.restart(computation, old).await.map_err(ReshapeFailed)?;
        }
        Err(ReshapeFailed(reason))
    }

    /// Stops intervals, and says under which reigns they ran; the second is `None` where one of them had lost its
    /// reign.
    async fn stop_intervals(
        &self,
        computation: u32,
        intervals: &[KeyInterval],
    ) -> (Vec<(KeyInterval, Sequencer)>, Option<Vec<Stopped>>) {
        let Some(hosted) = self.hosted(computation) else { return (Vec::new(), None) };
        let stopped: Vec<(KeyInterval, Running)> = {
            let mut running = hosted.running.lock().unwrap_or_else(PoisonError::into_inner);
            intervals.iter().filter_map(|interval| running.remove_entry(interval)).collect()
        };
        let (mut left, mut reigns) = (Vec::new(), Vec::new());
        for (interval, running) in stopped {
            running.stop.cancel();
            reigns.push(running.task.await.ok().flatten());
            let reign = running.reign.load(Ordering::Acquire);
            left.push((interval, Sequencer::new(reign).unwrap_or(Sequencer::MIN)));
        }
        let all = reigns.into_iter().collect::<Option<Vec<_>>>();
        (left, all.filter(|reigns| reigns.len() == intervals.len()))
    }

    /// Keeps `left` at the reigns that nobody runs, should it fail.
    async fn reshape_stopped(
        self: &Arc<Self>,
        computation: u32,
        old: &[KeyInterval],
        new: &[KeyInterval],
        stopped: Vec<Stopped>,
        left: &mut Vec<(KeyInterval, Sequencer)>,
    ) -> Result<(), String> {
        let hosted = self.hosted(computation).ok_or("no such computation")?;
        let assigned = self.authority.reassign(computation, old.to_vec(), new.to_vec()).await?;
        *left = assigned.iter().map(|a| (a.assignment.interval, a.assignment.sequencer)).collect();
        let parts: Vec<Part> =
            left.iter().map(|(interval, sequencer)| (*interval, Some(*sequencer))).collect();
        let requires = assigned.iter().map(|a| a.require.clone()).collect();
        let dedup_end = stopped.iter().map(|stopped| stopped.dedup_end).max().unwrap_or(SystemTime::ZERO);
        let reigns: Vec<_> = stopped.into_iter().map(|stopped| stopped.reign).collect();
        let children = reshape(&self.store, &hosted.keys, &reigns, &parts, dedup_end, requires);
        let children = children.await.map_err(|error: ReshapeError| error.to_string())?;
        for (assigned, reign) in assigned.into_iter().zip(children) {
            self.clone().spawn(computation, assigned, Some(reign));
        }
        Ok(())
    }

    async fn restart(self: &Arc<Self>, computation: u32, intervals: Vec<KeyInterval>) -> Result<(), String> {
        for interval in intervals {
            if let Some(assigned) = self.authority.again(computation, interval, Sequencer::MIN).await? {
                self.clone().spawn(computation, assigned, None);
            }
        }
        Ok(())
    }
}
