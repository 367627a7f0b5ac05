//! The report: one self-contained page, drawn from `hourly.jsonl` and `alerts.jsonl` alone, so that it can
//! be made again at any time.
//!
//! The page carries the numbers as compact JSON and draws them itself; see the files in `report/`. Hours are
//! given as New York's clocks show them, so that the page needs no rules of time zones.

use crate::alert::{Alert, Event, Signal};
use crate::bucket::Bucket;
use crate::hour::{Hour, new_york};
use crate::usual::Direction;
use anyhow::{Context, Result};
use jiff::tz::TimeZone;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::Path;

const PAGE: &str = include_str!("report/page.html");
const STYLE: &str = include_str!("report/style.css");
const SCRIPTS: [&str; 4] = [
    include_str!("report/data.js"),
    include_str!("report/chart.js"),
    include_str!("report/week.js"),
    include_str!("report/page.js"),
];

/// Writes the report of the two files to `report`, at once or not at all.
pub(crate) fn write(hourly: &Path, alerts: &Path, report: &Path) -> Result<()> {
    let data = Data::read(hourly, alerts)?;
    let draft = report.with_extension("html.tmp");
    fs::write(&draft, page(&data)?).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, report).with_context(|| format!("cannot write {}", report.display()))
}

fn page(data: &Data) -> Result<String> {
    // Inside a script element only "<" can end the script.
    let data = serde_json::to_string(data)?.replace('<', "\\u003c");
    Ok(PAGE.replace("/*STYLE*/", STYLE).replace("/*SCRIPT*/", &SCRIPTS.concat()).replace("/*DATA*/", &data))
}

/// What the page draws.
#[derive(Debug, Default, Serialize)]
struct Data {
    airports: BTreeMap<String, Hours>,
    alerts: Vec<Span>,
}

/// The hours of an airport in order of time: one column for each number.
#[derive(Debug, Default, Serialize)]
struct Hours {
    /// Hours since the epoch, by the clocks.
    hours: Vec<i64>,
    departed: Vec<u32>,
    cancelled: Vec<u32>,
    /// Mean delay in tenths of minutes, which is as much as a chart can show.
    delay: Vec<Option<i64>>,
}

/// An alert from beginning to end.
#[derive(Debug, PartialEq, Serialize)]
struct Span {
    origin: String,
    signal: Signal,
    kind: Direction,
    since: i64,
    raised: i64,
    /// Nothing if it was never cleared.
    cleared: Option<i64>,
    buckets: u32,
    observed: f64,
    usual: f64,
}

impl Data {
    fn read(hourly: &Path, alerts: &Path) -> Result<Self> {
        let zone = new_york()?;
        let mut buckets: Vec<Bucket> = lines(hourly)?;
        buckets.sort_by_key(|bucket| bucket.hour);
        let mut airports = BTreeMap::<String, Hours>::new();
        for bucket in &buckets {
            airports.entry(bucket.origin.clone()).or_default().push(bucket, &zone);
        }
        Ok(Self { airports, alerts: spans(lines(alerts)?, &zone) })
    }
}

impl Hours {
    fn push(&mut self, bucket: &Bucket, zone: &TimeZone) {
        self.hours.push(bucket.hour.on_the_clocks_of(zone));
        self.departed.push(bucket.departed);
        self.cancelled.push(bucket.cancelled);
        #[expect(clippy::cast_possible_truncation, reason = "a mean of 32-bit minutes fits")]
        self.delay.push(bucket.delay_minutes_mean.map(|mean| (mean * 10.0).round() as i64));
    }
}

/// Joins each alert's beginning and end, whatever the order of the lines.
fn spans(mut alerts: Vec<Alert>, zone: &TimeZone) -> Vec<Span> {
    alerts.sort_by_key(|alert| (alert.hour, alert.event == Event::Raised));
    let mut spans = Vec::<Span>::new();
    for alert in alerts {
        let clock = |hour: Hour| hour.on_the_clocks_of(zone);
        let same = |span: &&mut Span| span.origin == alert.origin && span.signal == alert.signal;
        match (alert.event, spans.iter_mut().rev().find(same)) {
            (Event::Cleared, Some(span)) => {
                span.cleared = Some(clock(alert.hour));
                span.buckets = alert.buckets;
            }
            // Its beginning is missing: there is nothing to draw.
            (Event::Cleared, None) => {}
            (Event::Raised, _) => spans.push(Span {
                since: clock(alert.since),
                raised: clock(alert.hour),
                cleared: None,
                origin: alert.origin,
                signal: alert.signal,
                kind: alert.kind,
                buckets: alert.buckets,
                observed: alert.observed,
                usual: alert.usual,
            }),
        }
    }
    spans
}

fn lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let parse = |(number, line): (usize, std::io::Result<String>)| {
        serde_json::from_str(&line?).with_context(|| format!("{}, line {}", path.display(), number + 1))
    };
    BufReader::new(file).lines().enumerate().map(parse).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(event: &str, hour: &str, buckets: u32) -> Alert {
        serde_json::from_value(serde_json::json!({
            "origin": "J</script>FK", "signal": "delay", "kind": "spike", "event": event,
            "since": "2013-01-01T10:00:00Z", "hour": hour, "buckets": buckets, "observed": 90.0, "usual": 5.0,
        }))
        .unwrap()
    }

    #[test]
    fn beginnings_and_ends_are_joined_and_an_open_alert_stays_open() {
        let raised = alert("raised", "2013-01-01T12:00:00Z", 3);
        let cleared = alert("cleared", "2013-01-01T20:00:00Z", 6);
        let zone = new_york().unwrap();
        let joined = spans(vec![cleared, raised.clone()], &zone);
        assert_eq!(joined.len(), 1);
        assert_eq!((joined[0].cleared, joined[0].buckets), (Some(joined[0].since + 10), 6));
        assert_eq!(spans(vec![raised], &zone)[0].cleared, None);
    }

    #[test]
    fn the_page_is_self_contained_and_no_text_ends_its_script() {
        let alerts = spans(vec![alert("raised", "2013-01-01T12:00:00Z", 3)], &new_york().unwrap());
        let page = page(&Data { airports: BTreeMap::new(), alerts }).unwrap();
        assert_eq!(page.matches("</script>").count(), 1);
        assert!(!page.contains("/*DATA*/") && !page.contains("/*STYLE*/") && !page.contains("/*SCRIPT*/"));
        assert!(
            !page.contains("http://")
                || page.matches("http").count() == page.matches("http://www.w3.org/").count()
        );
    }
}
