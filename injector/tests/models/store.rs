//! The store of the model: a leader's commit waits until the model decides what becomes of it, and everything else is
//! answered at once.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pelton_domain::Incarnation;
use pelton_statestore::{
    Commit, CommitError, Limits, Page, Precondition, ReadError, Scan, StateStore, Write,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// A leader's commit that waits for its answer.
pub(crate) struct Call {
    pub(crate) commit: Commit,
    pub(crate) reply: oneshot::Sender<Result<(), CommitError>>,
}

/// What the store holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Table(pub(crate) BTreeMap<Bytes, Bytes>);

impl Table {
    pub(crate) fn holds(&self, precondition: &Precondition) -> bool {
        match precondition {
            Precondition::Value { key, expected } => self.0.get(key) == expected.as_ref(),
            Precondition::Empty { range } => !self.0.keys().any(|key| range.contains(key)),
        }
    }

    pub(crate) fn write(&mut self, write: &Write) {
        match write {
            Write::Put { key, value } => drop(self.0.insert(key.clone(), value.clone())),
            Write::Delete { key } => drop(self.0.remove(key)),
            Write::DeleteRange { range } => self.0.retain(|key, _| !range.contains(key)),
        }
    }
}

/// One injector's handle on the store.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) table: Arc<Mutex<Table>>,
    pub(crate) line: Arc<Mutex<Option<Call>>>,
    /// The leader's record.
    pub(crate) leader: Bytes,
    /// What is read instead of the store.
    pub(crate) frozen: Arc<Mutex<Option<Table>>>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handle")
    }
}

impl Handle {
    pub(crate) fn new(table: Arc<Mutex<Table>>, leader: Bytes) -> Self {
        Self { table, line: Arc::default(), leader, frozen: Arc::default() }
    }

    pub(crate) fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap()
    }

    fn seen(&self) -> Table {
        self.frozen.lock().unwrap().clone().unwrap_or_else(|| self.table().clone())
    }
}

impl StateStore for Handle {
    fn read(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>> {
        let value = |key: &Bytes| match *key == self.leader {
            true => self.table().0.get(key).cloned(),
            false => self.seen().0.get(key).cloned(),
        };
        std::future::ready(Ok(keys.iter().map(value).collect())).boxed()
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        let entries = self.seen().0.into_iter().filter(|(key, _)| scan.range.contains(key)).collect();
        std::future::ready(Ok(Page { entries, next: None })).boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), CommitError>> {
        let is_leaders = commit.preconditions.iter().any(|precondition| *precondition.at() == self.leader);
        if !is_leaders {
            // Sequencers: who may have which is no matter of this model.
            let mut table = self.table();
            if let Some(refused) = commit.preconditions.iter().find(|p| !table.holds(p)) {
                return std::future::ready(Err(CommitError::Refused { at: refused.at().clone() })).boxed();
            }
            commit.writes.iter().for_each(|write| table.write(write));
            return std::future::ready(Ok(())).boxed();
        }
        let (reply, answer) = oneshot::channel();
        let before = self.line.lock().unwrap().replace(Call { commit, reply });
        assert!(before.is_none(), "a leader makes one commit at a time");
        async move { answer.await.expect("the model answers, or drops the caller too") }.boxed()
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn incarnation(&self) -> Incarnation {
        Incarnation(uuid::Uuid::from_u128(1))
    }
}
