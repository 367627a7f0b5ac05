//! From the injector's messages to domain types and back. What cannot be one is [`Malformed`], never a guess.

use crate::engine::channel::Party;
use crate::engine::worker::Figures;
use pelton_domain::{EventTime, KeyInterval, Sequencer, SystemTime};
use pelton_injector::{Announced, Assigned, Assignment, HolderKind, IntervalReport, Worker};
use pelton_proto::injector::{self, IntervalId};
use pelton_proto::{Malformed, convert};
use pelton_statestore::Precondition;

/// An assignment, and of which computation.
#[derive(Clone, Debug)]
pub(crate) struct AwayAssign {
    pub(crate) computation: u32,
    pub(crate) assigned: Assigned,
}

impl TryFrom<injector::Assign> for AwayAssign {
    type Error = Malformed;

    fn try_from(message: injector::Assign) -> Result<Self, Malformed> {
        let id = message.interval.ok_or_else(|| Malformed::new("assignment", "it names no interval"))?;
        let (interval, party) = read_interval_id(&id)?;
        let announced = message.announced.as_ref().map(read_announced).transpose()?.map(|(_, value)| value);
        let require = Precondition::Value { key: message.require_key, expected: Some(message.require_value) };
        // The name in it is the injector's business: what the take-over requires is the entry as it is written.
        let worker = Worker::from("this");
        let assignment = Assignment { interval, sequencer: party.sequencer, worker };
        let assigned = Assigned { assignment, require, announced: announced.unwrap_or_default() };
        Ok(Self { computation: id.computation, assigned })
    }
}

pub(crate) fn interval_id(interval: KeyInterval, party: Party) -> IntervalId {
    IntervalId {
        computation: party.address.computation,
        first_position: interval.first().0,
        last_position: interval.last().0,
        sequencer: party.sequencer.get(),
    }
}

pub(crate) fn read_interval_id(id: &IntervalId) -> Result<(KeyInterval, Party), Malformed> {
    let interval = convert::interval(id.first_position, id.last_position)?;
    let sequencer =
        Sequencer::new(id.sequencer).ok_or_else(|| Malformed::new("interval", "it has no sequencer"))?;
    Ok((interval, Party::of(id.computation, interval, sequencer)))
}

pub(crate) fn bounds(interval: KeyInterval) -> injector::Bounds {
    injector::Bounds { first_position: interval.first().0, last_position: interval.last().0 }
}

pub(crate) fn read_bounds(bounds: &[injector::Bounds]) -> Result<Vec<KeyInterval>, Malformed> {
    bounds.iter().map(|bounds| convert::interval(bounds.first_position, bounds.last_position)).collect()
}

pub(crate) fn read_announced(entry: &injector::AnnouncedEntry) -> Result<(u32, Announced), Malformed> {
    let oldest_unacknowledged = SystemTime::from_millis(entry.oldest_unacknowledged_ms);
    let low_watermark = EventTime::from_micros(entry.low_watermark_us);
    Ok((entry.computation, Announced { low_watermark, oldest_unacknowledged }))
}

fn holder(kind: HolderKind) -> &'static str {
    match kind {
        HolderKind::Input => "input",
        HolderKind::Pending => "pending",
        HolderKind::Outbox => "outbox",
        HolderKind::Timer => "timer",
        HolderKind::Parked => "parked",
        HolderKind::Explicit => "explicit",
        HolderKind::Source => "source",
        _ => "",
    }
}

pub(crate) fn report(
    interval: KeyInterval,
    party: Party,
    report: &IntervalReport,
    figures: &Figures,
) -> injector::Report {
    let totals = &figures.totals;
    injector::Report {
        interval: Some(interval_id(interval, party)),
        low_watermark_us: report.low_watermark.as_micros(),
        oldest_unacknowledged_ms: report.oldest_unacknowledged.as_millis(),
        holder: report.holder.as_ref().map_or("", |held| holder(held.what)).to_owned(),
        holder_key: report
            .holder
            .as_ref()
            .and_then(|held| held.key.as_ref())
            .map(pelton_domain::Key::to_bytes),
        busy_permille: report.load.busy_permille,
        memory_bytes: report.load.memory_bytes,
        totals: Some(injector::Totals {
            records: totals.records,
            duplicates: totals.duplicates,
            late_dropped: totals.late_dropped,
            dead_lettered: totals.dead_lettered,
            timers_fired: totals.timers_fired,
            productions: totals.productions,
        }),
        held: Some(injector::Held {
            waiting: figures.waiting,
            timers: figures.timers,
            failing_keys: figures.failing_keys,
            parked: figures.parked,
            outbox_bytes: figures.outbox_bytes,
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton_proto::Message;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            if let Ok(assign) = injector::Assign::decode(bytes.as_slice()) {
                let _ = AwayAssign::try_from(assign).is_ok();
            }
            if let Ok(id) = IntervalId::decode(bytes.as_slice()) {
                let _ = read_interval_id(&id).is_ok();
            }
            let _ = injector::InjectorMessage::decode(bytes.as_slice()).is_ok();
        }

        #[test]
        fn an_interval_survives_the_round_trip(computation: u32, a: u64, b: u64, sequencer in 1u64..1 << 44) {
            let interval = convert::interval(a.min(b), a.max(b)).unwrap();
            let party = Party::of(computation, interval, Sequencer::new(sequencer).unwrap());
            prop_assert_eq!(read_interval_id(&interval_id(interval, party)).unwrap(), (interval, party));
        }
    }
}
