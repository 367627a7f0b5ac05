//! Draws the timelines of the book's chapter "Windows, step by step", from the panes that the engine gives.
//!
//!     cargo run --example timelines -- docs/src
//!
//! A row for each thing that happens, from top to bottom: a record at its event time, or the watermark as it moves on;
//! and below it what comes of it: panes, each over its window, and records that are refused.

use anyhow::{Context, Result};
use pelton::testing::Harness;
use pelton::window::aggregators::Count;
use pelton::window::{
    Accumulation, FixedWindows, GlobalWindow, Pane, Refused, Sessions, Strategy, Trigger, Window, WindowFn,
    Windowed,
};
use pelton::{EventTime, Stream};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

static WORDS: Stream<String> = Stream::new("words");
static COUNTS: Stream<Pane<u64>> = Stream::new("counts");
static REFUSED: Stream<Refused<String>> = Stream::new("refused");

const SECOND_WIDTH: i64 = 18;
const LEFT: i64 = 110;
const ROW_HEIGHT: i64 = 24;
const SECONDS: i64 = 30;

#[derive(Clone, Copy)]
enum Happens {
    /// A key, and the second of the record.
    Record(&'static str, i64),
    Watermark(i64),
    End,
}
use Happens::{End, Record, Watermark};

/// The words that are counted, in the order in which they come.
const COME: [Happens; 8] = [
    Record("to", 1),
    Record("be", 3),
    Record("be", 12),
    Record("to", 6),
    Watermark(10),
    Record("to", 9),
    Watermark(20),
    End,
];

/// What Ann says, a key of its own.
const SAID: [Happens; 7] = [
    Record("ann", 1),
    Record("ann", 16),
    Record("ann", 8),
    Watermark(12),
    Record("ann", 6),
    Watermark(26),
    End,
];

/// All pictures, by the names of their files.
pub(crate) fn pictures() -> Result<Vec<(&'static str, String)>> {
    let seconds = Duration::from_secs;
    let (tens, gaps) = (FixedWindows::of(seconds(10)), Sessions::with_gap(seconds(10)));
    let of = |trigger| Strategy { trigger, ..Strategy::default() };
    let on_time = of(Trigger::after_watermark());
    let early = Trigger::after_watermark().early(Trigger::after_count(1));
    let accumulating = Strategy { accumulation: Accumulation::Accumulating, ..of(early.clone()) };
    let late = Strategy {
        trigger: early.late(Trigger::after_count(1)),
        allowed_lateness: seconds(5),
        ..accumulating.clone()
    };
    let retracting = Strategy { accumulation: Accumulation::Retracting, ..late.clone() };
    Ok(vec![
        ("timeline-all.svg", draw(GlobalWindow, on_time.clone(), &COME)?),
        ("timeline-fixed.svg", draw(tens, on_time.clone(), &COME)?),
        ("timeline-early.svg", draw(tens, accumulating, &COME)?),
        ("timeline-late.svg", draw(tens, late, &COME)?),
        ("timeline-retracting.svg", draw(tens, retracting.clone(), &COME)?),
        ("timeline-sessions.svg", draw(gaps, on_time, &SAID)?),
        ("timeline-sessions-early-late.svg", draw(gaps, retracting, &SAID)?),
    ])
}

fn draw(windows: impl WindowFn<String>, strategy: Strategy, happens: &[Happens]) -> Result<String> {
    let windowed = Windowed::by(windows, Count::new()).strategy(strategy).refused(&REFUSED);
    let mut harness = Harness::new(windowed.step("count", &WORDS, &COUNTS)?)?;
    let (mut rows, mut y) = (String::new(), 46);
    for one in happens {
        match *one {
            Record(word, second) => {
                harness.push(&WORDS, word, EventTime::from_secs(second), &word.to_owned())?;
                let x = place(second);
                write!(rows, r##"<text x="8" y="{y}">record: {word}</text>"##)?;
                writeln!(rows, r##"<circle cx="{x}" cy="{}" r="6" fill="#456"/>"##, y - 4)?;
            }
            Watermark(second) => {
                harness.advance_watermark(EventTime::from_secs(second))?;
                let (x, top, bottom) = (place(second), y - 14, y + 4);
                write!(rows, r##"<text x="8" y="{y}">watermark</text>"##)?;
                writeln!(rows, r##"<path d="M{x} {top}V{bottom}" stroke="#c33" stroke-width="3"/>"##)?;
            }
            End => {
                harness.finish()?;
                writeln!(rows, r##"<text x="8" y="{y}">end of input</text>"##)?;
            }
        }
        y += ROW_HEIGHT;
        for refused in harness.output(&REFUSED)? {
            let x = place(second_of(refused.event_time));
            writeln!(
                rows,
                r##"<text x="{x}" y="{}" text-anchor="middle" fill="#c33">refused</text>"##,
                y - 2
            )?;
            y += ROW_HEIGHT;
        }
        for pane in harness.output(&COUNTS)? {
            writeln!(rows, "{}", drawn(&pane.key.to_string(), &pane.value, y)?)?;
            y += ROW_HEIGHT;
        }
    }
    let (width, mut axis) = (place(SECONDS) + 20, String::new());
    for second in (0..=SECONDS).step_by(10) {
        let x = place(second);
        write!(axis, r##"<text x="{x}" y="16" text-anchor="middle">{second} s</text>"##)?;
        writeln!(axis, r##"<path d="M{x} 22V{y}" stroke="#ccc"/>"##)?;
    }
    Ok(format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {y}\" font-family=\"sans-serif\" \
         font-size=\"13\">\n<rect width=\"{width}\" height=\"{y}\" fill=\"#fff\"/>\n{axis}{rows}</svg>\n"
    ))
}

/// A pane over its window.
fn drawn(key: &str, pane: &Pane<u64>, y: i64) -> Result<String> {
    let all = pane.window == Window::GLOBAL;
    let at = |time: EventTime, end: i64| place(if all { end } else { second_of(time) });
    let (from, to) = (at(pane.window.start(), 0), at(pane.window.end(), SECONDS));
    let (top, width, middle) = (y - 16, to - from, (from + to) / 2);
    let (fill, taken_back) = if pane.retraction { ("#eee", "taken back: ") } else { ("#dec", "") };
    let (value, timing) = (pane.value, pane.info.timing.as_str().replace('_', " "));
    let mut drawn = String::new();
    write!(drawn, r##"<rect x="{from}" y="{top}" width="{width}" height="20" fill="{fill}"/>"##)?;
    let y = y - 2;
    write!(
        drawn,
        r##"<text x="{middle}" y="{y}" text-anchor="middle">{taken_back}{key} {value}, {timing}</text>"##
    )?;
    Ok(drawn)
}

fn second_of(time: EventTime) -> i64 {
    time.as_micros() / 1_000_000
}

fn place(second: i64) -> i64 {
    LEFT + second * SECOND_WIDTH
}

fn main() -> Result<()> {
    let folder = std::env::args_os().nth(1).map(PathBuf::from).context("say the directory to draw into")?;
    for (name, picture) in pictures()? {
        std::fs::write(folder.join(name), picture).with_context(|| format!("cannot write {name}"))?;
    }
    Ok(())
}
