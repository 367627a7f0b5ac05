//! Why an injector ended: what its subscribers read when nothing more comes.

use pelton_domain::Sequencer;
use pelton_statestore::StoreFault;

/// Why an injector ended. What it announced before stays true.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum End {
    /// It was asked to, or its last handle was dropped.
    #[error("the injector was stopped")]
    Stopped,
    /// Its future was dropped before it ended: nobody drives it.
    #[error("the injector is no longer driven")]
    Abandoned,
    /// Another leads now. Look for that one.
    #[error("leader {held} was deposed by {}", current.map_or("nobody".to_owned(), |c| c.to_string()))]
    Deposed {
        /// The leadership that was.
        held: Sequencer,
        /// The one that is.
        current: Option<Sequencer>,
    },
    /// The store is broken or closed, or holds what this program cannot read. Stop.
    #[error("the injector failed: {0}")]
    Failed(StoreFault),
}
