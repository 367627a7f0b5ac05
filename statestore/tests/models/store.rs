//! A store that does nothing by itself: every call waits until the model decides what becomes of it.

use bytes::Bytes;
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use pelton_domain::Incarnation;
use pelton_statestore::{
    Commit, CommitError, Limits, Page, Precondition, ReadError, Scan, StateStore, StoreFault, Write,
};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use tokio::sync::oneshot;

/// One call that waits for its answer.
pub(crate) enum Call {
    Read(Vec<Bytes>, oneshot::Sender<Result<Vec<Option<Bytes>>, ReadError>>),
    Commit(Commit, oneshot::Sender<Result<(), CommitError>>),
}

/// Where the calls of one worker wait. It makes one at a time.
pub(crate) type Line = Arc<Mutex<Option<Call>>>;

/// One worker's handle on the store of one life.
#[derive(Clone)]
pub(crate) struct Handle {
    pub(crate) line: Line,
    pub(crate) life: Incarnation,
    pub(crate) adopted: Vec<Incarnation>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Handle({})", self.life)
    }
}

impl Handle {
    fn call<T: Send + 'static, E: Send + 'static>(
        &self,
        call: Call,
        answer: oneshot::Receiver<Result<T, E>>,
    ) -> BoxFuture<'_, Result<T, E>> {
        let before = self.line.lock().unwrap().replace(call);
        assert!(before.is_none(), "a worker does one thing at a time");
        async move { answer.await.expect("the model answers, or drops the caller too") }.boxed()
    }
}

impl StateStore for Handle {
    fn read(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>> {
        let (reply, answer) = oneshot::channel();
        self.call(Call::Read(keys, reply), answer)
    }

    fn scan(&self, _: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        async { Err(ReadError::Fatal(StoreFault("no step that is modelled scans".into()))) }.boxed()
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), CommitError>> {
        let (reply, answer) = oneshot::channel();
        self.call(Call::Commit(commit, reply), answer)
    }

    fn limits(&self) -> Limits {
        Limits::default()
    }

    fn incarnation(&self) -> Incarnation {
        self.life
    }

    fn adopted(&self) -> Vec<Incarnation> {
        self.adopted.clone()
    }
}

/// The data of one life.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Table(pub(crate) BTreeMap<Bytes, Bytes>);

impl Table {
    pub(crate) fn get(&self, key: &Bytes) -> Option<Bytes> {
        self.0.get(key).cloned()
    }

    /// The first precondition that does not hold, among those that `checked` says are looked at.
    pub(crate) fn refuses(
        &self,
        commit: &Commit,
        checked: impl Fn(&Precondition) -> bool,
    ) -> Option<CommitError> {
        let holds = |precondition: &Precondition| match precondition {
            Precondition::Value { key, expected } => self.0.get(key) == expected.as_ref(),
            Precondition::Empty { range } => !self.0.keys().any(|key| range.contains(key)),
        };
        let failed = commit.preconditions.iter().find(|p| checked(p) && !holds(p));
        failed.map(|precondition| CommitError::Refused { at: precondition.at().clone() })
    }

    pub(crate) fn write(&mut self, write: &Write) {
        match write {
            Write::Put { key, value } => drop(self.0.insert(key.clone(), value.clone())),
            Write::Delete { key } => drop(self.0.remove(key)),
            Write::DeleteRange { range } => self.0.retain(|key, _| !range.contains(key)),
        }
    }
}
