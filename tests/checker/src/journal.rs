//! What a computation that can be judged writes of each of its calls into its own state, with the call's effects.
//!
//! So whatever has become of a run, the store holds the steps of every key in their order, each with its cause and its
//! effects, on any store and of any processes.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One key of one computation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Node {
    /// The computation's place in the [`crate::Graph`].
    pub computation: u16,
    /// The key.
    pub key: u64,
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "key {} of computation {}", self.key, self.computation)
    }
}

/// Which production a record is: nobody else's, in the whole run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// Who produced it.
    pub node: Node,
    /// In which of its steps; of a weak computation, a hash of what caused it, for a step may be run again as another.
    pub step: u64,
    /// As which of that step's productions.
    pub place: u16,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the record that {} produced in step {} as number {}", self.node, self.step, self.place)
    }
}

impl Origin {
    /// A hash of it, for the steps of weak computations.
    #[must_use]
    pub fn hash(self) -> u64 {
        let Self { node: Node { computation, key }, step, place } = self;
        mix(mix(mix(u64::from(computation), key), step), u64::from(place))
    }
}

/// What a record carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Packet {
    /// Which it is.
    pub origin: Origin,
    /// What the rules of the computations that receive it go by.
    pub payload: u64,
}

/// The domain of a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Domain {
    /// Event time.
    Event,
    /// Processing time.
    Processing,
}

/// Which timer of a key: setting it again replaces it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TimerName {
    /// Its domain.
    pub domain: Domain,
    /// Its tag.
    pub tag: u8,
}

/// When a timer is to fire, and which setting of it this is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setting {
    /// When, in microseconds of its domain.
    pub fire_at_us: i64,
    /// What it holds the output watermark at.
    pub output_time_us: i64,
    /// The step that set it.
    pub step: u64,
}

/// Why a call was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cause {
    /// A record.
    Record {
        /// What it carried.
        packet: Packet,
        /// Its event time.
        event_time_us: i64,
    },
    /// A timer.
    Timer {
        /// Which.
        name: TimerName,
        /// As it had been set.
        setting: Setting,
    },
    /// The first call of a source, or one that continues it.
    Source,
}

impl Cause {
    /// What a state that depends on all its causes becomes by this one.
    #[must_use]
    pub fn follow(&self, state: u64) -> u64 {
        let cause = match self {
            Self::Record { packet, event_time_us } => {
                mix(packet.origin.hash(), mix(packet.payload, event_time_us.cast_unsigned()))
            }
            Self::Timer { name, setting } => {
                mix(u64::from(name.tag), mix(setting.fire_at_us.cast_unsigned(), setting.step))
            }
            Self::Source => 7,
        };
        mix(state, cause)
    }
}

/// What a call did to a timer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TimerChange {
    /// Set it.
    Set(TimerName, Setting),
    /// Cleared it, set or not.
    Cleared(TimerName),
}

/// A production.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Emission {
    /// The place of the stream in the [`crate::Graph`].
    pub stream: u16,
    /// To which key.
    pub key: u64,
    /// What it carries.
    pub packet: Packet,
    /// Its event time.
    pub event_time_us: i64,
}

/// One call and its effects.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The how-manieth of this key, from 0.
    pub step: u64,
    /// Why.
    pub cause: Cause,
    /// The input watermark that the call saw.
    pub watermark_us: i64,
    /// The clock that the call saw.
    pub now_us: i64,
    /// The state that the call found.
    pub before: u64,
    /// The state that the call left.
    pub after: u64,
    /// What it did to timers, in order.
    pub timers: Vec<TimerChange>,
    /// What it produced, in order.
    pub emitted: Vec<Emission>,
}

/// Scrambles two numbers into one (the finaliser of SplitMix64).
#[must_use]
pub fn mix(a: u64, b: u64) -> u64 {
    let mut z = a.rotate_left(32) ^ b.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
