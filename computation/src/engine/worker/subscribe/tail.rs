//! How far the logs of one published stream have come, for all subscriptions of it here.
//!
//! Commits of this process are told of by themselves; those of other workers by the workers that own partitions. The
//! store is looked at once whenever the owners change or news from one begin or break off, so nothing is missed
//! between two of them; and again and again only while an owner is unknown or cannot be heard.
//!
//! I7: a watermark is passed on with offsets that were read after it had been announced.

use super::super::Shared;
use super::logs::Logs;
use super::news::{Hearing, listen};
use crate::engine::outbox::Routes;
use crate::engine::peers::Identity;
use crate::engine::published::{Grown, Reached};
use bytes::Bytes;
use pelton_domain::EventTime;
use pelton_transport::Security;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio_util::task::AbortOnDropHandle;

/// How often a watermark is passed on at most.
const WATERMARK_EVERY: Duration = Duration::from_millis(200);
/// How often the store is looked at while an owner cannot be heard.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// The news of one published stream in this process, for as long as it is kept.
pub(super) struct Tail {
    grown: Grown,
    _follow: AbortOnDropHandle<()>,
}

impl Tail {
    pub(super) fn start(shared: Arc<Shared>, logs: Logs, asking: (Identity, Security)) -> Self {
        let grown = Grown::new(logs.partitions());
        let follow = Follow { shared, logs, asking, grown: grown.clone(), look: Arc::default() };
        let follow = AbortOnDropHandle::new(tokio::spawn(follow.run()));
        Self { grown, _follow: follow }
    }

    pub(super) fn subscribe(&self) -> watch::Receiver<Reached> {
        self.grown.subscribe()
    }
}

struct Follow {
    shared: Arc<Shared>,
    logs: Logs,
    asking: (Identity, Security),
    grown: Grown,
    /// News from an owner have begun or broken off.
    look: Arc<Notify>,
}

/// Who owns a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Owner {
    Here,
    /// Another process, and where it is.
    Away(Bytes, String),
    Unknown,
}

impl Follow {
    async fn run(self) {
        tokio::join!(self.hear_own_commits(), self.follow_owners(), self.follow_watermark());
    }

    async fn hear_own_commits(&self) {
        let Some(mut own) = self.own() else { return };
        loop {
            let reached = own.borrow_and_update().clone();
            self.grown.grow(reached.next.iter().copied().enumerate());
            if own.changed().await.is_err() {
                return;
            }
        }
    }

    fn own(&self) -> Option<watch::Receiver<Reached>> {
        Some(self.shared.hosted(self.logs.computation())?.grown.as_ref()?.subscribe())
    }

    async fn follow_watermark(&self) {
        let (mut tables, mut passed_on) = (self.shared.authority.subscribe(), EventTime::MIN);
        loop {
            let announced = tables.borrow_and_update().of(self.logs.computation()).low_watermark;
            if announced > passed_on {
                self.look(announced).await;
                passed_on = announced;
                tokio::time::sleep(WATERMARK_EVERY).await;
            }
            if tables.changed().await.is_err() {
                return;
            }
        }
    }

    async fn follow_owners(&self) {
        let mut routes = self.shared.router.changes();
        let (mut owners, mut listening) = (Vec::new(), BTreeMap::new());
        loop {
            routes.borrow_and_update();
            let now = self.owners();
            if now != owners {
                self.listen_to(&now, &mut listening);
                owners = now;
                self.look(EventTime::MIN).await;
            }
            let in_the_dark = owners.contains(&Owner::Unknown)
                || listening.values().any(|(_, hearing): &(_, Hearing)| !hearing.is_heard());
            tokio::select! {
                changed = routes.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = self.look.notified() => self.look(EventTime::MIN).await,
                () = tokio::time::sleep(LOOK_EVERY), if in_the_dark => self.look(EventTime::MIN).await,
            }
        }
    }

    fn owners(&self) -> Vec<Owner> {
        let (table, computation) = (self.shared.router.table(), self.logs.computation());
        let owner = |position| match table.away(computation, position) {
            Some((_, _, outbound)) => Owner::Away(outbound.process.clone(), outbound.address.clone()),
            None if table.owner(computation, position).is_some() => Owner::Here,
            None => Owner::Unknown,
        };
        self.logs.names().iter().map(|name| owner(name.position())).collect()
    }

    /// Listens to those who own a partition, and to nobody else.
    fn listen_to(&self, owners: &[Owner], listening: &mut BTreeMap<Bytes, (AbortOnDropHandle<()>, Hearing)>) {
        let away: BTreeMap<&Bytes, &String> = owners
            .iter()
            .filter_map(|owner| match owner {
                Owner::Away(process, address) => Some((process, address)),
                Owner::Here | Owner::Unknown => None,
            })
            .collect();
        listening.retain(|process, _| away.contains_key(process));
        for (process, address) in away {
            listening.entry(process.clone()).or_insert_with(|| {
                let hearing = Hearing::new(self.look.clone());
                let (identity, security) = &self.asking;
                let request = pelton_proto::worker::GrownRequest {
                    pipeline: identity.pipeline.to_string(),
                    process: process.clone(),
                    computation: self.logs.computation(),
                };
                let to = (address.clone(), security.clone());
                let task = tokio::spawn(listen(to, request, self.grown.clone(), hearing.clone()));
                (AbortOnDropHandle::new(task), hearing)
            });
        }
    }

    /// Reads how far the logs are; `watermark` has been announced before.
    async fn look(&self, watermark: EventTime) {
        loop {
            match self.logs.ledgers().await {
                Ok(ledgers) => {
                    let next = ledgers.iter().map(|ledger| ledger.next).enumerate();
                    return self.grown.grow_to(next, watermark);
                }
                Err(status) => {
                    tracing::warn!(%status, "the logs of a published stream cannot be read: trying again");
                    tokio::time::sleep(LOOK_EVERY).await;
                }
            }
        }
    }
}
