//! Graphs that a newer one has replaced.
//!
//! A worker with an old program may start again in the middle of a rolling update, or long after it: restarted by
//! whatever watches over it. Its graph would then be one more change, which takes the pipeline back for all. So the
//! fingerprints of replaced graphs are kept, and a worker that has one of them is refused. Whoever goes back on purpose
//! says so, by raising the revision. Code that differs within the same graph is no business of this.

use super::CatalogueError;
use super::step::ErasedStep;
use pelton_proto::store;
use xxhash_rust::xxh3::xxh3_64;

/// Says whether two programs have the same graph: computations, and the streams that each reads and produces. Its
/// revision makes a graph another one.
pub(crate) fn fingerprint(steps: &[ErasedStep], revision: u32) -> u64 {
    let mut lines: Vec<String> = steps.iter().map(line).collect();
    lines.sort_unstable();
    lines.push(revision.to_string());
    // 0 is "not known": catalogues that were written before there were fingerprints.
    xxh3_64(lines.join("\n").as_bytes()).max(1)
}

/// Names have no spaces.
fn line(step: &ErasedStep) -> String {
    let mut inputs: Vec<&str> = step.inputs.iter().map(|input| input.name.as_str()).collect();
    let mut outputs: Vec<&str> = step.declaration.outputs.iter().map(|output| output.name.as_str()).collect();
    inputs.sort_unstable();
    outputs.sort_unstable();
    format!("{} < {} > {}", step.name, inputs.join(" "), outputs.join(" "))
}

/// Refuses a graph that was replaced.
pub(crate) fn check(stored: &store::Catalogue, fingerprint: u64) -> Result<(), CatalogueError> {
    let is_current = stored.fingerprint == fingerprint;
    if !is_current && stored.replaced.contains(&fingerprint) {
        return Err(CatalogueError::Replaced { graph_version: stored.graph_version });
    }
    Ok(())
}

/// What is replaced once `fingerprint` is the current graph.
pub(crate) fn after(stored: &store::Catalogue, fingerprint: u64) -> Vec<u64> {
    let mut replaced = stored.replaced.clone();
    if stored.fingerprint != 0 {
        replaced.push(stored.fingerprint);
    }
    replaced.retain(|other| *other != fingerprint);
    replaced.sort_unstable();
    replaced.dedup();
    replaced
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_graph_is_replaced_by_the_next_and_is_not_once_it_is_the_current_one_again() {
        let mut catalogue = store::Catalogue::default();
        for fingerprint in [1, 2, 3] {
            assert_eq!(check(&catalogue, fingerprint), Ok(()));
            let replaced = after(&catalogue, fingerprint);
            let graph_version = catalogue.graph_version + 1;
            catalogue = store::Catalogue { graph_version, fingerprint, replaced, ..catalogue };
        }
        assert_eq!(check(&catalogue, 1), Err(CatalogueError::Replaced { graph_version: 3 }));
        assert_eq!((check(&catalogue, 3), check(&catalogue, 4)), (Ok(()), Ok(())));
        assert_eq!(after(&catalogue, 1), [2, 3]);
    }
}
