//! One `fdbserver` process.

use crate::process::Process;
use anyhow::{Result, ensure};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

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

/// A server, running or not. It is killed with this value.
#[derive(Debug)]
pub struct Server {
    directory: PathBuf,
    process: Process,
}

impl Server {
    /// A server that is not running yet.
    #[must_use]
    pub fn new(options: &ServerOptions, directory: PathBuf, cluster_file: &Path) -> Self {
        let path = |path: &Path| path.display().to_string();
        let command = [
            "fdbserver",
            "--cluster-file",
            &path(cluster_file),
            "--public-address",
            &options.public.to_string(),
            "--listen-address",
            &options.listen.unwrap_or(options.public).to_string(),
            "--datadir",
            &path(&directory.join("data")),
            "--logdir",
            &path(&directory.join("logs")),
            "--class",
            options.class,
            "--locality-zoneid",
            &format!("zone{}", options.zone),
            "--locality-machineid",
            &format!("machine{}", options.zone),
            "--memory",
            "2GiB",
            "--cache-memory",
            "200MiB",
            // It ends when this process does.
            "--parentpid",
            &std::process::id().to_string(),
        ];
        let process = Process::new("fdbserver", command.map(str::to_owned).to_vec(), &directory);
        Self { directory, process }
    }

    /// Starts it, on what it left on disk.
    ///
    /// # Errors
    /// Where it runs already or cannot be started.
    pub fn start(&mut self) -> Result<()> {
        fs::create_dir_all(self.directory.join("data"))?;
        fs::create_dir_all(self.logs())?;
        self.process.start()
    }

    /// Whether it was started and has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.is_running()
    }

    /// Sends SIGKILL, and waits for its end.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()
    }

    /// Sends SIGSTOP: it does nothing more, and its connections stay open.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn pause(&self) -> Result<()> {
        self.process.pause()
    }

    /// Sends SIGCONT.
    ///
    /// # Errors
    /// Where it does not run.
    pub fn resume(&self) -> Result<()> {
        self.process.resume()
    }

    /// Removes what it has on disk: the next start is a new server.
    ///
    /// # Errors
    /// Where it runs, or its directory cannot be removed.
    pub fn wipe(&mut self) -> Result<()> {
        ensure!(!self.process.is_running(), "the server runs");
        Ok(fs::remove_dir_all(self.directory.join("data"))?)
    }

    /// Where its trace files are.
    #[must_use]
    pub fn logs(&self) -> PathBuf {
        self.directory.join("logs")
    }
}

/// Whether there is a program of this name on the path.
#[must_use]
pub fn is_on_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory: PathBuf| Path::new(&directory).join(program).is_file())
}
