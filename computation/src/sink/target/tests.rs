use super::*;
use crate::sink::ledger::{Ledger, Room};
use pelton_domain::EventTime;
use proptest::prelude::*;
use std::collections::{BTreeMap, VecDeque};

fn directory() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.jsonl");
    (directory, path)
}

fn content(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap()
}

#[test]
fn writing_again_whole_or_in_part_changes_nothing() {
    let (_directory, path) = directory();
    let target = Target::new(&path);
    let empty = target.create(false).unwrap();
    let one = target.write(&empty, b"one\n").unwrap();
    assert_eq!(target.write(&empty, b"one\n").unwrap(), one);
    std::fs::write(&path, b"one\ntw").unwrap();
    let two = target.write(&one, b"two\n").unwrap();
    assert_eq!((two.length, content(&path).as_str()), (8, "one\ntwo\n"));
}

#[test]
fn a_file_that_is_not_its_own_is_refused_and_left_alone() {
    let (_directory, path) = directory();
    let target = Target::new(&path);
    std::fs::write(&path, b"precious\n").unwrap();
    assert!(target.create(false).unwrap_err().to_string().contains("has 9 bytes already"));
    assert_eq!(content(&path), "precious\n");
    assert_eq!(target.create(true).unwrap().length, 0);
    assert_eq!(content(&path), "");
}

#[test]
fn whatever_somebody_did_to_the_file_is_told_in_words_and_nothing_is_written() {
    let (_directory, path) = directory();
    let target = Target::new(&path);
    let written = target.write(&target.create(false).unwrap(), b"one\ntwo\n").unwrap();
    for (found, words) in [
        (Some("one\n"), "has 4 bytes, and 8 had been written"),
        (Some("one\ntwo\nfour\nfive\n"), "at most 13 are from here"),
        (Some("one\nTwo\n"), "does not end as it was written"),
        (None, "is gone"),
    ] {
        match found {
            Some(found) => std::fs::write(&path, found).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let error = target.write(&written, b"four\n").unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(std::fs::read_to_string(&path).ok().as_deref(), found);
    }
}

#[test]
fn a_missing_directory_and_a_full_disk_are_errors() {
    let (directory, _) = directory();
    let target = Target::new(directory.path().join("absent/out"));
    assert!(target.create(false).unwrap_err().to_string().contains("cannot be written: No such file"));
    if cfg!(target_os = "linux") {
        let full = Target::new("/dev/full");
        let error = full.write(&Written::default(), b"x\n").unwrap_err().to_string();
        assert!(error.contains("/dev/full cannot be written: No space left"), "{error}");
    }
}

#[test]
fn pieces_are_whole_lines_up_to_one_write() {
    let line = |bytes: usize| "x".repeat(bytes - 1) + "\n";
    let lines = [line(100), line(WRITE_BYTES - 100), line(1), line(3 * WRITE_BYTES), line(5)].concat();
    let found: Vec<usize> = pieces(lines.as_bytes()).map(<[u8]>::len).collect();
    assert_eq!(found, [WRITE_BYTES, 1, 3 * WRITE_BYTES, 5]);
    assert_eq!(pieces(b"").count(), 0);
}

/// The committed state of a sink, and one bundle's change of it.
#[derive(Clone, Debug, Default)]
struct State {
    ledger: Ledger,
    chunks: BTreeMap<u64, Vec<u8>>,
}

impl State {
    fn add(&mut self, line: &[u8]) {
        match self.ledger.add(line.len(), EventTime::MIN) {
            Room::Append(chunk) => self.chunks.get_mut(&chunk).unwrap().extend_from_slice(line),
            Room::New(chunk) => assert!(self.chunks.insert(chunk, line.to_vec()).is_none()),
        }
    }

    fn plan(&self) -> Vec<u8> {
        self.ledger.plan().flat_map(|chunk| self.chunks[&chunk].clone()).collect()
    }

    fn flush(&mut self, target: &Target) {
        let written = match &self.ledger.written {
            None => {
                self.ledger.written = Some(target.create(false).unwrap());
                return;
            }
            Some(written) => target.write(written, &self.plan()).unwrap(),
        };
        let plan = self.ledger.plan();
        self.chunks.retain(|chunk, _| !plan.contains(chunk));
        self.ledger.advance(written);
    }
}

#[derive(Clone, Debug)]
enum Fate {
    Commit,
    /// The process dies after the write and before the commit.
    Lost,
    /// It dies in the write, after so many bytes.
    Torn(usize),
    /// The power fails: behind what was synced, so many bytes of the plan are there as zeros.
    PowerCut(usize),
}

#[derive(Clone, Debug)]
struct Step {
    lines: Vec<usize>,
    flush: bool,
    lines_first: bool,
    fate: Fate,
    /// An old owner wakes and goes on with the write it was at so many steps ago, up to so many bytes.
    zombie: Option<(usize, usize)>,
}

fn step() -> impl Strategy<Value = Step> {
    let fate = prop_oneof![
        4 => Just(Fate::Commit),
        1 => Just(Fate::Lost),
        1 => (0usize..600).prop_map(Fate::Torn),
        1 => (0usize..600).prop_map(Fate::PowerCut),
    ];
    let lines = prop::collection::vec(prop_oneof![3 => 1usize..40, 1 => 2000usize..6000], 0..6);
    let zombie = prop::option::of((0usize..4, 0usize..600));
    (lines, any::<bool>(), any::<bool>(), fate, zombie).prop_map(
        |(lines, flush, lines_first, fate, zombie)| Step { lines, flush, lines_first, fate, zombie },
    )
}

/// Writes without any check, as one that was checked long ago does.
fn put(path: &Path, at: u64, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).open(path).unwrap();
    file.seek(SeekFrom::Start(at)).unwrap();
    file.write_all(bytes).unwrap();
}

struct World {
    path: PathBuf,
    target: Target,
    state: State,
    /// Lines that are not committed: they are sent again, in another order.
    unacknowledged: VecDeque<Vec<u8>>,
    sent: usize,
    /// All lines whose arrival is committed, in that order: what the file must become.
    committed: Vec<u8>,
    zombies: Vec<(u64, Vec<u8>)>,
    zeroed: bool,
}

impl World {
    fn run(&mut self, step: &Step) {
        for &bytes in &step.lines {
            let line = format!("{:0bytes$}\n", self.sent).into_bytes();
            self.sent += 1;
            self.unacknowledged.push_back(line);
        }
        let mut next = self.state.clone();
        let written = self.state.ledger.written.as_ref().map(|written| written.length);
        let plan = self.state.plan();
        // A timer fires in a later bundle than that it was set in: it is set as of the last commit, or not at all.
        let flush = step.flush && (written.is_none() || !self.state.ledger.is_idle());
        if step.lines_first {
            self.unacknowledged.iter().for_each(|line| next.add(line));
        }
        if flush && let (Some(at), Fate::Torn(bytes)) = (written, &step.fate) {
            put(&self.path, at, &plan[..plan.len().min(*bytes)]);
        } else if flush {
            next.flush(&self.target);
            self.zeroed &= written.is_none();
        }
        if !step.lines_first {
            self.unacknowledged.iter().for_each(|line| next.add(line));
        }
        self.zombies.extend(written.map(|at| (at, plan.clone())));
        match step.fate {
            Fate::Commit => {
                self.state = next;
                self.unacknowledged.drain(..).for_each(|line| self.committed.extend(line));
            }
            Fate::PowerCut(bytes) if written.is_some() => {
                let file = OpenOptions::new().write(true).open(&self.path).unwrap();
                file.set_len(written.unwrap()).unwrap();
                file.set_len(written.unwrap() + plan.len().min(bytes) as u64).unwrap();
                self.zombies.clear();
                self.zeroed = true;
            }
            Fate::Lost | Fate::Torn(_) | Fate::PowerCut(_) => {}
        }
        if self.unacknowledged.len() > 1 {
            self.unacknowledged.rotate_left(1);
        }
        if let Some((back, bytes)) = step.zombie
            && let Some((at, plan)) = self.zombies.iter().rev().nth(back)
        {
            put(&self.path, *at, &plan[..plan.len().min(bytes)]);
        }
    }

    fn check(&self) {
        let Ok(found) = std::fs::read(&self.path) else { return };
        let sure = self.state.ledger.written.as_ref().map_or(0, |written| written.length) as usize;
        assert_eq!(found[..sure], self.committed[..sure], "what is counted is there");
        assert!(
            self.zeroed || self.committed.starts_with(&found),
            "the file is a prefix of its final content"
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn through_crashes_torn_writes_power_cuts_and_zombies_every_line_is_there_once(
        steps in prop::collection::vec(step(), 1..30),
    ) {
        let (_directory, path) = directory();
        let mut world = World {
            target: Target::new(&path),
            path,
            state: State::default(),
            unacknowledged: VecDeque::new(),
            sent: 0,
            committed: Vec::new(),
            zombies: Vec::new(),
            zeroed: false,
        };
        for step in &steps {
            world.run(step);
            world.check();
        }
        let last = Step { lines: vec![3], flush: true, lines_first: false, fate: Fate::Commit, zombie: None };
        for _ in 0..4 {
            world.run(&last);
        }
        while !world.state.ledger.is_idle() {
            world.run(&Step { lines: vec![], ..last.clone() });
        }
        prop_assert_eq!(std::fs::read(&world.path).unwrap(), world.committed);
        prop_assert!(world.state.chunks.is_empty());
    }
}
