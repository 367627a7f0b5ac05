//! A network on this machine that can be cut: a network namespace for each process, and a bridge between them.
//!
//! It needs Linux, root and `ip`. With `nft` what is cut is lost where it arrives, without a word to the sender, as in a
//! real network, and packets can be lost at random; without it the sender's route to the receiver is a black hole.
//! The names begin with `pelton` and the number of this process; all of it goes with the value.

use crate::services::place::Place;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::process::{Command, Stdio};

/// Why there is no such network here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unavailable(String);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(why) = self;
        write!(
            f,
            "this machine cannot be made a network that is cut: {why}. It takes Linux, root and iproute2 (`ip`); nftables (`nft`) makes the cuts better"
        )
    }
}

impl std::error::Error for Unavailable {}

/// A place in the network.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Node {
    name: String,
    namespace: String,
    address: String,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

impl Node {
    /// How a process runs there.
    #[must_use]
    pub fn place(&self) -> Place {
        let prefix = ["ip", "netns", "exec", &self.namespace].map(str::to_owned).to_vec();
        Place { prefix, host: self.address.clone() }
    }
}

/// The network.
#[derive(Debug)]
pub struct Network {
    bridge: String,
    /// The first three numbers of all addresses.
    subnet: String,
    nodes: Vec<Node>,
    filters: bool,
    loss_permille: u32,
}

impl Network {
    /// A network without nodes. Of all packets `loss_permille` thousandths are lost, for which it takes `nft`.
    ///
    /// # Errors
    /// [`Unavailable`] where it cannot be made.
    pub fn new(loss_permille: u32) -> Result<Self> {
        let process = std::process::id();
        let network = Self {
            bridge: format!("plt{process}"),
            subnet: format!("10.{}.{}", 200 + process % 50, process / 50 % 250),
            nodes: Vec::new(),
            filters: Command::new("nft").arg("--version").output().is_ok(),
            loss_permille,
        };
        network.bridge().map_err(|error| Unavailable(format!("{error:#}")))?;
        ensure!(
            network.filters || loss_permille == 0,
            Unavailable("packets are lost at random only with nft".to_owned())
        );
        Ok(network)
    }

    fn bridge(&self) -> Result<()> {
        let Self { bridge, subnet, .. } = self;
        ip(&["link", "add", bridge, "type", "bridge"])?;
        ip(&["addr", "add", &format!("{subnet}.1/24"), "dev", bridge])?;
        ip(&["link", "set", bridge, "up"])
    }

    /// Adds a node.
    ///
    /// # Errors
    /// [`Unavailable`] where it cannot be made.
    pub fn add(&mut self, name: &str) -> Result<Node> {
        let number = self.nodes.len() + 2;
        let node = Node {
            name: name.to_owned(),
            namespace: format!("pelton-{}-{name}", std::process::id()),
            address: format!("{}.{number}", self.subnet),
        };
        // It goes with the network, however far it was made.
        self.nodes.push(node.clone());
        self.connect(&node, number).map_err(|error| Unavailable(format!("{error:#}")))?;
        Ok(node)
    }

    fn connect(&self, node: &Node, number: usize) -> Result<()> {
        let (space, outside) = (node.namespace.as_str(), format!("{}n{number}", self.bridge));
        ip(&["netns", "add", space])?;
        ip(&["link", "add", &outside, "type", "veth", "peer", "name", "eth0", "netns", space])?;
        ip(&["link", "set", &outside, "master", &self.bridge, "up"])?;
        ip(&["-n", space, "link", "set", "lo", "up"])?;
        ip(&["-n", space, "addr", "add", &format!("{}/24", node.address), "dev", "eth0"])?;
        ip(&["-n", space, "link", "set", "eth0", "up"])?;
        if self.filters {
            self.filter(node, &[])?;
        }
        Ok(())
    }

    /// What each first node sends to the second is lost, until [`Self::mend`].
    ///
    /// # Errors
    /// Where the network cannot be changed.
    pub fn cut(&self, ways: &[(Node, Node)]) -> Result<()> {
        if !self.filters {
            return ways.iter().try_for_each(|(from, to)| {
                ip(&["-n", &from.namespace, "route", "replace", "blackhole", &format!("{}/32", to.address)])
            });
        }
        let mut lost: BTreeMap<&Node, Vec<&Node>> = BTreeMap::new();
        ways.iter().for_each(|(from, to)| lost.entry(to).or_default().push(from));
        lost.into_iter().try_for_each(|(to, from)| self.filter(to, &from))
    }

    /// All is whole again.
    ///
    /// # Errors
    /// Where the network cannot be changed.
    pub fn mend(&self) -> Result<()> {
        if self.filters {
            return self.nodes.iter().try_for_each(|node| self.filter(node, &[]));
        }
        self.nodes
            .iter()
            .try_for_each(|node| ip(&["-n", &node.namespace, "route", "flush", "type", "blackhole"]))
    }

    /// What arrives at `node` from these is lost, and what is lost at random.
    fn filter(&self, node: &Node, from: &[&Node]) -> Result<()> {
        let mut rules: Vec<String> =
            from.iter().map(|other| format!("ip saddr {} drop", other.address)).collect();
        if self.loss_permille > 0 {
            rules.push(format!("numgen random mod 1000 < {} drop", self.loss_permille));
        }
        // One transaction: the old rules hold until the new ones do.
        let table = format!(
            "table inet pelton\ndelete table inet pelton\ntable inet pelton {{\nchain arrives {{\ntype filter hook input priority 0\n{}}}\n}}\n",
            rules.iter().map(|rule| format!("{rule}\n")).collect::<String>()
        );
        let command = ["netns", "exec", &node.namespace, "nft", "-f", "-"];
        let mut nft = Command::new("ip").args(command).stdin(Stdio::piped()).spawn()?;
        nft.stdin.take().context("its input is piped")?.write_all(table.as_bytes())?;
        ensure!(nft.wait()?.success(), "nft did not take:\n{table}");
        Ok(())
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        // With the namespaces go the pairs of devices that lead into them.
        for node in &self.nodes {
            let _ = ip(&["netns", "delete", &node.namespace]);
        }
        let _ = ip(&["link", "delete", &self.bridge]);
    }
}

fn ip(words: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(words).output().context("cannot run ip")?;
    if !output.status.success() {
        bail!("ip {}: {}", words.join(" "), String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(())
}
