//! What is to be seen of a world: two that agree in it go on in the same way.
//!
//! A leader's record is never read by anybody but to be compared with another, so only which are the same is kept.

use super::injectors::{Phase, record_of};
use super::*;
use pelton_statestore::{Precondition, Write};

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Seen {
    table: Table,
    leader: Option<usize>,
    processes: Vec<ProcessSeen>,
    flights: Vec<(usize, CommitSeen)>,
    rows: [Row; 2],
    owners: Vec<((usize, usize), Owner)>,
    told: Vec<(usize, usize, u64, Option<Row>)>,
    said: BTreeSet<Said>,
    announced: [EventTime; 2],
    used: Used,
    pub(crate) violated: BTreeSet<&'static str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct ProcessSeen {
    phase: u8,
    /// What it announces, and of each interval: the reign, whose, and what was reported.
    announced: Vec<EventTime>,
    intervals: Vec<(u64, String, Option<EventTime>)>,
    waiting: Option<CommitSeen>,
    heard: Vec<&'static str>,
    standing: Option<usize>,
    asked: Option<(usize, usize)>,
    frozen: Option<Table>,
    last_word: Option<[EventTime; 2]>,
}

/// A leader's commit: from which of its records to which, and what it writes besides.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct CommitSeen {
    before: Option<usize>,
    after: usize,
    writes: Vec<(Bytes, Option<Bytes>)>,
}

/// The leader's records, in the order in which they are met, with their leadership.
struct Names<'a> {
    leader: &'a Bytes,
    met: Vec<Bytes>,
}

impl Names<'_> {
    fn of(&mut self, record: &Bytes) -> usize {
        let at = self.met.iter().position(|met| met == record).unwrap_or_else(|| {
            self.met.push(record.clone());
            self.met.len() - 1
        });
        // Records of one leadership differ from those of another by more than their token.
        let epoch = pelton_injector::leader::decode(record).unwrap().epoch.unwrap().get();
        at * 16 + usize::try_from(epoch).unwrap()
    }

    fn commit(&mut self, commit: &Commit) -> CommitSeen {
        let before = commit.preconditions.iter().find_map(|precondition| match precondition {
            Precondition::Value { expected, .. } => expected.clone(),
            Precondition::Empty { .. } => None,
        });
        let writes = commit.writes.iter().filter(|write| write.at() != self.leader);
        let writes = writes.map(|write| match write {
            Write::Put { key, value } => (key.clone(), Some(value.clone())),
            other => (other.at().clone(), None),
        });
        CommitSeen {
            writes: writes.collect(),
            before: before.map(|before| self.of(&before)),
            after: self.of(&record_of(commit, self.leader)),
        }
    }
}

impl World<'_> {
    pub(crate) fn seen(&self) -> Seen {
        let leader = self.keys.leader();
        let mut names = Names { leader: &leader, met: Vec::new() };
        let mut table = self.table.lock().unwrap().clone();
        let standing = table.0.remove(&leader);
        let told = self
            .told
            .iter()
            .map(|told| (told.worker, told.stage, told.assigned.assignment.sequencer.get(), told.scanned));
        Seen {
            leader: standing.map(|record| names.of(&record)),
            table,
            processes: self.processes.iter().map(|process| Self::process(process, &mut names)).collect(),
            flights: self.flights.iter().map(|(number, commit)| (*number, names.commit(commit))).collect(),
            rows: self.rows,
            owners: self.owners.iter().map(|(place, owner)| (*place, *owner)).collect(),
            told: told.collect(),
            said: self.said.clone(),
            announced: self.announced,
            used: self.used,
            violated: self.violated.clone(),
        }
    }

    fn process(process: &Process, names: &mut Names<'_>) -> ProcessSeen {
        let (phase, mut announced, mut intervals) = match &process.phase {
            Phase::StandsBy => (0, Vec::new(), Vec::new()),
            Phase::TakesTheLead(_) => (1, Vec::new(), Vec::new()),
            Phase::Leads(..) => (2, Vec::new(), Vec::new()),
        };
        if let Phase::Leads(injector, _) = &process.phase {
            for computation in COMPUTATIONS {
                announced.push(injector.announced().of(computation).low_watermark);
                intervals.extend(injector.intervals(computation).into_iter().map(|view| {
                    let worker = view.assignment.worker.as_str().to_owned();
                    let reported = view.reported.map(|value| value.low_watermark);
                    (view.assignment.sequencer.get(), worker, reported)
                }));
            }
        }
        ProcessSeen {
            phase,
            announced,
            intervals,
            standing: process.standing.as_ref().map(|record| names.of(record)),
            waiting: process.waiting.as_ref().map(|call| names.commit(&call.commit)),
            heard: process.heard.clone(),
            asked: process.asked.as_ref().map(|(stage, worker, _)| (*stage, *worker)),
            frozen: process.handle.frozen.lock().unwrap().clone(),
            last_word: process.last_word,
        }
    }
}
