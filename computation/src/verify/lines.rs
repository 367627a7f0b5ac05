//! The lines of a sink: those of its file, and those that its shadow has kept.

use super::VerifyError;
use super::difference::Place;
use super::multiset::{Item, Items};
use super::stored::Stored;
use crate::pages::Pages;
use crate::sink::kept::{KeptLine, SHOWN_BYTES_MAX};
use bytes::{Bytes, BytesMut};
use pelton_domain::KeyInterval;
use std::fs::File;
use std::io::{self, BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

/// The lines of a file. A part of one behind the last line break is an item of its own: it equals no line.
pub(super) struct FileLines(pub(super) PathBuf);

impl Items for FileLines {
    async fn each(&self, visit: &mut (dyn FnMut(Item) + Send)) -> Result<(), VerifyError> {
        let place = Place::Line { target: self.0.display().to_string() };
        let mut line = |id: u128, shown: Bytes| {
            visit(Item { id, times: 1, key: None, place: place.clone(), shown });
        };
        each_line(&self.0, &mut line).map_err(|source| VerifyError::File { path: self.0.clone(), source })
    }
}

/// Reads a file piece by piece, so that a line of any length takes no more memory than what is shown of it.
fn each_line(path: &Path, line: &mut (dyn FnMut(u128, Bytes) + Send)) -> io::Result<()> {
    let file = match File::open(path) {
        Ok(file) => file,
        // Without a line the file may never have been made: its lines are what is missing.
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let mut file = BufReader::with_capacity(256 << 10, file);
    let (mut hash, mut shown, mut begun) = (Xxh3::new(), BytesMut::new(), false);
    loop {
        let piece = match file.fill_buf() {
            Ok([]) => break,
            Ok(piece) => piece,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let end = memchr::memchr(b'\n', piece).map(|at| at + 1);
        let (piece, _) = piece.split_at_checked(end.unwrap_or(piece.len())).unwrap_or((piece, &[]));
        hash.update(piece);
        let room = SHOWN_BYTES_MAX.saturating_sub(shown.len()).min(piece.len());
        shown.extend_from_slice(piece.get(..room).unwrap_or(piece));
        begun = true;
        let taken = piece.len();
        file.consume(taken);
        if end.is_some() {
            line(hash.digest128(), shown.split().freeze());
            hash.reset();
            begun = false;
        }
    }
    if begun {
        line(hash.digest128(), shown.freeze());
    }
    Ok(())
}

/// What the shadow of a sink has kept.
pub(super) struct KeptLines {
    pub(super) stored: Stored,
    pub(super) target: PathBuf,
}

impl Items for KeptLines {
    async fn each(&self, visit: &mut (dyn FnMut(Item) + Send)) -> Result<(), VerifyError> {
        let place = Place::Line { target: self.target.display().to_string() };
        let Stored { store, keys, .. } = &self.stored;
        let mut pages = Pages::of(store, keys.state_of_interval(KeyInterval::FULL));
        while let Some((key, value)) = pages.next().await? {
            let address = keys.read_state(&key)?;
            let damaged = || VerifyError::Damaged { what: "a line that the shadow kept" };
            let id: [u8; 16] = address.sub_key.as_ref().try_into().map_err(|_| damaged())?;
            let envelope = crate::state::Envelope::open(&value).map_err(|_| damaged())?;
            let KeptLine { times, shown } = KeptLine::decode(&envelope.payload).ok_or_else(damaged)?;
            let (id, key, place) = (u128::from_be_bytes(id), Some(address.key), place.clone());
            visit(Item { id, times, key, place, shown });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use xxhash_rust::xxh3::xxh3_128;

    #[test]
    fn every_line_is_told_and_a_torn_one_is_none_of_them() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("lines");
        let long = "x".repeat(600_000) + "\n";
        std::fs::write(&path, format!("a\n\na\n{long}a")).unwrap();
        let mut found = Vec::new();
        each_line(&path, &mut |id, shown: Bytes| found.push((id, shown.len()))).unwrap();
        let of = |line: &str| (xxh3_128(line.as_bytes()), line.len().min(SHOWN_BYTES_MAX));
        assert_eq!(found, [of("a\n"), of("\n"), of("a\n"), of(&long), of("a")]);
        assert!(each_line(&directory.path().join("none"), &mut |_, _| panic!("a line")).is_ok());
    }
}
