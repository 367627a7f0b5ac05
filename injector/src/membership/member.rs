//! One worker process as the injector knows it.

use super::{Hello, SessionId};
use crate::assign::Worker;
use std::collections::BTreeSet;
use std::time::Duration;

/// A worker that lives, or is expected to come back.
#[derive(Clone, Debug)]
pub(super) struct Member {
    /// `None` for one that is known from the journal only.
    pub(super) identity: Option<Identity>,
    pub(super) draining: bool,
    /// Its clock is too far ahead.
    pub(super) clock_refused: bool,
    pub(super) link: Link,
}

/// What a process said of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Identity {
    pub(super) process: [u8; 16],
    pub(super) address: String,
    pub(super) graph_version: u32,
    pub(super) computations: BTreeSet<u32>,
}

/// Its stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    /// It lives; when the last message came.
    Up { session: SessionId, heard: Duration },
    /// It broke; how long the same process is waited for.
    Down { until: Duration },
}

impl Member {
    pub(super) fn of(hello: &Hello, now: Duration) -> Self {
        let identity = Identity {
            process: hello.process,
            address: hello.address.clone(),
            graph_version: hello.graph_version,
            computations: hello.computations.clone(),
        };
        Self {
            identity: Some(identity),
            draining: false,
            clock_refused: false,
            link: Link::Up { session: hello.session, heard: now },
        }
    }

    pub(super) fn session(&self) -> Option<SessionId> {
        match self.link {
            Link::Up { session, .. } => Some(session),
            Link::Down { .. } => None,
        }
    }

    /// Whether it may be given intervals of `computation`.
    pub(super) fn takes(&self, computation: u32, graph_version: u32) -> bool {
        let Some(identity) = &self.identity else { return false };
        !self.draining
            && !self.clock_refused
            && self.session().is_some()
            && identity.graph_version == graph_version
            && identity.computations.contains(&computation)
    }

    /// Whether it may keep what it has of `computation`, whose inputs are those of graph `since`.
    pub(super) fn keeps(&self, computation: u32, since: u32) -> bool {
        let hosts = |identity: &Identity| {
            identity.computations.contains(&computation) && identity.graph_version >= since
        };
        !self.draining && !self.clock_refused && self.identity.as_ref().is_none_or(hosts)
    }
}

/// A worker, for people and programs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberView {
    /// Its name.
    pub worker: Worker,
    /// Its process; `None` while it is only expected back.
    pub process: Option<[u8; 16]>,
    /// Where its services are.
    pub address: String,
    /// The graph that its code has.
    pub graph_version: u32,
    /// How many intervals it has.
    pub intervals: usize,
    /// Whether they all are to go to others.
    pub draining: bool,
    /// Whether they are to go to others because its clock is too far ahead.
    pub clock_refused: bool,
}
