//! Draws the timelines of the book's chapter on windows, from the panes that the engine gives.
//!
//!     cargo run --example timelines -- docs/src
//!
//! A row for each thing that happens, from top to bottom: a record at its event time, or the watermark as it moves on;
//! and below it the panes that fire then, each over its window.

use anyhow::{Context, Result};
use pelton::testing::Harness;
use pelton::window::aggregators::Collect;
use pelton::window::{Accumulation, FixedWindows, Pane, Sessions, Strategy, Trigger, WindowFn, Windowed};
use pelton::{EventTime, Stream};
use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

static LETTERS: Stream<char> = Stream::new("letters");
static WORDS: Stream<Pane<Vec<char>>> = Stream::new("words");

const SECOND_WIDTH: i64 = 16;
const LEFT: i64 = 90;
const ROW_HEIGHT: i64 = 24;
const SECONDS: i64 = 30;

#[derive(Clone, Copy)]
enum Happens {
    Record(char, i64),
    Watermark(i64),
}
use Happens::{Record, Watermark};

/// All pictures, by the names of their files.
pub(crate) fn pictures() -> Result<Vec<(&'static str, String)>> {
    let seconds = Duration::from_secs;
    let early_and_late = Strategy {
        trigger: Trigger::after_watermark().early(Trigger::after_count(2)).late(Trigger::after_count(1)),
        accumulation: Accumulation::Accumulating,
        allowed_lateness: seconds(5),
        ..Strategy::default()
    };
    let letters = [Record('a', 1), Record('b', 6), Record('c', 4), Watermark(10), Record('d', 9)];
    let fixed: Vec<Happens> = letters.into_iter().chain([Record('e', 12), Watermark(20)]).collect();
    let sessions =
        [Record('a', 1), Record('b', 16), Record('c', 8), Watermark(12), Record('d', 6), Watermark(26)];
    Ok(vec![
        ("timeline-fixed.svg", draw(FixedWindows::of(seconds(10)), Strategy::default(), &fixed)?),
        ("timeline-early-late.svg", draw(FixedWindows::of(seconds(10)), early_and_late.clone(), &fixed)?),
        ("timeline-sessions.svg", draw(Sessions::with_gap(seconds(10)), early_and_late, &sessions)?),
    ])
}

fn draw(windows: impl WindowFn<char>, strategy: Strategy, happens: &[Happens]) -> Result<String> {
    let step = Windowed::by(windows, Collect::new()).strategy(strategy).step("words", &LETTERS, &WORDS)?;
    let mut harness = Harness::new(step)?;
    let (mut rows, mut y) = (String::new(), 46);
    for one in happens {
        match *one {
            Record(letter, second) => {
                harness.push(&LETTERS, "k", EventTime::from_secs(second), &letter)?;
                let x = place(second);
                write!(rows, r##"<text x="8" y="{y}">record {letter}</text>"##)?;
                writeln!(rows, r##"<circle cx="{x}" cy="{}" r="6" fill="#456"/>"##, y - 4)?;
            }
            Watermark(second) => {
                harness.advance_watermark(EventTime::from_secs(second))?;
                let (x, top, bottom) = (place(second), y - 14, y + 4);
                write!(rows, r##"<text x="8" y="{y}">watermark</text>"##)?;
                writeln!(rows, r##"<path d="M{x} {top}V{bottom}" stroke="#c33" stroke-width="3"/>"##)?;
            }
        }
        y += ROW_HEIGHT;
        for pane in harness.output(&WORDS)? {
            let pane = pane.value;
            let second = |time: EventTime| time.as_micros() / 1_000_000;
            let (from, to) = (place(second(pane.window.start())), place(second(pane.window.end())));
            let (word, timing) = (pane.value.iter().collect::<String>(), pane.info.timing.as_str());
            let timing = timing.replace('_', " ");
            let (top, width, middle) = (y - 16, to - from, (from + to) / 2);
            write!(rows, r##"<rect x="{from}" y="{top}" width="{width}" height="20" fill="#dec"/>"##)?;
            writeln!(
                rows,
                r##"<text x="{middle}" y="{}" text-anchor="middle">{word}, {timing}</text>"##,
                y - 2
            )?;
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
