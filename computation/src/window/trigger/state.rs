//! Where a window's trigger stands, and what merging makes of it.

use serde::{Deserialize, Serialize};

/// A tree of the shape of the trigger. It is stored: variants and fields keep their places.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) enum TriggerState {
    /// Waits for the end of the window, if it is armed.
    Default { armed: bool },
    /// As above; `late` once it has fired on time. Of the early and the late trigger.
    Watermark { armed: bool, late: bool, of: [Option<Box<TriggerState>>; 2] },
    /// When it is due by the clock, in microseconds.
    Due(Option<i64>),
    /// The records counted.
    Count(u64),
    /// Which one it is at.
    Each { at: u64, of: Vec<TriggerState> },
    /// All at once.
    Parallel(Vec<TriggerState>),
    /// Again and again.
    Repeatedly(Box<TriggerState>),
    /// Nothing to remember.
    Never,
}

impl TriggerState {
    /// Whether it is to be asked when the watermark reaches the end of the window.
    pub(in super::super) fn is_armed(&self) -> bool {
        match self {
            Self::Default { armed } => *armed,
            Self::Watermark { armed, of, .. } => *armed || of.iter().flatten().any(|of| of.is_armed()),
            Self::Each { of, .. } | Self::Parallel(of) => of.iter().any(Self::is_armed),
            Self::Repeatedly(of) => of.is_armed(),
            Self::Due(_) | Self::Count(_) | Self::Never => false,
        }
    }

    /// The end it was armed for has come, or is another one now.
    pub(in super::super) fn disarm(&mut self) {
        match self {
            Self::Default { armed } => *armed = false,
            Self::Watermark { armed, of, .. } => {
                *armed = false;
                of.iter_mut().flatten().for_each(|of| of.disarm());
            }
            Self::Each { of, .. } | Self::Parallel(of) => of.iter_mut().for_each(Self::disarm),
            Self::Repeatedly(of) => of.disarm(),
            Self::Due(_) | Self::Count(_) | Self::Never => {}
        }
    }

    /// Takes in the state of a window that is merged into this one's: counts add up, and the furthest wins. Both are
    /// of one trigger.
    pub(in super::super) fn merge(&mut self, other: Self) {
        match (self, other) {
            (Self::Default { armed }, Self::Default { armed: other }) => *armed |= other,
            (
                Self::Watermark { armed, late, of },
                Self::Watermark { armed: other_armed, late: other_late, of: others },
            ) => {
                *armed |= other_armed;
                *late |= other_late;
                for (mine, other) in of.iter_mut().zip(others) {
                    if let (Some(mine), Some(other)) = (mine, other) {
                        mine.merge(*other);
                    }
                }
            }
            (Self::Due(due), Self::Due(other)) => *due = due.iter().copied().chain(other).min(),
            (Self::Count(count), Self::Count(other)) => *count = count.saturating_add(other),
            (Self::Each { at, of }, Self::Each { at: other_at, of: others }) => {
                *at = other_at.max(*at);
                of.iter_mut().zip(others).for_each(|(mine, other)| mine.merge(other));
            }
            (Self::Parallel(of), Self::Parallel(others)) => {
                of.iter_mut().zip(others).for_each(|(mine, other)| mine.merge(other));
            }
            (Self::Repeatedly(of), Self::Repeatedly(other)) => of.merge(*other),
            _ => {}
        }
    }
}
