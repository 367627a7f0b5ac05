//! One difference between a pipeline and its shadow, as values, in words and as JSON.

use bytes::Bytes;
use pelton_domain::Key;
use serde_json::{Value, json};
use std::fmt;

/// What is shown of a value in words.
const SHOWN_CHARS_MAX: usize = 300;

/// Something that the pipeline and its shadow do not both have, or not alike.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Of which computation.
    pub computation: String,
    /// Of which key; `None` for a line of a file that only the live pipeline has: a file does not say whose it is.
    pub key: Option<Key>,
    /// What it is.
    pub place: Place,
    /// What the live pipeline has; `None`: nothing.
    pub live: Option<Bytes>,
    /// What the shadow has; `None`: nothing.
    pub shadow: Option<Bytes>,
    /// How often it is there once more on the side that has it. 1 where it can be there once only.
    pub times: u64,
}

/// What differs.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// An entry of state, without what stands around it in the store. Of a list the sub-key is the index, eight bytes;
    /// of a bag it is empty.
    Entry {
        /// The cell.
        cell: String,
        /// The window, or empty.
        namespace: Bytes,
        /// Which entry of a collection; empty for a single value.
        sub_key: Bytes,
    },
    /// A timer of event time; the values are its time, the time it holds, and its payload.
    Timer {
        /// Its tag.
        tag: String,
        /// The window, or empty.
        namespace: Bytes,
    },
    /// A dead letter; the values are its error and what was given up.
    DeadLetter,
    /// A line of a file.
    Line {
        /// The file.
        target: String,
    },
}

/// Bytes as text where they are printable, else in hexadecimal.
pub(crate) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) if !text.chars().any(char::is_control) => text.to_owned(),
        _ => bytes.iter().fold(String::from("0x"), |text, byte| text + &format!("{byte:02x}")),
    }
}

impl Place {
    fn json(&self) -> Value {
        match self {
            Self::Entry { cell, namespace, sub_key } => json!({
                "kind": "state", "cell": cell, "namespace": text(namespace), "sub_key": text(sub_key),
            }),
            Self::Timer { tag, namespace } => {
                json!({ "kind": "timer", "tag": tag, "namespace": text(namespace) })
            }
            Self::DeadLetter => json!({ "kind": "dead letter" }),
            Self::Line { target } => json!({ "kind": "line", "target": target }),
        }
    }
}

impl Difference {
    /// It as JSON: one object, with values as text where they are printable, else in hexadecimal.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let shown = |bytes: &Option<Bytes>| bytes.as_ref().map(|bytes| text(line(bytes)));
        json!({
            "computation": self.computation,
            "key": self.key.as_ref().map(|key| text(key.as_bytes())),
            "place": self.place.json(),
            "live": shown(&self.live),
            "shadow": shown(&self.shadow),
            "times": self.times,
        })
    }
}

/// A line without its end.
fn line(bytes: &[u8]) -> &[u8] {
    bytes.strip_suffix(b"\n").unwrap_or(bytes)
}

fn short(bytes: &[u8]) -> String {
    let text = text(line(bytes));
    let mut chars = text.chars();
    let beginning: String = chars.by_ref().take(SHOWN_CHARS_MAX).collect();
    if chars.next().is_some() { format!("{beginning}..") } else { beginning }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let within = |f: &mut fmt::Formatter<'_>, namespace: &Bytes| match namespace.is_empty() {
            true => Ok(()),
            false => write!(f, " of window {}", text(namespace)),
        };
        match self {
            Self::Entry { cell, namespace, sub_key } => {
                write!(f, "cell {cell}")?;
                if !sub_key.is_empty() {
                    write!(f, "[{}]", text(sub_key))?;
                }
                within(f, namespace)
            }
            Self::Timer { tag, namespace } => {
                write!(f, "timer {tag:?}")?;
                within(f, namespace)
            }
            Self::DeadLetter => f.write_str("dead letter"),
            Self::Line { target } => write!(f, "line of {target}"),
        }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let key = self.key.as_ref().map_or_else(|| "unknown".to_owned(), |key| text(key.as_bytes()));
        write!(f, "{}  key {key}  {}", self.computation, self.place)?;
        if self.times != 1 {
            write!(f, "  {} times", self.times)?;
        }
        let side = |bytes: &Option<Bytes>| bytes.as_ref().map_or_else(|| "-".to_owned(), |b| short(b));
        write!(f, "  live {}  shadow {}", side(&self.live), side(&self.shadow))
    }
}
