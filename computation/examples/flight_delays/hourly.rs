//! Stage 2: the flights of each airport and hour, counted, and told once the hour is complete.

use crate::bucket::Bucket;
use crate::flight::Flight;
use crate::hour::Hour;
use pelton::{
    Computation, Context, Declaration, EventTime, Failure, Fired, Input, Map, Stream, TimeDomain, Timer,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Scheduled departures, keyed by airport.
pub(crate) static DEPARTURES: Stream<Flight> = Stream::new("departures");
/// Complete hours, keyed by airport, each airport's in order of time.
pub(crate) static BUCKETS: Stream<Bucket> = Stream::new("buckets");

/// The hours of an airport that are not complete yet: an entry each, so that a flight costs one small write,
/// however many hours are open.
static OPEN: Map<Hour, Tally> = Map::new("open");

const CLOSE: &str = "close";

/// The flights of an hour so far.
///
/// Whole numbers, so that the order in which flights arrive does not show in the mean (I12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    departed: u32,
    cancelled: u32,
    delay_minutes_sum: i64,
}

impl Tally {
    fn add(&mut self, delay_minutes: Option<i32>) {
        match delay_minutes {
            Some(minutes) => {
                self.departed += 1;
                self.delay_minutes_sum += i64::from(minutes);
            }
            None => self.cancelled += 1,
        }
    }

    /// The sum is exact as a float: 2^53 minutes are 17 billion years.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    fn delay_minutes_mean(&self) -> Option<f64> {
        (self.departed > 0).then(|| self.delay_minutes_sum as f64 / f64::from(self.departed))
    }

    fn complete(self, origin: &str, hour: Hour) -> Bucket {
        Bucket {
            origin: origin.to_owned(),
            hour,
            departed: self.departed,
            cancelled: self.cancelled,
            delay_minutes_mean: self.delay_minutes_mean(),
        }
    }
}

/// Counts flights by the hour they were scheduled in.
///
/// A flight is late if its hour was told already, that is, if the low watermark has reached the hour's end.
#[derive(Clone, Debug)]
pub(crate) struct Hourly;

impl Computation for Hourly {
    type Input = Flight;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&OPEN).output(&BUCKETS);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Flight>) -> Result<(), Failure> {
        let (hour, delay_minutes) = (input.value.time_hour, input.value.delay_minutes());
        if hour.end() <= cx.input_watermark() {
            cx.drop_late();
            return Ok(());
        }
        let mut tally = OPEN.get(cx, &hour).await?.unwrap_or_default();
        tally.add(delay_minutes);
        OPEN.insert(cx, &hour, &tally)?;
        let closes_at = cx.timer(CLOSE, TimeDomain::Event).await?;
        if closes_at.is_none_or(|at| hour.end().as_micros() < at) {
            cx.set_timer(close(hour))?;
        }
        Ok(())
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _timer: Fired) -> Result<(), Failure> {
        let origin = cx.key().clone();
        let mut open: BTreeMap<Hour, Tally> = OPEN.all(cx).await?.into_iter().collect();
        for (hour, tally) in take_complete(&mut open, cx.input_watermark()) {
            OPEN.remove(cx, &hour)?;
            cx.emit(&BUCKETS, origin.clone(), hour.end(), &tally.complete(&origin.to_string(), hour))?;
        }
        match open.keys().next() {
            Some(hour) => cx.set_timer(close(*hour)),
            None => Ok(()),
        }
    }
}

/// The one timer of an airport: the end of its first open hour. That is the event time of the bucket as well,
/// so it holds the output watermark where it must: a bucket is never late downstream.
fn close(hour: Hour) -> Timer {
    Timer::event(CLOSE, hour.end())
}

/// Takes the hours that no more flights are expected for, in order of time.
fn take_complete(open: &mut BTreeMap<Hour, Tally>, watermark: EventTime) -> Vec<(Hour, Tally)> {
    let mut complete = Vec::new();
    while let Some(first) = open.first_entry()
        && first.key().end() <= watermark
    {
        complete.push(first.remove_entry());
    }
    complete
}

#[cfg(test)]
mod tests {
    use super::*;
    use pelton::Step;
    use pelton::testing::{Harness, TimerAt};
    use serde_json::json;

    fn hour(text: &str) -> Hour {
        text.parse().unwrap()
    }

    #[test]
    fn the_mean_does_not_depend_on_order_and_is_missing_where_none_left() {
        let of = |delays: &[Option<i32>]| {
            let mut tally = Tally::default();
            delays.iter().for_each(|delay| tally.add(*delay));
            tally.complete("JFK", hour("2013-01-01T10:00:00Z"))
        };
        let bucket = of(&[Some(-3), None, Some(10), Some(22)]);
        assert_eq!((bucket.departed, bucket.cancelled), (3, 1));
        assert_eq!(bucket, of(&[Some(22), Some(10), Some(-3), None]));
        assert_eq!(
            serde_json::to_string(&of(&[Some(7), Some(8), None])).unwrap(),
            r#"{"origin":"JFK","hour":"2013-01-01T10:00:00Z","departed":2,"cancelled":1,"delay_minutes_mean":7.5}"#
        );
        assert_eq!(of(&[None]).delay_minutes_mean, None);
    }

    fn harness() -> Harness {
        Harness::new(Step::new("hourly", Hourly).reads(&DEPARTURES)).unwrap()
    }

    /// Pushes a flight from JFK, scheduled at `time` such as "10:40", that left `delay` minutes late or never.
    fn fly(harness: &mut Harness, time: &str, delay: Option<i32>) {
        let (hour, minute) = time.split_once(':').unwrap();
        let flight = json!({
            "origin": "JFK",
            "time_hour": format!("2013-01-01T{hour}:00:00Z"),
            "minute": minute.parse::<u8>().unwrap(),
            "dep_time": delay.map(|_| 1),
            "dep_delay": delay,
        });
        let flight: Flight = serde_json::from_value(flight).unwrap();
        harness.push(&DEPARTURES, "JFK", flight.scheduled(), &flight).unwrap();
    }

    /// What has been told: hour of the day, flights that left, and flights that did not.
    fn told(harness: &mut Harness) -> Vec<(String, u32, u32)> {
        let buckets = harness.output(&BUCKETS).unwrap().into_iter();
        let tell =
            |bucket: Bucket| (bucket.hour.to_string()[11..13].to_owned(), bucket.departed, bucket.cancelled);
        buckets.map(|output| tell(output.value)).collect()
    }

    fn bucket(hour: &str, departed: u32, cancelled: u32) -> (String, u32, u32) {
        (hour.to_owned(), departed, cancelled)
    }

    #[test]
    fn an_hour_is_told_once_the_watermark_has_reached_its_end() {
        let mut harness = harness();
        fly(&mut harness, "12:10", Some(5));
        fly(&mut harness, "10:59", Some(-3));
        fly(&mut harness, "10:00", None);
        let ten = hour("2013-01-01T10:00:00Z");
        harness.advance_watermark(EventTime::from_micros(ten.end().as_micros() - 1)).unwrap();
        assert_eq!(told(&mut harness), []);
        harness.advance_watermark(ten.end()).unwrap();
        assert_eq!(told(&mut harness), [bucket("10", 1, 1)]);
        let next: Vec<_> = harness.timers("JFK").unwrap().into_iter().map(|timer| timer.at).collect();
        assert_eq!(
            next,
            [TimerAt::Event(hour("2013-01-01T12:00:00Z").end())],
            "one timer: the next open hour"
        );
        harness.finish().unwrap();
        assert_eq!(told(&mut harness), [bucket("12", 1, 0)]);
        assert!(harness.map(&OPEN, "JFK").unwrap().is_empty(), "what was told is forgotten");
    }

    #[test]
    fn hours_that_end_together_are_told_in_order_and_are_not_late_downstream() {
        let mut harness = harness();
        for time in ["13:00", "11:00", "12:00", "11:30"] {
            fly(&mut harness, time, Some(0));
        }
        harness.advance_watermark(hour("2013-01-01T11:00:00Z").start()).unwrap();
        let before = harness.output_watermark();
        harness.finish().unwrap();
        let outputs = harness.output(&BUCKETS).unwrap();
        let times: Vec<_> = outputs.iter().map(|output| output.event_time).collect();
        assert_eq!(outputs.len(), 3);
        assert!(times.is_sorted() && times.iter().all(|time| before <= *time), "I7: {before} {times:?}");
    }

    #[test]
    fn a_flight_of_an_hour_that_was_told_is_late_and_one_of_an_open_hour_is_not() {
        let mut harness = harness();
        fly(&mut harness, "10:40", Some(1));
        harness
            .advance_watermark(EventTime::from_micros(hour("2013-01-01T11:00:00Z").start().as_micros() + 1))
            .unwrap();
        fly(&mut harness, "10:50", Some(1));
        fly(&mut harness, "11:00", Some(1));
        harness.finish().unwrap();
        assert_eq!(told(&mut harness), [bucket("10", 1, 0), bucket("11", 1, 0)]);
        assert_eq!(harness.late_dropped(), 1);
    }

    #[test]
    fn a_crash_in_the_middle_of_a_commit_changes_no_bucket() {
        let mut harness = harness();
        fly(&mut harness, "10:40", Some(1));
        harness.hold_commits();
        fly(&mut harness, "10:41", Some(2));
        harness.crash().unwrap();
        harness.hold_commits();
        harness.advance_watermark(hour("2013-01-01T10:00:00Z").end()).unwrap();
        assert_eq!(told(&mut harness), []);
        harness.crash_after_commit().unwrap();
        assert_eq!(told(&mut harness), [bucket("10", 2, 0)]);
    }
}
