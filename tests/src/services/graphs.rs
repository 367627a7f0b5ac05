//! Random graphs as services, judged by the checker from what they leave in their store.

use super::chaos::Chaos;
use super::{Layout, Programs};
use crate::graphs::{RandomGraph, end};
use anyhow::{Context, Result};
use bytes::Bytes;
use pelton_statestore::{PipelineKeys, Scan};
use std::path::PathBuf;
use std::time::Duration;

/// Workers of each.
pub const WORKERS: usize = 3;

/// A graph and how it is run.
#[derive(Clone, Debug)]
pub struct GraphRun {
    /// Which graph.
    pub seed: u64,
    /// So many times its records.
    pub longer: u64,
    /// The pipeline's own program, `graph`.
    pub program: PathBuf,
    /// A store to use, instead of a `pelton-statestore` of their own.
    pub store: Option<String>,
    /// Where the processes' output goes, and the store of their own.
    pub directory: PathBuf,
}

impl GraphRun {
    /// As services, with short leases.
    #[must_use]
    pub fn layout(&self, programs: Programs) -> Layout {
        let own =
            ["--graph", &self.seed.to_string(), "--longer", &self.longer.to_string()].map(str::to_owned);
        let program = std::iter::once(self.program.display().to_string()).chain(own).collect();
        let layout = Layout::new(programs, RandomGraph::NAME, program, self.directory.clone(), WORKERS);
        Layout { store: self.store.clone(), ..layout.with_short_leases() }
    }

    /// Kills and pauses for it, in quick succession: it is done soon.
    #[must_use]
    pub fn chaos(&self, disturbed: Duration, within: Duration) -> Chaos {
        Chaos {
            seed: self.seed,
            worker_kill: Duration::from_millis(900),
            leader_kill: Duration::from_secs(4),
            zombie: Duration::from_secs(2),
            disturbed,
            within,
        }
    }

    /// Judges what is left in the store of `layout` once everything has been stopped; says how many steps there were.
    ///
    /// # Errors
    /// Where the store cannot be read, or an invariant did not hold.
    pub fn judge(&self, layout: &Layout) -> Result<usize> {
        let end = end(&rows(&layout.kept())?)?;
        let graph = RandomGraph::of(self.seed).longer(self.longer);
        end.check(&graph.checked(usize::MAX)).with_context(|| format!("graph {}", self.seed))?;
        Ok(end.journals.values().map(Vec::len).sum())
    }
}

/// All rows of the pipeline.
fn rows(url: &str) -> Result<Vec<(Bytes, Bytes)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = pelton::store::open(url).await?;
        let mut range = PipelineKeys::new(&RandomGraph::name()).range();
        let mut rows = Vec::new();
        loop {
            let page = store.scan(Scan::page_of(range.clone())).await?;
            rows.extend(page.entries);
            match page.next {
                Some(next) => range.start = next,
                None => return Ok(rows),
            }
        }
    })
}
