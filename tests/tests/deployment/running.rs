//! What `deploy/compose.yaml` says is run, without containers: its commands, in its environment, in its order, each
//! service ready when its own probe says so. Only places differ: addresses are on loopback, paths in a directory.

use crate::command_lines::built;
use crate::compose::{Compose, Service, compose};
use crate::{deploy, is_installed};
use pelton_tests::flight_runs::{Run, january};
use pelton_tests::independent::{differences, expected_hourly};
use pelton_tests::process::{Process, free_addresses};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// How often a probe is asked, at most: as long as on a slow machine, not as the file says.
const PROBES_MAX: usize = 600;

/// The compose file's places on this machine.
struct Machine<'a> {
    directory: &'a Path,
    /// By service and port.
    addresses: BTreeMap<(String, String), String>,
}

impl<'a> Machine<'a> {
    fn new(compose: &Compose, directory: &'a Path) -> Self {
        let listens = |(name, service): (&String, &Service)| {
            let listens = service.command.iter().filter_map(|word| word.strip_prefix("0.0.0.0:"));
            listens.map(|port| (name.clone(), port.to_owned())).collect::<Vec<_>>()
        };
        let places: Vec<_> = compose.services.iter().flat_map(listens).collect();
        let free = free_addresses(places.len()).unwrap();
        let addresses = places.into_iter().zip(free.iter().map(ToString::to_string)).collect();
        for volume in ["tls", "data", "out"] {
            std::fs::create_dir(directory.join(volume)).unwrap();
        }
        Self { directory, addresses }
    }

    /// A word of the service `name` as it is here.
    fn here(&self, name: &str, word: &str) -> String {
        let mut word =
            word.replace("/usr/share/pelton/flights-2013-01.csv.gz", &january().display().to_string());
        for ((service, port), address) in &self.addresses {
            if service == name {
                word = word.replace(&format!("0.0.0.0:{port}"), address);
                word = word.replace(&format!("localhost:{port}"), address);
            }
            word = word.replace(&format!("{service}:{port}"), address);
        }
        for volume in ["/tls", "/data", "/out"] {
            if let Some((before, path)) = word.split_once(volume)
                && (before.is_empty() || before.ends_with(':'))
            {
                word = format!("{before}{}{path}", self.directory.join(&volume[1..]).display());
            }
        }
        word
    }

    fn words(&self, name: &str, command: &[String]) -> Vec<String> {
        let program = match command[0].as_str() {
            "pelton-certificates" => deploy("certificates.sh"),
            program => built(program),
        };
        let arguments = command[1..].iter().map(|word| self.here(name, word));
        std::iter::once(program.display().to_string()).chain(arguments).collect()
    }

    fn environment(&self, name: &str, service: &Service) -> Vec<(String, String)> {
        service.environment.iter().map(|(key, value)| (key.clone(), self.here(name, value))).collect()
    }

    /// Waits until the service's own probe says that it is ready.
    fn until_healthy(&self, name: &str, service: &Service, process: &mut Process) {
        let probe = &service.healthcheck.as_ref().unwrap().test;
        let words = self.words(name, &probe[1..]);
        for _ in 0..PROBES_MAX {
            assert!(process.is_running(), "{name} has ended:\n{}", process.complained());
            let mut command = Command::new(&words[0]);
            command.args(&words[1..]).envs(self.environment(name, service));
            if command.output().unwrap().status.success() {
                return;
            }
            std::thread::sleep(Duration::from_millis(200));
        }
        panic!("{name} is never healthy:\n{}", process.complained());
    }
}

/// The services in an order in which each comes after those that it waits for.
fn in_order(compose: &Compose) -> Vec<(&String, &Service)> {
    let mut order: Vec<(&String, &Service)> = Vec::new();
    while order.len() < compose.services.len() {
        let started: BTreeSet<&String> = order.iter().map(|(name, _)| *name).collect();
        let may = |(name, service): &(&String, &Service)| {
            !started.contains(name) && service.depends_on.keys().all(|on| started.contains(on))
        };
        order.push(compose.services.iter().find(may).expect("no two services wait for each other"));
    }
    order
}

#[test]
fn the_compose_files_commands_run_the_flights_to_their_end_under_mutual_tls() {
    if !is_installed("openssl", "version") {
        return;
    }
    let (compose, directory) = (compose(), tempfile::tempdir().unwrap());
    let machine = Machine::new(&compose, directory.path());
    let mut running = Vec::new();
    for (name, service) in in_order(&compose) {
        let mut process =
            Process::new(name.as_str(), machine.words(name, &service.command), directory.path());
        process.set_environment(machine.environment(name, service));
        process.start().unwrap();
        if service.healthcheck.is_none() {
            process.until_ended(Duration::from_secs(60)).unwrap();
            continue;
        }
        machine.until_healthy(name, service, &mut process);
        running.push(process);
    }
    let worker = &compose.services["worker-1"];
    let injectors = crate::compose::flag(&worker.command, "--injectors").unwrap();
    let mut pelton = Command::new(built("pelton"));
    pelton.args(["--injectors", &machine.here("worker-1", injectors), "wait", "--timeout", "240"]);
    let waited = pelton.envs(machine.environment("worker-1", worker)).output().unwrap();
    assert!(waited.status.success(), "{}", String::from_utf8_lossy(&waited.stderr));
    // Workers hand over before they end, so they are told first.
    running.iter_mut().rev().for_each(|process| process.terminate().unwrap());
    let run = Run {
        binary: built("flight_delays"),
        input: january(),
        output: directory.path().join("out"),
        more: Vec::new(),
    };
    let wrong = differences(&expected_hourly(&january()).unwrap().lines, &run.lines("hourly.jsonl").unwrap());
    assert!(wrong.is_empty(), "{wrong:#?}");
}
