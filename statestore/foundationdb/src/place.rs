//! The description of a store, written into it when it is created; and the place where that was.
//!
//! The place is the cluster's id and the prefix: what a backup, a restore under another prefix and a copy do not take
//! along. Where the description names another place, the store is a copy, whose original may be running still; it is
//! opened only on purpose. Adopting it gives it a new incarnation, and keeps the old one as adopted, so that the
//! fences that were written in it can be taken over.
//!
//! What cannot be told from here: a restore over the very keys that were backed up, in the cluster that wrote them.

use crate::client::{begin, cluster_of, get_range};
use crate::clock;
use crate::fault::{AtCommit, BeforeCommit, Trouble, at_commit, fault};
use crate::options::FoundationDbOptions;
use crate::space::Space;
use bytes::Bytes;
use foundationdb::{Database, Transaction};
use pelton_domain::Incarnation;
use pelton_proto::{Message, convert, store::StoreMeta};
use pelton_statestore::keys::LAYOUT_VERSION;
use pelton_statestore::{OpenError, StoreFault};
use std::path::{Path, PathBuf};
use std::time::Duration;
use uuid::Uuid;

/// What a store says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Description {
    pub(crate) incarnation: Incarnation,
    /// Earlier incarnations that were adopted.
    pub(crate) adopted: Vec<Incarnation>,
    /// The cluster's id.
    pub(crate) cluster: String,
    /// Whether it holds values in pieces.
    pub(crate) has_pieces: bool,
}

/// The name of a store in messages: its cluster file and its prefix.
pub(crate) fn name(options: &FoundationDbOptions) -> PathBuf {
    let file = options.cluster_file.as_deref().unwrap_or(Path::new(""));
    PathBuf::from(format!("fdb:{}?prefix={}", file.display(), options.prefix))
}

/// What is to be done about what stands in the store.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It is ours.
    Open(Incarnation, Vec<Incarnation>),
    /// It is new, or to be adopted: write this, then it is ours.
    Write(StoreMeta),
}

/// How an attempt to open ended.
enum Attempt {
    Done(Description),
    /// Look again at once: another process was faster, or it is not known what became of the description.
    Again,
}

enum AttemptError {
    Final(OpenError),
    Passing(Trouble),
}

impl From<Trouble> for AttemptError {
    fn from(trouble: Trouble) -> Self {
        Self::Passing(trouble)
    }
}

impl From<foundationdb::FdbError> for AttemptError {
    fn from(error: foundationdb::FdbError) -> Self {
        Self::Passing(error.into())
    }
}

/// Reads the description of the store, and writes one where there is none or it is to be adopted. Waits for a cluster
/// that does not answer as long as the options say.
pub(crate) async fn establish(
    database: &Database,
    space: &Space,
    options: &FoundationDbOptions,
) -> Result<Description, OpenError> {
    let began = clock::now();
    let mut backoff = Duration::from_millis(10);
    let mut warned = false;
    loop {
        let trouble = match attempt(database, space, options).await {
            Ok(Attempt::Done(description)) => return Ok(description),
            Ok(Attempt::Again) => continue,
            Err(AttemptError::Final(error)) => return Err(error),
            Err(AttemptError::Passing(trouble)) => trouble,
        };
        let waited = clock::now().saturating_duration_since(began);
        if trouble.before_commit() == BeforeCommit::Broken || waited >= options.open_timeout {
            let StoreFault(text) = trouble.fault();
            let fault = StoreFault(format!("{text}, after {} s", waited.as_secs()));
            return Err(OpenError::Failed { path: name(options), fault });
        }
        if !warned {
            warned = true;
            tracing::warn!(store = %name(options).display(), fault = %trouble.fault(), "the cluster does not answer; waiting for it");
        }
        tokio::time::sleep(backoff).await;
        backoff = (backoff * 2).min(Duration::from_secs(1));
    }
}

async fn attempt(
    database: &Database,
    space: &Space,
    options: &FoundationDbOptions,
) -> Result<Attempt, AttemptError> {
    let transaction = begin(database)?;
    let cluster = cluster_of(&transaction, options.timeout).await?;
    let stored = transaction.get(&space.meta(), false).await?;
    if stored.is_none() {
        refuse_strangers(&transaction, space, options).await?;
    }
    let has_pieces = !get_range(&transaction, &space.all_pieces(), 1, 0, true).await?.is_empty();
    let place = format!("cluster {cluster} under the prefix {:?}", options.prefix);
    let fresh = Incarnation(Uuid::new_v4());
    match decide(stored.as_deref(), &place, fresh, options).map_err(AttemptError::Final)? {
        Step::Open(incarnation, adopted) => {
            Ok(Attempt::Done(Description { incarnation, adopted, cluster, has_pieces }))
        }
        Step::Write(meta) => {
            transaction.set(&space.meta(), &meta.encode_to_vec());
            match transaction.commit().await {
                Ok(_) => tracing::info!(%place, "described a store"),
                Err(error) => match at_commit(error.code()) {
                    AtCommit::Conflict | AtCommit::Stale | AtCommit::Unknown => {
                        tracing::debug!(fault = %fault(*error), "the description is read again");
                    }
                    _ => return Err(AttemptError::Passing(Trouble::Client(*error))),
                },
            }
            Ok(Attempt::Again)
        }
    }
}

/// Refuses a prefix under which there is something else. With conflict: two processes may create one store at once.
async fn refuse_strangers(
    transaction: &Transaction,
    space: &Space,
    options: &FoundationDbOptions,
) -> Result<(), AttemptError> {
    if get_range(transaction, &space.whole(), 1, 0, false).await?.is_empty() {
        return Ok(());
    }
    let reason = "there are keys under its prefix, but no description of a store".to_owned();
    Err(AttemptError::Final(OpenError::NotAStore { path: name(options), reason }))
}

fn decide(
    stored: Option<&[u8]>,
    place: &str,
    fresh: Incarnation,
    options: &FoundationDbOptions,
) -> Result<Step, OpenError> {
    let described = |incarnation: Incarnation, adopted: Vec<Bytes>| StoreMeta {
        layout_version: LAYOUT_VERSION.into(),
        incarnation: Bytes::copy_from_slice(incarnation.0.as_bytes()),
        place: place.to_owned(),
        adopted,
    };
    let Some(stored) = stored else { return Ok(Step::Write(described(fresh, Vec::new()))) };
    let failed = |error: convert::Malformed| OpenError::Failed {
        path: name(options),
        fault: StoreFault(error.to_string()),
    };
    let meta: StoreMeta = convert::decode("store description", stored).map_err(failed)?;
    if meta.layout_version != u32::from(LAYOUT_VERSION) {
        let (found, known) = (meta.layout_version, LAYOUT_VERSION.into());
        return Err(OpenError::Version { path: name(options), found, known });
    }
    if meta.place == place {
        let incarnation = convert::incarnation(&meta.incarnation).map_err(failed)?;
        let adopted: Result<_, _> = meta.adopted.iter().map(|bytes| convert::incarnation(bytes)).collect();
        return Ok(Step::Open(incarnation, adopted.map_err(failed)?));
    }
    if !options.adopt {
        return Err(OpenError::Elsewhere {
            path: name(options),
            written: meta.place,
            here: place.to_owned(),
        });
    }
    tracing::warn!(written = %meta.place, here = %place, "adopting a store that was written elsewhere");
    let adopted = meta.adopted.into_iter().chain([meta.incarnation]).collect();
    Ok(Step::Write(described(fresh, adopted)))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: &str = "cluster 1";

    fn incarnation(number: u128) -> Incarnation {
        Incarnation(Uuid::from_u128(number))
    }

    fn step(stored: Option<&StoreMeta>, place: &str, fresh: u128, adopt: bool) -> Result<Step, OpenError> {
        let stored = stored.map(Message::encode_to_vec);
        let options = FoundationDbOptions { adopt, ..FoundationDbOptions::default() };
        decide(stored.as_deref(), place, incarnation(fresh), &options)
    }

    fn written(place: &str, fresh: u128, before: Option<&StoreMeta>) -> StoreMeta {
        match step(before, place, fresh, true).unwrap() {
            Step::Write(meta) => meta,
            Step::Open(..) => panic!("nothing is to be written"),
        }
    }

    #[test]
    fn a_new_store_is_described_and_then_opened() {
        let meta = written(HERE, 7, None);
        for adopt in [false, true] {
            assert_eq!(step(Some(&meta), HERE, 8, adopt).unwrap(), Step::Open(incarnation(7), vec![]));
        }
    }

    #[test]
    fn a_store_that_was_written_elsewhere_is_opened_only_on_purpose() {
        let meta = written(HERE, 7, None);
        let error = step(Some(&meta), "cluster 2", 8, false).unwrap_err().to_string();
        assert!(["cluster 1", "cluster 2", "adopt=yes"].iter().all(|word| error.contains(word)), "{error}");
        let adopted = written("cluster 2", 8, Some(&meta));
        let again = written("cluster 3", 9, Some(&adopted));
        let opened = step(Some(&again), "cluster 3", 10, true).unwrap();
        assert_eq!(opened, Step::Open(incarnation(9), vec![incarnation(7), incarnation(8)]));
    }

    #[test]
    fn another_layout_is_refused() {
        let meta = StoreMeta { layout_version: 99, ..written(HERE, 7, None) };
        assert!(matches!(step(Some(&meta), HERE, 8, true), Err(OpenError::Version { found: 99, .. })));
        let damaged = decide(Some(b"\xff"), HERE, incarnation(1), &FoundationDbOptions::default());
        assert!(matches!(damaged, Err(OpenError::Failed { .. })));
    }
}
