//! Standing by, taking the lead, losing it: for ever, until it is stopped or the store is broken.

use super::authority::{Authority, Over};
use super::catalogue::{self, CatalogueError};
use super::options::ServiceOptions;
use super::rpc::{Mailbox, mailbox};
use crate::election::{Election, Verdict};
use crate::journal::StartError;
use crate::leader::{self, Leader, LeaderError};
use pelton_statestore::{PipelineKeys, StoreFault, StoreHandle};
use std::time::Duration;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often a standby looks, at least.
const LOOK_EVERY_MAX: Duration = Duration::from_millis(100);

/// What an injector is at the moment.
#[derive(Clone, Debug)]
pub enum Role {
    /// Another leads, or nobody does.
    StandingBy {
        /// Where the leader is, HOST:PORT.
        leader: Option<String>,
    },
    /// It leads.
    Leading {
        /// Which leadership.
        epoch: u64,
        /// Where its events go.
        mailbox: Mailbox,
    },
}

/// Why an injector cannot go on at all.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ServiceError {
    /// The journal or the leader's record.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The leader's record.
    #[error(transparent)]
    Leader(#[from] LeaderError),
    /// The graph.
    #[error(transparent)]
    Catalogue(#[from] CatalogueError),
    /// The fences cannot be read.
    #[error(transparent)]
    Fences(#[from] pelton_statestore::TakeOverError),
    /// The store is broken or closed.
    #[error("the injector failed: {0}")]
    Failed(StoreFault),
}

/// Stands by and leads by turns until `stop`, and shows in `roles` which.
///
/// # Errors
/// [`ServiceError`]: the process should end.
pub async fn run(
    store: StoreHandle,
    options: ServiceOptions,
    roles: watch::Sender<Role>,
    stop: CancellationToken,
) -> Result<(), ServiceError> {
    let keys = PipelineKeys::new(&options.pipeline);
    loop {
        let leader = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            leader = stand_by(&store, &keys, &options, &roles) => leader?,
        };
        let (mailbox, events) = mailbox();
        let epoch = leader.epoch().get();
        let authority = tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            authority = Authority::start(leader, store.clone(), keys.clone(), options.clone(), events) => authority?,
        };
        let Some(authority) = authority else { continue };
        roles.send_replace(Role::Leading { epoch, mailbox });
        let over = authority.run(&stop).await;
        roles.send_replace(Role::StandingBy { leader: None });
        match over {
            Over::Stopped => return Ok(()),
            Over::Deposed => tracing::warn!(epoch, "another injector leads now"),
            Over::Failed(error) => return Err(error),
        }
    }
}

/// Waits until nobody leads and there is a graph, and takes the lead.
async fn stand_by(
    store: &StoreHandle,
    keys: &PipelineKeys,
    options: &ServiceOptions,
    roles: &watch::Sender<Role>,
) -> Result<Leader, ServiceError> {
    let mut election = Election::new(options.lease);
    let look_every = (options.lease / 4).min(LOOK_EVERY_MAX);
    loop {
        let record = leader::read(store, &keys.leader()).await?;
        match election.observe(record, (options.monotonic)()) {
            Verdict::StandBy { address } => show(roles, address),
            Verdict::Take { from } => {
                show(roles, None);
                if catalogue::read(store, keys).await?.is_some() {
                    let taken = Leader::take_from(from, store, keys, &options.tokens, &options.address);
                    if let Some(leader) = taken.await? {
                        return Ok(leader);
                    }
                }
            }
        }
        tokio::time::sleep(look_every).await;
    }
}

fn show(roles: &watch::Sender<Role>, leader: Option<String>) {
    roles.send_if_modified(|role| {
        let same = matches!(role, Role::StandingBy { leader: known } if *known == leader);
        *role = Role::StandingBy { leader };
        !same
    });
}
