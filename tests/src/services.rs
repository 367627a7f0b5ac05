//! A pipeline as services, each a process of its own: a state store, injectors, workers.
//!
//! | module | what |
//! |---|---|
//! | [`chaos`] | kills and pauses at random moments |

pub mod chaos;

use crate::flight_runs::{Run, program};
use crate::process::{Process, free_addresses};
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
}

impl Layout {
    /// The flights of `run` with two injectors, so many workers, and the leases that are the default.
    #[must_use]
    pub fn flights(programs: Programs, run: &Run, workers: usize) -> Self {
        Self {
            programs,
            pipeline: "flight-delays",
            program: run.words(),
            directory: run.output.with_extension("processes"),
            store: None,
            injectors: 2,
            workers: vec![Vec::new(); workers],
            leader_lease: Duration::from_secs(2),
            worker_lease: Duration::from_secs(3),
        }
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
    store_address: String,
    injector_addresses: Vec<String>,
    runtime: tokio::runtime::Runtime,
}

impl Layout {
    fn process(&self, name: String, program: &Path, words: &[&str]) -> Process {
        let program = program.display().to_string();
        let words = words.iter().map(|word| (*word).to_owned());
        Process::new(name, std::iter::once(program).chain(words).collect(), &self.directory)
    }

    fn statestore(&self, address: &str) -> Process {
        let kept = format!("embedded:{}", self.directory.join("store").display());
        let words = ["--store", &kept, "--listen", address];
        self.process("statestore".to_owned(), &self.programs.statestore, &words)
    }

    fn injector(&self, at: usize, store: &str, address: &str) -> Process {
        let millis = |lease: Duration| lease.as_millis().to_string();
        let (lease, worker_lease) = (millis(self.leader_lease), millis(self.worker_lease));
        let whose = ["--pipeline", self.pipeline, "--store", store, "--listen", address];
        let leases = ["--lease-ms", &lease, "--worker-lease-ms", &worker_lease];
        self.process(format!("injector-{at}"), &self.programs.injector, &[whose.as_slice(), &leases].concat())
    }

    fn worker(&self, at: usize, store: &str, injectors: &str, own: &[String]) -> Process {
        let name = format!("worker-{at}");
        let of_all =
            ["worker", "--store", store, "--injectors", injectors, "--name", &name].map(str::to_owned);
        let words = self.program.iter().cloned().chain(of_all).chain(own.iter().cloned());
        Process::new(name, words.collect(), &self.directory)
    }
}

impl Services {
    /// Starts them all.
    ///
    /// # Errors
    /// Where one does not start.
    pub fn start(layout: Layout) -> Result<Self> {
        std::fs::create_dir_all(&layout.directory)?;
        let addresses: Vec<String> =
            free_addresses(layout.injectors + 1)?.iter().map(ToString::to_string).collect();
        let (store_address, injector_addresses) = addresses.split_first().context("there are addresses")?;
        let (mut statestore, store) = match &layout.store {
            Some(url) => (None, url.clone()),
            None => (Some(layout.statestore(store_address)), format!("remote:{store_address}")),
        };
        if let Some(process) = &mut statestore {
            process.start()?;
            process.until_printed("listens at")?;
        }
        let injectors = injector_addresses.iter().enumerate();
        let injectors: Vec<Process> =
            injectors.map(|(at, address)| layout.injector(at, &store, address)).collect();
        let (known, workers) = (injector_addresses.join(","), layout.workers.iter().enumerate());
        let workers = workers.map(|(at, own)| layout.worker(at, &store, &known, own)).collect();
        let mut services = Self {
            layout,
            statestore,
            injectors,
            workers,
            store_address: store_address.clone(),
            injector_addresses: injector_addresses.to_vec(),
            runtime: tokio::runtime::Builder::new_current_thread().enable_all().build()?,
        };
        services.injectors.iter_mut().chain(&mut services.workers).try_for_each(Process::start)?;
        Ok(services)
    }

    /// What was started.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// What the injector at `at` says of the pipeline; `None` where it does not lead.
    pub fn status_of(&self, at: usize) -> Option<StatusResponse> {
        let address = self.injector_addresses.get(at)?;
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
        &self.store_address
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
        command.arg("--injectors").arg(self.injector_addresses.join(",")).args(words);
        command
    }

    /// Whether the pipeline is done; an error where a process has ended by itself.
    ///
    /// # Errors
    /// See above.
    pub fn is_done(&mut self) -> Result<bool> {
        let processes = self.statestore.iter_mut().chain(&mut self.injectors).chain(&mut self.workers);
        for process in processes {
            ensure!(process.is_running(), "{} has ended:\n{}", process.name(), process.complained());
        }
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
