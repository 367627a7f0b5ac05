//! Random graphs as services, judged by the checker from what they leave in their store.

use super::{Layout, Programs};
use crate::graphs::{RandomGraph, end};
use anyhow::{Context, Result};
use bytes::Bytes;
use pelton_statestore::{PipelineKeys, Scan};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
    fn graph(&self) -> RandomGraph {
        RandomGraph::of(self.seed).longer(self.longer)
    }

    /// As services: two injectors and so many workers, which may be silent for a second or so.
    #[must_use]
    pub fn layout(&self, programs: Programs, workers: usize) -> Layout {
        let program = self.program.display().to_string();
        let (seed, longer) = (self.seed.to_string(), self.longer.to_string());
        Layout {
            programs,
            pipeline: RandomGraph::NAME,
            program: vec![program, "--graph".to_owned(), seed, "--longer".to_owned(), longer],
            directory: self.directory.clone(),
            store: self.store.clone(),
            injectors: 2,
            workers: vec![Vec::new(); workers],
            leader_lease: Duration::from_millis(1000),
            worker_lease: Duration::from_millis(1500),
            injector_options: Vec::new(),
            places: None,
        }
    }

    /// Judges what is left once everything has been stopped; says how many steps there were.
    ///
    /// # Errors
    /// Where the store cannot be read, or an invariant did not hold.
    pub fn judge(&self) -> Result<usize> {
        let rows = match &self.store {
            Some(url) => rows(url)?,
            None => rows(&format!("embedded:{}", own_store(&self.directory).display()))?,
        };
        let graph = self.graph();
        let pipeline = graph.pipeline().name().clone();
        let end = end(&pipeline, &rows)?;
        end.check(&graph.checked(usize::MAX)).with_context(|| format!("graph {}", self.seed))?;
        Ok(end.journals.values().map(Vec::len).sum())
    }
}

/// Where the store of the services' own is kept.
fn own_store(directory: &Path) -> PathBuf {
    directory.join("store")
}

/// All rows of the pipeline.
fn rows(url: &str) -> Result<Vec<(Bytes, Bytes)>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let store = pelton::store::open(url).await?;
        let mut range = PipelineKeys::new(&RandomGraph::NAME.parse()?).range();
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
