//! I1 and I3, from the fences that commits write.

use crate::Invariant::{I1, I3};
use crate::event::{Commit, Fence};
use crate::{Verdict, require};
use std::collections::{BTreeMap, HashSet};

/// The fences that stand, and the attempts that were applied.
#[derive(Clone, Debug, Default)]
pub(crate) struct Fences {
    standing: BTreeMap<(u16, u64), Fence>,
    tokens: HashSet<Vec<u8>>,
}

impl Fences {
    pub(crate) fn commit(&mut self, commit: &Commit) -> Verdict {
        for (computation, kind, position) in &commit.touched {
            let covers = |f: &Fence| f.computation == *computation && (f.first..=f.last).contains(position);
            require(commit.fences.iter().any(covers), I1, || {
                format!(
                    "a commit changes a row of kind {kind:?} at position {position:016x} of computation \
                     {computation} and advances no fence over it"
                )
            })?;
        }
        for new in &commit.fences {
            for old in self.standing.values().filter(|old| overlap(old, new)) {
                self.replace(commit, old, new)?;
            }
        }
        for token in commit.fences.iter().map(|fence| &fence.token).collect::<HashSet<_>>() {
            require(token.is_empty() || self.tokens.insert(token.clone()), I3, || {
                format!("an attempt is applied twice: {}", in_words(&commit.fences))
            })?;
        }
        for removed in &commit.fences_removed {
            self.standing.remove(removed);
        }
        for fence in &commit.fences {
            self.standing.insert((fence.computation, fence.last), fence.clone());
        }
        Ok(())
    }

    /// `new` overlaps `old`, which stands before this commit.
    fn replace(&self, commit: &Commit, old: &Fence, new: &Fence) -> Verdict {
        let place = (old.computation, old.last);
        let gone = commit.fences_removed.contains(&place)
            || commit.fences.iter().any(|f| (f.computation, f.last) == place);
        require(gone, I1, || format!("{} is written and leaves {} standing", words(new), words(old)))?;
        let same_reign = old.sequencer == new.sequencer && old.sequencer != 0;
        let same_bounds = (old.first, old.last) == (new.first, new.last);
        let follows = if same_reign {
            same_bounds && new.commit_number == old.commit_number + 1
        } else {
            (new.sequencer == 0 || new.sequencer > old.sequencer) && new.commit_number > old.commit_number
        };
        require(follows, I1, || format!("{} does not follow {}, which stood", words(new), words(old)))
    }
}

fn overlap(one: &Fence, other: &Fence) -> bool {
    one.computation == other.computation && one.first <= other.last && other.first <= one.last
}

fn words(fence: &Fence) -> String {
    let Fence { computation, first, last, sequencer, commit_number, .. } = fence;
    format!(
        "commit {commit_number} of reign {sequencer} over {first:016x} to {last:016x} of computation {computation}"
    )
}

fn in_words(fences: &[Fence]) -> String {
    fences.iter().map(words).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fence(sequencer: u64, commit_number: u64) -> Fence {
        Fence {
            computation: 0,
            first: 0,
            last: 9,
            sequencer,
            commit_number,
            token: [sequencer.to_be_bytes(), commit_number.to_be_bytes()].concat(),
            input_watermark_us: 0,
        }
    }

    fn run(commits: &[Vec<Fence>]) -> Verdict {
        let mut fences = Fences::default();
        let commit = |written: &Vec<Fence>| Commit { fences: written.clone(), ..Commit::default() };
        commits.iter().try_for_each(|written| fences.commit(&commit(written)))
    }

    #[test]
    fn a_reign_commits_number_by_number_and_a_newer_one_ends_it() {
        assert_eq!(
            run(&[vec![fence(1, 1)], vec![fence(1, 2)], vec![fence(4, 3)], vec![fence(4, 4)]]),
            Ok(())
        );
        let broken = |commits: &[Vec<Fence>]| run(commits).unwrap_err().0;
        assert_eq!(broken(&[vec![fence(1, 1)], vec![fence(1, 3)]]), I1, "a gap");
        assert_eq!(broken(&[vec![fence(4, 1)], vec![fence(1, 2)]]), I1, "an old reign");
        assert_eq!(broken(&[vec![fence(1, 1)], vec![Fence { last: 5, ..fence(1, 2) }]]), I1, "other bounds");
        let again = Fence { token: fence(1, 1).token, ..fence(1, 2) };
        assert_eq!(broken(&[vec![fence(1, 1)], vec![again]]), I3, "the same attempt");
    }

    #[test]
    fn a_part_of_a_split_replaces_the_whole() {
        let parts = vec![Fence { last: 5, ..fence(2, 2) }, Fence { first: 6, ..fence(3, 2) }];
        assert_eq!(run(&[vec![fence(1, 1)], parts.clone()]), Ok(()));
        let left = vec![parts[0].clone()];
        assert_eq!(run(&[vec![fence(1, 1)], left]).unwrap_err().0, I1, "the whole is left standing");
    }

    #[test]
    fn a_row_is_changed_under_its_fence_only() {
        let commit = |position| Commit {
            fences: vec![fence(1, 1)],
            touched: vec![(0, 's', position)],
            ..Commit::default()
        };
        assert_eq!(Fences::default().commit(&commit(9)), Ok(()));
        assert_eq!(Fences::default().commit(&commit(10)).unwrap_err().0, I1);
    }
}
