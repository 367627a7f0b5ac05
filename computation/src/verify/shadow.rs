//! The place of a shadow in a store: claimed, and removed when it has served.
//!
//! It is a pipeline of its own under a name of its own, so nothing of the live one is touched. An entry of the store
//! says that it is a shadow, and of which verification: nothing without that entry is ever removed, and what an earlier
//! verification has left is removed before the next begins. A verification that is still under way then finds its
//! fences gone, so it can commit nothing more (I1), and ends with an error.

use super::VerifyError;
use super::settled::InStore;
use crate::pages;
use bytes::Bytes;
use pelton_domain::{AttemptToken, Name, ProcessingTime};
use pelton_proto::{Message, convert, store};
use pelton_statestore::{Commit, CommitError, PipelineKeys, Precondition, StoreFault, StoreHandle, Write};
use std::time::Duration;

/// What is put behind the name of a pipeline.
const SUFFIX: &str = ".shadow";
/// The wait before the store is tried again.
const RETRY_DELAY: Duration = Duration::from_millis(100);

/// A claimed place.
#[derive(Debug)]
pub(super) struct Shadow {
    store: StoreHandle,
    pub(super) name: Name,
    keys: PipelineKeys,
    mark: Bytes,
}

/// The name of the shadow of `live`.
pub(super) fn name_of(live: &Name) -> Result<Name, VerifyError> {
    let name = format!("{live}{SUFFIX}");
    Name::new(&name).map_err(|_| VerifyError::NameTooLong {
        pipeline: live.to_string(),
        bytes_max: Name::LENGTH_MAX - SUFFIX.len(),
    })
}

impl Shadow {
    /// Claims the place of the shadow of `live`, and clears what an earlier verification has left there.
    pub(super) async fn claim(
        store: &StoreHandle,
        live: &Name,
        token: AttemptToken,
        now: ProcessingTime,
    ) -> Result<Self, VerifyError> {
        let name = name_of(live)?;
        let keys = PipelineKeys::new(&name);
        let began_at_us = now.as_micros();
        let mark =
            store::Shadow { of: live.to_string(), token: token.0.to_be_bytes().to_vec().into(), began_at_us };
        let shadow = Self { store: store.clone(), name, keys, mark: mark.encode_to_vec().into() };
        loop {
            let found = shadow.found().await?;
            if found.as_ref() == Some(&shadow.mark) {
                return Ok(shadow);
            }
            let free = match &found {
                Some(bytes) => {
                    let other: store::Shadow = convert::decode("shadow", bytes)?;
                    tracing::info!(shadow = %shadow.name, of = other.of, "an earlier verification has left its shadow: it is removed");
                    Precondition::Value { key: shadow.keys.shadow(), expected: found.clone() }
                }
                None => Precondition::Empty { range: shadow.keys.range() },
            };
            let put = Write::Put { key: shadow.keys.shadow(), value: shadow.mark.clone() };
            let writes = vec![Write::DeleteRange { range: shadow.keys.range() }, put];
            match shadow.commit(free, writes).await? {
                Outcome::Refused if found.is_none() && shadow.found().await?.is_none() => {
                    return Err(VerifyError::NoShadow { pipeline: shadow.name.to_string() });
                }
                // Whatever became of it, the next reading tells.
                Outcome::Done | Outcome::Refused | Outcome::Unknown => {}
            }
        }
    }

    async fn found(&self) -> Result<Option<Bytes>, VerifyError> {
        Ok(pages::read(&self.store, &self.keys.shadow()).await?)
    }

    /// The pipeline that runs here; `None` before its first start.
    pub(super) async fn pipeline(&self) -> Result<Option<InStore>, VerifyError> {
        InStore::read(&self.store, self.keys.clone()).await
    }

    /// Whether it is still this verification's.
    pub(super) async fn is_mine(&self) -> Result<bool, VerifyError> {
        Ok(self.found().await?.as_ref() == Some(&self.mark))
    }

    /// Removes all of it, where it is still this verification's.
    pub(super) async fn remove(self) -> Result<(), VerifyError> {
        while self.is_mine().await? {
            let mine = Precondition::Value { key: self.keys.shadow(), expected: Some(self.mark.clone()) };
            self.commit(mine, vec![Write::DeleteRange { range: self.keys.range() }]).await?;
        }
        Ok(())
    }

    async fn commit(&self, requires: Precondition, writes: Vec<Write>) -> Result<Outcome, VerifyError> {
        let commit = Commit { preconditions: vec![requires], writes };
        match self.store.commit(commit).await {
            Ok(()) => Ok(Outcome::Done),
            Err(CommitError::Refused { .. }) => Ok(Outcome::Refused),
            Err(CommitError::Unknown(_)) => Ok(Outcome::Unknown),
            Err(CommitError::Conflict | CommitError::Unavailable(_)) => {
                tokio::time::sleep(RETRY_DELAY).await;
                Ok(Outcome::Unknown)
            }
            Err(error @ (CommitError::TooLarge { .. } | CommitError::Fatal(_))) => {
                Err(VerifyError::Store(StoreFault(error.to_string())))
            }
        }
    }
}

enum Outcome {
    Done,
    Refused,
    Unknown,
}
