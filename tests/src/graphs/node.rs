//! The computations of random graphs: each journals its calls, with their causes and effects, into its own state, for
//! [`pelton_checker`] to judge.
//!
//! What a call does follows from the payload of its record or the setting of its timer; whether it fails for a while
//! follows from the clock.

use super::stream;
use pelton::{
    Computation, Context, Declaration, EventTime, Failure, Fired, Input, List, ProcessingTime, TimeDomain,
    Timer, Value,
};
use pelton_checker::journal::{
    Cause, Domain, Emission, Entry, Node, Origin, Packet, Setting, TimerChange, TimerName, mix,
};
use std::time::Duration;

/// The key of every source.
pub(super) const SOURCE_KEY: u64 = 0;
/// How many keys each computation has.
const KEYS: u64 = 6;
/// The tags of the timers of one key.
const TAGS: [&str; 4] = ["0", "1", "2", "3"];

static JOURNAL: List<Entry> = List::new("journal");
/// How many steps, and what they came to.
static STATE: Value<(u64, u64)> = Value::new("state");
static CURSOR: Value<u64> = Value::new("cursor");

fn node(at: u16, cx: &Context<'_>) -> Result<Node, Failure> {
    let key = cx.key().as_bytes().try_into().map_err(Failure::permanent)?;
    Ok(Node { computation: at, key: u64::from_be_bytes(key) })
}

/// A call under way: what it does is done and journaled.
struct Call {
    node: Node,
    /// What its productions are told from others by.
    origin_step: u64,
    entry: Entry,
}

impl Call {
    async fn begin(cx: &mut Context<'_>, node: Node, cause: Cause) -> Result<Self, Failure> {
        let (step, before) = STATE.get(cx).await?.unwrap_or_default();
        let entry = Entry {
            step,
            cause,
            watermark_us: cx.input_watermark().as_micros(),
            now_us: cx.now().as_micros(),
            before,
            after: cause.follow(before),
            timers: Vec::new(),
            emitted: Vec::new(),
        };
        Ok(Self { node, origin_step: step, entry })
    }

    fn emit(
        &mut self,
        cx: &mut Context<'_>,
        key: u64,
        event_time_us: i64,
        payload: u64,
    ) -> Result<(), Failure> {
        let place = u16::try_from(self.entry.emitted.len()).map_err(Failure::permanent)?;
        let origin = Origin { node: self.node, step: self.origin_step, place };
        let packet = Packet { origin, payload };
        let at = self.node.computation;
        self.entry.emitted.push(Emission { stream: at, key, packet, event_time_us });
        cx.emit(&stream(at), key, EventTime::from_micros(event_time_us), &packet)
    }

    fn set(&mut self, cx: &mut Context<'_>, name: TimerName, setting: Setting) -> Result<(), Failure> {
        let tag = tag(name)?;
        let timer = match name.domain {
            Domain::Event => Timer::event(tag, EventTime::from_micros(setting.fire_at_us)),
            Domain::Processing => Timer::processing(tag, ProcessingTime::from_micros(setting.fire_at_us)),
        };
        let timer = timer.output_at(EventTime::from_micros(setting.output_time_us));
        self.entry.timers.push(TimerChange::Set(name, setting));
        cx.set_timer(timer.payload(setting.step.to_be_bytes().to_vec()))
    }

    fn clear(&mut self, cx: &mut Context<'_>, name: TimerName) -> Result<(), Failure> {
        let domain = match name.domain {
            Domain::Event => TimeDomain::Event,
            Domain::Processing => TimeDomain::Processing,
        };
        self.entry.timers.push(TimerChange::Cleared(name));
        cx.clear_timer(tag(name)?, domain)
    }

    fn end(self, cx: &mut Context<'_>) -> Result<(), Failure> {
        STATE.set(cx, &(self.entry.step + 1, self.entry.after))?;
        JOURNAL.push(cx, &self.entry)
    }
}

fn tag(name: TimerName) -> Result<&'static str, Failure> {
    let tag = TAGS.get(usize::from(name.tag)).copied();
    tag.ok_or_else(|| Failure::permanent(format!("there is no tag {}", name.tag)))
}

/// So many milliseconds, drawn from `bits`.
fn millis(bits: u64, range: std::ops::Range<u64>) -> i64 {
    let span = (range.end - range.start).max(1);
    i64::try_from((range.start + bits % span) * 1000).unwrap_or(i64::MAX)
}

/// Produces its numbers, some at a time, a little out of order.
#[derive(Clone, Debug)]
pub(super) struct Source {
    pub(super) at: u16,
    pub(super) total: u64,
    pub(super) chunk: u64,
    pub(super) pause: Duration,
    pub(super) salt: u64,
}

impl Computation for Source {
    type Input = Packet;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&JOURNAL).cell(&STATE).cell(&CURSOR).output(&stream(self.at));
    }

    async fn process(&mut self, _: &mut Context<'_>, _: Input<Packet>) -> Result<(), Failure> {
        Err(Failure::permanent("a source reads nothing"))
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, _: Fired) -> Result<(), Failure> {
        let from = CURSOR.get(cx).await?.unwrap_or(0);
        let to = (from + self.chunk).min(self.total);
        let mut call = Call::begin(cx, node(self.at, cx)?, Cause::Source).await?;
        let base = |number: u64| i64::try_from(number * 1000).unwrap_or(i64::MAX);
        for number in from..to {
            let payload = mix(self.salt, number);
            call.emit(cx, payload % KEYS, base(number) + millis(payload >> 8, 0..4), payload)?;
        }
        CURSOR.set(cx, &to)?;
        if to < self.total {
            cx.set_timer(Timer::after("more", self.pause).output_at(EventTime::from_micros(base(to))))?;
        }
        call.end(cx)
    }
}

/// Passes records on, changed, more of them or fewer; sets, replaces and clears timers.
#[derive(Clone, Debug)]
pub(super) struct Inner {
    pub(super) at: u16,
    pub(super) weak: bool,
    pub(super) timers: bool,
    pub(super) flaky: bool,
}

impl Inner {
    /// Fails for good, or for the moment, before anything is done.
    fn fail(&self, cx: &Context<'_>, payload: u64) -> Result<(), Failure> {
        if payload % 37 == 5 {
            return Err(Failure::permanent("not for me"));
        }
        let ms = cx.now().as_micros().unsigned_abs() / 1000;
        if self.flaky && payload % 4 == 1 && (ms + payload % 700) % 1000 < 450 {
            return Err(Failure::retry("down for the moment"));
        }
        Ok(())
    }

    /// Does something to a timer, or nothing. `from_us` is the event time of this call.
    fn change_timer(
        &self,
        cx: &mut Context<'_>,
        call: &mut Call,
        h: u64,
        from_us: i64,
    ) -> Result<(), Failure> {
        let tag = u8::try_from((h >> 8) % TAGS.len() as u64).unwrap_or(0);
        let step = call.entry.step;
        match h % 8 {
            0..=2 => {
                let fire_at_us = from_us + millis(h >> 16, 1..40);
                let output_time_us = if h & (1 << 40) == 0 { from_us } else { fire_at_us };
                let name = TimerName { domain: Domain::Event, tag };
                call.set(cx, name, Setting { fire_at_us, output_time_us, step })
            }
            3 => {
                let fire_at_us = call.entry.now_us + millis(h >> 16, 5..200);
                let name = TimerName { domain: Domain::Processing, tag };
                call.set(cx, name, Setting { fire_at_us, output_time_us: from_us, step })
            }
            4 => call.clear(cx, TimerName { domain: Domain::Event, tag }),
            5 => call.clear(cx, TimerName { domain: Domain::Processing, tag }),
            _ => Ok(()),
        }
    }
}

impl Computation for Inner {
    type Input = Packet;

    fn declare(&self, declaration: &mut Declaration) {
        declaration.cell(&JOURNAL).cell(&STATE).output(&stream(self.at));
    }

    async fn process(&mut self, cx: &mut Context<'_>, input: Input<Packet>) -> Result<(), Failure> {
        let packet = input.value;
        self.fail(cx, packet.payload)?;
        let event_time_us = input.event_time.as_micros();
        let mut call = Call::begin(cx, node(self.at, cx)?, Cause::Record { packet, event_time_us }).await?;
        if self.weak {
            call.origin_step = packet.origin.hash();
        }
        let h = mix(packet.payload, u64::from(self.at));
        if self.timers {
            self.change_timer(cx, &mut call, h, event_time_us)?;
        }
        let copies = match (h >> 48) % 8 {
            0 => 0,
            1 => 2,
            _ => 1,
        };
        for copy in 0..copies {
            let payload = mix(h, copy);
            call.emit(cx, payload % KEYS, event_time_us + millis(payload >> 8, 0..5), payload)?;
        }
        call.end(cx)
    }

    async fn on_timer(&mut self, cx: &mut Context<'_>, timer: Fired) -> Result<(), Failure> {
        let step = u64::from_be_bytes(timer.payload.as_ref().try_into().map_err(Failure::permanent)?);
        let domain = match timer.domain {
            TimeDomain::Event => Domain::Event,
            TimeDomain::Processing => Domain::Processing,
        };
        let name = TimerName { domain, tag: timer.tag.parse().map_err(Failure::permanent)? };
        let output_time_us = timer.output_time.as_micros();
        let setting = Setting { fire_at_us: timer.fire_at_us, output_time_us, step };
        let mut call = Call::begin(cx, node(self.at, cx)?, Cause::Timer { name, setting }).await?;
        let h = mix(mix(step, u64::from(name.tag)), u64::from(self.at));
        // Other timers of the same key are often due in the same moment: they may be replaced or cleared by this one.
        // Not always, or timers would set timers for ever.
        if (h >> 56).is_multiple_of(3) {
            let from_us =
                output_time_us.max(if domain == Domain::Event { timer.fire_at_us } else { i64::MIN });
            self.change_timer(cx, &mut call, h, from_us)?;
        }
        let payload = mix(h, 1);
        call.emit(cx, payload % KEYS, output_time_us, payload)?;
        call.end(cx)
    }
}
