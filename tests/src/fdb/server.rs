//! One `fdbserver` process.

use crate::process::signal;
use anyhow::{Context, Result, ensure};
use std::fs::{self, File};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

/// How a server is started.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Where others reach it.
    pub public: SocketAddr,
    /// Where it listens, if elsewhere: behind a [`Proxy`](super::Proxy).
    pub listen: Option<SocketAddr>,
    /// Its class: what it is recruited for; `unset` is everything.
    pub class: &'static str,
    /// Its failure zone.
    pub zone: usize,
}

/// A server, running or not.
#[derive(Debug)]
pub struct Server {
    options: ServerOptions,
    directory: PathBuf,
    cluster_file: PathBuf,
    child: Option<Child>,
}

impl Server {
    /// A server that is not running yet.
    #[must_use]
    pub fn new(options: ServerOptions, directory: PathBuf, cluster_file: PathBuf) -> Self {
        Self { options, directory, cluster_file, child: None }
    }

    /// Starts it, on what it left on disk.
    ///
    /// # Errors
    /// Where it runs already or cannot be started.
    pub fn start(&mut self) -> Result<()> {
        ensure!(self.child.is_none(), "the server runs already");
        let (data, logs) = (self.directory.join("data"), self.directory.join("logs"));
        fs::create_dir_all(&data)?;
        fs::create_dir_all(&logs)?;
        let mut command = Command::new("fdbserver");
        command
            .arg("--cluster-file")
            .arg(&self.cluster_file)
            .arg("--public-address")
            .arg(self.options.public.to_string())
            .arg("--listen-address")
            .arg(self.options.listen.unwrap_or(self.options.public).to_string())
            .arg("--datadir")
            .arg(&data)
            .arg("--logdir")
            .arg(&logs)
            .arg("--class")
            .arg(self.options.class)
            .arg("--locality-zoneid")
            .arg(format!("zone{}", self.options.zone))
            .arg("--locality-machineid")
            .arg(format!("machine{}", self.options.zone))
            .args(["--memory", "2GiB", "--cache-memory", "200MiB"])
            // It ends when this process does.
            .arg("--parentpid")
            .arg(std::process::id().to_string())
            .stdin(Stdio::null())
            .stdout(File::create(self.directory.join("stdout"))?)
            .stderr(File::create(self.directory.join("stderr"))?)
            .process_group(0);
        self.child = Some(command.spawn().context("cannot start fdbserver")?);
        Ok(())
    }

    /// Whether it was started and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Sends SIGKILL, and waits for its end.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the server does not run")?;
        signal("-KILL", -i64::from(child.id()))?;
        child.wait()?;
        Ok(())
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
        Ok(self.child.as_ref().context("the server does not run")?.id().into())
    }

    /// Removes what it has on disk: the next start is a new server.
    ///
    /// # Errors
    /// Where it runs, or its directory cannot be removed.
    pub fn wipe(&self) -> Result<()> {
        ensure!(self.child.is_none(), "the server runs");
        Ok(fs::remove_dir_all(self.directory.join("data"))?)
    }

    /// Where its trace files are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.child.is_some() {
            let _ = self.kill();
        }
    }
}

/// Whether there is a program of this name on the path.
#[must_use]
pub fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory: PathBuf| Path::new(&directory).join(program).is_file())
}
