//! Processes that are started, killed, paused and resumed.

use anyhow::{Context, Result, ensure};
use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// A process, running or not, with its output in files. It is killed with this value.
#[derive(Debug)]
pub struct Process {
    name: String,
    command: Vec<String>,
    environment: Vec<(String, String)>,
    directory: PathBuf,
    starts: u32,
    child: Option<Child>,
}

impl Process {
    /// A process that is not started: `command` is the program and its arguments; the output of its first start goes
    /// to `directory/NAME.1.out` and `.err`.
    #[must_use]
    pub fn new(name: impl Into<String>, command: Vec<String>, directory: &Path) -> Self {
        Self {
            name: name.into(),
            command,
            environment: Vec::new(),
            directory: directory.to_owned(),
            starts: 0,
            child: None,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its environment has these too, from its next start on.
    pub fn set_environment(&mut self, environment: Vec<(String, String)>) {
        self.environment = environment;
    }

    /// Its next start is of this program, with these arguments.
    pub fn set_command(&mut self, command: Vec<String>) {
        self.command = command;
    }

    /// Starts it.
    ///
    /// # Errors
    /// Where it runs already or cannot be started.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "{} runs already", self.name);
        self.starts += 1;
        let (program, arguments) = self.command.split_first().context("a command has a program")?;
        let mut command = Command::new(program);
        command
            .args(arguments)
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(File::create(self.file("out"))?)
            .stderr(File::create(self.file("err"))?)
            .process_group(0);
        self.child = Some(command.spawn().with_context(|| format!("cannot start {program}"))?);
        Ok(())
    }

    fn file(&self, kind: &str) -> PathBuf {
        self.directory.join(format!("{}.{}.{kind}", self.name, self.starts))
    }

    /// What its last start has printed so far.
    #[must_use]
    pub fn printed(&self) -> String {
        std::fs::read_to_string(self.file("out")).unwrap_or_default()
    }

    /// What its last start has said on standard error so far.
    #[must_use]
    pub fn complained(&self) -> String {
        std::fs::read_to_string(self.file("err")).unwrap_or_default()
    }

    /// Waits until it has printed `text`.
    ///
    /// # Errors
    /// Where it ends before that, or a minute passes.
    pub fn until_printed(&mut self, text: &str) -> Result<String> {
        let end = deadline(Duration::from_secs(60));
        loop {
            let printed = self.printed();
            if printed.contains(text) {
                return Ok(printed);
            }
            ensure!(
                self.is_running() && !passed(end),
                "{} has not said {text:?} but:\n{printed}\n{}",
                self.name,
                self.complained()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Whether it was started and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Sends SIGKILL, and waits for its end.
    ///
    /// # Errors
    /// Where it does not run, or had ended by itself.
    pub fn kill(&mut self) -> Result<()> {
        ensure!(self.is_running(), "{} had ended by itself:\n{}", self.name, self.complained());
        let mut child = self.child.take().context("it does not run")?;
        child.kill()?;
        child.wait()?;
        ensure!(!self.complained().contains("panicked"), "{} panicked:\n{}", self.name, self.complained());
        Ok(())
    }

    /// Sends SIGTERM, and waits for its end.
    ///
    /// # Errors
    /// Where it does not run, fails, or takes longer than a minute.
    pub fn terminate(&mut self) -> Result<()> {
        signal("-TERM", self.pid()?)?;
        self.until_ended(Duration::from_secs(60))
    }

    /// Waits until it ends with success.
    ///
    /// # Errors
    /// Where it does not.
    pub fn until_ended(&mut self, within: Duration) -> Result<()> {
        let status = self.until_its_end(within)?;
        ensure!(status.success(), "{} ended with {status}:\n{}", self.name, self.complained());
        Ok(())
    }

    /// Waits until it ends with an error; what it said of it.
    ///
    /// # Errors
    /// Where it does not, or panics.
    pub fn until_failed(&mut self, within: Duration) -> Result<String> {
        let status = self.until_its_end(within)?;
        let said = self.complained();
        ensure!(!status.success() && !said.contains("panicked"), "{}: {status}:\n{said}", self.name);
        Ok(said)
    }

    fn until_its_end(&mut self, within: Duration) -> Result<ExitStatus> {
        let end = deadline(within);
        while self.is_running() {
            ensure!(!passed(end), "{} does not end:\n{}", self.name, self.complained());
            std::thread::sleep(Duration::from_millis(5));
        }
        let mut child = self.child.take().context("it was not started")?;
        Ok(child.wait()?)
    }

    /// Sends SIGSTOP: it does nothing more, and its connections stay open.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn pause(&self) -> Result<()> {
        signal("-STOP", self.pid()?)
    }

    /// Sends SIGCONT.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn resume(&self) -> Result<()> {
        signal("-CONT", self.pid()?)
    }

    fn pid(&self) -> Result<i64> {
        Ok(self.child.as_ref().with_context(|| format!("{} does not run", self.name))?.id().into())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "it waits for other processes, in their time")]
fn deadline(within: Duration) -> Instant {
    Instant::now() + within
}

#[expect(clippy::disallowed_methods, reason = "it waits for other processes, in their time")]
fn passed(deadline: Instant) -> bool {
    Instant::now() > deadline
}

/// Sends a signal to a process, or to a group where `pid` is negative.
///
/// # Errors
/// Where there is no such process.
pub fn signal(name: &str, pid: i64) -> Result<()> {
    let status = Command::new("kill").args([name, "--", &pid.to_string()]).status()?;
    ensure!(status.success(), "kill {name} {pid}: {status}");
    Ok(())
}

/// Loopback addresses that nobody listened on a moment ago, all different.
///
/// # Errors
/// Where there are none.
pub fn free_addresses(count: usize) -> Result<Vec<SocketAddr>> {
    let listeners: Vec<TcpListener> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<std::io::Result<_>>()?;
    Ok(listeners.iter().map(TcpListener::local_addr).collect::<std::io::Result<_>>()?)
}
