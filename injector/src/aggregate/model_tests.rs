//! The incremental aggregate against a naive one that looks at every interval every time.
//!
//! Any order of reports (of current, stale and unknown reigns, for right and wrong bounds), take-overs, splits,
//! merges, journal commits that happen or not, and restarts.

use super::*;
use crate::graph::Node;
use pelton_domain::{EventTime, KeyPosition, Name, Sequencer, SystemTime};
use proptest::prelude::*;

/// Bounds lie on eighths of the positions.
const CELLS: u64 = 8;
const COMPUTATIONS: [u32; 2] = [1, 2];

fn cells(first: u64, last: u64) -> KeyInterval {
    let end = if last + 1 == CELLS { u64::MAX } else { ((last + 1) << 61) - 1 };
    KeyInterval::new(KeyPosition(first << 61), KeyPosition(end)).unwrap()
}

#[derive(Clone, Debug)]
enum Op {
    Report { computation: u32, first: u64, last: u64, reign: Reign, value: Announced },
    Reassign { computation: u32, first: u64, last: u64, cuts: u8, old_numbers: bool },
    Propose { max: usize },
    Journaled,
    JournalFailed,
    Restart,
}

#[derive(Clone, Copy, Debug)]
enum Reign {
    Assigned,
    Older,
    Newer,
}

fn ops() -> impl Strategy<Value = Op> {
    let span = (0..CELLS, 0..CELLS).prop_map(|(a, b)| (a.min(b), a.max(b)));
    let computation = prop::sample::select(&COMPUTATIONS[..]);
    let reign = prop_oneof![8 => Just(Reign::Assigned), 1 => Just(Reign::Older), 1 => Just(Reign::Newer)];
    let value = (-3i64..20, 0u64..20).prop_map(|(watermark, oldest)| Announced {
        low_watermark: if watermark < -2 { EventTime::MIN } else { EventTime::from_secs(watermark) },
        oldest_unacknowledged: SystemTime::from_millis(oldest),
    });
    prop_oneof![
        12 => (computation.clone(), span.clone(), reign, value).prop_map(|(computation, (first, last), reign, value)| {
            Op::Report { computation, first, last, reign, value }
        }),
        4 => (computation, span, any::<u8>(), prop::bool::weighted(0.1)).prop_map(
            |(computation, (first, last), cuts, old_numbers)| {
                Op::Reassign { computation, first, last, cuts, old_numbers }
            }
        ),
        3 => (1usize..3).prop_map(|max| Op::Propose { max }),
        3 => Just(Op::Journaled),
        1 => Just(Op::JournalFailed),
        1 => Just(Op::Restart),
    ]
}

#[derive(Clone, Debug)]
struct NaiveInterval {
    first: u64,
    last: u64,
    sequencer: u64,
    value: Option<Announced>,
}

#[derive(Clone, Debug, Default)]
struct Naive {
    intervals: Vec<NaiveInterval>,
    announced: Announced,
}

impl Naive {
    fn min(&self) -> Announced {
        let covered = (0..CELLS).all(|cell| self.intervals.iter().any(|i| i.first <= cell && cell <= i.last));
        if !covered {
            return Announced::LEAST;
        }
        let values = self.intervals.iter().map(|interval| interval.value.unwrap_or(Announced::LEAST));
        values.reduce(Announced::least_of).unwrap_or(Announced::LEAST)
    }

    fn reached(&self) -> Announced {
        self.announced.greatest_of(self.min())
    }
}

struct World {
    aggregate: Aggregate,
    naive: BTreeMap<u32, Naive>,
    held: Option<Proposal>,
    next_sequencer: u64,
}

impl World {
    fn new() -> Self {
        let naive = COMPUTATIONS.iter().map(|computation| (*computation, Naive::default())).collect();
        Self { aggregate: Aggregate::new(graph(), []), naive, held: None, next_sequencer: 1 }
    }

    fn step(&mut self, op: Op) -> Result<(), TestCaseError> {
        match op {
            Op::Report { computation, first, last, reign, value } => {
                // Half the random bounds would miss: take the interval that holds the first cell where there is one.
                let naive = self.naive.get_mut(&computation).unwrap();
                let found = naive
                    .intervals
                    .iter_mut()
                    .find(|i| i.first == first || (i.first, i.last) == (first, last));
                let (bounds, assigned) = match &found {
                    Some(interval) => (cells(interval.first, interval.last), interval.sequencer),
                    None => (cells(first, last), 1),
                };
                let sequencer = match reign {
                    Reign::Assigned => assigned,
                    Reign::Older => assigned - 1,
                    Reign::Newer => assigned + 1,
                };
                let Some(sequencer) = Sequencer::new(sequencer) else { return Ok(()) };
                let result = self.aggregate.report(report(computation, bounds, sequencer, value), at());
                let expected = match (found, reign) {
                    (None, _) => Err("not_assigned"),
                    (Some(_), Reign::Older) => Err("stale"),
                    (Some(_), Reign::Newer) => Err("ahead"),
                    (Some(interval), Reign::Assigned) => {
                        interval.value = Some(value);
                        let naive = &self.naive[&computation];
                        Ok(if naive.reached() == naive.announced {
                            Accepted::Holds
                        } else {
                            Accepted::Advances
                        })
                    }
                };
                prop_assert_eq!(result.map_err(|refused| refused.reason()), expected);
            }
            Op::Reassign { computation, first, last, cuts, old_numbers } => {
                self.reassign(computation, (first, last), cuts, old_numbers)?;
            }
            Op::Propose { max } => self.held = self.aggregate.proposal(max),
            Op::Journaled => {
                if let Some(proposal) = self.held.take() {
                    for (computation, value) in proposal.advances() {
                        let naive = self.naive.get_mut(computation).unwrap();
                        naive.announced = naive.announced.greatest_of(*value);
                    }
                    self.aggregate.journaled(proposal);
                }
            }
            Op::JournalFailed => self.held = None,
            Op::Restart => self.restart(),
        }
        Ok(())
    }

    fn reassign(
        &mut self,
        computation: u32,
        span: (u64, u64),
        cuts: u8,
        old: bool,
    ) -> Result<(), TestCaseError> {
        let (mut parts, mut first) = (Vec::new(), span.0);
        for cell in span.0..=span.1 {
            if cell == span.1 || cuts & (1 << cell) != 0 {
                parts.push((first, cell));
                first = cell + 1;
            }
        }
        let mut numbered = Vec::new();
        for (first, last) in parts {
            let number = if old { (self.next_sequencer - 1).max(1) } else { self.next_sequencer };
            self.next_sequencer += u64::from(!old);
            numbered.push(NaiveInterval { first, last, sequencer: number, value: None });
        }
        let naive = self.naive.get_mut(&computation).unwrap();
        let touched = |i: &&NaiveInterval| i.first <= span.1 && span.0 <= i.last;
        let whole = naive.intervals.iter().filter(touched).all(|i| span.0 <= i.first && i.last <= span.1);
        let newer = numbered.iter().all(|new| {
            naive
                .intervals
                .iter()
                .all(|i| new.last < i.first || i.last < new.first || i.sequencer < new.sequencer)
        });
        let assignments = numbered.iter().map(|new| Assignment {
            interval: cells(new.first, new.last),
            sequencer: Sequencer::new(new.sequencer).unwrap(),
            worker: "w".into(),
        });
        let result = self.aggregate.reassign(computation, assignments.collect());
        prop_assert_eq!(result.is_ok(), whole && newer, "{:?}", result);
        if result.is_ok() {
            naive.intervals.retain(|i| !touched(&i));
            naive.intervals.extend(numbered);
        }
        Ok(())
    }

    fn restart(&mut self) {
        self.held = None;
        let mut aggregate =
            Aggregate::new(graph(), self.naive.iter().map(|(c, naive)| (*c, naive.announced)));
        for (computation, naive) in &mut self.naive {
            let assignments = self.aggregate.intervals(*computation).map(|view| view.assignment).collect();
            aggregate.reassign(*computation, assignments).unwrap();
            naive.intervals.iter_mut().for_each(|interval| interval.value = None);
        }
        self.aggregate = aggregate;
    }

    fn compare(&self) -> Result<(), TestCaseError> {
        let mut expected = Vec::new();
        for (computation, naive) in &self.naive {
            prop_assert_eq!(self.aggregate.announced(*computation), naive.announced);
            if naive.reached() != naive.announced {
                expected.push((*computation, naive.reached()));
            }
            let explanation = self.aggregate.explain(*computation).unwrap();
            prop_assert!(explanation.path.len() <= COMPUTATIONS.len());
            prop_assert_eq!(self.aggregate.intervals(*computation).count(), naive.intervals.len());
        }
        let proposal = self.aggregate.proposal(9);
        prop_assert_eq!(proposal.map(|proposal| proposal.advances).unwrap_or_default(), expected);
        Ok(())
    }
}

fn graph() -> Arc<Graph> {
    let node = |computation: u32, producers: &[u32]| {
        let name = Name::new(&format!("c{computation}")).unwrap();
        Node { computation, name, producers: producers.to_vec() }
    };
    Arc::new(Graph::new([node(1, &[]), node(2, &[1])]).unwrap())
}

fn report(computation: u32, interval: KeyInterval, sequencer: Sequencer, value: Announced) -> IntervalReport {
    let Announced { low_watermark, oldest_unacknowledged } = value;
    let load = Load::default();
    IntervalReport {
        computation,
        interval,
        sequencer,
        low_watermark,
        oldest_unacknowledged,
        holder: None,
        load,
    }
}

fn at() -> ProcessingTime {
    ProcessingTime::from_secs(0)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn i7_the_aggregate_equals_the_naive_minimum_and_never_goes_back(ops in prop::collection::vec(ops(), 1..120)) {
        let mut world = World::new();
        for op in ops {
            let before: Vec<_> = world.aggregate.all_announced().collect();
            let only_here = matches!(op, Op::Journaled);
            world.step(op)?;
            world.compare()?;
            for ((computation, before), (_, after)) in before.into_iter().zip(world.aggregate.all_announced()) {
                prop_assert!(after.is_at_least(before), "I7: {computation} went back");
                prop_assert!(after == before || only_here, "I7: {computation} moved without the journal");
            }
        }
    }
}
