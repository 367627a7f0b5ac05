//! Delivery to and from the other processes of a pipeline.
//!
//! | module | what |
//! |---|---|
//! | [`outbound`] | one stream to each process that owns intervals: records out, answers back |
//! | [`inbound`] | the service on the other side |
//! | [`returns`] | which stream a sender's answers go back over |
//! | [`wire`] | from messages to mail and back |
//!
//! A stream may be lost at any time, with everything that is on it: whoever sent over it starts again from its
//! oldest (I5), and the channels keep the order (I9). What waits for a stream is bounded by the credit of the
//! channels that send over it (I11), and answers never wait behind records, as they go the other way.

mod inbound;
mod outbound;
mod returns;
pub(crate) mod wire;

pub(crate) use inbound::DeliveryService;
pub(crate) use outbound::Outbound;
pub(crate) use returns::Returns;

use super::router::Router;
use bytes::Bytes;
use pelton_domain::Name;
use pelton_injector::Worker;
use pelton_proto::worker;
use pelton_transport::Security;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use wire::AwayRoute;

/// Who this process is to others.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) pipeline: Name,
    pub(crate) worker: Worker,
    /// 16 bytes, new with each process.
    pub(crate) process: Bytes,
}

impl Identity {
    fn hello(&self) -> worker::Hello {
        worker::Hello {
            protocol: pelton_proto::PROTOCOL,
            pipeline: self.pipeline.to_string(),
            worker: self.worker.to_string(),
            process: self.process.clone(),
        }
    }
}

/// The other processes, each with the one way to it.
#[derive(Clone, Debug)]
pub(crate) struct Peers {
    identity: Identity,
    security: Security,
    router: Router,
    known: Arc<Mutex<BTreeMap<Bytes, Outbound>>>,
}

impl Peers {
    pub(crate) fn new(identity: Identity, security: Security, router: Router) -> Self {
        Self { identity, security, router, known: Arc::default() }
    }

    /// Takes up news of where intervals run. What is said of this process itself is no news: it knows better.
    pub(crate) fn learn(&self, routes: Vec<AwayRoute>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let others = routes.into_iter().filter(|route| route.process != self.identity.process);
        let routes = others.map(|route| {
            let outbound = known.entry(route.process.clone()).or_insert_with(|| {
                Outbound::start(self.clone(), route.process.clone(), &route.worker, route.address.clone())
            });
            (route.interval, route.party, outbound.clone())
        });
        let routes = routes.collect();
        self.router.add_away(routes);
        let led_to = self.router.table().processes();
        known.retain(|process, _| led_to.contains(process));
    }
}
