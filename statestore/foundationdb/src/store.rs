//! The store itself.

use crate::client::Client;
use crate::commit::{CommitCounts, Committer};
use crate::network::InUse;
use crate::options::FoundationDbOptions;
use crate::space::Space;
use crate::{clock, instruments, network, pieces, place, read, scan};
use bytes::Bytes;
use foundationdb::Database;
use foundationdb::options::DatabaseOption;
use futures_util::future::BoxFuture;
use pelton_domain::Incarnation;
use pelton_statestore::{
    Commit, CommitError, Limits, OpenError, Page, ReadError, Scan, StateStore, StoreFault, StoreHandle,
};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A store under one prefix of one FoundationDB cluster.
///
/// Handles of many processes may be open at once; they share nothing but the cluster. Calls need a tokio runtime with
/// time enabled, and any number may be under way.
#[derive(Debug)]
pub struct FoundationDb {
    client: Arc<Client>,
    committer: Committer,
    limits: Limits,
    incarnation: Incarnation,
    adopted: Vec<Incarnation>,
    /// Dropped last.
    _in_use: InUse,
}

/// Opens the store that a URL `fdb:CLUSTER_FILE?..` names.
///
/// # Errors
/// [`OpenError`], which says what to do.
pub async fn open(url: &str) -> Result<StoreHandle, OpenError> {
    Ok(Arc::new(FoundationDb::open(FoundationDbOptions::parse(url)?).await?))
}

impl FoundationDb {
    /// Opens the store, and describes it where there is none. The first call of a process starts the client, with
    /// its options for all that follow.
    ///
    /// # Errors
    /// [`OpenError::Elsewhere`] where it is a copy and is not to be adopted; [`OpenError::NotAStore`] where there is
    /// something else under its prefix, which is not touched; [`OpenError::Version`] where it has another layout;
    /// [`OpenError::Failed`] otherwise, a cluster that did not answer in time included.
    pub async fn open(options: FoundationDbOptions) -> Result<Self, OpenError> {
        let failed = |fault| OpenError::Failed { path: place::name(&options), fault };
        let file = options.cluster_file.as_deref().map(cluster_file).transpose().map_err(failed)?;
        network::start(&options.client).map_err(failed)?;
        // Also where opening fails, the client has been used.
        let _opening = InUse::begin();
        let broken = |error| failed(crate::fault::fault(error));
        let database = Database::new(file).map_err(broken)?;
        let timeout_ms = i32::try_from(options.timeout.as_millis()).unwrap_or(i32::MAX);
        database.set_option(DatabaseOption::TransactionTimeout(timeout_ms)).map_err(broken)?;
        let space = Space::new(&options.prefix);
        let found = place::establish(&database, &space, &options).await?;
        let store = place::name(&options);
        tracing::info!(store = %store.display(), cluster = %found.cluster, incarnation = %found.incarnation, "opened a store on FoundationDB");
        let limits = Limits {
            key_bytes_max: space.key_bytes_max(),
            value_bytes_max: pieces::VALUE_BYTES_MAX,
            ..Limits::default()
        };
        let client = Arc::new(Client::new(database, space, found.cluster, options.timeout));
        let has_pieces = Arc::new(AtomicBool::new(found.has_pieces));
        let committer = Committer::new(Arc::clone(&client), limits, options.fast_fence, has_pieces);
        let (incarnation, adopted) = (found.incarnation, found.adopted);
        Ok(Self { client, committer, limits, incarnation, adopted, _in_use: InUse::begin() })
    }
}

impl FoundationDb {
    /// How many commits went which way.
    #[must_use]
    pub fn commit_counts(&self) -> CommitCounts {
        self.committer.counts()
    }
}

/// The path as the client takes it. Whether the file is there is looked at here, for a message that names it.
fn cluster_file(path: &Path) -> Result<&str, StoreFault> {
    if let Err(error) = std::fs::File::open(path) {
        return Err(StoreFault(format!("the cluster file {} cannot be read: {error}", path.display())));
    }
    path.to_str()
        .ok_or_else(|| StoreFault(format!("the name of the cluster file {} is not UTF-8", path.display())))
}

impl StateStore for FoundationDb {
    fn read(&self, keys: Vec<Bytes>) -> BoxFuture<'_, Result<Vec<Option<Bytes>>, ReadError>> {
        Box::pin(async move {
            let began = clock::now();
            let values = read::read(&self.client, &keys).await?;
            instruments::read(keys.len(), clock::now().saturating_duration_since(began));
            Ok(values)
        })
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Page, ReadError>> {
        Box::pin(async move {
            let began = clock::now();
            let page = scan::scan(&self.client, &scan).await?;
            instruments::scanned(page.entries.len(), clock::now().saturating_duration_since(began));
            Ok(page)
        })
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<(), CommitError>> {
        Box::pin(self.committer.commit(commit))
    }

    fn limits(&self) -> Limits {
        self.limits
    }

    fn incarnation(&self) -> Incarnation {
        self.incarnation
    }

    fn adopted(&self) -> Vec<Incarnation> {
        self.adopted.clone()
    }
}
