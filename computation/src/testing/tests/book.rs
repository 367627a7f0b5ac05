//! The test that the book shows, in "Your first computation".

use crate::testing::{Harness, HarnessError};
use crate::{
    Computation, Context, Declaration, EventTime, Failure, Fired, Input, Step, Stream, Timer, Value,
};
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Reading {
    sensor: String,
    at_s: i64,
    millikelvin: i64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Minute {
    sensor_and_minute: String,
    readings: u32,
    kelvin_mean: f64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Tally {
    readings: u32,
    millikelvin_sum: i64,
}

static READINGS: Stream<Reading> = Stream::new("readings");
static MINUTES: Stream<Minute> = Stream::new("minutes");
static TALLY: Value<Tally> = Value::new("tally");

fn end_of_minute(reading: &Reading) -> EventTime {
    EventTime::from_secs((reading.at_s.div_euclid(60) + 1) * 60)
}

#[derive(Clone)]
struct Means;

impl Computation for Means {
    type Input = Reading;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&TALLY).output(&MINUTES);
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Reading>) -> Result<(), Failure> {
        let end = end_of_minute(&input.value);
        if end <= cx.input_watermark() {
            cx.drop_late();
            return Ok(());
        }
        let mut tally = TALLY.get(cx).await?.unwrap_or_default();
        tally.readings += 1;
        tally.millikelvin_sum += input.value.millikelvin;
        TALLY.set(cx, &tally)?;
        cx.set_timer(Timer::event("close", end))
    }

    #[expect(clippy::cast_precision_loss, reason = "a sum of temperatures is small")]
    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        let Some(tally) = TALLY.get(cx).await? else { return Ok(()) };
        TALLY.clear(cx)?;
        let key = cx.key().clone();
        let minute = Minute {
            sensor_and_minute: key.to_string(),
            readings: tally.readings,
            kelvin_mean: tally.millikelvin_sum as f64 / 1000.0 / f64::from(tally.readings),
        };
        cx.emit(&MINUTES, key, timer.event_time(), &minute)
    }
}

fn roof(at_s: i64, millikelvin: i64) -> Reading {
    Reading { sensor: "roof".into(), at_s, millikelvin }
}

#[test]
fn a_minute_is_told_once_when_it_is_over() -> Result<(), HarnessError> {
    let mut harness = Harness::new(Step::new("means", Means).reads(&READINGS))?;
    let first = harness.push(&READINGS, "roof 0", EventTime::from_secs(0), &roof(0, 280_150))?;
    harness.push(&READINGS, "roof 0", EventTime::from_secs(20), &roof(20, 280_250))?;
    assert_eq!(harness.value(&TALLY, "roof 0")?.map(|tally| tally.readings), Some(2));

    // The same record again, and a crash: neither may show.
    harness.push_with_id(&READINGS, first, "roof 0", EventTime::from_secs(0), &roof(0, 280_150))?;
    harness.crash()?;

    harness.advance_watermark(EventTime::from_secs(59))?;
    assert!(harness.output(&MINUTES)?.is_empty());
    harness.advance_watermark(EventTime::from_secs(60))?;
    let told = harness.output(&MINUTES)?;
    assert_eq!(told.len(), 1);
    assert_eq!((told[0].value.readings, told[0].value.kelvin_mean), (2, 280.2));
    assert!(harness.value(&TALLY, "roof 0")?.is_none() && harness.timers("roof 0")?.is_empty());

    // Behind the watermark: the code drops it, and it is counted.
    harness.push(&READINGS, "roof 0", EventTime::from_secs(30), &roof(30, 280_000))?;
    assert_eq!(harness.late_dropped(), 1);
    Ok(())
}
