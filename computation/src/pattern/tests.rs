//! Patterns: the automaton against a matcher that tries everything, and the operator on the engine.

mod engine;
mod everything;
mod says;
mod words;

use super::*;
use serde::{Deserialize, Serialize};

/// A record of the tests: a letter to fit, and a height to compare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Mark {
    letter: char,
    height: u32,
}

fn is(letters: &'static str) -> impl Fn(&Mark) -> bool + Send + Sync {
    move |mark| letters.contains(mark.letter)
}
