//! Somebody outside of the cluster: a process of its own, on a machine whose disk outlives it.

use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Why a client cannot go on. It is not started again: the run is broken.
pub type ClientError = Box<dyn Error + Send + Sync>;

/// What a client does, from each of its starts on.
pub(crate) type Client =
    Arc<dyn Fn(ClientMachine) -> BoxFuture<'static, Result<(), ClientError>> + Send + Sync>;

/// How often it is looked whether others have ended.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// The machine of a client of a simulated cluster: what is kept on it is there when the client is started again.
#[derive(Clone, Debug, Default)]
pub struct ClientMachine {
    number: usize,
    starts: usize,
    workers: Vec<String>,
    disk: Arc<Mutex<BTreeMap<String, Bytes>>>,
    ended: Arc<Mutex<BTreeSet<usize>>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ClientMachine {
    /// The addresses of the workers, each HOST:PORT. Another one is the first at each start.
    #[must_use]
    pub fn workers(&self) -> Vec<String> {
        self.workers.clone()
    }

    /// How often the client was started before.
    #[must_use]
    pub fn crashes(&self) -> usize {
        self.starts.saturating_sub(1)
    }

    /// Keeps `value` under `name`, in the place of what was there: durably, at once and as a whole.
    pub fn keep(&self, name: &str, value: impl Into<Bytes>) {
        lock(&self.disk).insert(name.to_owned(), value.into());
    }

    /// What is kept under `name`.
    #[must_use]
    pub fn kept(&self, name: &str) -> Option<Bytes> {
        lock(&self.disk).get(name).cloned()
    }

    /// Waits until the clients that were added to the simulation before this one have ended.
    pub async fn others_ended(&self) {
        while lock(&self.ended).range(..self.number).count() < self.number {
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }
}

/// The machines of all clients of one cluster.
#[derive(Default)]
pub(crate) struct Machines {
    all: BTreeMap<usize, ClientMachine>,
    ended: Arc<Mutex<BTreeSet<usize>>>,
}

impl Machines {
    /// The machine of client `number`, which starts now.
    pub(crate) fn start(&mut self, number: usize, mut workers: Vec<String>) -> ClientMachine {
        let ended = self.ended.clone();
        let machine = self.all.entry(number).or_default();
        let first = (number + machine.starts) % workers.len().max(1);
        workers.rotate_left(first);
        let starts = machine.starts + 1;
        *machine = ClientMachine { number, starts, workers, disk: machine.disk.clone(), ended };
        machine.clone()
    }

    pub(crate) fn has_ended(&self, number: usize) {
        lock(&self.ended).insert(number);
    }
}
