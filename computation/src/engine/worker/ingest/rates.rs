//! How much one client may send (I11): records and bytes a second, and calls at once.
//!
//! A client is the subject of its certificate, where connections are secured; else what it calls itself. Over its rate
//! its next request is not read until this one is due, so it is slowed by flow control, and nobody else is. A call too
//! many is refused. What is left of a client that has gone is kept until its rate would be unused again, so that a
//! new call is no new beginning.

use crate::ingest::check::{RECORDS_MAX, REQUEST_BYTES_MAX};
use governor::clock::{Clock, DefaultClock};
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};
use pelton_transport::{ClientIdentity, Peer};
use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tonic::Status;

/// What one client may send at each worker; `None`: as much as it likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::Args)]
pub struct IngestLimits {
    /// The most records a second that are taken from one ingest client here
    #[arg(long, value_name = "N", help_heading = "Ingest")]
    pub client_records_per_s_max: Option<NonZeroU32>,
    /// The most bytes a second of ids, keys and values that are taken from one ingest client here
    #[arg(long, value_name = "N", help_heading = "Ingest")]
    pub client_bytes_per_s_max: Option<NonZeroU32>,
    /// The most calls that one ingest client may have open here
    #[arg(long, value_name = "N", help_heading = "Ingest")]
    pub client_calls_max: Option<NonZeroU32>,
}

/// Clients of which something is kept.
const CLIENTS_MAX: usize = 10_000;

type Limiter = RateLimiter<NotKeyed, InMemoryState, DefaultClock>;

/// The rates of all clients. Clones are the same.
#[derive(Clone, Debug)]
pub(super) struct Rates {
    limits: IngestLimits,
    clock: DefaultClock,
    clients: Arc<Mutex<HashMap<Arc<str>, Kept>>>,
}

#[derive(Debug)]
struct Kept {
    calls: u32,
    /// When its last call ended.
    left: Option<<DefaultClock as Clock>::Instant>,
    limiters: Arc<Limiters>,
}

#[derive(Debug)]
struct Limiters {
    records: Option<Limiter>,
    bytes: Option<Limiter>,
}

/// One call of a client, until it is dropped.
#[derive(Debug)]
pub(super) struct Admitted {
    rates: Rates,
    client: Arc<str>,
    limiters: Arc<Limiters>,
}

/// Who counts as one client: by certificate where there is one, else by the name that it gives itself.
pub(super) fn identity(peer: Option<&Peer>, name: &str) -> Arc<str> {
    match peer.map(|peer| &peer.identity) {
        Some(ClientIdentity::Subject(subject)) => subject.clone(),
        Some(ClientIdentity::Address(_)) | None => name.into(),
    }
}

impl Rates {
    pub(super) fn new(limits: IngestLimits) -> Self {
        Self { limits, clock: DefaultClock::default(), clients: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Arc<str>, Kept>> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A call of `client` begins.
    pub(super) fn admit(&self, client: Arc<str>) -> Result<Admitted, Status> {
        let mut clients = self.lock();
        if clients.len() >= CLIENTS_MAX && !clients.contains_key(&client) {
            self.forget_unused(&mut clients);
            if clients.len() >= CLIENTS_MAX {
                return Err(refused(format!(
                    "{CLIENTS_MAX} clients have been here just now, which is the most"
                )));
            }
        }
        let kept = clients.entry(client.clone()).or_insert_with(|| Kept {
            calls: 0,
            left: None,
            limiters: Arc::new(Limiters::of(&self.limits)),
        });
        if let Some(most) = self.limits.client_calls_max.filter(|most| kept.calls >= most.get()) {
            return Err(refused(format!(
                "the client {client:?} has {most} calls open, which is the most: end one"
            )));
        }
        kept.calls += 1;
        Ok(Admitted { rates: self.clone(), limiters: kept.limiters.clone(), client })
    }

    /// Drops those that have no call and whose rates are as if they had never been used.
    fn forget_unused(&self, clients: &mut HashMap<Arc<str>, Kept>) {
        let (now, full_after) = (self.clock.now(), self.limits.full_after());
        clients.retain(|_, kept| {
            let unused = |left| now.duration_since(left) >= full_after;
            kept.calls > 0 || !kept.left.is_some_and(unused)
        });
    }
}

fn refused(why: String) -> Status {
    metrics::counter!("pelton_ingest_calls_refused_total").increment(1);
    Status::resource_exhausted(format!("{why}; try again in a second"))
}

impl IngestLimits {
    /// How long after its last use a rate is unused again.
    fn full_after(&self) -> Duration {
        let seconds = |rate: Option<NonZeroU32>, request: usize| {
            rate.map_or(0.0, |rate| f64::from(burst(rate, request).get()) / f64::from(rate.get()))
        };
        let records = seconds(self.client_records_per_s_max, RECORDS_MAX);
        Duration::from_secs_f64(records.max(seconds(self.client_bytes_per_s_max, REQUEST_BYTES_MAX)))
    }
}

impl Limiters {
    fn of(limits: &IngestLimits) -> Self {
        let limiter = |rate: Option<NonZeroU32>, request: usize| {
            rate.map(|rate| RateLimiter::direct(Quota::per_second(rate).allow_burst(burst(rate, request))))
        };
        Self {
            records: limiter(limits.client_records_per_s_max, RECORDS_MAX),
            bytes: limiter(limits.client_bytes_per_s_max, REQUEST_BYTES_MAX),
        }
    }
}

/// What may come at once: the rate of a second, and a whole request at least, since that cannot be cut.
fn burst(rate: NonZeroU32, request: usize) -> NonZeroU32 {
    let request = u32::try_from(request).ok().and_then(NonZeroU32::new);
    request.map_or(rate, |request| rate.max(request))
}

impl Admitted {
    /// Waits until the client may send so much more.
    ///
    /// Cancel safe: cancelled, a part may count as sent.
    pub(super) async fn wait(&self, records: usize, bytes: usize) {
        let mut slowed = false;
        for (limiter, count) in [(&self.limiters.records, records), (&self.limiters.bytes, bytes)] {
            let Some(limiter) = limiter else { continue };
            let Some(count) = u32::try_from(count).ok().and_then(NonZeroU32::new) else { continue };
            // A burst is a whole request at least, so it is never too much for ever.
            while let Ok(Err(early)) = limiter.check_n(count) {
                if !std::mem::replace(&mut slowed, true) {
                    metrics::counter!("pelton_ingest_requests_slowed_total").increment(1);
                }
                tokio::time::sleep(early.wait_time_from(self.rates.clock.now())).await;
            }
        }
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        if let Some(kept) = self.rates.lock().get_mut(&self.client) {
            kept.calls = kept.calls.saturating_sub(1);
            kept.left = Some(self.rates.clock.now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(records: u32, calls: u32) -> IngestLimits {
        IngestLimits {
            client_records_per_s_max: NonZeroU32::new(records),
            client_calls_max: NonZeroU32::new(calls),
            ..IngestLimits::default()
        }
    }

    #[test]
    fn i11_a_call_too_many_is_refused_until_another_of_the_same_client_ends() {
        let rates = Rates::new(limits(0, 2));
        let first = rates.admit("ann".into()).unwrap();
        let _second = rates.admit("ann".into()).unwrap();
        let refused = rates.admit("ann".into()).unwrap_err();
        assert_eq!(refused.code(), tonic::Code::ResourceExhausted);
        assert!(refused.message().contains("2 calls") && refused.message().contains("again in a second"));
        let _other = rates.admit("bob".into()).unwrap();
        drop(first);
        rates.admit("ann".into()).unwrap();
    }

    #[tokio::test]
    async fn i11_a_client_over_its_rate_waits_and_another_does_not() {
        let rates = Rates::new(limits(10, 9));
        let (ann, bob) = (rates.admit("ann".into()).unwrap(), rates.admit("bob".into()).unwrap());
        ann.wait(RECORDS_MAX, 1).await;
        let mut over = Box::pin(ann.wait(RECORDS_MAX, 1));
        assert!(futures_util::poll!(&mut over).is_pending(), "a hundred seconds' worth");
        bob.wait(RECORDS_MAX, 1).await;
        drop(over);
        // A new call is no new beginning.
        drop(ann);
        let again = rates.admit("ann".into()).unwrap();
        assert!(futures_util::poll!(Box::pin(again.wait(RECORDS_MAX, 1))).is_pending());
    }

    #[test]
    fn i11_no_more_clients_are_kept_than_there_may_be() {
        let rates = Rates::new(limits(1_000_000, 9));
        let mut calls: Vec<_> =
            (0..CLIENTS_MAX).map(|at| rates.admit(at.to_string().into()).unwrap()).collect();
        assert!(rates.admit("one more".into()).is_err());
        drop(rates.admit("7".into()).unwrap());
        calls.clear();
        let gone = || rates.admit("one more".into()).is_ok();
        for _ in 0..3_000 {
            if gone() {
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        panic!("clients that have gone are kept for ever");
    }

    #[test]
    fn a_client_is_its_certificate_where_it_has_one() {
        let peer = |identity| Peer { identity, address: "127.0.0.1:1".parse().unwrap() };
        let subject = peer(ClientIdentity::Subject("CN=ann".into()));
        assert_eq!(&*identity(Some(&subject), "somebody else"), "CN=ann");
        let plain = peer(ClientIdentity::Address("127.0.0.1".parse().unwrap()));
        assert_eq!(&*identity(Some(&plain), "ann"), "ann");
    }
}
