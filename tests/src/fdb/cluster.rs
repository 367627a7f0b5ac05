//! A whole cluster.

use super::proxy::Proxy;
use super::server::{Server, ServerOptions, is_on_path};
use crate::process::free_addresses;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// What a cluster is made of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// One process that does everything.
    One,
    /// One process behind a [`Proxy`].
    OneBehindProxy,
    /// Three processes in three zones, everything twice.
    Double,
    /// Three processes, everything once: coordination and proxies, log, storage, in this order.
    Apart,
}

/// A running cluster. Dropping it kills its processes and removes its directory.
#[derive(Debug)]
pub struct Cluster {
    servers: Vec<Server>,
    proxy: Option<Proxy>,
    cluster_file: PathBuf,
    shape: Shape,
    /// Removed last.
    _directory: Option<TempDir>,
}

/// How long a cluster may take to come up, or to come back.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

impl Cluster {
    /// Starts a cluster in a temporary directory; `None` where FoundationDB is not installed, which it prints.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start(shape: Shape) -> Result<Option<Self>> {
        let directory = TempDir::new()?;
        let cluster = Self::start_in(directory.path(), shape)?;
        Ok(cluster.map(|cluster| Self { _directory: Some(directory), ..cluster }))
    }

    /// As [`start`](Self::start), in a directory that stays. What is in it is removed first.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn start_in(directory: &Path, shape: Shape) -> Result<Option<Self>> {
        if !is_on_path("fdbserver") || !is_on_path("fdbcli") {
            println!("SKIPPED: fdbserver and fdbcli are not installed, so nothing is proved here");
            return Ok(None);
        }
        if directory.exists() {
            fs::remove_dir_all(directory)?;
        }
        fs::create_dir_all(directory)?;
        let classes: &[&'static str] = match shape {
            Shape::One | Shape::OneBehindProxy => &["unset"],
            Shape::Double => &["unset"; 3],
            Shape::Apart => &["stateless", "transaction", "storage"],
        };
        let mut addresses = free_addresses(classes.len() + 1)?;
        let hidden = addresses.pop().context("an address")?;
        let proxy = match (shape, addresses.first()) {
            (Shape::OneBehindProxy, Some(public)) => Some(Proxy::start(*public, hidden)?),
            _ => None,
        };
        let coordinators: Vec<String> = match shape {
            Shape::Double => addresses.iter().map(ToString::to_string).collect(),
            _ => addresses.iter().take(1).map(ToString::to_string).collect(),
        };
        let cluster_file = directory.join("fdb.cluster");
        fs::write(&cluster_file, format!("pelton:test@{}\n", coordinators.join(",")))?;
        let server = |(number, (class, address)): (usize, (&&'static str, &std::net::SocketAddr))| {
            let options = ServerOptions {
                public: *address,
                listen: proxy.as_ref().map(|_| hidden),
                class,
                zone: number,
            };
            let own = directory.join(format!("server{number}"));
            // A server may rewrite its cluster file, so each has its own.
            fs::create_dir_all(&own)?;
            fs::copy(&cluster_file, own.join("fdb.cluster"))?;
            Ok(Server::new(&options, own.clone(), &own.join("fdb.cluster")))
        };
        let servers: Result<Vec<Server>> = classes.iter().zip(&addresses).enumerate().map(server).collect();
        let mut cluster = Self { servers: servers?, proxy, cluster_file, shape, _directory: None };
        cluster.start_all()?;
        cluster.configure()?;
        Ok(Some(cluster))
    }

    fn start_all(&mut self) -> Result<()> {
        self.servers.iter_mut().try_for_each(Server::start)
    }

    fn configure(&self) -> Result<()> {
        let redundancy = if self.shape == Shape::Double { "double" } else { "single" };
        let said = self.cli(&format!("configure new {redundancy} ssd"))?;
        ensure!(said.contains("created"), "no database was created: {said}");
        self.until_available()
    }

    /// Kills every server, removes what they have on disk, and starts them again: another, empty cluster at the same
    /// addresses and behind the same cluster file.
    ///
    /// # Errors
    /// Where it does not come up.
    pub fn replace(&mut self) -> Result<()> {
        for server in &mut self.servers {
            if server.is_running() {
                server.kill()?;
            }
            server.wipe()?;
        }
        self.start_all()?;
        self.configure()
    }

    /// The file that clients find it by.
    #[must_use]
    pub fn cluster_file(&self) -> &Path {
        &self.cluster_file
    }

    /// The URL of a store in it; `more` are further options, each with an `&` before it.
    #[must_use]
    pub fn url(&self, prefix: &str, more: &str) -> String {
        format!("fdb:{}?prefix={prefix}{more}", self.cluster_file.display())
    }

    /// The server numbered `number`, from 0.
    ///
    /// # Errors
    /// Where there is none.
    pub fn server(&mut self, number: usize) -> Result<&mut Server> {
        self.servers.get_mut(number).with_context(|| format!("there is no server {number}"))
    }

    /// The wire before the server.
    ///
    /// # Errors
    /// Where the cluster has none.
    pub fn proxy(&self) -> Result<&Proxy> {
        self.proxy.as_ref().context("the cluster has no proxy")
    }

    /// Runs commands of `fdbcli`, and gives what it said.
    ///
    /// # Errors
    /// Where it says that it failed, or the cluster does not answer in time.
    pub fn cli(&self, commands: &str) -> Result<String> {
        let output = Command::new("fdbcli")
            .arg("-C")
            .arg(&self.cluster_file)
            .args(["--timeout", &RECOVERY_MAX.as_secs().to_string(), "--exec", commands])
            .stdin(Stdio::null())
            .output()
            .context("cannot run fdbcli")?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        ensure!(output.status.success(), "fdbcli {commands:?}: {}: {said}", output.status);
        Ok(said)
    }

    /// Waits until it can be written to.
    ///
    /// # Errors
    /// Where it cannot, in time.
    pub fn until_available(&self) -> Result<()> {
        for _ in 0..RECOVERY_MAX.as_secs() * 4 {
            let minimal = self.cli("status minimal").unwrap_or_default();
            if minimal.contains("is available") {
                return Ok(());
            }
            std::thread::sleep(Duration::from_millis(250));
        }
        bail!("the cluster does not become available: {}", self.cli("status details").unwrap_or_default())
    }
}
