//! Triggers: when a window fires. Here is how they are said; how they run is in [`machine`].

mod machine;
mod state;

pub(super) use machine::Moment;
pub(super) use state::TriggerState;

use super::strategy::Delay;
use std::time::Duration;

/// When a window fires a pane, and when it has fired its last.
///
/// They combine. A trigger that has finished closes its window, which takes no record any more; so most are said
/// to fire [`repeatedly`](Self::repeatedly).
///
/// ```
/// use pelton::window::Trigger;
/// use std::time::Duration;
///
/// // A first look after a minute by the clock, then on time, then with every record that comes late.
/// let trigger = Trigger::after_watermark()
///     .early(Trigger::after_processing_time(Duration::from_secs(60)))
///     .late(Trigger::after_count(1));
/// // Every hundred records or ten seconds, whatever comes first.
/// let often = Trigger::after_first([
///     Trigger::after_count(100),
///     Trigger::after_processing_time(Duration::from_secs(10)),
/// ])
/// .repeatedly();
/// # assert!(trigger.check().is_ok() && often.check().is_ok());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Trigger {
    /// When the watermark passes the end of the window, and after that with every record. It never finishes.
    #[default]
    Default,
    /// Once the watermark passes the end of the window.
    AfterWatermark {
        /// Fires before that, as often as it can.
        early: Option<Box<Trigger>>,
        /// Fires after that, as often as it can. Without it, the trigger finishes on time.
        late: Option<Box<Trigger>>,
    },
    /// Once the clock has gone on by the delay since the first record.
    AfterProcessingTime(Delay),
    /// Once there are so many records.
    AfterCount(u64),
    /// One after the other: each until it has finished.
    AfterEach(Vec<Trigger>),
    /// Whenever one of them does; finished when one that fires is.
    AfterFirst(Vec<Trigger>),
    /// Once all of them do.
    AfterAll(Vec<Trigger>),
    /// Whenever it does; when it has finished it begins anew.
    Repeatedly(Box<Trigger>),
    /// Whenever the first does, until the second fires; then for the last time.
    OrFinally(Box<Trigger>, Box<Trigger>),
    /// Not at all. What has come is told when the window closes.
    Never,
}

/// A trigger that cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TriggerError {
    /// It would fire without a record.
    #[error("AfterCount(0) would fire without a record: the least count is 1")]
    CountOfZero,
    /// It has nothing to wait for.
    #[error("{trigger} of no triggers never fires: name at least one")]
    OfNothing {
        /// Which.
        trigger: &'static str,
    },
    /// More of them than anyone can mean.
    #[error("the trigger is nested {depth} deep, and {TRIGGER_DEPTH_MAX} is the limit")]
    TooDeep {
        /// How deep.
        depth: usize,
    },
}

/// Triggers may be nested so deep.
pub const TRIGGER_DEPTH_MAX: usize = 64;

impl Trigger {
    /// Once the watermark passes the end of the window. [`early`](Self::early) and [`late`](Self::late) add to it.
    #[must_use]
    pub fn after_watermark() -> Self {
        Self::AfterWatermark { early: None, late: None }
    }

    /// Adds panes before the end of the window, as often as `trigger` fires. A trigger other than
    /// [`AfterWatermark`](Self::AfterWatermark) is returned as it is.
    #[must_use]
    pub fn early(self, trigger: Self) -> Self {
        match self {
            Self::AfterWatermark { late, .. } => {
                Self::AfterWatermark { early: Some(Box::new(trigger)), late }
            }
            other => other,
        }
    }

    /// Adds panes after the end of the window, as often as `trigger` fires. A trigger other than
    /// [`AfterWatermark`](Self::AfterWatermark) is returned as it is.
    #[must_use]
    pub fn late(self, trigger: Self) -> Self {
        match self {
            Self::AfterWatermark { early, .. } => {
                Self::AfterWatermark { early, late: Some(Box::new(trigger)) }
            }
            other => other,
        }
    }

    /// Once the clock has gone on by `delay` since the first record of the pane.
    #[must_use]
    pub fn after_processing_time(delay: Duration) -> Self {
        Self::AfterProcessingTime(Delay::of(delay))
    }

    /// Once there are `count` records.
    #[must_use]
    pub fn after_count(count: u64) -> Self {
        Self::AfterCount(count)
    }

    /// One after the other.
    #[must_use]
    pub fn after_each(triggers: impl IntoIterator<Item = Self>) -> Self {
        Self::AfterEach(triggers.into_iter().collect())
    }

    /// Whenever one of them fires.
    #[must_use]
    pub fn after_first(triggers: impl IntoIterator<Item = Self>) -> Self {
        Self::AfterFirst(triggers.into_iter().collect())
    }

    /// Once all of them fire.
    #[must_use]
    pub fn after_all(triggers: impl IntoIterator<Item = Self>) -> Self {
        Self::AfterAll(triggers.into_iter().collect())
    }

    /// Again and again.
    #[must_use]
    pub fn repeatedly(self) -> Self {
        Self::Repeatedly(Box::new(self))
    }

    /// Until `last` fires.
    #[must_use]
    pub fn or_finally(self, last: Self) -> Self {
        Self::OrFinally(Box::new(self), Box::new(last))
    }

    /// Whether it can be.
    ///
    /// # Errors
    /// [`TriggerError`].
    pub fn check(&self) -> Result<(), TriggerError> {
        self.check_at(1)
    }

    fn check_at(&self, depth: usize) -> Result<(), TriggerError> {
        if depth > TRIGGER_DEPTH_MAX {
            return Err(TriggerError::TooDeep { depth });
        }
        let of_nothing = |trigger, of: &[Self]| match of {
            [] => Err(TriggerError::OfNothing { trigger }),
            _ => Ok(()),
        };
        match self {
            Self::AfterCount(0) => return Err(TriggerError::CountOfZero),
            Self::AfterEach(of) => of_nothing("AfterEach", of)?,
            Self::AfterFirst(of) => of_nothing("AfterFirst", of)?,
            Self::AfterAll(of) => of_nothing("AfterAll", of)?,
            _ => {}
        }
        self.parts().into_iter().try_for_each(|part| part.check_at(depth + 1))
    }

    /// The triggers it is made of.
    fn parts(&self) -> Vec<&Self> {
        match self {
            Self::Default | Self::AfterProcessingTime(_) | Self::AfterCount(_) | Self::Never => Vec::new(),
            Self::AfterWatermark { early, late } => early.iter().chain(late).map(AsRef::as_ref).collect(),
            Self::AfterEach(of) | Self::AfterFirst(of) | Self::AfterAll(of) => of.iter().collect(),
            Self::Repeatedly(of) => vec![of],
            Self::OrFinally(main, last) => vec![main, last],
        }
    }

    /// Whether it means the end of the window to be told, come what may.
    pub(super) fn tells_on_time(&self) -> bool {
        match self {
            Self::Default | Self::AfterWatermark { .. } => true,
            _ => self.parts().into_iter().any(Self::tells_on_time),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn triggers_that_cannot_be_are_refused_in_words() {
        let nothing = Trigger::after_first([Trigger::after_all([])]).check().unwrap_err();
        assert_eq!(nothing.to_string(), "AfterAll of no triggers never fires: name at least one");
        let zero = Trigger::after_watermark().early(Trigger::after_count(0));
        assert_eq!(zero.check(), Err(TriggerError::CountOfZero));
        let deep = (0..TRIGGER_DEPTH_MAX).fold(Trigger::Default, |of, _| of.repeatedly());
        assert_eq!(deep.check(), Err(TriggerError::TooDeep { depth: TRIGGER_DEPTH_MAX + 1 }));
    }
}
