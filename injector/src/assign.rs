//! Who owns which interval: the words for it, and the two decisions about it. Pure.
//!
//! | module | decision |
//! |---|---|
//! | [`spread`] | intervals over workers: evenly, with few moves when workers come and go |
//! | [`heat`] | which intervals to split because they are hot, and to merge because they are cold |

pub mod heat;
pub mod spread;

use pelton_domain::{KeyInterval, Sequencer};
use std::fmt;
use std::sync::Arc;

/// The name of a worker, unique among those that live at one time.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Worker(Arc<str>);

impl Worker {
    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Worker {
    fn from(name: &str) -> Self {
        Self(name.into())
    }
}

impl From<String> for Worker {
    fn from(name: String) -> Self {
        Self(name.into())
    }
}

impl fmt::Display for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// An interval, the reign it is assigned under, and the worker that is to rule it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assignment {
    /// Which interval.
    pub interval: KeyInterval,
    /// The only reign whose reports count.
    pub sequencer: Sequencer,
    /// Whose.
    pub worker: Worker,
}
