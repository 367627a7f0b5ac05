//! Between the contract's messages and the injector's words. Whatever a peer sends becomes a domain value or
//! [`Malformed`], never a panic and never a guess.

use crate::announced::Announced;
use crate::injector::Assigned;
use crate::membership::{Hello, IntervalReign, SessionId};
use crate::report::{Holder, HolderKind, IntervalReport, Load};
use bytes::Bytes;
use pelton_domain::{EventTime, Key, KeyInterval, Sequencer, SystemTime};
use pelton_proto::injector::{self as proto, injector_message::Kind};
use pelton_proto::{Malformed, convert, worker};
use pelton_statestore::Precondition;

pub(super) fn message(kind: Kind) -> proto::InjectorMessage {
    proto::InjectorMessage { kind: Some(kind), id_time_ms_max: None }
}

pub(super) fn reign(id: &proto::IntervalId) -> Result<IntervalReign, Malformed> {
    let no_sequencer = || Malformed::new("interval", "it has no sequencer");
    Ok(IntervalReign {
        computation: id.computation,
        interval: convert::interval(id.first_position, id.last_position)?,
        sequencer: Sequencer::new(id.sequencer).ok_or_else(no_sequencer)?,
    })
}

pub(super) fn reigns(ids: &[proto::IntervalId]) -> Result<Vec<IntervalReign>, Malformed> {
    ids.iter().map(reign).collect()
}

pub(super) fn interval_id(reign: &IntervalReign) -> proto::IntervalId {
    proto::IntervalId {
        computation: reign.computation,
        first_position: reign.interval.first().0,
        last_position: reign.interval.last().0,
        sequencer: reign.sequencer.get(),
    }
}

pub(super) fn interval(bounds: &proto::Bounds) -> Result<KeyInterval, Malformed> {
    convert::interval(bounds.first_position, bounds.last_position)
}

pub(super) fn bounds(interval: &KeyInterval) -> proto::Bounds {
    proto::Bounds { first_position: interval.first().0, last_position: interval.last().0 }
}

/// What a worker says of itself, once its strings are checked.
pub(super) fn hello(hello: &proto::Hello, session: SessionId) -> Result<Hello, Malformed> {
    Ok(Hello {
        session,
        worker: hello.worker.as_str().into(),
        process: process(&hello.process)?,
        address: hello.address.clone(),
        graph_version: hello.graph_version,
        computations: hello.computations.iter().copied().collect(),
        running: reigns(&hello.running)?,
    })
}

fn process(bytes: &[u8]) -> Result<[u8; 16], Malformed> {
    let wrong = |_| Malformed::new("process", format!("{} bytes where 16 are due", bytes.len()));
    bytes.try_into().map_err(wrong)
}

pub(super) fn report(report: &proto::Report) -> Result<IntervalReport, Malformed> {
    let id = report.interval.as_ref().ok_or_else(|| Malformed::new("report", "it names no interval"))?;
    let IntervalReign { computation, interval, sequencer } = reign(id)?;
    Ok(IntervalReport {
        computation,
        interval,
        sequencer,
        low_watermark: EventTime::from_micros(report.low_watermark_us),
        oldest_unacknowledged: SystemTime::from_millis(report.oldest_unacknowledged_ms),
        holder: holder(&report.holder, report.holder_key.as_ref())?,
        load: Load { busy_permille: report.busy_permille, memory_bytes: report.memory_bytes },
    })
}

fn holder(what: &str, key: Option<&Bytes>) -> Result<Option<Holder>, Malformed> {
    let what = match what {
        "" => return Ok(None),
        "input" => HolderKind::Input,
        "pending" => HolderKind::Pending,
        "outbox" => HolderKind::Outbox,
        "timer" => HolderKind::Timer,
        "parked" => HolderKind::Parked,
        "explicit" => HolderKind::Explicit,
        "source" => HolderKind::Source,
        other => return Err(Malformed::new("report", format!("there is no holder {other:?}"))),
    };
    Ok(Some(Holder { what, key: key.map(|key| Key::new(key.clone())) }))
}

pub(super) fn assign(computation: u32, assigned: &Assigned) -> proto::Assign {
    let assignment = &assigned.assignment;
    let reign = IntervalReign { computation, interval: assignment.interval, sequencer: assignment.sequencer };
    let (require_key, require_value) = match &assigned.require {
        Precondition::Value { key, expected } => (key.clone(), expected.clone().unwrap_or_default()),
        Precondition::Empty { range } => (range.start.clone(), Bytes::new()),
    };
    proto::Assign {
        interval: Some(interval_id(&reign)),
        require_key,
        require_value,
        announced: Some(announced(computation, assigned.announced)),
    }
}

pub(super) fn announced(computation: u32, announced: Announced) -> proto::AnnouncedEntry {
    proto::AnnouncedEntry {
        computation,
        low_watermark_us: announced.low_watermark.as_micros(),
        oldest_unacknowledged_ms: announced.oldest_unacknowledged.as_millis(),
    }
}

pub(super) fn release(reigns: &[IntervalReign]) -> proto::InjectorMessage {
    message(Kind::Release(proto::Release { intervals: reigns.iter().map(interval_id).collect() }))
}

pub(super) fn route(reign: &IntervalReign, name: &str, process: Bytes, address: &str) -> worker::Route {
    worker::Route {
        computation: reign.computation,
        first_position: reign.interval.first().0,
        last_position: reign.interval.last().0,
        sequencer: reign.sequencer.get(),
        worker: name.to_owned(),
        process,
        address: address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_proto::Message;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_become_values_or_malformed_and_never_panic(bytes: Vec<u8>) {
            if let Ok(said) = proto::Report::decode(bytes.as_slice()) {
                let _ = report(&said);
            }
            if let Ok(said) = proto::Hello::decode(bytes.as_slice()) {
                let _ = hello(&said, SessionId(1));
            }
            if let Ok(said) = proto::Released::decode(bytes.as_slice()) {
                let _ = reigns(&said.intervals);
            }
        }

        #[test]
        fn a_report_says_what_was_said(
            computation: u32, a: u64, b: u64, sequencer: u64, low: i64, oldest: u64, key: Option<Vec<u8>>, what in 0usize..9,
        ) {
            let names = ["", "input", "pending", "outbox", "timer", "parked", "explicit", "source", "moon"];
            let interval = proto::IntervalId { computation, first_position: a, last_position: b, sequencer };
            let said = proto::Report {
                interval: Some(interval),
                low_watermark_us: low,
                oldest_unacknowledged_ms: oldest,
                holder: names[what].to_owned(),
                holder_key: key.map(Bytes::from),
                ..Default::default()
            };
            match report(&said) {
                Ok(read) => {
                    prop_assert_eq!((read.interval.first().0, read.interval.last().0), (a, b));
                    prop_assert_eq!((read.sequencer.get(), read.low_watermark.as_micros()), (sequencer, low));
                    prop_assert_eq!(read.holder.is_none(), what == 0);
                }
                Err(_) => prop_assert!(a > b || sequencer == 0 || what == 8),
            }
        }
    }
}
