//! Runs of the `flight_delays` example as a process of its own: started, killed, and judged by what it leaves.

use crate::independent::differences;
use anyhow::{Context, Result, bail, ensure};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The binary of the example, built as this code was built.
///
/// `cargo test` has built it already, and then this takes a moment; a test of this crate alone
/// builds it here, so that it is never an old one. `PELTON_FLIGHT_DELAYS` names another binary to use.
///
/// # Errors
/// Where it cannot be built.
pub fn example_binary() -> Result<PathBuf> {
    match std::env::var_os("PELTON_FLIGHT_DELAYS") {
        Some(binary) => Ok(binary.into()),
        None => program("examples/flight_delays", &["--example", "flight_delays"]),
    }
}

/// As [`example_binary`], with the store on FoundationDB built in; `PELTON_FLIGHT_DELAYS_FDB` names another binary.
///
/// # Errors
/// Where it cannot be built.
pub fn example_binary_with_foundationdb() -> Result<PathBuf> {
    match std::env::var_os("PELTON_FLIGHT_DELAYS_FDB") {
        Some(binary) => Ok(binary.into()),
        None => {
            let what = ["-p", "pelton", "--features", "foundationdb", "--example", "flight_delays"];
            program("examples/flight_delays", &what)
        }
    }
}

/// Builds `what` as this code was built; where it lies is `name`, below the directory of the profile.
///
/// # Errors
/// Where it cannot be built.
pub fn program(name: &str, what: &[&str]) -> Result<PathBuf> {
    let this = std::env::current_exe()?;
    let profile_dir = this
        .ancestors()
        .find(|dir| dir.join("deps").is_dir())
        .context("this is not in a directory that cargo builds in")?;
    let profile = match profile_dir.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let target_dir = profile_dir.parent().context("the profile's directory has no parent")?;
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    // In the workspace's own directory, so with its default members: features are unified as they were for this
    // test, and nothing is built twice.
    let workspace =
        Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("the crate stands in a workspace")?;
    let built = Command::new(cargo)
        .args(["build", "--quiet", "--profile", profile])
        .args(what)
        .arg("--target-dir")
        .arg(target_dir)
        .current_dir(workspace)
        .status()
        .context("cannot run cargo")?;
    ensure!(built.success(), "{name} does not build");
    Ok(profile_dir.join(name))
}

/// The flights of January 2013, which are part of the repository.
#[must_use]
pub fn january() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("data/flights-2013-01.csv.gz")
}

/// A run to make: one input, one directory of outputs with its store.
#[derive(Clone, Debug)]
pub struct Run {
    /// The example's binary.
    pub binary: PathBuf,
    /// The flights.
    pub input: PathBuf,
    /// Where the outputs go.
    pub output: PathBuf,
    /// More arguments, such as `--disorder 2h`.
    pub more: Vec<String>,
}

impl Run {
    /// The program and its arguments.
    #[must_use]
    pub fn words(&self) -> Vec<String> {
        let path = |path: &Path| path.display().to_string();
        let files = ["--input".to_owned(), path(&self.input), "--output".to_owned(), path(&self.output)];
        std::iter::once(path(&self.binary)).chain(files).chain(self.more.iter().cloned()).collect()
    }

    /// The command, with the outputs piped.
    #[must_use]
    pub fn command(&self) -> Command {
        let mut command = Command::new(&self.binary);
        command.args(self.words().into_iter().skip(1));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// Runs it to its end, whatever that is.
    ///
    /// # Errors
    /// Where it cannot be started, or panicked.
    pub fn to_its_end(&self) -> Result<Output> {
        checked(self.command().output().with_context(|| format!("cannot run {}", self.binary.display()))?)
    }

    /// Runs it to its end, which must be success; what it printed.
    ///
    /// # Errors
    /// Where it failed.
    pub fn to_success(&self) -> Result<String> {
        let output = self.to_its_end()?;
        ensure!(output.status.success(), "{}:\n{}", output.status, String::from_utf8_lossy(&output.stderr));
        Ok(String::from_utf8(output.stdout)?)
    }

    /// The lines of one of its outputs, after its end; none where the file does not exist.
    ///
    /// # Errors
    /// Where the file cannot be read, or its last line has no end.
    pub fn lines(&self, file: &str) -> Result<Vec<String>> {
        let (lines, rest) = self.read(file)?;
        ensure!(rest.is_empty(), "{file}: the last line is torn: {rest:?}");
        Ok(lines)
    }

    /// The lines of one of its outputs as a set, at any time: behind the last line break may be a part of a
    /// line, which is none yet.
    ///
    /// # Errors
    /// Where the file cannot be read, or has a line twice.
    pub fn line_set(&self, file: &str) -> Result<BTreeSet<String>> {
        let mut set = BTreeSet::new();
        for line in self.read(file)?.0 {
            ensure!(!set.contains(&line), "{file} has a line twice: {line}");
            set.insert(line);
        }
        Ok(set)
    }

    /// The lines, and what is behind the last line break.
    fn read(&self, file: &str) -> Result<(Vec<String>, String)> {
        let path = self.output.join(file);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(|| path.display().to_string()),
        };
        let (whole, rest) = text.rsplit_once('\n').map_or(("", text.as_str()), |(whole, rest)| (whole, rest));
        Ok((whole.lines().map(str::to_owned).collect(), rest.to_owned()))
    }
}

/// Judges what a run has left: its hours are the `expected` ones, and its alerts these.
///
/// # Errors
/// With every line that differs.
pub fn judge(run: &Run, expected: &BTreeSet<String>, alerts: &BTreeSet<String>) -> Result<()> {
    for (file, expected) in [("hourly.jsonl", expected), ("alerts.jsonl", alerts)] {
        let wrong = differences(expected, &run.lines(file)?);
        ensure!(wrong.is_empty(), "{file}: {} differences:\n{}", wrong.len(), wrong.join("\n"));
    }
    Ok(())
}

/// A finished process that did not panic.
fn checked(output: Output) -> Result<Output> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(!stderr.contains("panicked"), "it panicked:\n{stderr}");
    Ok(output)
}

/// How a run is to be killed.
#[derive(Clone, Copy, Debug)]
pub struct Kills {
    /// How often.
    pub count: u32,
    /// How long the killed runs last in all: a random share of it for each, from nothing to about twice the
    /// mean. It must be less than the whole run takes.
    pub over: Duration,
    /// Where the random times come from.
    pub seed: u64,
}

impl Kills {
    /// How long after each start.
    fn moments(&self) -> Vec<Duration> {
        let mut random = StdRng::seed_from_u64(self.seed);
        let shares: Vec<f64> = (0..self.count).map(|_| random.random_range(0.0..1.0)).collect();
        let all: f64 = shares.iter().sum();
        shares.iter().map(|share| self.over.mul_f64(share / all)).collect()
    }
}

/// What a kill found.
#[derive(Clone, Copy, Debug)]
pub struct Killed {
    /// Which kill it was, from 1.
    pub number: u32,
    /// How long after the start.
    pub after: Duration,
    /// How many lines of all files could be read then.
    pub lines: usize,
}

/// Starts `run` and kills it at random moments, again and again on the same store, then lets it end.
/// `progress` hears of each kill. Gives what the last run printed.
///
/// After each kill `files`, its outputs, must be readable: no line twice, and none gone that was there before.
///
/// # Errors
/// Where a run failed or panicked by itself, an output had a line twice or lost one, or it ended before all
/// kills were made (then it wants a lower rate).
pub fn kill_repeatedly(
    run: &Run,
    kills: Kills,
    files: &[&str],
    mut progress: impl FnMut(Killed),
) -> Result<String> {
    let mut seen = vec![BTreeSet::new(); files.len()];
    for (number, after) in (1..).zip(kills.moments()) {
        let child = run.command().spawn()?;
        std::thread::sleep(after);
        kill(child).with_context(|| format!("kill {number} of {}, after {after:?}", kills.count))?;
        let found: Vec<_> = files.iter().map(|file| run.line_set(file)).collect::<Result<_>>()?;
        for (before, now) in seen.iter().zip(&found) {
            let gone: Vec<&String> = before.difference(now).collect();
            ensure!(gone.is_empty(), "after kill {number} lines are gone that were there: {gone:#?}");
        }
        seen = found;
        progress(Killed { number, after, lines: seen.iter().map(BTreeSet::len).sum() });
    }
    run.to_success()
}

/// Sends SIGKILL; it is an error if the process had ended by itself.
fn kill(mut child: Child) -> Result<()> {
    let ended = child.try_wait()?;
    child.kill()?;
    let output = checked(child.wait_with_output()?)?;
    if let Some(status) = ended {
        bail!("it had ended by itself, {status}:\n{}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(())
}
