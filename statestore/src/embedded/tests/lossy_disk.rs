//! A disk that keeps what was synced, and of the rest what it likes; that fails when told to; and that waits.
//!
//! It plays kernel and disk for the files of the log. The files in the real directory are written only when the
//! process (or the machine) is said to die, for recovery to find.

use super::super::disk::{Disk, LogFile};
use rand::RngExt;
use rand::rngs::StdRng;
use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

const SECTOR_BYTES: usize = 512;

/// Handles share one disk.
#[derive(Clone)]
pub(super) struct LossyDisk {
    kernel: Arc<(Mutex<Kernel>, Condvar)>,
}

#[derive(Clone, Default)]
struct Kernel {
    directory: PathBuf,
    inodes: Vec<Inode>,
    names: BTreeMap<PathBuf, usize>,
    durable_names: BTreeMap<PathBuf, usize>,
    /// What happened to names since the directory was synced, each as the state after it.
    name_changes: Vec<BTreeMap<PathBuf, usize>>,
    /// The process was restarted, and recovery has been at the real files.
    is_restarted: bool,
    faults: Faults,
    counts: Counts,
    syncs_held: bool,
    syncs_waiting: usize,
}

#[derive(Clone, Copy, Default)]
struct Faults {
    /// Bytes that still fit.
    room_bytes: Option<usize>,
    syncs_to_fail: u32,
    directory_syncs_to_fail: u32,
    cuts_to_fail: u32,
}

/// What was asked of the disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) syncs: u64,
}

/// One file: what readers see, what is on the disk, and what is on its way there.
#[derive(Clone, Default)]
struct Inode {
    seen: Vec<u8>,
    durable: Vec<u8>,
    dirty: Vec<Change>,
}

#[derive(Clone)]
enum Change {
    Write(usize, Vec<u8>),
    Cut(usize),
}

impl Change {
    fn apply(&self, to: &mut Vec<u8>) {
        match self {
            Self::Write(at, bytes) => {
                let end = at + bytes.len();
                to.resize(to.len().max(end), 0);
                to[*at..end].copy_from_slice(bytes);
            }
            Self::Cut(length) => to.truncate(*length),
        }
    }
}

impl Inode {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.seen);
        self.dirty.push(change);
    }

    fn sync(&mut self) {
        for change in self.dirty.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// Loss of power: each sector that was on its way arrives with this probability.
    fn lose_power(&mut self, arrives: f64, dice: &mut StdRng) {
        for change in std::mem::take(&mut self.dirty) {
            match change {
                Change::Cut(_) if dice.random_bool(arrives) => change.apply(&mut self.durable),
                Change::Cut(_) => {}
                Change::Write(at, bytes) => {
                    let mut from = 0;
                    while from < bytes.len() {
                        let to = bytes.len().min(from + SECTOR_BYTES - (at + from) % SECTOR_BYTES);
                        if dice.random_bool(arrives) {
                            Change::Write(at + from, bytes[from..to].to_vec()).apply(&mut self.durable);
                        }
                        from = to;
                    }
                }
            }
        }
        self.seen = self.durable.clone();
    }
}

impl LossyDisk {
    pub(super) fn new(store: &Path) -> Self {
        let kernel = Kernel { directory: store.join("log"), ..Kernel::default() };
        Self { kernel: Arc::new((Mutex::new(kernel), Condvar::new())) }
    }

    fn lock(&self) -> MutexGuard<'_, Kernel> {
        self.kernel.0.lock().expect("no test panics under it")
    }

    fn awake(&self) -> MutexGuard<'_, Kernel> {
        let mut kernel = self.lock();
        if std::mem::take(&mut kernel.is_restarted) {
            // Recovery removed some, and synced what it read.
            let names = kernel.names.clone().into_iter().filter(|(path, _)| path.exists()).collect();
            kernel.set_names(names);
            kernel.sync_names();
            kernel.inodes.iter_mut().for_each(Inode::sync);
        }
        kernel
    }

    /// The process dies: what it wrote is there.
    pub(super) fn restart_process(&self) {
        let mut kernel = self.lock();
        kernel.is_restarted = true;
        kernel.materialize();
    }

    /// The machine dies: what was synced is there, and of the rest something.
    pub(super) fn lose_power(&self, dice: &mut StdRng) {
        let mut kernel = self.lock();
        let arrives = [0.0, 0.5, 0.9, 1.0][dice.random_range(0..4)];
        for inode in &mut kernel.inodes {
            inode.lose_power(arrives, dice);
        }
        let arrived = dice.random_range(0..=kernel.name_changes.len());
        if let Some(names) = arrived.checked_sub(1).and_then(|last| kernel.name_changes.get(last)).cloned() {
            kernel.durable_names = names;
        }
        kernel.names = kernel.durable_names.clone();
        kernel.name_changes.clear();
        kernel.is_restarted = true;
        kernel.materialize();
    }

    /// The disk as it is now, apart from what happens to this one from now on. Nobody waits for the copy.
    pub(super) fn copy(&self) -> Self {
        let kernel = Kernel { syncs_held: false, syncs_waiting: 0, ..self.lock().clone() };
        Self { kernel: Arc::new((Mutex::new(kernel), Condvar::new())) }
    }

    /// Forgets what happened since `copy` was made.
    pub(super) fn become_copy_of(&self, copy: &Self) {
        let kernel = copy.lock().clone();
        *self.lock() = kernel;
    }

    /// From now on only `room` more bytes fit.
    pub(super) fn fill_up_to(&self, room: Option<usize>) {
        self.lock().faults.room_bytes = room;
    }

    /// The next syncs fail, and what they should have written is forgotten, as kernels do.
    pub(super) fn fail_syncs(&self, count: u32) {
        self.lock().faults.syncs_to_fail = count;
    }

    pub(super) fn fail_directory_syncs(&self, count: u32) {
        self.lock().faults.directory_syncs_to_fail = count;
    }

    pub(super) fn fail_cuts(&self, count: u32) {
        self.lock().faults.cuts_to_fail = count;
    }

    pub(super) fn counts(&self) -> Counts {
        self.lock().counts
    }

    /// Lets every sync wait, until what is returned is dropped: also by a test that fails, whose store could not end
    /// otherwise.
    pub(super) fn hold_syncs(&self) -> HeldSyncs {
        self.lock().syncs_held = true;
        HeldSyncs(self.clone())
    }

    /// Blocks until a sync waits.
    pub(super) fn until_sync_waits(&self) {
        let waiting = self.kernel.1.wait_while(self.lock(), |kernel| kernel.syncs_waiting == 0);
        drop(waiting.expect("no test panics under it"));
    }

    fn file(&self, inode: usize) -> Box<dyn LogFile> {
        Box::new(LossyFile { disk: self.clone(), inode })
    }
}

/// See [`LossyDisk::hold_syncs`].
#[must_use]
pub(super) struct HeldSyncs(LossyDisk);

impl Drop for HeldSyncs {
    fn drop(&mut self) {
        self.0.kernel.0.lock().unwrap_or_else(PoisonError::into_inner).syncs_held = false;
        self.0.kernel.1.notify_all();
    }
}

impl Kernel {
    fn set_names(&mut self, names: BTreeMap<PathBuf, usize>) {
        self.name_changes.push(names.clone());
        self.names = names;
    }

    fn sync_names(&mut self) {
        self.durable_names = self.names.clone();
        self.name_changes.clear();
    }

    fn materialize(&self) {
        for entry in std::fs::read_dir(&self.directory).expect("the log's directory").flatten() {
            std::fs::remove_file(entry.path()).expect("a file of the log");
        }
        for (path, inode) in &self.names {
            std::fs::write(path, &self.inodes[*inode].seen).expect("a file of the log");
        }
    }
}

impl fmt::Debug for LossyDisk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LossyDisk")
    }
}

impl Disk for LossyDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let mut kernel = self.awake();
        if kernel.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let inode = kernel.inodes.len();
        kernel.inodes.push(Inode::default());
        let mut names = kernel.names.clone();
        names.insert(path.to_owned(), inode);
        kernel.set_names(names);
        Ok(self.file(inode))
    }

    fn open(&self, path: &Path) -> io::Result<Box<dyn LogFile>> {
        let found = self.awake().names.get(path).copied();
        found.map(|inode| self.file(inode)).ok_or_else(|| io::ErrorKind::NotFound.into())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut kernel = self.awake();
        let mut names = kernel.names.clone();
        let inode = names.remove(from).ok_or(io::ErrorKind::NotFound)?;
        names.insert(to.to_owned(), inode);
        kernel.set_names(names);
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut kernel = self.awake();
        let mut names = kernel.names.clone();
        names.remove(path).ok_or(io::ErrorKind::NotFound)?;
        kernel.set_names(names);
        Ok(())
    }

    fn length(&self, path: &Path) -> io::Result<Option<u64>> {
        let kernel = self.awake();
        Ok(kernel.names.get(path).map(|inode| kernel.inodes[*inode].seen.len() as u64))
    }

    fn sync_directory(&self, _: &Path) -> io::Result<()> {
        let mut kernel = self.awake();
        if let Some(left) = kernel.faults.directory_syncs_to_fail.checked_sub(1) {
            kernel.faults.directory_syncs_to_fail = left;
            return Err(io::Error::other("the directory was not synced"));
        }
        kernel.sync_names();
        Ok(())
    }
}

#[derive(Debug)]
struct LossyFile {
    disk: LossyDisk,
    inode: usize,
}

impl LogFile for LossyFile {
    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut kernel = self.disk.awake();
        let fits = kernel.faults.room_bytes.unwrap_or(usize::MAX).min(bytes.len());
        if let Some(room) = &mut kernel.faults.room_bytes {
            *room -= fits;
        }
        kernel.inodes[self.inode].change(Change::Write(offset as usize, bytes[..fits].to_vec()));
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut kernel = self.disk.awake();
        kernel.syncs_waiting += 1;
        self.disk.kernel.1.notify_all();
        kernel = self
            .disk
            .kernel
            .1
            .wait_while(kernel, |kernel| kernel.syncs_held)
            .expect("no test panics under it");
        kernel.syncs_waiting -= 1;
        kernel.counts.syncs += 1;
        if let Some(left) = kernel.faults.syncs_to_fail.checked_sub(1) {
            kernel.faults.syncs_to_fail = left;
            kernel.inodes[self.inode].dirty.clear();
            return Err(io::Error::other("the disk did not take it"));
        }
        kernel.inodes[self.inode].sync();
        Ok(())
    }

    fn cut(&mut self, length: u64) -> io::Result<()> {
        let mut kernel = self.disk.awake();
        if let Some(left) = kernel.faults.cuts_to_fail.checked_sub(1) {
            kernel.faults.cuts_to_fail = left;
            return Err(io::Error::other("the file cannot be cut"));
        }
        kernel.inodes[self.inode].change(Change::Cut(length as usize));
        Ok(())
    }
}
