//! The README's services, run as it says: its commands are read from it. Only ports differ, and the directory.

#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "a test: a panic is its failure")]

use anyhow::{Context, Result, ensure};
use pelton_tests::flight_runs::{Run, example_binary, january};
use pelton_tests::independent::{differences, expected_hourly};
use pelton_tests::process::{Process, free_addresses};
use pelton_tests::services::Programs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The section on services: its commands, and the text behind them.
fn section() -> Result<(Vec<String>, String)> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md");
    let text = std::fs::read_to_string(readme)?;
    let (_, rest) = text.split_once("\n## Run it as services\n").context("there is such a section")?;
    let (section, _) = rest.split_once("\n## ").context("another section follows")?;
    let commands = section.lines().filter_map(|line| line.strip_prefix("    ")).map(str::to_owned).collect();
    let (_, behind) = section.rsplit_once("\n    ").context("there are commands")?;
    Ok((commands, behind.to_owned()))
}

/// What the commands say, with free ports for those of the README, in a directory.
struct Shell {
    directory: PathBuf,
    ports: Vec<(String, String)>,
    environment: Vec<(String, String)>,
    programs: Programs,
    example: PathBuf,
}

impl Shell {
    fn new(directory: &Path) -> Result<Self> {
        let readme = ["127.0.0.1:4100", "127.0.0.1:4200", "127.0.0.1:4201"].map(str::to_owned);
        let free = free_addresses(readme.len())?;
        Ok(Self {
            directory: directory.to_owned(),
            ports: readme.into_iter().zip(free.iter().map(ToString::to_string)).collect(),
            environment: Vec::new(),
            programs: Programs::built()?,
            example: example_binary()?,
        })
    }

    fn words(&self, command: &str) -> Result<Vec<String>> {
        let command = self
            .ports
            .iter()
            .fold(command.to_owned(), |command, (readme, here)| command.replace(readme, here));
        let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        let program = match words.first().map(String::as_str) {
            Some("./pelton-statestore") => &self.programs.statestore,
            Some("./pelton-injector") => &self.programs.injector,
            Some("./pelton") => &self.programs.pelton,
            Some("./examples/flight_delays") => &self.example,
            _ => anyhow::bail!("the README runs something else: {command}"),
        };
        words[0] = std::path::absolute(program)?.display().to_string();
        let here = ["env", "-C", &self.directory.display().to_string()].map(str::to_owned);
        Ok([here.to_vec(), words].concat())
    }

    fn export(&mut self, setting: &str) -> Result<()> {
        let (name, value) = setting.split_once('=').context("an export sets something")?;
        let value =
            self.ports.iter().fold(value.to_owned(), |value, (readme, here)| value.replace(readme, here));
        self.environment.push((name.to_owned(), value));
        Ok(())
    }

    /// Starts a service; the next comes when this one says that it listens.
    fn start(&self, at: usize, command: &str) -> Result<Process> {
        let mut process = Process::new(format!("command-{at}"), self.words(command)?, &self.directory);
        process.set_environment(self.environment.clone());
        process.start()?;
        process.until_printed("listen")?;
        Ok(process)
    }

    /// Runs a command to its end.
    fn run(&self, command: &str) -> Result<String> {
        let words = self.words(command)?;
        let mut process = Command::new(&words[0]);
        process.args(&words[1..]).envs(self.environment.iter().map(|(name, value)| (name, value)));
        let output = process.output()?;
        ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }
}

/// The commands of `pelton` that the text names: the first with the program, those that follow it without.
fn named(text: &str) -> Vec<String> {
    let quoted: Vec<String> =
        text.split('`').skip(1).step_by(2).map(|quoted| quoted.replace('\n', " ")).collect();
    let last = quoted.iter().rposition(|quoted| quoted.starts_with("./pelton ")).map_or(0, |last| last + 1);
    let whole = |quoted: &String| match quoted.strip_prefix("./pelton ") {
        Some(_) => quoted.clone(),
        None => format!("./pelton {quoted}"),
    };
    quoted[..last].iter().map(whole).collect()
}

#[test]
fn the_readmes_commands_do_what_it_says() -> Result<()> {
    let (directory, (commands, text)) = (tempfile::tempdir()?, section()?);
    let mut shell = Shell::new(directory.path())?;
    let mut services = Vec::new();
    for (at, command) in commands.iter().enumerate() {
        match command.split_once(' ') {
            // This test has built them already, elsewhere.
            Some(("cargo", rest)) => ensure!(rest.starts_with("build "), "{command}"),
            Some(("cd", place)) => ensure!(place == "target/release", "{command}"),
            Some(("export", setting)) => shell.export(setting)?,
            _ => services.push(shell.start(at, command)?),
        }
    }
    ensure!(services.len() == 5, "a store, two injectors and two workers: {commands:?}");
    let named = named(&text);
    ensure!(named.len() >= 7 && named.contains(&"./pelton drain a".to_owned()), "{named:?}");
    for command in &named {
        // `drain` takes until everything has moved, and `wait` until all is done.
        let said = shell.run(command)?;
        println!("{command}\n{said}");
        if command.ends_with("drain a") {
            services[3].until_ended(Duration::from_secs(60))?;
        }
    }
    services.remove(3);
    services.iter_mut().rev().try_for_each(Process::terminate)?;
    let output = directory.path().join("flights");
    let run = Run { binary: example_binary()?, input: january(), output, more: Vec::new() };
    let wrong = differences(&expected_hourly(&january())?.lines, &run.lines("hourly.jsonl")?);
    ensure!(wrong.is_empty(), "{wrong:#?}");
    Ok(())
}
