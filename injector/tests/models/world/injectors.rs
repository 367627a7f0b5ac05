//! What injectors do: they lead, assign, take reports up and announce, by the real code.

use super::*;
use crate::store::Call;
use pelton_domain::SystemTime;
use pelton_injector::{End, Injector, IntervalReport, Load, StartError};
use pelton_statestore::{CommitError, Precondition, StoreFault, StoreHandle};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

type Driver = Pin<Box<dyn Future<Output = End>>>;
type Starting = Pin<Box<dyn Future<Output = Result<(Injector, Driver), StartError>>>>;

/// How far an injector is.
pub(super) enum Phase {
    StandsBy,
    TakesTheLead(Starting),
    Leads(Injector, Driver),
}

impl World<'_> {
    pub(super) fn actions_of_injector(&self, number: usize, actions: &mut Vec<Action>) {
        let process = &self.processes[number];
        if process.waiting.is_some() {
            actions.push(Action::Answer(number));
            if self.used.lost < self.bounds.lost_max {
                actions.push(Action::Lose(number));
            }
        }
        match &process.phase {
            Phase::StandsBy if self.used.leads < self.bounds.leads_max => actions.push(Action::Lead(number)),
            Phase::Leads(injector, _) => {
                self.assignments(number, injector, actions);
                self.reports(number, injector, actions);
            }
            Phase::StandsBy | Phase::TakesTheLead(_) => {}
        }
    }

    fn assignments(&self, number: usize, injector: &Injector, actions: &mut Vec<Action>) {
        if self.used.moves == self.bounds.moves_max || self.processes[number].asked.is_some() {
            return;
        }
        for &stage in self.bounds.moving {
            for view in injector.intervals(COMPUTATIONS[stage]) {
                let others = (0..WORKERS).filter(|other| worker(*other) != view.assignment.worker.as_str());
                actions.extend(others.map(|other| Action::Assign(number, stage, other)));
            }
        }
    }

    /// Every report that was ever made, but for those that the injector has as the last of the interval.
    fn reports(&self, number: usize, injector: &Injector, actions: &mut Vec<Action>) {
        for said in &self.said {
            let views = injector.intervals(COMPUTATIONS[said.stage]);
            let known = views.first().is_some_and(|view| {
                view.assignment.sequencer == sequencer(said.reign)
                    && view.reported.is_some_and(|value| value.low_watermark == said.low_watermark)
            });
            if !known {
                actions.push(Action::Report(number, *said));
            }
        }
    }

    pub(super) async fn lead(&mut self, number: usize) {
        self.used.leads += 1;
        let journal_first = self.is(Mutation::JournalReadFirst);
        let (process, keys) = (&mut self.processes[number], self.keys.clone());
        let store: StoreHandle = Arc::new(process.handle.clone());
        if journal_first {
            let read = process.handle.table().clone();
            *process.handle.frozen.lock().unwrap() = Some(read);
        }
        let tokens = process.tokens.clone();
        process.phase = Phase::TakesTheLead(Box::pin(async move {
            let (injector, driver) = Injector::start(store, keys, graph(), tokens, options()).await?;
            let driver: Driver = Box::pin(driver);
            Ok((injector, driver))
        }));
        self.go_on(number).await;
    }

    pub(super) async fn assign(&mut self, number: usize, stage: usize, to: usize) {
        self.used.moves += 1;
        let Phase::Leads(injector, _) = &self.processes[number].phase else { return };
        let injector = injector.clone();
        let asked =
            async move { injector.assign(COMPUTATIONS[stage], vec![(whole(), worker(to).into())]).await };
        self.processes[number].asked = Some((stage, to, Box::pin(asked)));
        self.go_on(number).await;
    }

    pub(super) async fn report(&mut self, number: usize, said: Said) {
        let Phase::Leads(injector, _) = &self.processes[number].phase else { return };
        let computation = COMPUTATIONS[said.stage];
        let assigned = injector.intervals(computation).first().map(|view| view.assignment.sequencer);
        let reported = sequencer(said.reign);
        let counts = assigned.filter(|_| self.is(Mutation::StaleReportCounts)).unwrap_or(reported);
        let mut low_watermark = said.low_watermark;
        if self.is(Mutation::InjectorLeads) && said.stage == CONSUMER {
            let input = injector.announced().of(COMPUTATIONS[PRODUCER]).low_watermark;
            low_watermark = said.hold.min(input);
        }
        let accepted = injector.report(report(computation, counts, low_watermark));
        match accepted {
            Ok(_) if assigned != Some(reported) => self.witnessed.saw("a report of another reign counted"),
            Ok(_) => self.witnessed.saw("a report counted"),
            Err(refused) => self.witnessed.saw(refused.reason()),
        }
        self.go_on(number).await;
    }

    /// The store does what is asked, and the answer arrives.
    pub(super) async fn answer(&mut self, number: usize) {
        let Some(Call { commit, reply }) = self.processes[number].waiting.take() else { return };
        let result = self.land(number, &commit);
        let process = &mut self.processes[number];
        process.heard.push(if result.is_ok() { "yes" } else { "no" });
        process.waits_for_time |= result.is_err();
        if result.is_ok() {
            process.standing = Some(record_of(&commit, &process.handle.leader));
        }
        drop(reply.send(result));
        self.go_on(number).await;
    }

    /// The answer is lost, and the commit is on its way.
    pub(super) async fn lose(&mut self, number: usize) {
        self.used.lost += 1;
        let Some(Call { commit, reply }) = self.processes[number].waiting.take() else { return };
        let goes_on = self.is(Mutation::AnnouncedBeforeJournaled)
            && matches!(self.processes[number].phase, Phase::Leads(..));
        let process = &mut self.processes[number];
        process.heard.push("nothing");
        process.waits_for_time = true;
        let answer = match goes_on {
            true => {
                process.standing = Some(record_of(&commit, &process.handle.leader));
                Ok(())
            }
            false => Err(CommitError::Unknown(StoreFault("lost".into()))),
        };
        self.flights.push((number, commit));
        drop(reply.send(answer));
        self.go_on(number).await;
    }

    pub(super) fn land_late(&mut self, flight: usize) {
        let (number, commit) = self.flights.remove(flight);
        let landed = self.land(number, &commit);
        self.witnessed.saw(if landed.is_ok() { "a late commit landed" } else { "a late commit was refused" });
    }

    /// A commit of a leader reaches the store.
    fn land(&mut self, number: usize, commit: &Commit) -> Result<(), CommitError> {
        let taking = matches!(self.processes[number].phase, Phase::TakesTheLead(_));
        let table = self.table.clone();
        let mut table = table.lock().unwrap();
        let unchecked = self.is(Mutation::DeposedNotRefused) && !taking;
        if let Some(refused) = commit.preconditions.iter().find(|p| !unchecked && !table.holds(p)) {
            return Err(CommitError::Refused { at: Precondition::at(refused).clone() });
        }
        commit.writes.iter().for_each(|write| table.write(write));
        drop(table);
        self.landed(number, &record_of(commit, &self.keys.leader()));
        Ok(())
    }

    /// Lets an injector go on until it waits for the store, or has nothing to do.
    async fn go_on(&mut self, number: usize) {
        for _ in 0..16 {
            let moved = self.poll(number);
            let process = &mut self.processes[number];
            let call = process.handle.line.lock().unwrap().take();
            if call.is_some() {
                process.waiting = call;
            }
            if process.waiting.is_some() {
                return;
            }
            if !moved && !std::mem::take(&mut process.waits_for_time) {
                return self.rest(number);
            }
            if !moved {
                tokio::time::advance(Duration::from_secs(2)).await;
            }
        }
        panic!("an injector neither asks nor rests");
    }

    /// It has nothing to do: whatever it was told of the store has been settled.
    fn rest(&mut self, number: usize) {
        let process = &mut self.processes[number];
        let heard = std::mem::take(&mut process.heard);
        if heard.last() == Some(&"nothing")
            && !matches!(self.mutation, Some(Mutation::AnnouncedBeforeJournaled))
        {
            // An attempt in doubt was found: it is what stands.
            process.standing = process.handle.table().0.get(&process.handle.leader).cloned();
            self.witnessed.saw("a lost answer was settled by the leader's record");
        }
    }

    /// One round; whether anything came of it. What is asked reaches the injector first, and is answered after it has worked.
    fn poll(&mut self, number: usize) -> bool {
        self.poll_asked(number) || self.poll_injector(number) || self.poll_asked(number)
    }

    fn poll_asked(&mut self, number: usize) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let asked = &mut self.processes[number].asked;
        let Some(Poll::Ready(answer)) = asked.as_mut().map(|(.., asked)| asked.as_mut().poll(&mut context))
        else {
            return false;
        };
        if let Some((stage, worker, _)) = asked.take() {
            self.assigned(number, stage, worker, answer);
        }
        true
    }

    fn poll_injector(&mut self, number: usize) -> bool {
        let mut context = Context::from_waker(Waker::noop());
        let process = &mut self.processes[number];
        match &mut process.phase {
            Phase::StandsBy => false,
            Phase::TakesTheLead(starting) => {
                let Poll::Ready(started) = starting.as_mut().poll(&mut context) else { return false };
                let (injector, driver) = started.unwrap();
                *process.handle.frozen.lock().unwrap() = None;
                process.phase = Phase::Leads(injector, driver);
                process.waits_for_time = true;
                self.begins(number);
                self.witnessed.saw("the lead was taken");
                self.fill_gaps(number);
                true
            }
            Phase::Leads(_, driver) => {
                let Poll::Ready(end) = driver.as_mut().poll(&mut context) else { return false };
                assert!(matches!(end, End::Deposed { .. }), "{end}");
                process.phase = Phase::StandsBy;
                process.standing = None;
                self.witnessed.saw("a leader was deposed");
                true
            }
        }
    }

    fn assigned(
        &mut self,
        number: usize,
        stage: usize,
        worker: usize,
        answer: Result<Vec<Assigned>, AssignError>,
    ) {
        match answer {
            Ok(assigned) => {
                let told =
                    assigned.into_iter().map(|assigned| Told { worker, stage, assigned, scanned: None });
                self.told.extend(told);
                self.fill_gaps(number);
                self.witnessed.saw("an interval was assigned");
            }
            Err(AssignError::Ended(_)) => self.witnessed.saw("an assignment ended with its leader"),
            Err(error) => panic!("{error}"),
        }
    }

    /// Only where it is wrong: who has not reported holds nothing.
    fn fill_gaps(&mut self, number: usize) {
        let Phase::Leads(injector, _) = &self.processes[number].phase else { return };
        if !self.is(Mutation::MissingIntervalIgnored) || !self.begun {
            return;
        }
        for computation in COMPUTATIONS {
            for view in injector.intervals(computation).iter().filter(|view| view.reported.is_none()) {
                let _ = injector.report(report(computation, view.assignment.sequencer, EventTime::MAX));
            }
        }
    }
}

fn report(computation: u32, sequencer: Sequencer, low_watermark: EventTime) -> IntervalReport {
    IntervalReport {
        computation,
        interval: whole(),
        sequencer,
        low_watermark,
        oldest_unacknowledged: SystemTime::ZERO,
        holder: None,
        load: Load::default(),
    }
}

/// The leader's record that a commit writes.
pub(super) fn record_of(commit: &Commit, leader: &Bytes) -> Bytes {
    let written = commit.writes.iter().find_map(|write| match write {
        pelton_statestore::Write::Put { key, value } if key == leader => Some(value.clone()),
        _ => None,
    });
    written.expect("every commit of a leader writes its record")
}
