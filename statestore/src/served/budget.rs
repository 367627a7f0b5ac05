//! The memory that requests and unread answers may take: a budget for each connection, and one for all together (I11).
//!
//! What is over a budget is refused at once. Waiting would hold what was already received, and two that wait for each
//! other's bytes would wait for ever; a client that is refused knows that nothing was written, and backs off.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

/// What one permit stands for.
const UNIT_BYTES: usize = 1024;

/// How many bytes may be held.
#[derive(Clone, Copy, Debug)]
pub(super) struct ByteLimits {
    /// Requests of one connection, from their first byte until they are answered.
    pub(super) connection_request_bytes_max: usize,
    /// Answers of one connection that it has not read.
    pub(super) connection_answer_bytes_max: usize,
    /// Requests of all connections.
    pub(super) request_bytes_max: usize,
    /// Unread answers of all connections.
    pub(super) answer_bytes_max: usize,
}

impl Default for ByteLimits {
    /// Three of the largest commits, or 64 of the largest answers, a connection; eight times that in all.
    fn default() -> Self {
        Self {
            connection_request_bytes_max: 32 << 20,
            connection_answer_bytes_max: 64 << 20,
            request_bytes_max: 256 << 20,
            answer_bytes_max: 512 << 20,
        }
    }
}

/// The budgets of all connections.
#[derive(Debug)]
pub(super) struct Budgets {
    limits: ByteLimits,
    requests: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    /// Those that hold something now.
    connections: Mutex<HashMap<Option<SocketAddr>, Weak<Connection>>>,
}

/// The budget of one connection, alive while something is charged to it.
#[derive(Debug)]
pub(super) struct Connection {
    peer: Option<SocketAddr>,
    requests: Arc<Semaphore>,
    answers: Arc<Semaphore>,
    all: Arc<Budgets>,
}

/// Bytes that are charged until every clone of this is dropped.
#[derive(Clone, Debug)]
pub(super) struct Share {
    _permits: Arc<[OwnedSemaphorePermit; 2]>,
    _connection: Arc<Connection>,
}

impl Budgets {
    pub(super) fn new(limits: ByteLimits) -> Arc<Self> {
        Arc::new(Self {
            limits,
            requests: semaphore(limits.request_bytes_max),
            answers: semaphore(limits.answer_bytes_max),
            connections: Mutex::default(),
        })
    }

    /// The budget of the connection from `peer`.
    pub(super) fn connection(self: &Arc<Self>, peer: Option<SocketAddr>) -> Arc<Connection> {
        let mut connections = self.lock();
        if let Some(connection) = connections.get(&peer).and_then(Weak::upgrade) {
            return connection;
        }
        let connection = Arc::new(Connection {
            peer,
            requests: semaphore(self.limits.connection_request_bytes_max),
            answers: semaphore(self.limits.connection_answer_bytes_max),
            all: Arc::clone(self),
        });
        connections.insert(peer, Arc::downgrade(&connection));
        connection
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Option<SocketAddr>, Weak<Connection>>> {
        // Nothing that can panic runs under the lock.
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Connection {
    /// Charges a request of `bytes`.
    pub(super) fn request(self: &Arc<Self>, bytes: usize) -> Result<Share, Status> {
        self.charge("requests", bytes, &self.requests, &self.all.requests)
    }

    /// Charges an answer of `bytes`.
    pub(super) fn answer(self: &Arc<Self>, bytes: usize) -> Result<Share, Status> {
        self.charge("unread answers", bytes, &self.answers, &self.all.answers)
    }

    fn charge(
        self: &Arc<Self>,
        what: &str,
        bytes: usize,
        own: &Arc<Semaphore>,
        all: &Arc<Semaphore>,
    ) -> Result<Share, Status> {
        let units = units(bytes);
        let take = |from: &Arc<Semaphore>, whose: &str| {
            Arc::clone(from).try_acquire_many_owned(units).map_err(|_| {
                metrics::counter!("pelton_store_calls_shed_total").increment(1);
                Status::resource_exhausted(format!(
                    "the {what} of {whose} take all the memory they may; nothing was done, try again"
                ))
            })
        };
        let permits = [take(own, "this connection")?, take(all, "all connections")?];
        Ok(Share { _permits: Arc::new(permits), _connection: Arc::clone(self) })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut connections = self.all.lock();
        // Another of the same peer may have been made since this one lost its last holder.
        if connections.get(&self.peer).is_some_and(|held| held.strong_count() == 0) {
            connections.remove(&self.peer);
        }
    }
}

fn semaphore(bytes: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(bytes / UNIT_BYTES))
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT_BYTES)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn small() -> Arc<Budgets> {
        Budgets::new(ByteLimits {
            connection_request_bytes_max: 4 * UNIT_BYTES,
            connection_answer_bytes_max: 4 * UNIT_BYTES,
            request_bytes_max: 6 * UNIT_BYTES,
            answer_bytes_max: 6 * UNIT_BYTES,
        })
    }

    fn peer(port: u16) -> Option<SocketAddr> {
        Some(SocketAddr::from(([127, 0, 0, 1], port)))
    }

    #[test]
    fn a_connection_over_its_budget_leaves_room_for_others() {
        let budgets = small();
        let greedy = budgets.connection(peer(1)).request(4 * UNIT_BYTES).unwrap();
        assert!(budgets.connection(peer(1)).request(1).is_err());
        let other = budgets.connection(peer(2)).request(2 * UNIT_BYTES).unwrap();
        let error = budgets.connection(peer(3)).request(1).unwrap_err();
        assert!(error.message().contains("all connections"), "{error}");
        assert!(budgets.connection(peer(3)).answer(1).is_ok(), "answers have a budget of their own");
        drop((greedy, other));
        assert!(budgets.connection(peer(3)).request(4 * UNIT_BYTES).is_ok());
    }

    #[test]
    fn a_connection_that_holds_nothing_is_forgotten() {
        let budgets = small();
        let share = budgets.connection(peer(1)).request(1).unwrap();
        let clone = share.clone();
        drop(share);
        assert_eq!(budgets.lock().len(), 1);
        drop(clone);
        assert_eq!(budgets.lock().len(), 0);
    }
}
