//! The injector as a worker sees it: in this process, or elsewhere.
//!
//! I7: a report counts only under the reign that is assigned; what is announced never goes back. Both are the
//! injector's to keep; an injector elsewhere is told and heard through a [`Session`].

use super::channel::Party;
use super::ids::IdCeiling;
use super::session::Session;
use super::worker::IntervalStatus;
use pelton_domain::{KeyInterval, Sequencer};
use pelton_injector::{AnnouncedTable, Assigned, Graph, Injector, IntervalReport, ReportRefused, Worker};
use std::sync::Arc;
use tokio::sync::watch;

/// Who assigns intervals to this worker and hears how far they are.
#[derive(Clone, Debug)]
pub(crate) enum Authority {
    /// An injector in this process, and the name that this worker has there.
    Here(Injector, Worker),
    /// The membership in a pipeline that an injector elsewhere leads.
    Joined(Session),
}

impl Authority {
    pub(crate) fn graph(&self) -> &Arc<Graph> {
        match self {
            Self::Here(injector, _) => injector.graph(),
            Self::Joined(session) => session.graph(),
        }
    }

    /// How late an id may be (I6).
    pub(crate) fn id_ceiling(&self) -> IdCeiling {
        match self {
            Self::Here(..) => IdCeiling::none(),
            Self::Joined(session) => session.id_ceiling().clone(),
        }
    }

    /// What stands announced, as far as it is known here.
    pub(crate) fn announced(&self) -> Arc<AnnouncedTable> {
        match self {
            Self::Here(injector, _) => injector.announced(),
            Self::Joined(session) => session.announced(),
        }
    }

    pub(crate) fn subscribe(&self) -> watch::Receiver<Arc<AnnouncedTable>> {
        match self {
            Self::Here(injector, _) => injector.subscribe(),
            Self::Joined(session) => session.subscribe(),
        }
    }

    /// Reports how far an interval is. An injector elsewhere that refuses it says so later, by a release.
    pub(crate) fn report(&self, report: IntervalReport) -> Result<(), ReportRefused> {
        match self {
            Self::Here(injector, _) => injector.report(report).map(|_| ()),
            Self::Joined(session) => {
                session.report(report);
                Ok(())
            }
        }
    }

    /// A new reign over an interval of this worker's, whose reign was lost in doubt; `None` where it is not this
    /// worker's any more.
    pub(crate) async fn again(
        &self,
        computation: u32,
        interval: KeyInterval,
        sequencer: Sequencer,
    ) -> Result<Option<Assigned>, String> {
        match self {
            Self::Here(injector, worker) => {
                let again = injector.assign(computation, vec![(interval, worker.clone())]).await;
                again.map(|mut again| again.pop()).map_err(|error| error.to_string())
            }
            Self::Joined(session) => session.again(computation, interval, sequencer).await,
        }
    }

    /// New reigns over the parts of intervals that this worker has stopped.
    pub(crate) async fn reassign(
        &self,
        computation: u32,
        old: Vec<KeyInterval>,
        new: Vec<KeyInterval>,
    ) -> Result<Vec<Assigned>, String> {
        match self {
            Self::Here(injector, worker) => {
                let wanted = new.into_iter().map(|interval| (interval, worker.clone())).collect();
                injector.reassign(computation, old, wanted).await.map_err(|error| error.to_string())
            }
            Self::Joined(session) => session.reassign(computation, old, new).await,
        }
    }

    /// A reign has been taken over here, and runs.
    pub(crate) fn running(&self, interval: KeyInterval, party: Party, status: &Arc<IntervalStatus>) {
        if let Self::Joined(session) = self {
            session.running(interval, party, status.clone());
        }
    }

    /// A reign does not run here any more.
    pub(crate) fn ended(&self, party: Party) {
        if let Self::Joined(session) = self {
            session.ended(party);
        }
    }

    /// Reigns over these are assigned to this worker, and nobody runs them. Returns whether that is told: an injector
    /// elsewhere looks again at what intervals there are, and assigns those.
    pub(crate) fn left(&self, computation: u32, reigns: &[(KeyInterval, Sequencer)], reason: &str) -> bool {
        match self {
            Self::Here(..) => false,
            Self::Joined(session) => {
                let party = |(interval, sequencer): &(KeyInterval, Sequencer)| {
                    (*interval, Party::of(computation, *interval, *sequencer))
                };
                session.released(&reigns.iter().map(party).collect::<Vec<_>>(), reason.to_owned());
                true
            }
        }
    }
}
