//! The store that another process serves: a client of `pelton-statestore`.
//!
//! The server enforces the fence; this side only says truthfully what it knows of a call.
//!
//! | file | what |
//! |---|---|
//! | `options` | waits and bounds |
//! | `opening` | finding the server, and what it says of itself |
//! | `request` | what is asked, in the words of the contract |
//! | `answer` | what was answered, in those of the trait |
//! | `status` | calls without an answer: what is certain, and what is not |
//!
//! Invariants kept here: I3 (a commit whose answer did not arrive, for whatever reason, is unknown, unless it is certain
//! that nothing was written), I11 (commits under way are bounded by their bytes and
//! reads by their number, and every call has a deadline).
//!
//! All calls of a store share one connection, which is made again by itself when it is lost. Every request names the
//! incarnation that was found at opening, so another store behind the same address is [`Fatal`](CommitError::Fatal), not
//! written to.

mod answer;
mod opening;
mod options;
mod request;
mod status;
#[cfg(test)]
mod tests;

pub use options::RemoteOptions;

use crate::store::{Commit, CommitError, Limits, OpenError, Page, ReadError, Scan, StateStore, StoreFault};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use opening::Description;
use pelton_domain::Incarnation;
use pelton_proto::statestore::state_store_client::StateStoreClient;
use pelton_transport::{MESSAGE_BYTES_MAX, Security};
use prost::Message as _;
use std::fmt;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tonic::transport::Channel;

/// A store somewhere else. Share one handle: it is one connection.
pub struct Remote {
    address: String,
    client: StateStoreClient<Channel>,
    served: Description,
    options: RemoteOptions,
    /// Room for commits under way, in units of [`UNIT_BYTES`]. Neither room is ever closed; if one were, calls would go
    /// without it, and nothing else would change.
    room: Semaphore,
    /// Room for reads and scans under way.
    reads: Semaphore,
}

/// What one permit of the room for commits stands for.
const UNIT_BYTES: usize = 1024;

impl Remote {
    /// Opens the store that is served at `address` (HOST:PORT), with the usual options.
    ///
    /// # Errors
    /// See [`Remote::open_with`].
    pub async fn open(address: &str, security: &Security) -> Result<Self, OpenError> {
        Self::open_with(address, security, RemoteOptions::default()).await
    }

    /// Opens the store that is served at `address` (HOST:PORT). Waits for a server that is not there yet, for
    /// [`RemoteOptions::open_duration_max`].
    ///
    /// # Errors
    /// [`OpenError::Url`] where the address is none; [`OpenError::Failed`] where no server answers in time, or what
    /// answers is none that this program can use.
    pub async fn open_with(
        address: &str,
        security: &Security,
        options: RemoteOptions,
    ) -> Result<Self, OpenError> {
        let channel = pelton_transport::connect(address, security).map_err(|error| OpenError::Url {
            url: format!("remote:{address}"),
            reason: error.to_string(),
        })?;
        let client = StateStoreClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let served = opening::describe(address, &client, &options).await?;
        tracing::info!(address, incarnation = %served.incarnation, "opened a remote store");
        let room = options.commit_bytes_under_way_max.max(MESSAGE_BYTES_MAX) / UNIT_BYTES;
        let (room, reads) = (Semaphore::new(room), Semaphore::new(options.reads_under_way_max.max(1)));
        Ok(Self { address: address.to_owned(), client, served, options, room, reads })
    }

    /// The values of the first of `keys`: at least one.
    async fn read_some(&self, keys: &[Bytes]) -> Result<Vec<Option<Bytes>>, ReadError> {
        let _room = self.reads.acquire().await.ok();
        let mut client = self.client.clone();
        let call = client.read(request::read(self.served.incarnation, keys));
        let answer = timeout(self.options.call_duration_max, call)
            .await
            .map_err(|_| ReadError::Unavailable(self.no_answer()))?
            .map_err(|status| status::of_read(&self.address, &status))?;
        answer::values(answer.into_inner(), keys.len()).map_err(|broken| self.broken_contract(&broken))
    }

    async fn read_all(&self, keys: Vec<Bytes>) -> Result<Vec<Option<Bytes>>, ReadError> {
        let mut values = Vec::with_capacity(keys.len());
        let mut rest = keys.as_slice();
        while !rest.is_empty() {
            let (now, _) = rest.split_at(request::keys_of_one_read(rest, self.served.read_keys_max));
            let found = self.read_some(now).await?;
            rest = rest.get(found.len()..).unwrap_or_default();
            values.extend(found);
        }
        Ok(values)
    }

    async fn scan_page(&self, scan: Scan) -> Result<Page, ReadError> {
        let _room = self.reads.acquire().await.ok();
        let mut client = self.client.clone();
        let call = client.scan(request::scan(self.served.incarnation, &scan));
        let answer = timeout(self.options.call_duration_max, call)
            .await
            .map_err(|_| ReadError::Unavailable(self.no_answer()))?
            .map_err(|status| status::of_read(&self.address, &status))?;
        answer::page(answer.into_inner(), &scan.range).map_err(|broken| self.broken_contract(&broken))
    }

    async fn commit_once(&self, commit: Commit) -> Result<(), CommitError> {
        commit.check(&self.served.limits)?;
        let request = request::commit(self.served.incarnation, commit);
        let size_bytes = request.encoded_len();
        // Very many very small parts: their encoding is larger than they are.
        if size_bytes > MESSAGE_BYTES_MAX {
            let (what, limit_bytes) = ("commit message", MESSAGE_BYTES_MAX);
            return Err(CommitError::TooLarge { what, size_bytes, limit_bytes });
        }
        let units = u32::try_from(size_bytes / UNIT_BYTES + 1).unwrap_or(u32::MAX);
        let _room = self.room.acquire_many(units).await.ok();
        let mut client = self.client.clone();
        match timeout(self.options.call_duration_max, client.commit(request)).await {
            Err(_) => Err(CommitError::Unknown(self.no_answer())),
            Ok(Err(status)) => Err(status::of_commit(&self.address, &status)),
            Ok(Ok(answer)) => answer::outcome(answer.into_inner()),
        }
    }

    fn no_answer(&self) -> StoreFault {
        let Self { address, options: RemoteOptions { call_duration_max, .. }, .. } = self;
        StoreFault(format!("the server at {address} gave no answer within {call_duration_max:?}"))
    }

    fn broken_contract(&self, reason: &str) -> ReadError {
        ReadError::Fatal(StoreFault(format!("the server at {} breaks the contract: {reason}", self.address)))
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote").field("address", &self.address).finish_non_exhaustive()
    }
}

impl StateStore for Remote {
    fn read(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>> {
        Box::pin(self.read_all(keys))
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(self.scan_page(scan))
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(self.commit_once(commit))
    }

    fn limits(&self) -> Limits {
        self.served.limits
    }

    fn incarnation(&self) -> Incarnation {
        self.served.incarnation
    }

    fn adopted(&self) -> Vec<Incarnation> {
        self.served.adopted.clone()
    }
}
