//! What an append may be: everything that a client can get wrong is found before anything is taken (I10, I11).

use pelton_domain::Key;
use pelton_proto::ingest::{AppendRequest, IngestRecord};

/// The most records in one request.
pub(crate) const RECORDS_MAX: usize = 1000;
/// The most bytes of ids, keys and values in one request.
pub(crate) const REQUEST_BYTES_MAX: usize = 900_000;
/// The longest id, and the longest name of a client.
pub(crate) const ID_BYTES_MAX: usize = 64;
/// The most bytes of one record's key and value: with all that stands around them a store takes them as one value.
pub(crate) const RECORD_BYTES_MAX: usize = 64 << 10;

/// Why a request is refused. None of its records is taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("the first request of a call names the stream and the client; this one has no {0}")]
    Unnamed(&'static str),
    #[error("the {what} changes from {from:?} to {to:?}: use one call for each {what}")]
    Renamed { what: &'static str, from: String, to: String },
    #[error("the client's name has {bytes} bytes; {ID_BYTES_MAX} is the most")]
    ClientName { bytes: usize },
    #[error("{records} records in one request; {RECORDS_MAX} is the most: use several requests")]
    TooMany { records: usize },
    #[error(
        "the ids, keys and values of one request have {bytes} bytes; {REQUEST_BYTES_MAX} is the most: use several requests"
    )]
    TooLarge { bytes: usize },
    #[error("record {at} has an id of {bytes} bytes; it takes 1 to {ID_BYTES_MAX}")]
    Id { at: usize, bytes: usize },
    #[error("record {at} has a key of {bytes} bytes; {} is the most", Key::LENGTH_MAX)]
    Key { at: usize, bytes: usize },
    #[error("record {at} has {bytes} bytes of key and value; {RECORD_BYTES_MAX} is the most")]
    Record { at: usize, bytes: usize },
    #[error("record {at} has the event time {event_time_us}, which stands for infinity")]
    EventTime { at: usize, event_time_us: i64 },
}

/// Whom the requests of one call are for and from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) stream: String,
    pub(crate) client: String,
}

impl Names {
    /// Takes up what a request says; the first must say both, and no later one anything else.
    pub(crate) fn learn(&mut self, request: &AppendRequest) -> Result<(), Refused> {
        let names =
            [("stream", &mut self.stream, &request.stream), ("client", &mut self.client, &request.client)];
        for (what, known, said) in names {
            if known.is_empty() && said.is_empty() {
                return Err(Refused::Unnamed(what));
            }
            if known.is_empty() {
                known.clone_from(said);
            } else if !said.is_empty() && known != said {
                return Err(Refused::Renamed { what, from: known.clone(), to: said.clone() });
            }
        }
        let bytes = self.client.len();
        if bytes > ID_BYTES_MAX { Err(Refused::ClientName { bytes }) } else { Ok(()) }
    }
}

/// Checks the records of one request; what they weigh.
pub(crate) fn check(records: &[IngestRecord]) -> Result<usize, Refused> {
    if records.len() > RECORDS_MAX {
        return Err(Refused::TooMany { records: records.len() });
    }
    let mut bytes = 0;
    for (at, record) in records.iter().enumerate() {
        bytes += weight(at, record)?;
    }
    if bytes > REQUEST_BYTES_MAX { Err(Refused::TooLarge { bytes }) } else { Ok(bytes) }
}

fn weight(at: usize, record: &IngestRecord) -> Result<usize, Refused> {
    let (id, key) = (record.id.len(), record.key.len());
    if id == 0 || id > ID_BYTES_MAX {
        return Err(Refused::Id { at, bytes: id });
    }
    if key > Key::LENGTH_MAX {
        return Err(Refused::Key { at, bytes: key });
    }
    let bytes = key + record.value.len();
    if bytes > RECORD_BYTES_MAX {
        return Err(Refused::Record { at, bytes });
    }
    match record.event_time_us {
        Some(event_time_us @ (i64::MIN | i64::MAX)) => Err(Refused::EventTime { at, event_time_us }),
        _ => Ok(id + bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(id: usize, key: usize, value: usize) -> IngestRecord {
        let bytes = |count| vec![b'x'; count].into();
        IngestRecord { id: bytes(id), key: bytes(key), value: bytes(value), event_time_us: Some(1) }
    }

    #[test]
    fn everything_at_its_bound_is_taken_and_one_more_is_refused_with_its_place() {
        assert_eq!(check(&vec![record(64, 0, 0); 1000]), Ok(64_000));
        assert_eq!(check(&vec![record(1, 0, 0); 1001]), Err(Refused::TooMany { records: 1001 }));
        for bytes in [0, 65] {
            let records = [record(1, 1, 1), record(bytes, 1, 1)];
            assert_eq!(check(&records), Err(Refused::Id { at: 1, bytes }));
        }
        assert_eq!(check(&[record(1, 4096, 0)]), Ok(4097));
        assert_eq!(check(&[record(1, 4097, 0)]), Err(Refused::Key { at: 0, bytes: 4097 }));
        assert_eq!(check(&[record(1, 36, 65_500)]), Ok(65_537));
        assert_eq!(check(&[record(1, 37, 65_500)]), Err(Refused::Record { at: 0, bytes: 65_537 }));
        assert_eq!(check(&vec![record(1, 0, 59_999); 15]), Ok(900_000));
        let over = vec![record(1, 0, 60_000); 15];
        assert_eq!(check(&over), Err(Refused::TooLarge { bytes: 900_015 }));
        let infinite = IngestRecord { event_time_us: Some(i64::MAX), ..record(1, 1, 1) };
        assert!(check(&[infinite]).is_err());
    }

    #[test]
    fn a_call_is_for_one_stream_and_from_one_client() {
        let request = |stream: &str, client: &str| AppendRequest {
            stream: stream.into(),
            client: client.into(),
            ..AppendRequest::default()
        };
        let mut names = Names::default();
        assert_eq!(names.clone().learn(&request("", "c")), Err(Refused::Unnamed("stream")));
        assert_eq!(names.clone().learn(&request("s", "")), Err(Refused::Unnamed("client")));
        let long = "c".repeat(65);
        assert_eq!(names.clone().learn(&request("s", &long)), Err(Refused::ClientName { bytes: 65 }));
        names.learn(&request("s", "c")).unwrap();
        names.learn(&request("", "")).unwrap();
        names.learn(&request("s", "c")).unwrap();
        let error = names.learn(&request("", "d")).unwrap_err().to_string();
        assert_eq!(error, "the client changes from \"c\" to \"d\": use one call for each client");
    }
}
