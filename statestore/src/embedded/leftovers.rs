//! Files of tables that were begun and never finished, because the disk was full: they would keep it full.
//!
//! The tree removes them when it is opened, but until then each new attempt leaves more. Their numbers grow, and
//! a table counts only once the attempt that wrote it has succeeded. So if nothing succeeded since an attempt
//! began, then every file numbered higher than all that were there at its beginning is a leftover.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};

/// Watches attempts to write tables.
#[derive(Debug)]
pub(super) struct Leftovers {
    directory: PathBuf,
    /// Shared by attempts, exclusive for removing what they left.
    attempts: RwLock<()>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Attempts that succeeded.
    successes: u64,
    /// Files numbered above this are leftovers, as long as nothing succeeds.
    above: Option<u64>,
}

impl Leftovers {
    /// Of the tree in `path`.
    pub(super) fn of(path: &Path) -> Self {
        let directory = path.join("tables");
        Self { directory, attempts: RwLock::default(), state: Mutex::default() }
    }

    /// Runs an attempt; if it fails, removes what it left, or leaves that to a later failure.
    pub(super) fn clear_after<T, E>(&self, attempt: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        let result = {
            let _running = self.attempts.read().unwrap_or_else(PoisonError::into_inner);
            let (newest, before) = (self.numbers().max().unwrap_or(0), self.lock().successes);
            let result = attempt();
            let mut state = self.lock();
            if result.is_ok() {
                (state.successes, state.above) = (state.successes + 1, None);
            } else if state.successes == before {
                state.above = Some(state.above.map_or(newest, |above| above.min(newest)));
            }
            result
        };
        // Another attempt may be under way: it will succeed, and then these stay until the store is opened
        // again, or fail, and then it is its turn.
        if let (Err(_), Ok(_alone)) = (&result, self.attempts.try_write())
            && let Some(above) = self.lock().above.take()
        {
            self.remove(above);
        }
        result
    }

    fn remove(&self, above: u64) {
        for number in self.numbers().filter(|number| *number > above) {
            let file = self.directory.join(number.to_string());
            match fs::remove_file(&file) {
                Ok(()) => tracing::debug!(file = %file.display(), "removed an unfinished table"),
                Err(error) => tracing::warn!(file = %file.display(), %error, "an unfinished table stays"),
            }
        }
    }

    /// The numbers of the files of tables.
    fn numbers(&self) -> impl Iterator<Item = u64> {
        let files = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        files.filter_map(|file| file.file_name().to_str()?.parse().ok())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_tables(numbers: &[u64]) -> (tempfile::TempDir, Leftovers) {
        let scratch = tempfile::tempdir().unwrap();
        fs::create_dir(scratch.path().join("tables")).unwrap();
        let leftovers = Leftovers::of(scratch.path());
        numbers.iter().for_each(|number| write(&leftovers, *number));
        (scratch, leftovers)
    }

    fn write(leftovers: &Leftovers, number: u64) {
        fs::write(leftovers.directory.join(number.to_string()), "").unwrap();
    }

    fn attempt(leftovers: &Leftovers, numbers: &[u64], result: Result<(), ()>) {
        let writes = || {
            numbers.iter().for_each(|number| write(leftovers, *number));
            result
        };
        assert_eq!(leftovers.clear_after(writes), result);
    }

    fn sorted(leftovers: &Leftovers) -> Vec<u64> {
        let mut numbers: Vec<u64> = leftovers.numbers().collect();
        numbers.sort_unstable();
        numbers
    }

    #[test]
    fn what_a_failed_attempt_left_is_removed_and_nothing_else() {
        let (_scratch, leftovers) = with_tables(&[3, 10]);
        attempt(&leftovers, &[11, 12], Err(()));
        assert_eq!(sorted(&leftovers), [3, 10]);
        attempt(&leftovers, &[13], Ok(()));
        attempt(&leftovers, &[14], Err(()));
        assert_eq!(sorted(&leftovers), [3, 10, 13]);
    }

    #[test]
    fn nothing_is_removed_where_another_attempt_succeeded_meanwhile() {
        let (_scratch, leftovers) = with_tables(&[3]);
        let failing = || {
            write(&leftovers, 4);
            attempt(&leftovers, &[5], Ok(()));
            Err::<(), ()>(())
        };
        assert!(leftovers.clear_after(failing).is_err());
        assert_eq!(sorted(&leftovers), [3, 4, 5]);
    }

    #[test]
    fn the_last_of_several_failures_removes_what_all_left() {
        let (_scratch, leftovers) = with_tables(&[3]);
        let failing = || {
            write(&leftovers, 4);
            attempt(&leftovers, &[5], Err(()));
            assert_eq!(sorted(&leftovers), [3, 4, 5], "the outer attempt is under way");
            Err::<(), ()>(())
        };
        assert!(leftovers.clear_after(failing).is_err());
        assert_eq!(sorted(&leftovers), [3]);
    }
}
