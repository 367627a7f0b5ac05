//! Pelton's state store on FoundationDB: the store of many machines.
//!
//! It implements [`StateStore`](pelton_statestore::StateStore) and nothing else; `docs/src/foundationdb.md` is the
//! operator's guide.
//!
//! | file | what |
//! |---|---|
//! | `options` | the URL `fdb:CLUSTER_FILE?..`, read |
//! | `network` | the client's network thread: started once, stopped at the end of the process |
//! | `space` | where a key of the store lies in the cluster |
//! | `pieces` | values that are too long for one value of FoundationDB |
//! | `fault` | what the client's error codes mean for a caller |
//! | `client` | transactions, each of which knows which cluster it talks to |
//! | `place` | which cluster and prefix a store was written in; adopting a restored one |
//! | `check`, `mutation` | a commit's preconditions, read; a commit's writes, and what they weigh |
//! | `warm` | fences whose value is known without reading them |
//! | `commit` | one commit, one transaction: the slow path and the fast one |
//! | `read`, `scan` | values, and pages |
//! | `instruments` | metrics |
//!
//! Invariants kept here:
//!
//! * I1: every precondition is read with a conflict range in the transaction that writes, or is known to hold
//!   by one (`warm`). Every write of a fence conflicts with every other.
//! * I2: a commit is one transaction, a value in pieces included.
//! * I3: whatever may have been sent and was not answered is `Unknown`, and no retry loop of the client's stands
//!   around a commit.
//! * I11: a transaction has a timeout, a page a size, and the fences that are remembered a number.
//!
//! # Cancelling
//!
//! A dropped read or scan has no effect. A dropped commit is an unknown outcome: it may still land, until the
//! cluster has moved on by five seconds.
//!
//! # The end of a process
//!
//! The client runs a thread of its own. It is stopped when the process exits, for which the stores must have been
//! closed; a process that is killed or aborts leaves nothing behind that the cluster would have to clean up.

mod check;
mod client;
mod clock;
mod commit;
mod fault;
mod instruments;
mod mutation;
mod network;
mod options;
mod pieces;
mod place;
mod read;
mod scan;
mod space;
mod store;
mod warm;

pub use commit::CommitCounts;
pub use network::ClientOptions;
pub use options::FoundationDbOptions;
pub use store::{FoundationDb, open};
