//! `deploy/compose.yaml`.

use crate::{deploy, documents, exactly};
use serde::Deserialize;
use std::collections::BTreeMap;

/// A compose file, as far as it is used here.
#[derive(Debug, Deserialize)]
pub(crate) struct Compose {
    name: String,
    pub(crate) services: BTreeMap<String, Service>,
    volumes: BTreeMap<String, Volume>,
    #[serde(rename = "x-pelton")]
    _pelton: serde_json::Value,
    #[serde(rename = "x-injector")]
    _injector: serde_json::Value,
    #[serde(rename = "x-worker")]
    _worker: serde_json::Value,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Service {
    image: String,
    build: Build,
    #[serde(rename = "init")]
    _init: bool,
    restart: Restart,
    pub(crate) environment: BTreeMap<String, String>,
    pub(crate) command: Vec<String>,
    #[serde(default)]
    pub(crate) depends_on: BTreeMap<String, Dependency>,
    volumes: Vec<String>,
    pub(crate) healthcheck: Option<Healthcheck>,
    stop_grace_period: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Build {
    context: String,
    dockerfile: String,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Restart {
    No,
    UnlessStopped,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Dependency {
    condition: Condition,
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Condition {
    ServiceHealthy,
    ServiceCompletedSuccessfully,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Healthcheck {
    pub(crate) test: Vec<String>,
    interval: String,
    timeout: String,
    retries: u32,
}

#[derive(Debug, Deserialize)]
struct Volume {}

pub(crate) fn compose() -> Compose {
    let [document] = <[_; 1]>::try_from(documents(&deploy("compose.yaml"))).unwrap();
    exactly(&document, "compose.yaml")
}

/// What follows `flag`.
pub(crate) fn flag<'a>(command: &'a [String], flag: &str) -> Option<&'a str> {
    command
        .iter()
        .position(|argument| argument == flag)
        .and_then(|at| command.get(at + 1))
        .map(String::as_str)
}

#[test]
fn the_compose_file_has_a_store_two_injectors_and_four_workers_that_find_each_other() {
    let compose = compose();
    assert_eq!(compose.name, "pelton");
    let of = |program: &str| {
        let of = compose.services.iter().filter(|(_, service)| service.command[0] == program);
        of.map(|(name, service)| (name.as_str(), service.command.as_slice())).collect::<Vec<_>>()
    };
    let (stores, injectors, workers) = (of("pelton-statestore"), of("pelton-injector"), of("flight_delays"));
    assert_eq!((stores.len(), injectors.len(), workers.len()), (1, 2, 4));
    let (store, command) = stores[0];
    let port = flag(command, "--listen").unwrap().rsplit_once(':').unwrap().1;
    let url = format!("remote:{store}:{port}");
    let mut addresses = Vec::new();
    for (name, command) in injectors.iter().chain(&workers) {
        assert_eq!(flag(command, "--store"), Some(url.as_str()), "{name}");
        let (host, port) = flag(command, "--advertise").unwrap().rsplit_once(':').unwrap();
        assert_eq!(host, *name, "others reach it by its service's name");
        assert_eq!(flag(command, "--listen").unwrap().rsplit_once(':').unwrap().1, port, "{name}");
        addresses.push(format!("{host}:{port}"));
    }
    for (name, command) in &workers {
        assert_eq!(flag(command, "--injectors"), Some(addresses[..2].join(",").as_str()), "{name}");
        assert_eq!(flag(command, "--name"), Some(*name));
    }
}

#[test]
fn every_service_of_the_compose_file_has_its_volumes_its_probe_and_what_it_waits_for() {
    let compose = compose();
    for (name, service) in &compose.services {
        assert_eq!((service.image.as_str(), service.build.context.as_str()), ("pelton:local", ".."));
        assert!(deploy("..").join(&service.build.dockerfile).is_file());
        for volume in &service.volumes {
            let (volume, _) = volume.split_once(':').unwrap();
            assert!(compose.volumes.contains_key(volume), "{name}: {volume}");
        }
        for (on, dependency) in &service.depends_on {
            let waited_for = compose.services.get(on).unwrap_or_else(|| panic!("{name} waits for {on}"));
            match dependency.condition {
                Condition::ServiceHealthy => assert!(waited_for.healthcheck.is_some(), "{on}"),
                Condition::ServiceCompletedSuccessfully => {
                    assert_eq!(waited_for.restart, Restart::No, "{on}")
                }
            }
        }
        if service.restart == Restart::No {
            continue;
        }
        let healthcheck = service.healthcheck.as_ref().unwrap_or_else(|| panic!("{name} has no probe"));
        let port = flag(&service.command, "--listen").unwrap().rsplit_once(':').unwrap().1;
        assert_eq!(healthcheck.test, ["CMD", "pelton-probe", "--connect", &format!("localhost:{port}")]);
        assert!(
            healthcheck.retries > 1
                && healthcheck.interval.ends_with('s')
                && healthcheck.timeout.ends_with('s')
        );
        assert_eq!(service.environment["PELTON_TLS_CERT"], "/tls/tls.crt");
        assert!(service.volumes.iter().any(|volume| volume == "tls:/tls:ro"), "{name}");
        if service.command[0] == "flight_delays" {
            assert_eq!(service.stop_grace_period.as_deref(), Some("60s"), "it hands over before it ends");
        }
    }
}
