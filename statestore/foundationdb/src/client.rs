//! Transactions on the cluster that a store was opened on, and on no other.
//!
//! A cluster can be replaced under a running process: new, empty disks behind the same cluster file, and a backup
//! restored into them. Its versions start anew, so a read version of the old cluster lies in its future, and
//! conflicts with nothing. What tells the two apart is the cluster's id, which no backup takes along. The client
//! learns it together with the addresses to send to; so every transaction asks the client which cluster it would be
//! sent to, which costs no message, before anything is sent or believed.

use crate::fault::Trouble;
use crate::space::{Space, Span};
use foundationdb::future::FdbValues;
use foundationdb::options::{ConflictRangeType, StreamingMode, TransactionOption};
use foundationdb::{Database, FdbError, FdbResult, KeySelector, RangeOption, Transaction};
use std::fmt;
use std::time::Duration;

/// Answered by the client itself, from what the cluster last told it.
const CLUSTER_ID: &[u8] = b"\xff\xff/cluster_id";

/// How often a transaction is begun anew because its snapshot passed away.
pub(crate) const SNAPSHOTS_MAX: u32 = 4;

/// A way to one store's part of one cluster.
pub(crate) struct Client {
    pub(crate) space: Space,
    database: Database,
    cluster: String,
    timeout: Duration,
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("cluster", &self.cluster)
            .field("space", &self.space)
            .finish_non_exhaustive()
    }
}

impl Client {
    pub(crate) fn new(database: Database, space: Space, cluster: String, timeout: Duration) -> Self {
        Self { space, database, cluster, timeout }
    }

    /// A transaction that does not see its own writes: nothing here reads what it wrote.
    pub(crate) fn begin(&self) -> Result<Transaction, FdbError> {
        begin(&self.database)
    }

    /// Makes sure that `transaction` goes, and its reads went, to the cluster of the store. To be called last: after
    /// the reads that are to be believed, right before the commit.
    pub(crate) async fn expect_same(&self, transaction: &Transaction) -> Result<(), Trouble> {
        let found = cluster_of(transaction, self.timeout).await?;
        if found == self.cluster {
            return Ok(());
        }
        Err(Trouble::OtherCluster { opened: self.cluster.clone(), found })
    }
}

/// The id of the cluster that `transaction` would be sent to.
pub(crate) async fn cluster_of(transaction: &Transaction, timeout: Duration) -> Result<String, Trouble> {
    let answer = transaction.get(CLUSTER_ID, true);
    // The client waits for a cluster without any limit of its own here.
    let answer = tokio::time::timeout(timeout, answer).await.map_err(|_| Trouble::Silence)??;
    answer.map(|id| String::from_utf8_lossy(&id).into_owned()).ok_or(Trouble::Silence)
}

pub(crate) fn begin(database: &Database) -> Result<Transaction, FdbError> {
    let transaction = database.create_trx()?;
    transaction.set_option(TransactionOption::ReadYourWritesDisable)?;
    Ok(transaction)
}

/// A part of `span`: at most so many rows, and no more rows once so many bytes are there.
pub(crate) fn get_range(
    transaction: &Transaction,
    span: &Span,
    rows_max: usize,
    bytes_max: usize,
    snapshot: bool,
) -> impl Future<Output = FdbResult<FdbValues>> + Send + use<> {
    let option = RangeOption {
        limit: Some(rows_max),
        target_bytes: bytes_max,
        // All of it in one answer, within these limits.
        mode: StreamingMode::Exact,
        ..RangeOption::from((
            KeySelector::first_greater_or_equal(span.start.as_slice()),
            KeySelector::first_greater_or_equal(span.end.as_slice()),
        ))
    };
    transaction.get_range(&option, 1, snapshot)
}

/// Makes `transaction` conflict with everyone who writes in `span` after its read version.
pub(crate) fn conflict_with_writers(transaction: &Transaction, span: &Span) -> Result<(), FdbError> {
    transaction.add_conflict_range(&span.start, &span.end, ConflictRangeType::Read)
}
