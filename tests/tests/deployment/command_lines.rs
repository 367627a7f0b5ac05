//! The programs know every option that `deploy/` gives them.
//!
//! A program that is also asked for its help says it only where all before it is known.

use crate::compose::compose;
use crate::kubernetes::{base, pods};
use pelton_tests::flight_runs::program;
use std::path::PathBuf;
use std::process::Command;

/// A program, as this test was built.
pub(crate) fn built(name: &str) -> PathBuf {
    match std::env::var_os("PELTON_PROGRAMS") {
        Some(directory) if name == "flight_delays" => PathBuf::from(directory).join("examples").join(name),
        Some(directory) => PathBuf::from(directory).join(name),
        None if name == "flight_delays" => {
            program(&format!("examples/{name}"), &["--example", name]).unwrap()
        }
        None => program(name, &["--bin", name]).unwrap(),
    }
}

fn takes(command: &[String]) {
    let (name, arguments) = command.split_first().unwrap();
    let mut program = Command::new(built(name));
    let output = program.args(arguments).arg("--help").output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}

#[test]
fn the_programs_take_the_options_of_the_compose_file() {
    let compose = compose();
    for service in compose.services.values().filter(|service| service.command[0] != "pelton-certificates") {
        takes(&service.command);
        for tls in ["--tls-cert", "--tls-key", "--tls-ca", "--tls-server-name"] {
            takes(&[service.command.as_slice(), &[tls.to_owned(), "x".to_owned()]].concat());
        }
    }
}

#[test]
fn the_programs_take_the_options_of_the_manifests() {
    for resource in base() {
        let Some((template, ..)) = pods(&resource) else { continue };
        let container = &template.spec.as_ref().unwrap().containers[0];
        // The pipeline's own program is the entry point of its image; any program of a pipeline will do.
        let mut command = container.command.clone().unwrap_or_else(|| vec!["flight_delays".to_owned()]);
        command.extend(container.args.clone().unwrap());
        // As Kubernetes fills them in.
        let fill = |argument: String| {
            argument
                .replace("$(POD_IP)", "10.0.0.1")
                .replace("$(PIPELINE)", "words")
                .replace("$(POD_NAME)", "pod-0")
        };
        takes(&command.into_iter().map(fill).collect::<Vec<_>>());
        let probe = container.readiness_probe.as_ref().unwrap().exec.as_ref().unwrap();
        takes(probe.command.as_ref().unwrap());
    }
}
