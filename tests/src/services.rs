//! The flights pipeline as services, each a process of its own: a state store, injectors, workers.
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
use std::path::PathBuf;
use std::time::Duration;

/// What to start.
#[derive(Clone, Debug)]
pub struct Layout {
    /// The programs: the example, and those of the services.
    pub programs: Programs,
    /// The run: its input and outputs; its store is that of the services.
    pub run: Run,
    /// A store to use, instead of a `pelton-statestore` of their own.
    pub store: Option<String>,
    /// How many injectors.
    pub injectors: usize,
    /// How many workers.
    pub workers: usize,
    /// How long a leader may be silent.
    pub leader_lease: Duration,
    /// How long a worker may be silent.
    pub worker_lease: Duration,
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
        if let Some(directory) = std::env::var_os("PELTON_PROGRAMS").map(PathBuf::from) {
            return Ok(Self {
                statestore: directory.join("pelton-statestore"),
                injector: directory.join("pelton-injector"),
                pelton: directory.join("pelton"),
            });
        }
        Ok(Self {
            statestore: program("pelton-statestore", &["--bin", "pelton-statestore"])?,
            injector: program("pelton-injector", &["--bin", "pelton-injector"])?,
            pelton: program("pelton", &["--bin", "pelton"])?,
        })
    }
}

/// The running services.
#[derive(Debug)]
pub struct Services {
    layout: Layout,
    directory: PathBuf,
    /// The store's own process, where it has one.
    pub statestore: Option<Process>,
    /// The injectors.
    pub injectors: Vec<Process>,
    /// The workers.
    pub workers: Vec<Process>,
    injector_addresses: Vec<String>,
    runtime: tokio::runtime::Runtime,
}

impl Services {
    /// Starts them all. Their output goes to the directory `processes` beside the outputs of the run.
    ///
    /// # Errors
    /// Where one does not start.
    pub fn start(layout: Layout) -> Result<Self> {
        let directory = layout.run.output.with_extension("processes");
        std::fs::create_dir_all(&directory)?;
        let addresses: Vec<String> =
            free_addresses(layout.injectors + 1)?.iter().map(ToString::to_string).collect();
        let (store_address, injector_addresses) = addresses.split_first().context("there are addresses")?;
        let path = |path: &PathBuf| path.display().to_string();
        let (statestore, store) = match &layout.store {
            Some(url) => (None, url.clone()),
            None => {
                let kept = format!("embedded:{}", directory.join("store").display());
                let command =
                    [&path(&layout.programs.statestore), "--store", &kept, "--listen", store_address];
                let mut process = Process::new("statestore", command.map(str::to_owned).to_vec(), &directory);
                process.start()?;
                process.until_printed("listens at")?;
                (Some(process), format!("remote:{store_address}"))
            }
        };
        let injector = |(at, address): (usize, &String)| {
            let (lease, worker_lease) = (millis(layout.leader_lease), millis(layout.worker_lease));
            let command = [
                &path(&layout.programs.injector),
                "--pipeline",
                "flight-delays",
                "--store",
                &store,
                "--listen",
                address,
                "--lease-ms",
                &lease,
                "--worker-lease-ms",
                &worker_lease,
            ];
            Process::new(format!("injector-{at}"), command.map(str::to_owned).to_vec(), &directory)
        };
        let injectors: Vec<Process> = injector_addresses.iter().enumerate().map(injector).collect();
        let worker = |at: usize| {
            let name = format!("worker-{at}");
            let of_services =
                ["worker", "--store", &store, "--injectors", &injector_addresses.join(","), "--name", &name]
                    .map(str::to_owned);
            Process::new(
                name.clone(),
                layout.run.words().into_iter().chain(of_services).collect(),
                &directory,
            )
        };
        let workers = (0..layout.workers).map(worker).collect();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let injector_addresses = injector_addresses.to_vec();
        let mut services =
            Self { layout, directory, statestore, injectors, workers, injector_addresses, runtime };
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
            self.directory.display(),
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

fn millis(duration: Duration) -> String {
    duration.as_millis().to_string()
}
