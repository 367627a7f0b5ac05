//! Who is at the other end of a connection, and how many connections each may have (I11).
//!
//! With TLS a client is the subject of its certificate, which nobody can choose who has no key of it; without, it is
//! the address that it comes from.

use rustls::pki_types::CertificateDer;
use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use x509_cert::der::Decode;

/// Whoever counts as one client.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientIdentity {
    /// The subject of its certificate, as `CN=..`.
    Subject(Arc<str>),
    /// The address it comes from: without TLS, and where its certificate has no subject.
    Address(IpAddr),
}

impl ClientIdentity {
    /// By the first of the certificates it has shown, if any, else by its address.
    pub(crate) fn of(shown: Option<&[CertificateDer<'_>]>, address: IpAddr) -> Self {
        let certificate = shown.and_then(<[_]>::first);
        let parsed = certificate.and_then(|der| x509_cert::Certificate::from_der(der).ok());
        let subject = parsed.map(|parsed| parsed.tbs_certificate().subject().to_string());
        match subject.filter(|subject| !subject.is_empty()) {
            Some(subject) => Self::Subject(subject.into()),
            None => Self::Address(address.to_canonical()),
        }
    }
}

impl fmt::Display for ClientIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subject(subject) => f.write_str(subject),
            Self::Address(address) => address.fmt(f),
        }
    }
}

/// The other end of the connection that a call came over; a [`crate::Server`] puts it into every request's
/// extensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peer {
    /// Who it is.
    pub identity: ClientIdentity,
    /// Where it is: one connection at a time has this address and port.
    pub address: SocketAddr,
}

impl Peer {
    /// The peer of a call; `None` where it did not come through a [`crate::Server`].
    #[must_use]
    pub fn of<T>(request: &tonic::Request<T>) -> Option<&Self> {
        request.extensions().get()
    }
}

/// Counts the connections of each client. Clones count together.
#[derive(Clone, Debug)]
pub(crate) struct Clients {
    counts: Arc<Mutex<HashMap<ClientIdentity, Count>>>,
    each_max: usize,
}

#[derive(Debug, Default)]
struct Count {
    open: usize,
    /// That it was refused is logged, since it last had room.
    told: bool,
}

/// A client's place, until it is dropped.
#[derive(Debug)]
pub(crate) struct ClientPlace {
    clients: Clients,
    identity: ClientIdentity,
}

impl Clients {
    pub(crate) fn new(each_max: usize) -> Self {
        Self { counts: Arc::default(), each_max }
    }

    /// One more connection of this client; `None` where it has as many as it may.
    pub(crate) fn enter(&self, identity: &ClientIdentity) -> Option<ClientPlace> {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(identity.clone()).or_default();
        if count.open >= self.each_max {
            return None;
        }
        count.open += 1;
        Some(ClientPlace { clients: self.clone(), identity: identity.clone() })
    }
}

impl Clients {
    /// Whether nobody was told yet that this client has as many as it may have.
    pub(crate) fn is_first_refusal(&self, identity: &ClientIdentity) -> bool {
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.get_mut(identity).is_some_and(|count| !std::mem::replace(&mut count.told, true))
    }
}

impl Drop for ClientPlace {
    fn drop(&mut self) {
        let mut counts = self.clients.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let left = counts.get_mut(&self.identity).map_or(0, |count| {
            *count = Count { open: count.open.saturating_sub(1), told: false };
            count.open
        });
        if left == 0 {
            counts.remove(&self.identity);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn i11_each_client_has_its_places_and_nothing_is_kept_of_one_that_has_left() {
        let clients = Clients::new(2);
        let [ann, bob] = ["CN=ann", "CN=bob"].map(|subject| ClientIdentity::Subject(subject.into()));
        let first = clients.enter(&ann).unwrap();
        let second = clients.enter(&ann).unwrap();
        assert!(clients.enter(&ann).is_none());
        assert!(clients.is_first_refusal(&ann) && !clients.is_first_refusal(&ann));
        let other = clients.enter(&bob).unwrap();
        drop(first);
        let third = clients.enter(&ann).unwrap();
        drop((second, third, other));
        assert!(clients.counts.lock().unwrap().is_empty());
    }

    #[test]
    fn a_client_without_a_subject_is_its_address() {
        let mapped: IpAddr = "::ffff:10.0.0.1".parse().unwrap();
        let identity = ClientIdentity::of(None, mapped);
        assert_eq!(identity.to_string(), "10.0.0.1");
        assert_eq!(ClientIdentity::of(Some(&[CertificateDer::from(vec![1, 2])]), mapped), identity);
    }
}
