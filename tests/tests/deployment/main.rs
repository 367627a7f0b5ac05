//! What is in `deploy/` is what its readers take it for, and fits what the programs are.
//!
//! Kubernetes' own schemas are megabytes and would need a schema validator. The typed crate `k8s-openapi` is made
//! from the same description, says of a wrong value where it is, and compiles in some seconds; unknown fields,
//! which it passes over, are found by
//! `serde_ignored`. The compose file uses so little of the format that its types stand here.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "what fails here fails the test that called it"
)]

mod certificates;
mod command_lines;
mod compose;
mod kubernetes;
mod running;

use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A file or folder of `deploy/`.
fn deploy(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().join("deploy").join(name)
}

/// The documents of a YAML file.
fn documents(path: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    parse(&text, &path.display().to_string())
}

fn parse(text: &str, whence: &str) -> Vec<serde_json::Value> {
    serde_saphyr::from_multiple(text).unwrap_or_else(|error| panic!("{whence}: {error}"))
}

/// `document` as a `T` that has every one of its fields.
fn exactly<T: DeserializeOwned>(document: &serde_json::Value, whence: &str) -> T {
    let mut unknown = Vec::new();
    let read = serde_ignored::deserialize(document, |path| unknown.push(path.to_string()));
    let read = read.unwrap_or_else(|error| panic!("{whence}: {error}"));
    assert!(unknown.is_empty(), "{whence} has fields that there are not: {unknown:?}");
    read
}

/// Whether a program is installed that a test can do without.
fn is_installed(program: &str, argument: &str) -> bool {
    let there = Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success());
    if !there {
        eprintln!("{program} is not installed: what needs it is not tested here");
    }
    there
}
