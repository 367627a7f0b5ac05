//! The windows of one key that are alive, for windows that merge.
//!
//! They are one entry of state of the key. Windows that do not merge need none: a record knows its windows.

use super::assign::Merge;
use super::bounds::Window;
use crate::context::Context;
use crate::failure::Failure;
use crate::state::Value;
use bytes::Bytes;

/// At most so many windows of one key may be alive: their entry must stay below the store's limit for a value.
pub const LIVE_WINDOWS_MAX: usize = 4_096;

/// The live windows of a key, sorted.
#[derive(Debug, Default)]
pub(super) struct LiveWindows {
    windows: Vec<Window>,
    stored: Vec<Window>,
}

/// A window that is to be, with those it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Join {
    /// The window.
    pub(super) into: Window,
    /// Live windows other than itself that it takes in.
    pub(super) merged: Vec<Window>,
    /// Whether it was alive before.
    pub(super) known: bool,
    /// Whether one of the record's windows is in it.
    pub(super) takes_record: bool,
}

impl LiveWindows {
    /// Where they are kept.
    pub(super) const CELL: Value<Vec<Window>> = Value::new("live-windows");

    /// Those of the key.
    pub(super) async fn load(cx: &mut Context<'_>) -> Result<Self, Failure> {
        cx.enter(Bytes::new());
        let windows = Self::CELL.get(cx).await?.unwrap_or_default();
        Ok(Self { stored: windows.clone(), windows })
    }

    /// Writes them, if they have changed.
    pub(super) fn save(self, cx: &mut Context<'_>) -> Result<(), Failure> {
        if self.windows == self.stored {
            return Ok(());
        }
        cx.enter(Bytes::new());
        if self.windows.is_empty() {
            return Self::CELL.clear(cx);
        }
        if self.windows.len() > LIVE_WINDOWS_MAX {
            return Err(Failure::permanent(format!(
                "key {} would have {} live windows, and {LIVE_WINDOWS_MAX} is the limit: allow less lateness, or \
                 take a longer gap",
                cx.key(),
                self.windows.len(),
            )));
        }
        Self::CELL.set(cx, &self.windows)
    }

    /// A window is no more.
    pub(super) fn remove(&mut self, window: Window) {
        self.windows.retain(|live| *live != window);
    }

    /// Adds the windows of a record, and merges. Returns what becomes of windows that are new or merge.
    pub(super) fn join(&mut self, new: &[Window], merge: impl FnOnce(&[Window]) -> Vec<Merge>) -> Vec<Join> {
        let mut all = self.windows.clone();
        all.extend(new.iter().filter(|window| !self.windows.contains(window)));
        all.sort_unstable();
        // Nothing new can merge nothing.
        let merges = if all.len() == self.windows.len() { Vec::new() } else { merge(&all) };
        let mut joins = Vec::new();
        for Merge { from, into } in merges {
            let takes_record = new.iter().any(|window| from.contains(window));
            let merged = from.iter().copied().filter(|w| *w != into && self.windows.contains(w)).collect();
            all.retain(|window| !from.contains(window));
            all.push(into);
            joins.push(Join { into, merged, known: self.windows.contains(&into), takes_record });
        }
        let alone = new.iter().copied().filter(|window| all.contains(window));
        let alone: Vec<Window> = alone.filter(|w| joins.iter().all(|join| join.into != *w)).collect();
        joins.extend(alone.into_iter().map(|into| Join {
            into,
            merged: Vec::new(),
            known: self.windows.contains(&into),
            takes_record: true,
        }));
        all.sort_unstable();
        all.dedup();
        self.windows = all;
        joins
    }
}

#[cfg(test)]
mod tests {
    use super::super::sessions::merge_overlapping;
    use super::*;
    use pelton_domain::EventTime;

    fn window(start: i64, end: i64) -> Window {
        Window::new(EventTime::from_secs(start), EventTime::from_secs(end)).unwrap()
    }

    fn live(windows: &[Window]) -> LiveWindows {
        LiveWindows { windows: windows.to_vec(), stored: Vec::new() }
    }

    #[test]
    fn a_record_that_bridges_two_sessions_makes_them_one() {
        let mut windows = live(&[window(0, 10), window(15, 25), window(40, 50)]);
        let joins = windows.join(&[window(8, 18)], merge_overlapping);
        let merged = vec![window(0, 10), window(15, 25)];
        assert_eq!(joins, [Join { into: window(0, 25), merged, known: false, takes_record: true }]);
        assert_eq!(windows.windows, [window(0, 25), window(40, 50)]);
    }

    #[test]
    fn a_record_inside_a_session_goes_into_it() {
        let mut windows = live(&[window(0, 12)]);
        let joins = windows.join(&[window(2, 12)], merge_overlapping);
        assert_eq!(
            joins,
            [Join { into: window(0, 12), merged: Vec::new(), known: true, takes_record: true }]
        );
        let joins = windows.join(&[window(0, 12)], |_| panic!("nothing is new"));
        assert_eq!(
            joins,
            [Join { into: window(0, 12), merged: Vec::new(), known: true, takes_record: true }]
        );
        assert_eq!(windows.windows, [window(0, 12)]);
    }

    #[test]
    fn a_record_apart_begins_a_window_of_its_own() {
        let mut windows = live(&[window(0, 10)]);
        let joins = windows.join(&[window(10, 20)], merge_overlapping);
        assert_eq!(
            joins,
            [Join { into: window(10, 20), merged: Vec::new(), known: false, takes_record: true }]
        );
        assert_eq!(windows.windows, [window(0, 10), window(10, 20)]);
    }
}
