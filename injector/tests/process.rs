//! The binary: what it says, and how it ends.

#![allow(clippy::unwrap_used, reason = "what fails here fails the test that called it")]

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

fn injector(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton-injector"));
    command.args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).env("RUST_LOG", "error");
    command
}

#[test]
fn it_says_where_it_listens_and_that_it_stands_by_and_ends_on_sigterm() {
    let mut child = injector(&["--pipeline", "flights", "--store", "memory:", "--listen", "127.0.0.1:0"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("listening at 127.0.0.1:"));
    assert_eq!(lines.next().unwrap().unwrap(), "standing by; no leader is known");
    let killed = Command::new("kill").arg("-TERM").arg(child.id().to_string()).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn what_it_cannot_do_it_says_and_ends_with_an_error() {
    for (arguments, words) in [
        (&["--pipeline", "flights", "--store", "moon:x"][..], "there is no backend"),
        (&["--pipeline", "flights", "--store", "memory:", "--listen", "0.0.0.0:0"][..], "there is no TLS"),
        (&["--pipeline", "a b", "--store", "memory:"][..], "is no name"),
        (&["--pipeline", "flights", "--store", "memory:", "--lease-ms", "0"][..], "--lease-ms"),
    ] {
        let mut child = injector(arguments).spawn().unwrap();
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert!(!child.wait().unwrap().success(), "{arguments:?}");
        assert!(said.contains(words), "{arguments:?}: {said}");
    }
}
