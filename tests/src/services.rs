//! A pipeline as services, each a process of its own: a state store, injectors, workers.
//!
//! | module | what |
//! |---|---|
//! | [`place`] | where each process runs: on loopback, or in network namespaces |
//! | [`flights`] | the flights as services, and what to judge them by |
//! | [`graphs`] | random graphs as services, judged by the checker |
//! | [`chaos`] | kills and pauses at random moments |
//! | [`partitions`] | cuts in the network between them |

pub mod chaos;
pub mod flights;
pub mod graphs;
pub mod partitions;
pub mod place;

use crate::flight_runs::{Run, program};
use crate::process::{Process, free_addresses};
use crate::services::place::{Place, Places};
use anyhow::{Context, Result, ensure};
use pelton_proto::injector::injector_client::InjectorClient;
use pelton_proto::injector::{StatusRequest, StatusResponse};
use pelton_transport::{Security, connect};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What to start.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The programs of the services.
    pub programs: Programs,
    /// The pipeline's name.
    pub pipeline: &'static str,
    /// The pipeline's own program, with its arguments up to the command.
    pub program: Vec<String>,
    /// Where the processes' output goes, and the store of their own.
    pub directory: PathBuf,
    /// A store to use, instead of a `pelton-statestore` of their own.
    pub store: Option<String>,
    /// How many injectors.
    pub injectors: usize,
    /// The workers: for each the arguments that the others do not have.
    pub workers: Vec<Vec<String>>,
    /// How long a leader may be silent.
    pub leader_lease: Duration,
    /// How long a worker may be silent.
    pub worker_lease: Duration,
    /// More arguments for the injectors.
    pub injector_options: Vec<String>,
    /// Where the processes run, where that is not on loopback.
    pub places: Option<Places>,
}

impl Layout {
    /// The pipeline of this name and program, with a store of its own, two injectors, so many workers that are all alike,
    /// and the leases that are the default.
    #[must_use]
    pub fn new(
        programs: Programs,
        pipeline: &'static str,
        program: Vec<String>,
        directory: PathBuf,
        workers: usize,
    ) -> Self {
        Self {
            programs,
            pipeline,
            program,
            directory,
            store: None,
            injectors: 2,
            workers: vec![Vec::new(); workers],
            leader_lease: Duration::from_secs(2),
            worker_lease: Duration::from_secs(3),
            injector_options: Vec::new(),
            places: None,
        }
    }

    /// The flights of `run`.
    #[must_use]
    pub fn flights(programs: Programs, run: &Run, workers: usize) -> Self {
        let directory = run.output.with_extension("processes");
        Self::new(programs, "flight-delays", run.words(), directory, workers)
    }

    /// With leases of about a second, so that what takes over takes over soon.
    #[must_use]
    pub fn with_short_leases(self) -> Self {
        let (leader_lease, worker_lease) = (Duration::from_millis(1000), Duration::from_millis(1500));
        Self { leader_lease, worker_lease, ..self }
    }

    /// The store, as others than its own process open it once that has ended.
    #[must_use]
    pub fn kept(&self) -> String {
        let own = || format!("embedded:{}", self.directory.join("store").display());
        self.store.clone().unwrap_or_else(own)
    }
}

/// Where the programs are.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `pelton-statestore`.
    pub statestore: PathBuf,
    /// `pelton-injector`.
    pub injector: PathBuf,
    /// `pelton`.
    pub pelton: PathBuf,
}

impl Programs {
    /// The programs, built as this code was built, or those in the directory that `PELTON_PROGRAMS` names.
    ///
    /// # Errors
    /// Where they cannot be built.
    pub fn built() -> Result<Self> {
        match std::env::var_os("PELTON_PROGRAMS") {
            Some(directory) => Ok(Self::of(Path::new(&directory))),
            None => Ok(Self {
                statestore: program("pelton-statestore", &["--bin", "pelton-statestore"])?,
                injector: program("pelton-injector", &["--bin", "pelton-injector"])?,
                pelton: program("pelton", &["--bin", "pelton"])?,
            }),
        }
    }

    /// Those in a directory.
    #[must_use]
    pub fn of(directory: &Path) -> Self {
        Self {
            statestore: directory.join("pelton-statestore"),
            injector: directory.join("pelton-injector"),
            pelton: directory.join("pelton"),
        }
    }
}

/// The running services.
#[derive(Debug)]
pub struct Services {
    layout: Layout,
    /// The store's own process, where it has one.
    pub statestore: Option<Process>,
    /// The injectors.
    pub injectors: Vec<Process>,
    /// The workers.
    pub workers: Vec<Process>,
    addresses: Addresses,
    runtime: tokio::runtime::Runtime,
}

/// Where the services are: where each process is to listen, and how it is reached.
#[derive(Clone, Debug)]
struct Addresses {
    /// How others open the store.
    store: String,
    statestore: String,
    injectors: Vec<String>,
}

impl Layout {
    fn process(&self, name: String, place: Option<&Place>, words: Vec<String>) -> Process {
        let prefix = place.map(|place| place.prefix.clone()).unwrap_or_default();
        Process::new(name, prefix.into_iter().chain(words).collect(), &self.directory)
    }

    fn statestore(&self, addresses: &Addresses) -> Process {
        let kept = self.kept();
        let own = ["--store", &kept, "--listen", &addresses.statestore];
        let words = [vec![self.programs.statestore.display().to_string()], words(&own), self.exposed()];
        let place = self.places.as_ref().map(|places| &places.statestore);
        self.process("statestore".to_owned(), place, words.concat())
    }

    fn injector(&self, at: usize, addresses: &Addresses, address: &str) -> Process {
        let millis = |lease: Duration| lease.as_millis().to_string();
        let (lease, worker_lease) = (millis(self.leader_lease), millis(self.worker_lease));
        let whose = ["--pipeline", self.pipeline, "--store", &addresses.store, "--listen", address];
        let leases = ["--lease-ms", &lease, "--worker-lease-ms", &worker_lease];
        let program = vec![self.programs.injector.display().to_string()];
        let all =
            [program, words(&whose), words(&leases), self.injector_options.clone(), self.exposed()].concat();
        let place = self.places.as_ref().and_then(|places| places.injectors.get(at));
        self.process(format!("injector-{at}"), place, all)
    }

    /// The worker at `at`, of the pipeline's program with its arguments up to the command.
    fn worker(&self, at: usize, addresses: &Addresses, program: &[String]) -> Vec<String> {
        let (name, injectors) = (format!("worker-{at}"), addresses.injectors.join(","));
        let of_all = ["worker", "--store", &addresses.store, "--injectors", &injectors, "--name", &name];
        let place = self.places.as_ref().and_then(|places| places.workers.get(at));
        let listen = place.map(|place| words(&["--listen", &format!("{}:0", place.host)]));
        let own = self.workers.get(at).cloned().unwrap_or_default();
        let prefix = place.map(|place| place.prefix.clone()).unwrap_or_default();
        [prefix, program.to_vec(), words(&of_all), listen.unwrap_or_default(), self.exposed(), own].concat()
    }

    /// In a network of their own the processes may do without certificates.
    fn exposed(&self) -> Vec<String> {
        if self.places.is_some() { words(&["--exposed-without-tls"]) } else { Vec::new() }
    }

    fn addresses(&self) -> Result<Addresses> {
        let all: Vec<String> = match &self.places {
            Some(places) => std::iter::once(&places.statestore)
                .zip([4100])
                .chain(places.injectors.iter().zip(std::iter::repeat(4200)))
                .map(|(place, port)| format!("{}:{port}", place.host))
                .collect(),
            None => free_addresses(self.injectors + 1)?.iter().map(ToString::to_string).collect(),
        };
        let (statestore, injectors) = all.split_first().context("there are addresses")?;
        let store = self.store.clone().unwrap_or_else(|| format!("remote:{statestore}"));
        Ok(Addresses { store, statestore: statestore.clone(), injectors: injectors.to_vec() })
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

impl Services {
    /// Starts them all.
    ///
    /// # Errors
    /// Where one does not start.
    pub fn start(layout: Layout) -> Result<Self> {
        std::fs::create_dir_all(&layout.directory)?;
        let addresses = layout.addresses()?;
        let mut statestore = layout.store.is_none().then(|| layout.statestore(&addresses));
        if let Some(process) = &mut statestore {
            process.start()?;
            process.until_printed("listens at")?;
        }
        let injectors = addresses.injectors.iter().enumerate();
        let injectors: Vec<Process> =
            injectors.map(|(at, address)| layout.injector(at, &addresses, address)).collect();
        let worker = |at: usize| {
            let command = layout.worker(at, &addresses, &layout.program);
            Process::new(format!("worker-{at}"), command, &layout.directory)
        };
        let workers = (0..layout.workers.len()).map(worker).collect();
        let mut services = Self {
            layout,
            statestore,
            injectors,
            workers,
            addresses,
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        };
        services.injectors.iter_mut().chain(&mut services.workers).try_for_each(Process::start)?;
        Ok(services)
    }

    /// The worker at `at` runs another program from its next start on: `program` with its arguments up to the command.
    ///
    /// # Errors
    /// Where there is no such worker.
    pub fn set_program(&mut self, at: usize, program: &[String]) -> Result<&mut Process> {
        let command = self.layout.worker(at, &self.addresses, program);
        let worker = self.workers.get_mut(at).with_context(|| format!("there is no worker {at}"))?;
        worker.set_command(command);
        Ok(worker)
    }

    /// What `pelton` says with these words, as JSON.
    ///
    /// # Errors
    /// Where it fails.
    pub fn json(&self, words: &[&str]) -> Result<serde_json::Value> {
        let output = self.pelton(&[&["--json"], words].concat()).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(serde_json::from_slice(&output.stdout)?)
    }

    /// What was started.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the injector at `at` says of the pipeline; `None` where it does not lead.
    pub fn status_of(&self, at: usize) -> Option<StatusResponse> {
        let address = self.addresses.injectors.get(at)?;
        self.runtime.block_on(async {
            let mut client = InjectorClient::new(connect(address, &Security::none()).ok()?);
            let asked = client.status(StatusRequest { intervals: true });
            let answer = tokio::time::timeout(Duration::from_secs(2), asked).await.ok()?;
            answer.ok().map(tonic::Response::into_inner)
        })
    }

    /// Where the store of their own listens.
    #[must_use]
    pub fn store_address(&self) -> &str {
        &self.addresses.statestore
    }

    /// Whether the pipeline is done, as the injector in charge says now; not where none leads.
    #[must_use]
    pub fn is_done_now(&self) -> bool {
        let answer = (0..self.injectors.len()).find_map(|at| self.status_of(at));
        answer.is_some_and(|status| status.is_done())
    }

    /// Which injector leads, if one does.
    #[must_use]
    pub fn leader(&self) -> Option<usize> {
        (0..self.injectors.len()).find(|at| self.status_of(*at).is_some())
    }

    /// The command `pelton` with the addresses of the injectors.
    #[must_use]
    pub fn pelton(&self, words: &[&str]) -> std::process::Command {
        let mut command = std::process::Command::new(&self.layout.programs.pelton);
        command.arg("--injectors").arg(self.addresses.injectors.join(",")).args(words);
        command
    }

    /// That no process has ended by itself.
    ///
    /// # Errors
    /// Where one has.
    pub fn ensure_running(&mut self) -> Result<()> {
        let processes = self.statestore.iter_mut().chain(&mut self.injectors).chain(&mut self.workers);
        for process in processes {
            ensure!(process.is_running(), "{} has ended:\n{}", process.name(), process.complained());
        }
        Ok(())
    }

    /// Whether the pipeline is done; an error where a process has ended by itself.
    ///
    /// # Errors
    /// See above.
    pub fn is_done(&mut self) -> Result<bool> {
        self.ensure_running()?;
        Ok(self.pelton(&["wait", "--timeout", "1"]).output()?.status.success())
    }

    /// Waits until the pipeline is done.
    ///
    /// # Errors
    /// Where a process ends by itself, or it takes longer than `within`.
    pub fn until_done(&mut self, within: Duration) -> Result<()> {
        for _ in 0..within.as_secs().max(1) {
            if self.is_done()? {
                return Ok(());
            }
        }
        let why = self.pelton(&["watermarks", "--why"]).output()?;
        anyhow::bail!(
            "it is not done after {within:?}; the processes' output is in {}:\n{}",
            self.layout.directory.display(),
            String::from_utf8_lossy(&why.stdout)
        )
    }

    /// Stops everything in order: workers, injectors, store.
    ///
    /// # Errors
    /// Where a process fails.
    pub fn stop(mut self) -> Result<()> {
        let all = self.workers.iter_mut().chain(&mut self.injectors).chain(self.statestore.as_mut());
        all.filter_map(|process| process.is_running().then_some(process)).try_for_each(Process::terminate)
    }
}
