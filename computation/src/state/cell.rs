//! What all cells share: name, kind, schema version, expiry, and the envelope of every stored entry.

use bytes::{BufMut, Bytes, BytesMut};
use pelton_domain::ProcessingTime;
use std::time::Duration;

/// The kinds of cell, as stores remember them: a cell never changes its kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CellKind {
    /// One value.
    Value,
    /// One accumulator.
    Combining,
    /// Unordered values.
    Bag,
    /// Ordered values.
    List,
    /// Values by sub-key.
    Map,
    /// Sub-keys.
    Set,
}

impl CellKind {
    /// Its name in stores.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Combining => "combining",
            Self::Bag => "bag",
            Self::List => "list",
            Self::Map => "map",
            Self::Set => "set",
        }
    }

    /// Whether it is one entry, which can be fetched before user code asks for it.
    pub(crate) fn is_single(self) -> bool {
        matches!(self, Self::Value | Self::Combining)
    }
}

/// One step of a migration: turns an entry of schema version `from` into one of `from + 1`.
#[derive(Clone, Copy, Debug)]
pub struct Migration {
    /// The version it reads.
    pub from: u16,
    /// The step: the old entry's bytes to the new one's, or why that is impossible.
    pub upgrade: fn(&[u8]) -> Result<Vec<u8>, String>,
}

/// Shows stored bytes as JSON; `None` where they are none of its type.
pub type Show = fn(&Bytes) -> Option<String>;

/// How the entries of a cell are shown to people, as far as its types tell.
#[derive(Clone, Copy, Debug, Default)]
pub struct Shows {
    /// The place in a collection.
    pub sub_key: Option<Show>,
    /// The value.
    pub value: Option<Show>,
}

/// A cell as declared.
#[derive(Clone, Copy, Debug)]
pub struct CellSpec {
    /// Its name: state hangs on it.
    pub name: &'static str,
    /// Its kind.
    pub kind: CellKind,
    /// The version of the schema of its entries, from 1.
    pub version: u16,
    /// How entries of older versions become entries of this one, step by step.
    pub migrations: &'static [Migration],
    /// How long after its last write an entry is dropped; `None`: never.
    pub expires_after: Option<Duration>,
    /// How its entries are shown.
    pub shows: Shows,
}

impl CellSpec {
    /// A cell of version 1 that never expires.
    #[must_use]
    pub const fn new(name: &'static str, kind: CellKind) -> Self {
        let shows = Shows { sub_key: None, value: None };
        Self { name, kind, version: 1, migrations: &[], expires_after: None, shows }
    }

    /// Whether there is a step from every version since `from`.
    #[must_use]
    pub fn migrates_from(&self, from: u16) -> bool {
        (from..self.version).all(|version| self.migrations.iter().any(|step| step.from == version))
    }
}

/// Anything that is a cell.
pub trait StateCell {
    /// Its declaration.
    fn spec(&self) -> CellSpec;
}

/// What stands around every stored entry: the schema version it was written in, and when, where it expires.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    pub(crate) version: u16,
    pub(crate) written_at: Option<ProcessingTime>,
    pub(crate) payload: Bytes,
}

/// Why a stored entry cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EnvelopeError {
    #[error("the stored entry is damaged")]
    Damaged,
    #[error(
        "the stored entry has schema version {stored}, and this code knows {known}: run the code that wrote it, or newer"
    )]
    Newer { stored: u16, known: u16 },
    #[error(
        "the stored entry has schema version {stored}, this code {known}, and there is no migration from {missing}"
    )]
    NoMigration { stored: u16, known: u16, missing: u16 },
    #[error("migration from schema version {from}: {reason}")]
    Migration { from: u16, reason: String },
}

const HAS_WRITTEN_AT: u8 = 1;
const HAS_VERSION: u8 = 2;

impl Envelope {
    pub(crate) fn seal(spec: &CellSpec, now: ProcessingTime, payload: &[u8]) -> Bytes {
        let mut out = BytesMut::with_capacity(payload.len() + 11);
        let mut flags = 0;
        if spec.expires_after.is_some() {
            flags |= HAS_WRITTEN_AT;
        }
        if spec.version != 1 {
            flags |= HAS_VERSION;
        }
        out.put_u8(flags);
        if spec.expires_after.is_some() {
            out.put_i64(now.as_micros());
        }
        if spec.version != 1 {
            out.put_u16(spec.version);
        }
        out.put_slice(payload);
        out.freeze()
    }

    pub(crate) fn open(bytes: &Bytes) -> Result<Self, EnvelopeError> {
        let mut rest: &[u8] = bytes;
        let flags = take::<1>(&mut rest)?[0];
        let written_at = match flags & HAS_WRITTEN_AT {
            0 => None,
            _ => Some(ProcessingTime::from_micros(i64::from_be_bytes(take::<8>(&mut rest)?))),
        };
        let version = match flags & HAS_VERSION {
            0 => 1,
            _ => u16::from_be_bytes(take::<2>(&mut rest)?),
        };
        Ok(Self { version, written_at, payload: bytes.slice_ref(rest) })
    }

    /// The payload as `spec` wants it at `now`: migrated to its version, or nothing where it has expired.
    pub(crate) fn read(
        bytes: &Bytes,
        spec: &CellSpec,
        now: ProcessingTime,
    ) -> Result<Option<Bytes>, EnvelopeError> {
        let envelope = Self::open(bytes)?;
        if envelope.is_expired(spec, now) {
            return Ok(None);
        }
        let (stored, known) = (envelope.version, spec.version);
        if stored > known {
            return Err(EnvelopeError::Newer { stored, known });
        }
        let mut payload = envelope.payload;
        for version in stored..known {
            let step = spec.migrations.iter().find(|step| step.from == version);
            let step = step.ok_or(EnvelopeError::NoMigration { stored, known, missing: version })?;
            let upgraded = (step.upgrade)(&payload);
            payload = upgraded.map_err(|reason| EnvelopeError::Migration { from: version, reason })?.into();
        }
        Ok(Some(payload))
    }

    pub(crate) fn is_expired(&self, spec: &CellSpec, now: ProcessingTime) -> bool {
        match (spec.expires_after, self.written_at) {
            (Some(after), Some(written)) => written.plus(after) <= now,
            _ => false,
        }
    }
}

fn take<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], EnvelopeError> {
    let (head, tail) = rest.split_first_chunk::<N>().ok_or(EnvelopeError::Damaged)?;
    *rest = tail;
    Ok(*head)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: ProcessingTime = ProcessingTime::from_secs(1000);

    fn add_zero(old: &[u8]) -> Result<Vec<u8>, String> {
        if old.is_empty() { Err("it is empty".into()) } else { Ok([old, &[0]].concat()) }
    }

    const V3: CellSpec = CellSpec {
        version: 3,
        migrations: &[Migration { from: 1, upgrade: add_zero }, Migration { from: 2, upgrade: add_zero }],
        ..CellSpec::new("c", CellKind::Value)
    };

    #[test]
    fn an_old_entry_is_migrated_step_by_step() {
        let old = Envelope::seal(&CellSpec::new("c", CellKind::Value), NOW, &[7]);
        assert_eq!(old.len(), 2, "an entry of version 1 that never expires costs one byte");
        assert_eq!(Envelope::read(&old, &V3, NOW).unwrap().unwrap(), vec![7, 0, 0]);
        assert!(V3.migrates_from(1) && !CellSpec { migrations: &[], ..V3 }.migrates_from(2));
    }

    #[test]
    fn a_newer_entry_a_gap_and_a_failed_step_are_refused_in_words() {
        let known = CellSpec::new("c", CellKind::Value);
        let newer = Envelope::seal(&V3, NOW, &[7]);
        assert_eq!(Envelope::read(&newer, &known, NOW), Err(EnvelopeError::Newer { stored: 3, known: 1 }));
        let gap = CellSpec { migrations: &V3.migrations[..1], ..V3 };
        let old = Envelope::seal(&known, NOW, &[7]);
        let error = Envelope::read(&old, &gap, NOW).unwrap_err();
        assert_eq!(error, EnvelopeError::NoMigration { stored: 1, known: 3, missing: 2 });
        let empty = Envelope::seal(&known, NOW, &[]);
        assert!(
            Envelope::read(&empty, &V3, NOW)
                .unwrap_err()
                .to_string()
                .contains("from schema version 1: it is empty")
        );
        assert_eq!(Envelope::open(&Bytes::from_static(&[3, 1])), Err(EnvelopeError::Damaged));
    }

    #[test]
    fn an_entry_expires_by_its_last_write() {
        let hour = Duration::from_secs(3600);
        let spec = CellSpec { expires_after: Some(hour), ..CellSpec::new("c", CellKind::Value) };
        let entry = Envelope::seal(&spec, NOW, b"x");
        assert!(
            Envelope::read(&entry, &spec, NOW.plus(hour).minus(Duration::from_micros(1))).unwrap().is_some()
        );
        assert_eq!(Envelope::read(&entry, &spec, NOW.plus(hour)), Ok(None));
    }
}
