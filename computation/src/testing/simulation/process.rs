//! One process of the cluster: a runtime of its own, whose time stands still until it is given some.
//!
//! Dropping the runtime is a crash: every task ends at the await it has reached. Not running it is a pause, from which
//! it returns as a zombie.

use super::network::{Fabric, Place};
use super::time::{ProcessClock, Skew, Virtual};
use pelton_transport::network::{Network, within};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::JoinHandle;

/// So often tasks are run in one turn, which is a few milliseconds of virtual time: beyond this they go in circles.
const POLLS_MAX: u64 = 200_000;

/// What a process is given when it starts.
#[derive(Clone, Debug)]
pub(crate) struct Surroundings {
    pub(crate) clock: ProcessClock,
    pub(crate) fuse: Fuse,
}

/// Blown by what runs in a process, to have the process crash at that very place.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fuse {
    blown: Arc<AtomicBool>,
    news: Arc<Notify>,
}

impl Fuse {
    /// Crashes this process here: nothing behind this await runs.
    pub(crate) async fn blow(&self) -> ! {
        self.blown.store(true, Ordering::SeqCst);
        self.news.notify_one();
        std::future::pending::<std::convert::Infallible>().await;
        unreachable!("the process has crashed")
    }

    pub(crate) fn is_blown(&self) -> bool {
        self.blown.load(Ordering::SeqCst)
    }
}

/// When a process starts, on which clock, with which dice.
#[derive(Clone, Debug)]
pub(crate) struct Beginning {
    pub(crate) now: Virtual,
    pub(crate) skew: Skew,
    /// The seed of whatever its runtime draws.
    pub(crate) dice: u64,
}

/// A process that runs.
pub(crate) struct Process {
    runtime: Runtime,
    network: Arc<dyn Network>,
    clock: ProcessClock,
    fuse: Fuse,
    /// How often tasks were run in this turn.
    polls: Arc<AtomicU64>,
    main: JoinHandle<Result<(), String>>,
}

/// What became of a process in its turn.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    Runs,
    /// It blew its fuse.
    Crashed,
    Ended(Result<(), String>),
}

impl Process {
    /// Starts `main` at `place`.
    pub(crate) fn start<F>(
        place: Place,
        Beginning { now, skew, dice }: Beginning,
        fabric: &Fabric,
        main: impl FnOnce(Surroundings) -> F,
    ) -> std::io::Result<Self>
    where
        F: Future<Output = Result<(), String>> + Send + 'static,
    {
        // One task at a time, so that a crash may come between any two.
        let mut builder = Builder::new_current_thread();
        builder.enable_time().start_paused(true).event_interval(1);
        let (fuse, polls) = (Fuse::default(), Arc::new(AtomicU64::new(0)));
        #[cfg(tokio_unstable)]
        {
            builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&dice.to_be_bytes()));
            let (polls, news) = (polls.clone(), fuse.news.clone());
            // Time would never move on again; so the turn is ended from here.
            builder.on_before_task_poll(move |_| {
                if polls.fetch_add(1, Ordering::Relaxed) == POLLS_MAX {
                    news.notify_one();
                }
            });
        }
        #[cfg(not(tokio_unstable))]
        let _ = dice;
        let runtime = builder.build()?;
        let clock = runtime.block_on(async { ProcessClock::begin(now, skew) });
        let network = fabric.at(place, clock.clone());
        let surroundings = Surroundings { clock: clock.clone(), fuse: fuse.clone() };
        let main = within(network.clone(), || {
            let _inside = runtime.enter();
            runtime.spawn(main(surroundings))
        });
        Ok(Self { runtime, network, clock, fuse, polls, main })
    }

    /// Runs it until virtual time is `until`.
    pub(crate) fn turn(&mut self, until: Virtual) -> Turn {
        let (moment, news) = (self.clock.moment(until), self.fuse.news.clone());
        self.polls.store(0, Ordering::Relaxed);
        self.run(async {
            tokio::select! {
                biased;
                () = news.notified() => {}
                () = tokio::time::sleep_until(moment) => {}
            }
        });
        if self.fuse.is_blown() {
            return Turn::Crashed;
        }
        if self.polls.load(Ordering::Relaxed) > POLLS_MAX {
            return Turn::Ended(Err("a bug: its tasks go in circles, and no time passes (I11)".to_owned()));
        }
        if !self.main.is_finished() {
            return Turn::Runs;
        }
        let main = &mut self.main;
        let ended = within(self.network.clone(), || self.runtime.block_on(main));
        Turn::Ended(ended.unwrap_or_else(|error| Err(format!("a bug: its main task panicked: {error}"))))
    }

    /// Runs so many of its tasks, one after the other, and no time passes.
    pub(crate) fn some_tasks(&mut self, tasks: u32) {
        self.run(async {
            for _ in 0..tasks {
                tokio::task::yield_now().await;
            }
        });
    }

    /// It stood still until `now`, while its clocks went on.
    pub(crate) fn resume(&mut self, now: Virtual) {
        let gap = now.saturating_sub(self.run(async { self.clock.virtual_now() }));
        self.run(tokio::time::advance(gap));
    }

    fn run<T>(&self, work: impl Future<Output = T>) -> T {
        within(self.network.clone(), || self.runtime.block_on(work))
    }

    /// Ends it where it is.
    pub(crate) fn crash(self) {
        let Self { runtime, network, .. } = self;
        within(network, || drop(runtime));
    }
}
