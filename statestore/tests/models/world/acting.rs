//! What workers and injector do.

use super::*;

impl World<'_> {
    pub(crate) async fn act(&mut self, action: Action) {
        match action {
            Action::Assign(worker, part) => {
                let number = self.assign(worker, &[part])[0];
                self.workers[worker].assigned.push((part, number));
            }
            Action::TakeOver(worker, part, number) => self.take_over(worker, part, number).await,
            Action::Commit(worker, part) => self.commit(worker, part).await,
            Action::Split(worker) => self.reshape(worker, &[Part::Whole], &[Part::Low, Part::High]).await,
            Action::Merge(worker) => self.reshape(worker, &[Part::Low, Part::High], &[Part::Whole]).await,
            Action::Answer(worker) => self.answer(worker).await,
            Action::Lose(worker) => self.lose(worker).await,
            Action::Away(worker) => self.away(worker).await,
            Action::Land(worker, number) => drop(self.land((worker, number))),
            Action::Crash(worker) => self.crash(worker),
            Action::Restore => {
                self.used.restored = true;
                self.tables.push(self.tables[0].clone());
                self.ledger.restored();
            }
            Action::Adopt => {
                self.used.adopted = true;
                self.workers[RESTORED].handle.adopted = vec![life(0)];
            }
        }
    }

    /// Journals new assignments of `parts` in the place of what they overlap.
    fn assign(&mut self, worker: usize, parts: &[Part]) -> Vec<u64> {
        let table = self.workers[worker].life();
        let overlapped = |part: &Part| parts.iter().any(|p| p.interval().overlaps(part.interval()));
        for old in Part::ALL.iter().filter(|part| overlapped(part)) {
            self.tables[table].0.remove(&self.journal.assignment(1, old.interval().last()));
        }
        let mut numbers = Vec::new();
        for part in parts {
            self.used.sequencers += 1;
            let number = self.used.sequencers;
            let key = self.journal.assignment(1, part.interval().last());
            self.tables[table].0.insert(key, Self::entry(worker, *part, number));
            numbers.push(number);
        }
        numbers
    }

    async fn take_over(&mut self, number: usize, part: Part, reign: u64) {
        self.workers[number].assigned.retain(|told| *told != (part, reign));
        self.workers[number].reigns.retain(|held, _| !held.interval().overlaps(part.interval()));
        let requires = vec![self.requirement(number, part, reign)];
        let worker = &self.workers[number];
        let (store, keys, tokens) = (worker.store(), self.keys.clone(), worker.tokens.clone());
        let future = async move {
            let interval = part.interval();
            Done::TookOver(take_over(&store, &keys, interval, sequencer(reign), requires, &tokens).await)
        };
        let step = Step::take_over(number, worker.life(), part, reign);
        self.start(number, step, Box::pin(future), None).await;
    }

    async fn commit(&mut self, number: usize, part: Part) {
        self.used.batches += 1;
        let batch = self.used.batches;
        let worker = &mut self.workers[number];
        let Some(mut reign) = worker.reigns.remove(&part) else { return };
        let step = Step::batch(number, worker.life(), part, reign.sequencer().get(), batch);
        let row = |half: &usize, row: char| Write::Put {
            key: format!("{row}{half}").into(),
            value: format!("{batch}").into(),
        };
        let rows = |name: char| part.halves().iter().map(move |half| row(half, name));
        let writes: Vec<Write> = rows('x').chain(rows('y')).collect();
        let before = Some(reign.clone());
        let future = async move {
            let update = reign.fence().unchanged();
            let result = reign.commit(writes, &update).await;
            Done::Committed(reign, result)
        };
        self.start(number, step, Box::pin(future), before).await;
    }

    async fn reshape(&mut self, number: usize, old: &[Part], new: &[Part]) {
        self.used.reshapes += 1;
        let numbers = self.assign(number, new);
        let worker = &mut self.workers[number];
        let reigns: Vec<Reign> = old.iter().filter_map(|part| worker.reigns.remove(part)).collect();
        let parts: Vec<_> =
            new.iter().zip(&numbers).map(|(part, n)| (part.interval(), Some(sequencer(*n)))).collect();
        let step = Step::reshape(number, worker.life(), new, &numbers);
        let requires = new.iter().zip(&numbers).map(|(part, n)| self.requirement(number, *part, *n));
        let requires = requires.collect();
        let future = async move {
            Done::Reshaped(Reign::reshape(&reigns, &parts, SystemTime::ZERO, requires, vec![]).await)
        };
        self.start(number, step, Box::pin(future), None).await;
    }

    async fn start(
        &mut self,
        number: usize,
        step: Step,
        future: Pin<Box<dyn Future<Output = Done>>>,
        before: Option<Reign>,
    ) {
        self.workers[number].task = Some(Task { step, future, waiting: None, heard: Vec::new(), before });
        self.go_on(number).await;
    }

    /// Lets a worker go on until it asks the store for something, or is done.
    async fn go_on(&mut self, number: usize) {
        for _ in 0..8 {
            let Some(task) = self.workers[number].task.as_mut() else { return };
            let polled = task.future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            if let Poll::Ready(done) = polled {
                let Some(task) = self.workers[number].task.take() else { return };
                return self.done(number, &task.step, done);
            }
            let call = self.workers[number].handle.line.lock().unwrap().take();
            match call {
                None => tokio::time::advance(Duration::from_secs(2)).await,
                Some(call) => return self.wait_for(number, call),
            }
        }
        panic!("a worker neither asks nor ends");
    }

    fn wait_for(&mut self, number: usize, call: Call) {
        let Some(task) = self.workers[number].task.as_mut() else { return };
        task.waiting = Some(match call {
            Call::Read(keys, reply) => Waiting::Read(keys, reply),
            Call::Commit(commit, reply) => {
                let flight = self.ledger.departs(&task.step, digest(&commit));
                self.flights.insert((number, flight), commit);
                Waiting::Commit(flight, reply)
            }
        });
    }

    async fn answer(&mut self, number: usize) {
        let table = self.table_of(self.workers[number].life());
        let Some(task) = self.workers[number].task.as_mut() else { return };
        match task.waiting.take() {
            None => return,
            Some(Waiting::Read(keys, reply)) => {
                let values: Vec<_> = keys.iter().map(|key| self.tables[table].get(key)).collect();
                task.heard.push(Heard::Values(values.clone()));
                drop(reply.send(Ok(values)));
            }
            Some(Waiting::Commit(flight, reply)) => {
                let result = self.land((number, flight));
                if let Some(task) = self.workers[number].task.as_mut() {
                    task.heard.push(Heard::Said(if result.is_ok() { "yes" } else { "no" }));
                }
                drop(reply.send(result));
            }
        }
        self.go_on(number).await;
    }

    async fn lose(&mut self, number: usize) {
        self.used.lost += 1;
        let Some(task) = self.workers[number].task.as_mut() else { return };
        let Some(Waiting::Commit(flight, reply)) = task.waiting.take() else { return };
        task.heard.push(Heard::Said("nothing"));
        self.ledger.lose((number, flight));
        let fault = StoreFault("lost".into());
        let answer = match self.mutation {
            Some(Mutation::UnknownMeansNo) => Err(CommitError::Unavailable(fault)),
            Some(Mutation::UnknownMeansYes) => Ok(()),
            _ => Err(CommitError::Unknown(fault)),
        };
        drop(reply.send(answer));
        self.go_on(number).await;
    }

    async fn away(&mut self, number: usize) {
        self.used.away += 1;
        let Some(task) = self.workers[number].task.as_mut() else { return };
        let Some(Waiting::Commit(flight, reply)) = task.waiting.take() else { return };
        task.heard.push(Heard::Said("away"));
        self.ledger.flights.remove(&(number, flight));
        self.flights.remove(&(number, flight));
        drop(reply.send(Err(CommitError::Unavailable(StoreFault("away".into())))));
        self.go_on(number).await;
    }

    fn crash(&mut self, number: usize) {
        self.used.crashes += 1;
        let worker = &mut self.workers[number];
        let Some(task) = worker.task.take() else { return };
        if let Some(Waiting::Commit(flight, _)) = task.waiting {
            self.ledger.lose((number, flight));
        }
        let forgetful = matches!(self.mutation, Some(Mutation::CancelledForgotten | Mutation::TokensRepeat));
        match (forgetful, task.before) {
            (true, Some(before)) => drop(worker.reigns.insert(task.step.part(), before)),
            _ => {
                worker.reigns.clear();
                worker.assigned.clear();
            }
        }
        self.witnessed.saw("a worker crashed with a commit on its way");
    }
}

/// Tells a commit from every other.
fn digest(commit: &Commit) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    for precondition in &commit.preconditions {
        if let Precondition::Value { key, expected } = precondition {
            (key, expected).hash(&mut hasher);
        }
    }
    for write in &commit.writes {
        match write {
            Write::Put { key, value } => (key, value).hash(&mut hasher),
            Write::Delete { key } => key.hash(&mut hasher),
            Write::DeleteRange { range } => (&range.start, &range.end).hash(&mut hasher),
        }
    }
    hasher.finish()
}
