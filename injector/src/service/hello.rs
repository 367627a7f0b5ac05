//! Whether a worker may join: every refusal says what to do.

use super::clocks::{self, ClockAhead};
use pelton_domain::{Incarnation, Name, ProcessingTime};
use pelton_proto::injector as proto;
use pelton_proto::{PROTOCOL, convert};
use std::time::Duration;
use tonic::Status;

/// The longest name of a worker.
const WORKER_NAME_LENGTH_MAX: usize = 64;

/// Why a worker may not join.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum HelloRefused {
    #[error(
        "the worker speaks protocol {said}, this injector speaks {PROTOCOL}; run versions of Pelton that go together"
    )]
    Protocol { said: u32 },
    #[error("this injector serves the pipeline {served}, not {said:?}; give the worker another --injector")]
    Pipeline { said: String, served: Name },
    #[error(
        "the worker's store is incarnation {said}, the injector's is {served}; give both the same --store, and start both anew where it was restored"
    )]
    Incarnation { said: String, served: Incarnation },
    #[error("{name:?} is no name of a worker; use 1 to 64 letters, digits, dots and dashes")]
    Name { name: String },
    #[error("{address:?} is no address of a worker; tell it how others reach it, as HOST:PORT")]
    Address { address: String },
    #[error(
        "the worker has version {said} of the graph, and the catalogue has {known}; a worker writes its graph to the store before it joins, so it uses another store"
    )]
    GraphUnknown { said: u32, known: u32 },
    #[error("the worker may not join: {0}")]
    Clock(ClockAhead),
}

impl From<HelloRefused> for Status {
    fn from(refused: HelloRefused) -> Self {
        let words = refused.to_string();
        match refused {
            HelloRefused::Name { .. } | HelloRefused::Address { .. } => Self::invalid_argument(words),
            HelloRefused::Clock(_) => Self::out_of_range(words),
            _ => Self::failed_precondition(words),
        }
    }
}

/// Checks everything that needs no look at anything else.
pub(super) fn check(
    hello: &proto::Hello,
    pipeline: &Name,
    incarnation: Incarnation,
) -> Result<(), HelloRefused> {
    if hello.protocol != PROTOCOL {
        return Err(HelloRefused::Protocol { said: hello.protocol });
    }
    if hello.pipeline != pipeline.as_str() {
        let (said, served) = (hello.pipeline.clone(), pipeline.clone());
        return Err(HelloRefused::Pipeline { said, served });
    }
    if convert::incarnation(&hello.incarnation).ok() != Some(incarnation) {
        let said = convert::incarnation(&hello.incarnation);
        let said = said.map_or_else(|error| error.to_string(), |said| said.to_string());
        return Err(HelloRefused::Incarnation { said, served: incarnation });
    }
    if !is_worker_name(&hello.worker) {
        return Err(HelloRefused::Name { name: shortened(&hello.worker) });
    }
    if !is_address(&hello.address) {
        return Err(HelloRefused::Address { address: shortened(&hello.address) });
    }
    Ok(())
}

/// Checks what it says of its clock, where it says it.
pub(super) fn check_clock(
    hello: &proto::Hello,
    here: ProcessingTime,
    ahead_max: Duration,
) -> Result<(), HelloRefused> {
    let Some(said) = hello.clock_us.map(ProcessingTime::from_micros) else { return Ok(()) };
    clocks::judge(said, here, ahead_max, false).map_err(HelloRefused::Clock)
}

fn is_worker_name(name: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
    (1..=WORKER_NAME_LENGTH_MAX).contains(&name.len()) && name.chars().all(allowed)
}

fn is_address(address: &str) -> bool {
    let port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    let parts = address.rsplit_once(':').filter(|_| address.len() <= 255);
    parts
        .is_some_and(|(host, number)| !host.is_empty() && !host.contains(char::is_whitespace) && port(number))
}

/// What can be shown of a string that may be anything.
fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_addresses_are_checked() {
        let longest = "x".repeat(64);
        for name in ["a", "w-1.east", "9", longest.as_str()] {
            assert!(is_worker_name(name), "{name}");
        }
        for name in ["", "a b", "w_1", "ü", &"x".repeat(65)] {
            assert!(!is_worker_name(name), "{name}");
        }
        for address in ["h:1", "127.0.0.1:65535", "[::1]:80"] {
            assert!(is_address(address), "{address}");
        }
        for address in ["", "h", ":1", "h:", "h:0", "h:65536", "h:x", "a b:1"] {
            assert!(!is_address(address), "{address}");
        }
    }
}
