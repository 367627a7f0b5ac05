//! I8, from what each step does to timers and which timer caused it; and I2, from the rows of timers beside the steps.

use crate::Invariant::{I2, I8};
use crate::event::{Commit, TimerRow};
use crate::graph::Graph;
use crate::journal::{Cause, Domain, Entry, Node, Setting, TimerChange, TimerName};
use crate::{Verdict, require};
use std::collections::BTreeMap;

/// The timers that are set: as the steps say, and as the store has them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Timers {
    set: BTreeMap<(Node, TimerName), Setting>,
    stored: BTreeMap<(Node, TimerName), (i64, i64)>,
}

impl Timers {
    pub(crate) fn entry(&mut self, node: Node, entry: &Entry) -> Verdict {
        if let Cause::Timer { name, setting } = &entry.cause {
            self.fires(node, entry, *name, setting)?;
        }
        for change in &entry.timers {
            match change {
                TimerChange::Set(name, setting) => self.set.insert((node, *name), *setting),
                TimerChange::Cleared(name) => self.set.remove(&(node, *name)),
            };
        }
        Ok(())
    }

    fn fires(&mut self, node: Node, entry: &Entry, name: TimerName, setting: &Setting) -> Verdict {
        let current = self.set.remove(&(node, name));
        require(current.as_ref() == Some(setting), I8, || {
            format!("{node}, step {}: {name:?} fires as {setting:?}, and is set as {current:?}", entry.step)
        })?;
        let (reached, what) = match name.domain {
            Domain::Event => (entry.watermark_us, "the input watermark"),
            Domain::Processing => (entry.now_us, "the clock"),
        };
        require(reached >= setting.fire_at_us, I8, || {
            format!(
                "{node}, step {}: {name:?} fires before its time: {} us, and {what} is at {reached} us",
                entry.step, setting.fire_at_us
            )
        })?;
        let earlier = self.of(node).find(|(other, at)| {
            other.domain == name.domain && at.fire_at_us < setting.fire_at_us && at.step < entry.step
        });
        require(earlier.is_none(), I8, || {
            format!(
                "{node}, step {}: {name:?} fires as {setting:?}, and before it must {earlier:?}",
                entry.step
            )
        })
    }

    fn of(&self, node: Node) -> impl Iterator<Item = (TimerName, Setting)> {
        let range = self.set.range((node, TimerName { domain: Domain::Event, tag: 0 })..);
        range.take_while(move |((of, _), _)| *of == node).map(|((_, name), setting)| (*name, *setting))
    }

    /// The rows of a commit, after its steps.
    pub(crate) fn rows(&mut self, graph: &Graph, commit: &Commit) -> Verdict {
        let mut looked_at = Vec::new();
        for TimerRow { node, name, set } in &commit.timers {
            match set {
                Some(set) => self.stored.insert((*node, *name), *set),
                None => self.stored.remove(&(*node, *name)),
            };
            looked_at.push((*node, *name));
        }
        for (node, entry) in &commit.entries {
            looked_at.extend(touched(entry).map(|name| (*node, name)));
        }
        for at in looked_at.into_iter().filter(|(node, _)| !graph.is_source(node.computation)) {
            let set = self.set.get(&at).map(|setting| (setting.fire_at_us, setting.output_time_us));
            let stored = self.stored.get(&at).copied();
            require(set == stored, I2, || {
                let (node, name) = at;
                format!(
                    "{node}: after a commit {name:?} is set as {set:?} by its steps, and stored as {stored:?}"
                )
            })?;
        }
        Ok(())
    }

    /// The stored timers of a computation, with what they hold.
    pub(crate) fn stored(&self, computation: u16) -> impl Iterator<Item = (Node, TimerName, i64)> {
        let of = move |at: &(&(Node, TimerName), &(i64, i64))| at.0.0.computation == computation;
        self.stored.iter().filter(of).map(|((node, name), (_, output))| (*node, *name, *output))
    }

    /// What has been set and has not fired, by the steps.
    pub(crate) fn left(&self) -> impl Iterator<Item = (Node, TimerName, Setting)> {
        self.set.iter().map(|((node, name), setting)| (*node, *name, *setting))
    }
}

/// The timers that a step changed, by firing or otherwise.
fn touched(entry: &Entry) -> impl Iterator<Item = TimerName> {
    let fired = match entry.cause {
        Cause::Timer { name, .. } => Some(name),
        Cause::Record { .. } | Cause::Source => None,
    };
    let changed = entry.timers.iter().map(|change| match change {
        TimerChange::Set(name, _) | TimerChange::Cleared(name) => *name,
    });
    fired.into_iter().chain(changed)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: Node = Node { computation: 1, key: 3 };

    fn name(tag: u8) -> TimerName {
        TimerName { domain: Domain::Event, tag }
    }

    fn entry(step: u64, cause: Cause, watermark_us: i64, timers: Vec<TimerChange>) -> Entry {
        Entry { step, cause, watermark_us, now_us: 0, before: 0, after: 0, timers, emitted: Vec::new() }
    }

    fn setting(step: u64, fire_at_us: i64) -> Setting {
        Setting { fire_at_us, output_time_us: fire_at_us, step }
    }

    fn sets(step: u64, tag: u8, at: i64) -> Entry {
        entry(step, Cause::Source, 0, vec![TimerChange::Set(name(tag), setting(step, at))])
    }

    fn fires(step: u64, tag: u8, set_in: u64, at: i64, watermark_us: i64) -> Entry {
        entry(step, Cause::Timer { name: name(tag), setting: setting(set_in, at) }, watermark_us, Vec::new())
    }

    fn run(entries: &[Entry]) -> Result<(), String> {
        let mut timers = Timers::default();
        entries.iter().try_for_each(|entry| timers.entry(NODE, entry)).map_err(|(invariant, words)| {
            assert_eq!(invariant, I8);
            words
        })
    }

    #[test]
    fn a_timer_fires_once_as_it_was_last_set_in_time_order_and_not_early() {
        assert_eq!(run(&[sets(0, 1, 10), fires(1, 1, 0, 10, 10)]), Ok(()));
        let broken = |entries: &[Entry], words: &str| {
            let said = run(entries).unwrap_err();
            assert!(said.contains(words), "{said}");
        };
        broken(&[sets(0, 1, 10), fires(1, 1, 0, 10, 9)], "before its time");
        broken(&[sets(0, 1, 10), fires(1, 1, 0, 10, 10), fires(2, 1, 0, 10, 10)], "is set as None");
        broken(&[sets(0, 1, 10), sets(1, 1, 20), fires(2, 1, 0, 10, 30)], "is set as Some");
        broken(&[sets(0, 1, 10), sets(1, 2, 5), fires(2, 1, 0, 10, 30)], "before it must");
        let cleared = entry(1, Cause::Source, 0, vec![TimerChange::Cleared(name(1))]);
        broken(&[sets(0, 1, 10), cleared, fires(2, 1, 0, 10, 30)], "is set as None");
    }

    #[test]
    fn a_commit_has_the_timers_of_its_steps() {
        let row = |set| Commit {
            timers: vec![TimerRow { node: NODE, name: name(1), set }],
            entries: vec![(NODE, sets(0, 1, 10))],
            ..Commit::default()
        };
        for (set, holds) in [(Some((10, 10)), true), (Some((11, 10)), false), (None, false)] {
            let mut timers = Timers::default();
            timers.entry(NODE, &sets(0, 1, 10)).unwrap();
            let verdict = timers.rows(&Graph::default(), &row(set));
            assert_eq!(verdict.is_ok(), holds, "{verdict:?}");
        }
    }
}
