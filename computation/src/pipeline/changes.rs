//! What became of computations that a store knows and the code does not: removed, or under another name.
//!
//! Names are bound to numbers in the catalogue, and state, fences and productions hang on numbers. So a renamed
//! computation keeps everything. A removed one keeps its number, which nobody gets again, under a name that none can
//! have; what waited for it is released and counted, as nobody waits for it any more (I5, I10).

use super::CatalogueError;
use crate::stream::dead_letters;
use pelton_proto::store;

/// The changes that a pipeline declares.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) removed: Vec<String>,
    /// From which name to which.
    pub(crate) renamed: Vec<(String, String)>,
    /// Raised to go back to a graph that was replaced.
    pub(crate) revision: u32,
}

/// Whether the name in a catalogue is that of a removed computation.
pub(crate) fn is_removed(name: &str) -> bool {
    name.contains('#')
}

impl Changes {
    /// The catalogue with these changes made; those that were made before change nothing.
    pub(crate) fn applied(&self, mut catalogue: store::Catalogue) -> store::Catalogue {
        for (from, to) in &self.renamed {
            if catalogue.computations.iter().all(|entry| entry.name != *to) {
                rename(&mut catalogue, from, to);
            }
        }
        for name in &self.removed {
            let found = catalogue.computations.iter().find(|entry| entry.name == *name);
            let Some(number) = found.map(|entry| entry.number) else { continue };
            rename(&mut catalogue, name, &format!("{name}#{number}"));
            catalogue.cells.retain(|cell| !is_removed(&cell.computation));
        }
        catalogue
    }

    /// Whether each renaming found what it is about, where a store knows anything; `applied` is what became of it.
    pub(crate) fn check(
        &self,
        stored: &store::Catalogue,
        applied: &store::Catalogue,
    ) -> Result<(), CatalogueError> {
        let has = |name: &str| applied.computations.iter().any(|entry| entry.name == name);
        for (from, to) in self.renamed.iter().filter(|_| stored.graph_version > 0) {
            let (from, to) = (from.clone(), to.clone());
            if has(&from) {
                return Err(CatalogueError::RenamedOnto { from, to });
            }
            if !has(&to) {
                return Err(CatalogueError::RenamesNothing { from, to });
            }
        }
        Ok(())
    }

    /// What is wrong with them, where the pipeline has computations of these names.
    pub(crate) fn problems(&self, steps: &[&str]) -> Vec<String> {
        let mut problems = Vec::new();
        for name in &self.removed {
            if steps.contains(&name.as_str()) {
                problems.push(format!(
                    "computation {name:?} is there, and declared as removed: drop one of the two"
                ));
            }
        }
        for (at, (from, to)) in self.renamed.iter().enumerate() {
            let earlier = self.renamed.iter().take(at).any(|(other, _)| other == from);
            if earlier || self.removed.contains(from) {
                problems.push(format!(
                    "computation {from:?} is declared as renamed to {to:?}, and as removed or renamed before: drop one of the two"
                ));
            }
            if steps.contains(&from.as_str()) {
                problems.push(format!("computation {from:?} is there, and declared as renamed to {to:?}"));
            }
            if !steps.contains(&to.as_str()) {
                problems.push(format!("{from:?} is declared as renamed to {to:?}, which is not there"));
            }
        }
        problems
    }
}

fn rename(catalogue: &mut store::Catalogue, from: &str, to: &str) {
    let letters = (dead_letters(from).name().to_owned(), dead_letters(to).name().to_owned());
    for entry in catalogue.computations.iter_mut().filter(|entry| entry.name == from) {
        to.clone_into(&mut entry.name);
    }
    for cell in catalogue.cells.iter_mut().filter(|cell| cell.computation == from) {
        to.clone_into(&mut cell.computation);
    }
    for entry in catalogue.streams.iter_mut().filter(|entry| entry.name == letters.0) {
        entry.name.clone_from(&letters.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn catalogue() -> store::Catalogue {
        let named = |name: &str, number| store::NamedNumber { name: name.into(), number };
        store::Catalogue {
            graph_version: 1,
            computations: vec![named("a", 1), named("b", 2), named("c", 3)],
            streams: vec![named("s", 1), named("b.dead-letters", 2)],
            cells: vec![store::Cell { computation: "b".into(), name: "x".into(), ..store::Cell::default() }],
            subscribers: vec![store::Subscribers { graph_version: 1, stream: 1, computations: vec![2, 3] }],
            ..store::Catalogue::default()
        }
    }

    #[test]
    fn a_renamed_computation_keeps_its_number_cells_and_dead_letters() {
        let changes = Changes { renamed: vec![("b".into(), "beta".into())], ..Changes::default() };
        let changed = changes.applied(catalogue());
        assert_eq!((changed.computations[1].name.as_str(), changed.computations[1].number), ("beta", 2));
        assert_eq!(changed.cells[0].computation, "beta");
        assert_eq!(changed.streams[1].name, "beta.dead-letters");
        assert_eq!(changed.subscribers, catalogue().subscribers);
        assert_eq!(changes.applied(changed.clone()), changed, "made once");
    }

    #[test]
    fn a_removed_computation_subscribes_to_nothing_and_its_number_stays_taken() {
        let changes = Changes { removed: vec!["b".into()], ..Changes::default() };
        let changed = changes.applied(catalogue());
        assert_eq!(changed.computations[1].name, "b#2");
        assert!(is_removed(&changed.computations[1].name) && changed.cells.is_empty());
        assert_eq!(changed.subscribers, catalogue().subscribers, "what waited for it can be counted");
        assert_eq!(changes.applied(changed.clone()), changed, "made once");
    }

    #[test]
    fn a_renaming_onto_another_or_of_nothing_is_refused_and_one_that_was_made_is_not() {
        let renaming = |from: &str, to: &str| {
            let changes = Changes { renamed: vec![(from.into(), to.into())], ..Changes::default() };
            changes.check(&catalogue(), &changes.applied(catalogue()))
        };
        let words = |(from, to): (&str, &str)| (from.to_owned(), to.to_owned());
        let (from, to) = words(("b", "c"));
        assert_eq!(renaming("b", "c"), Err(CatalogueError::RenamedOnto { from, to }));
        let (from, to) = words(("x", "y"));
        assert_eq!(renaming("x", "y"), Err(CatalogueError::RenamesNothing { from, to }));
        assert_eq!((renaming("b", "d"), renaming("before", "b")), (Ok(()), Ok(())));
        let fresh = Changes { renamed: vec![("x".into(), "y".into())], ..Changes::default() };
        assert_eq!(fresh.check(&store::Catalogue::default(), &store::Catalogue::default()), Ok(()));
    }

    #[test]
    fn changes_that_contradict_the_code_are_refused() {
        let renamed = vec![("b".into(), "d".into())];
        let changes = Changes { removed: vec!["a".into()], renamed, ..Changes::default() };
        assert_eq!(changes.problems(&["a", "b"]).len(), 3);
        assert!(changes.problems(&["d"]).is_empty());
        let changes = Changes { removed: vec!["b".into()], ..changes };
        assert_eq!(changes.problems(&["d"]).len(), 1, "{:?}", changes.problems(&["d"]));
    }
}
