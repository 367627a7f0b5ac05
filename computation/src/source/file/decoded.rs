//! The bytes of a file, decompressed where it is gzip; and what tells a file from another of the same name.
//!
//! Gzip is recognised by its first bytes, whatever the file is called. A file of several gzip members is
//! read to its end. A gzip stream that breaks off, or is damaged, is an error at that place and never an end.

use crate::source::error::SourceProblem;
use flate2::bufread::MultiGzDecoder;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;
use xxhash_rust::xxh3::xxh3_64;

/// How much of a file's beginning goes into its fingerprint.
const HEAD_BYTES: u64 = 64 * 1024;
/// How much is read from the disk at a time.
const READ_BYTES: usize = 128 * 1024;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What tells quickly that a file is probably the one it was: on a mismatch its content is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fingerprint {
    length: u64,
    modified_us: u64,
    head: u64,
}

/// An open file, as the bytes its user meant.
pub(crate) struct Decoded {
    path: PathBuf,
    stream: Stream,
    fingerprint: Fingerprint,
}

enum Stream {
    Plain(File),
    Gzip(Box<MultiGzDecoder<BufReader<File>>>),
}

impl Decoded {
    /// Opens `path` at its beginning.
    ///
    /// # Errors
    /// What keeps it from being read, or that it is not what its name says.
    pub(crate) fn open(path: &Path) -> Result<Self, SourceProblem> {
        let fault = |error| open_fault(path, &error);
        let mut file = File::open(path).map_err(fault)?;
        let metadata = file.metadata().map_err(fault)?;
        if metadata.is_dir() {
            return Err(SourceProblem::Directory { path: shown(path) });
        }
        let mut head = Vec::new();
        (&file).take(HEAD_BYTES).read_to_end(&mut head).map_err(fault)?;
        file.seek(SeekFrom::Start(0)).map_err(fault)?;
        let modified = metadata.modified().ok().and_then(|at| at.duration_since(UNIX_EPOCH).ok());
        let fingerprint = Fingerprint {
            length: metadata.len(),
            modified_us: modified.and_then(|at| u64::try_from(at.as_micros()).ok()).unwrap_or(0),
            head: xxh3_64(&head),
        };
        let stream = match head.get(..2) {
            None if head.is_empty() => return Err(SourceProblem::Empty { path: shown(path) }),
            Some(magic) if magic == GZIP_MAGIC => {
                Stream::Gzip(Box::new(MultiGzDecoder::new(BufReader::with_capacity(READ_BYTES, file))))
            }
            _ if named_gzip(path) => return Err(SourceProblem::NotGzip { path: shown(path) }),
            _ => Stream::Plain(file),
        };
        Ok(Self { path: path.to_owned(), stream, fingerprint })
    }

    /// What the file was when it was opened.
    pub(crate) fn fingerprint(&self) -> Fingerprint {
        self.fingerprint
    }

    /// Where the file is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Goes to the decoded byte `offset`, where that needs no decoding: `false` for gzip.
    pub(crate) fn seek(&mut self, offset: u64) -> io::Result<bool> {
        match &mut self.stream {
            Stream::Plain(file) => file.seek(SeekFrom::Start(offset)).map(|_| true),
            Stream::Gzip(_) => Ok(false),
        }
    }

    /// Reads into `buffer`; 0 bytes are the end.
    ///
    /// # Errors
    /// In words: the disk's errors, and a gzip stream that breaks off or is damaged.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, String> {
        loop {
            let read = match &mut self.stream {
                Stream::Plain(file) => file.read(buffer),
                Stream::Gzip(decoder) => decoder.read(buffer),
            };
            match read {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(self.read_fault(&error)),
                Ok(0) => return self.check_end().map(|()| 0),
                Ok(count) => return Ok(count),
            }
        }
    }

    /// The end of a plain file is one only if the file was not cut while it was read.
    fn check_end(&mut self) -> Result<(), String> {
        let Stream::Plain(file) = &mut self.stream else { return Ok(()) };
        let place = file.stream_position().map_err(|error| error.to_string())?;
        let length = file.metadata().map_err(|error| error.to_string())?.len();
        if length < place { Err(format!("was cut to {length} bytes while it was read")) } else { Ok(()) }
    }

    fn read_fault(&self, error: &io::Error) -> String {
        match (&self.stream, error.kind()) {
            (Stream::Gzip(_), ErrorKind::UnexpectedEof) => {
                "the gzip stream breaks off: the file is incomplete".into()
            }
            (Stream::Gzip(_), ErrorKind::InvalidData | ErrorKind::InvalidInput) => {
                format!("the gzip stream is damaged: {error}")
            }
            _ => error.to_string(),
        }
    }
}

/// A path as messages show it.
pub(crate) fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn named_gzip(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gz"))
}

fn open_fault(path: &Path, error: &io::Error) -> SourceProblem {
    let path = shown(path);
    match error.kind() {
        ErrorKind::NotFound => SourceProblem::Missing { path },
        ErrorKind::PermissionDenied => SourceProblem::NoPermission { path },
        ErrorKind::IsADirectory => SourceProblem::Directory { path },
        _ => SourceProblem::Unreadable { path, reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::file::testing::{Files, gzip};

    fn all(path: &Path) -> Result<Vec<u8>, String> {
        let mut decoded = Decoded::open(path).map_err(|problem| problem.to_string())?;
        let (mut out, mut buffer) = (Vec::new(), [0; 7]);
        loop {
            match decoded.read(&mut buffer)? {
                0 => return Ok(out),
                count => out.extend_from_slice(&buffer[..count]),
            }
        }
    }

    #[test]
    fn gzip_is_told_by_its_content_and_read_member_after_member() {
        let files = Files::new();
        let members = [gzip(b"one,"), gzip(b""), gzip(b"two")].concat();
        assert_eq!(all(&files.put("a.csv", b"plain")).unwrap(), b"plain");
        assert_eq!(all(&files.put("b.csv", &members)).unwrap(), b"one,two");
        assert_eq!(all(&files.put("b.csv.GZ", &members)).unwrap(), b"one,two");
    }

    #[test]
    fn what_cannot_be_read_says_why() {
        let files = Files::new();
        let whole = gzip(&b"some text that is longer than nothing".repeat(100));
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 0xff;
        for (path, words) in [
            (files.path("absent.csv"), "no such file"),
            (files.path(""), "is a directory"),
            (files.put("empty.csv", b""), "is empty"),
            (files.put("plain.gz", b"a,b\n"), "is named .gz, but its content is not gzip"),
            (files.put("short.gz", &whole[..whole.len() - 1]), "breaks off"),
            (files.put("shorter.gz", &whole[..5]), "breaks off"),
            (files.put("damaged.gz", &damaged), "the gzip stream"),
            (files.put("tail.gz", [&whole[..], b"tail"].concat()), "the gzip stream"),
        ] {
            let error = all(&path).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_cut_while_it_is_read_has_no_end() {
        let files = Files::new();
        let path = files.put("a", b"1234");
        let mut decoded = Decoded::open(&path).unwrap();
        assert_eq!(decoded.read(&mut [0; 4]), Ok(4));
        files.put("a", b"1");
        assert!(decoded.read(&mut [0; 4]).unwrap_err().contains("was cut to 1 bytes"));
    }

    #[test]
    fn a_fingerprint_is_of_length_beginning_and_time() {
        let files = Files::new();
        let of = |path: &Path| Decoded::open(path).unwrap().fingerprint();
        let before = of(&files.put("a", b"1234"));
        assert_eq!(of(&files.path("a")), before);
        assert_ne!(of(&files.put("a", b"1235")), before);
        assert_ne!(of(&files.put("a", b"12345")), before);
    }
}
