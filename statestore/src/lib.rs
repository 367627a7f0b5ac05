//! Pelton's transactional state store.
//!
//! | module | what it is |
//! |---|---|
//! | [`store`] | the narrow trait that every backend implements, and its named errors |
//! | [`keys`] | the key layout: how every key in a store is made and read |
//! | [`fence`] | one writer per interval (I1), whole batches (I2), unknown outcomes settled (I3) |
//! | [`memory`] | the backend for tests and simulation, with faults injected from a seed |
//! | [`embedded`] | the backend for one machine: a directory, group commit, fsync by default |
//! | [`served`] | any store, served over gRPC to other processes; the program `pelton-statestore` |
//! | [`remote`] | the backend that is such a server, somewhere else |
//! | [`conformance`] | the suite that every backend passes |
//! | [`url`] | `memory:`, `embedded:PATH` and `remote:HOST:PORT`, opened |
//!
//! This crate knows nothing of computations, watermarks or dedup: it stores bytes under keys, atomically.

pub mod conformance;
pub mod embedded;
pub mod fence;
pub mod keys;
pub mod memory;
pub mod remote;
pub mod served;
pub mod store;
pub mod url;

pub use fence::{Fence, FencedError, Reign, TakeOverError};
pub use keys::{ComputationKeys, PipelineKeys};
pub use store::{
    Commit, CommitError, KeyRange, Limits, OpenError, Page, Precondition, ReadError, Scan, StateStore,
    StoreFault, StoreHandle, Write,
};
pub use url::{open, open_secured};
