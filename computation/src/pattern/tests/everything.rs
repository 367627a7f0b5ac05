//! A matcher that tries every choice of records and asks of each whether it is a match, by rules said one by one. It
//! knows nothing of partial matches; the automaton must find the same.

use super::super::found::SoFar;
use super::super::matcher::{Found, Partial};
use super::super::part::{Contiguity, Role};
use super::super::run::Event;
use super::*;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

const CASES: u32 = 3_000;

#[derive(Clone, Debug)]
struct Part {
    role: Role,
    letters: &'static str,
    rises: bool,
    times: (u32, u32),
    optional: bool,
    inner: Contiguity,
    greedy: bool,
    until: Option<&'static str>,
}

#[derive(Clone, Debug)]
struct Case {
    parts: Vec<Part>,
    within: Option<i64>,
    after_match: AfterMatch,
    /// Each with its time, in order.
    marks: Vec<(i64, Mark)>,
}

/// What is taken: the record's number and the part's.
type Choice = Vec<(usize, usize)>;

impl Case {
    fn fits(&self, part: usize, mark: usize, before: &[(usize, usize)]) -> bool {
        let (part, mark) = (&self.parts[part], &self.marks[mark].1);
        let higher = |last: &(usize, usize)| mark.height >= self.marks[last.0].1.height;
        part.letters.contains(mark.letter) && (!part.rises || before.last().is_none_or(higher))
    }

    fn ends(&self, part: usize, mark: usize) -> bool {
        self.parts[part].until.is_some_and(|until| until.contains(self.marks[mark].1.letter))
    }

    fn takes(&self, part: usize, mark: usize, before: &[(usize, usize)]) -> bool {
        self.fits(part, mark, before) && !self.ends(part, mark)
    }

    /// When a choice is complete, if it is a match: at a time, and before or with which record.
    fn completes(&self, choice: &Choice) -> Option<(i64, usize)> {
        let (first, last) = (choice.first()?, *choice.last()?);
        let counts = |(place, part): (usize, &Part)| {
            let count = choice.iter().filter(|(_, of)| *of == place).count() as u32;
            let is_not = !matches!(part.role, Role::Takes(_));
            (count == 0 && (part.optional || is_not)) || (part.times.0..=part.times.1).contains(&count)
        };
        let pairs = (1..choice.len()).all(|next| self.follows(&choice[..next], choice[next]));
        let taken = (0..choice.len()).all(|n| self.takes(choice[n].1, choice[n].0, &choice[..n]));
        let deadline = self.within.map(|within| self.marks[first.0].0 + within);
        let in_time = deadline.is_none_or(|deadline| self.marks[last.0].0 < deadline);
        if !(self.parts.iter().enumerate().all(counts) && pairs && taken && in_time) {
            return None;
        }
        let nots: Vec<usize> = (last.1 + 1..self.parts.len())
            .filter(|place| !matches!(self.parts[*place].role, Role::Takes(_)))
            .collect();
        if !matches!(self.parts.last()?.role, Role::NotFollowedBy) {
            return Some((self.marks[last.0].0, last.0 + 1));
        }
        let deadline = deadline?;
        // Only those behind the last part that takes: others may still be passed by an optional one.
        let ends: Vec<usize> =
            nots.into_iter().filter(|place| (*place..self.parts.len()).all(|p| self.is_not(p))).collect();
        let comes = (last.0 + 1..self.marks.len())
            .filter(|mark| self.marks[*mark].0 < deadline)
            .any(|mark| ends.iter().any(|not| self.fits(*not, mark, choice)));
        (!comes).then_some((deadline, 0))
    }

    fn is_not(&self, part: usize) -> bool {
        !matches!(self.parts[part].role, Role::Takes(_))
    }

    /// Whether `next` may follow what was taken before it.
    fn follows(&self, before: &[(usize, usize)], next: (usize, usize)) -> bool {
        let (from, part) = before[before.len() - 1];
        let (to, next_part) = next;
        let between = from + 1..to;
        let up_to = from + 1..=to;
        let loops = part == next_part;
        let contiguity = match self.parts[next_part].role {
            _ if loops => self.parts[part].inner,
            Role::Takes(contiguity) => contiguity,
            _ => return false,
        };
        let near = match contiguity {
            Contiguity::Strict => to == from + 1,
            Contiguity::Relaxed => between.into_iter().all(|mark| !self.takes(next_part, mark, before)),
            Contiguity::Any => true,
        };
        if loops {
            return near && up_to.into_iter().all(|mark| !self.ends(part, mark));
        }
        let barred = (part + 1..next_part).any(|not| match self.parts[not].role {
            Role::Takes(_) => false,
            Role::NotNext => self.fits(not, from + 1, before),
            Role::NotFollowedBy => up_to.clone().any(|mark| self.fits(not, mark, before)),
        });
        let count = before.iter().filter(|(_, of)| *of == part).count() as u32;
        let could_go_on = self.parts[part].greedy
            && count < self.parts[part].times.1
            && up_to.clone().any(|mark| {
                let ended = (from + 1..=mark).any(|mark| self.ends(part, mark));
                let near = self.parts[part].inner != Contiguity::Strict || mark == from + 1;
                !ended && near && self.takes(part, mark, before)
            });
        near && !barred && !could_go_on
    }

    /// Every choice of records and parts, in order.
    fn choices(&self) -> Vec<Choice> {
        let mut all = vec![Vec::new()];
        for mark in 0..self.marks.len() {
            for choice in all.clone() {
                let from = choice.last().map_or(0, |(_, part)| *part);
                for part in (from..self.parts.len()).filter(|part| !self.is_not(*part)) {
                    let mut longer = choice.clone();
                    longer.push((mark, part));
                    all.push(longer);
                }
            }
        }
        all
    }

    fn matches(&self) -> Vec<(i64, Choice)> {
        let complete = |choice: Choice| self.completes(&choice).map(|at| (at, choice));
        let mut all: Vec<_> = self.choices().into_iter().filter_map(complete).collect();
        // What is complete at the end of its time is so before the record of that time.
        all.sort_by_key(|((at, with), choice)| (*at, *with, choice.clone()));
        let (mut from, mut used) = (0, BTreeSet::new());
        all.retain(|(_, choice)| {
            let first = choice[0].0;
            if first < from || used.contains(&first) {
                return false;
            }
            let of = |name: &str| {
                let part: usize = name[1..].parse().unwrap();
                choice.iter().filter(move |(_, of)| *of == part).map(|(mark, _)| *mark)
            };
            match &self.after_match {
                AfterMatch::NoSkip => {}
                AfterMatch::SkipToNext => drop(used.insert(first)),
                AfterMatch::SkipPastLastEvent => from = from.max(choice[choice.len() - 1].0 + 1),
                AfterMatch::SkipToFirst(name) => from = from.max(of(name).next().unwrap_or(0)),
                AfterMatch::SkipToLast(name) => from = from.max(of(name).next_back().unwrap_or(0)),
            }
            true
        });
        all.into_iter().map(|((at, _), choice)| (at, choice)).collect()
    }

    fn pattern(&self) -> Pattern<Mark> {
        let mut said = Pattern::begin("p0", is(self.parts[0].letters));
        for (place, part) in self.parts.iter().enumerate() {
            let (name, fits) = (format!("p{place}"), is(part.letters));
            said = match part.role {
                _ if place == 0 => said,
                Role::Takes(Contiguity::Strict) => said.next(name, fits),
                Role::Takes(Contiguity::Relaxed) => said.followed_by(name, fits),
                Role::Takes(Contiguity::Any) => said.followed_by_any(name, fits),
                Role::NotNext => said.not_next(name, fits),
                Role::NotFollowedBy => said.not_followed_by(name, fits),
            };
            if part.rises {
                let higher = |mark: &Mark, last: &Mark| mark.height >= last.height;
                said = said.and(move |mark, so_far: &SoFar<'_, Mark>| {
                    so_far.last().is_none_or(|last| higher(mark, last))
                });
            }
            said = said.times_between(part.times.0, part.times.1);
            said = if part.optional { said.optional() } else { said };
            said = if part.greedy { said.greedy() } else { said };
            said = match part.inner {
                Contiguity::Strict => said.consecutive(),
                Contiguity::Relaxed => said,
                Contiguity::Any => said.allow_combinations(),
            };
            said = if let Some(until) = part.until { said.until(is(until)) } else { said };
        }
        let within = self.within.map(|within| Duration::from_micros(within as u64));
        said = within.map_or(said.clone(), |within| said.within(within));
        said.after_match(self.after_match.clone())
    }

    /// What the automaton finds.
    fn found(&self) -> Vec<(i64, Choice)> {
        let pattern = self.pattern();
        pattern.check().unwrap();
        let (mut partial, mut records, mut found) = (Partial::new(&pattern), BTreeMap::new(), Vec::new());
        let expire = |partial: &mut Partial, to: i64, found: &mut Vec<Found>| {
            while let Some(over) = partial.expire(&pattern, to) {
                found.extend(over);
            }
        };
        for (number, (at, mark)) in self.marks.iter().enumerate() {
            expire(&mut partial, *at, &mut found);
            let event = Event { number: number as u64, at_us: *at, record: mark, records: &records };
            let (next, told) = partial.advance(&pattern, &event).unwrap();
            partial = next;
            found.extend(told);
            records.insert(number as u64, mark.clone());
            // What nothing can come of is not kept.
            records.retain(|number, _| partial.held().contains(number));
        }
        expire(&mut partial, i64::MAX, &mut found);
        let choice = |one: Found| {
            let taken = one.taken.iter().map(|taken| (taken.number as usize, usize::from(taken.part)));
            (one.at_us, taken.collect())
        };
        found.into_iter().map(choice).collect()
    }
}

fn contiguity() -> impl Strategy<Value = Contiguity> {
    prop::sample::select(vec![Contiguity::Strict, Contiguity::Relaxed, Contiguity::Any])
}

fn letters() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec!["a", "b", "c", "ab", "bc", "ac", "abc"])
}

fn part() -> impl Strategy<Value = Part> {
    let role = prop_oneof![
        5 => contiguity().prop_map(Role::Takes),
        1 => Just(Role::NotNext),
        2 => Just(Role::NotFollowedBy),
    ];
    let times = prop::sample::select(vec![(1, 1), (1, 1), (2, 2), (1, 3), (1, u32::MAX), (2, u32::MAX)]);
    let until = prop::option::weighted(0.3, letters());
    (
        role,
        letters(),
        prop::bool::weighted(0.2),
        times,
        prop::bool::weighted(0.3),
        contiguity(),
        any::<bool>(),
        until,
    )
        .prop_map(|(role, letters, rises, times, optional, inner, greedy, until)| {
            let takes = matches!(role, Role::Takes(_));
            let times = if takes { times } else { (1, 1) };
            let loops = times.1 > 1;
            let (optional, until) = (optional && takes, until.filter(|_| loops));
            Part { role, letters, rises, times, optional, inner, greedy: greedy && loops, until }
        })
}

fn case() -> impl Strategy<Value = Case> {
    let mark = (0..3i64, prop::sample::select(vec!['a', 'b', 'c']), 0..3u32);
    let after_match = (0..7u8, 0..4usize);
    let within = prop::option::weighted(0.6, 1..8i64);
    (prop::collection::vec(part(), 1..=4), prop::collection::vec(mark, 0..=7), after_match, within).prop_map(
        |(mut parts, marks, (skip, place), within)| {
            if !matches!(parts[0].role, Role::Takes(_)) {
                parts[0].role = Role::Takes(Contiguity::Relaxed);
            }
            let last = parts.len() - 1;
            if parts[last].role == Role::NotNext {
                parts[last].role = Role::NotFollowedBy;
            }
            let ends_with_not = parts[last].role == Role::NotFollowedBy;
            let place = (0..=place.min(last)).rev().find(|p| matches!(parts[*p].role, Role::Takes(_)));
            let name = format!("p{}", place.unwrap());
            let after_match = match skip {
                0 => AfterMatch::SkipToNext,
                1 => AfterMatch::SkipPastLastEvent,
                2 => AfterMatch::SkipToFirst(name),
                3 => AfterMatch::SkipToLast(name),
                _ => AfterMatch::NoSkip,
            };
            let mut now = 0;
            let marks = marks.into_iter().map(|(later, letter, height)| {
                now += later;
                (now, Mark { letter, height })
            });
            let within = within.or(ends_with_not.then_some(4));
            Case { marks: marks.collect(), parts, within, after_match }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    #[test]
    fn the_automaton_finds_what_trying_everything_finds_in_the_same_order(case in case()) {
        prop_assert_eq!(case.found(), case.matches());
    }
}
