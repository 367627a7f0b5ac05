//! What comes out of windows: panes, and records that came too late for theirs.

use super::bounds::Window;
use serde::{Deserialize, Serialize};

/// One firing of one window of one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pane<T> {
    /// The window.
    pub window: Window,
    /// Its value: of what has come since the last pane (discarding), or since it began (accumulating).
    pub value: T,
    /// Which firing it is.
    pub info: PaneInfo,
    /// It takes back an earlier pane: one that had this value, this window and this info. Only where panes are
    /// accumulating and retracting.
    pub retraction: bool,
}

/// Which of a window's firings a pane is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaneInfo {
    /// Its number among the window's panes, from 0. A window that comes from a merge begins anew.
    pub index: u64,
    /// Its number among those that are not early, from 0; `None` for an early one. An early pane has a number where
    /// the window was extended after it had fired on time.
    pub nonspeculative_index: Option<u64>,
    /// Whether it comes before, at or after the end of the window.
    pub timing: Timing,
    /// It is the window's first.
    pub first: bool,
    /// There will be no other: its trigger has finished, or its lateness is over.
    pub last: bool,
}

/// When a pane fires, by the input low watermark.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Timing {
    /// Before it has reached the end of the window: speculative.
    Early,
    /// As it reaches it: as far as the watermark knows, all is there. At most one for each window.
    OnTime,
    /// After that: with records that came late.
    Late,
}

impl Timing {
    /// Its name, in words for messages and files.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Early => "early",
            Self::OnTime => "on_time",
            Self::Late => "late",
        }
    }
}

/// A record that one or more of its windows did not take. It is counted as dropped, too (I10).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused<T> {
    /// The record's value; its key and event time are those of this record.
    pub value: T,
    /// The windows that did not take it, each with the reason.
    pub windows: Vec<(Window, Refusal)>,
}

/// Why a window does not take a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Refusal {
    /// It came later than the allowed lateness: the window is gone.
    Expired,
    /// The window's trigger has finished: its last pane is out.
    Finished,
}
