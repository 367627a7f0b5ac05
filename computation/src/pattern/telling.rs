//! From matches by numbers to records on their way.

use super::found::{Match, MatchedPart};
use super::kept::Kept;
use super::matcher::Found;
use super::operator::Shared;
use crate::context::Context;
use crate::engine::panics;
use crate::failure::Failure;
use crate::outlet::Routed;
use pelton_domain::EventTime;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// One production may weigh so much: it must lie in a store's value, with what stands around it.
const MATCH_BYTES_MAX: usize = 90_000;
/// The matches that are complete at one moment may weigh so much: they are in one commit.
const MATCHES_BYTES_MAX: usize = 1_000_000;

impl<T> Shared<T>
where
    T: Serialize + DeserializeOwned + Clone + Send + Sync + 'static,
{
    /// What matches become; or why they cannot be told.
    pub(super) async fn tell(
        &self,
        cx: &mut Context<'_>,
        kept: &mut Kept<T>,
        found: Vec<Found>,
    ) -> Result<Vec<Routed>, Failure> {
        if found.is_empty() {
            return Ok(Vec::new());
        }
        kept.read_all(cx).await?;
        let (mut all, mut bytes) = (Vec::new(), 0);
        for one in found {
            let at = EventTime::from_micros(one.at_us);
            let filled = self.filled(&kept.records, &one);
            let routed = guarded(|| self.matches.route(filled, cx.key().clone(), at))??;
            let most = routed.iter().map(weight).max().unwrap_or(0);
            bytes += routed.iter().map(weight).sum::<usize>();
            if most > MATCH_BYTES_MAX || bytes > MATCHES_BYTES_MAX {
                return Err(Failure::permanent(format!(
                    "a match weighs {most} bytes, all that are complete with it {bytes}; {MATCH_BYTES_MAX} and \
                     {MATCHES_BYTES_MAX} are the limits: take fewer records, or tell less of them with `map`"
                )));
            }
            all.extend(routed);
        }
        Ok(all)
    }

    /// A match with its records.
    fn filled(&self, records: &BTreeMap<u64, T>, found: &Found) -> Match<T> {
        let mut parts: Vec<MatchedPart<T>> = Vec::new();
        for taken in found.taken.chunk_by(|a, b| a.part == b.part) {
            let part = taken.first().and_then(|taken| self.pattern.parts.get(usize::from(taken.part)));
            let records = taken.iter().filter_map(|taken| records.get(&taken.number).cloned()).collect();
            parts.extend(part.map(|part| MatchedPart { name: part.name.clone(), records }));
        }
        Match::new(found.began_us, found.ended_us, parts)
    }
}

/// Sends what was told. Returns what it weighs.
pub(super) fn send(cx: &mut Context<'_>, routed: Vec<Routed>) -> Result<usize, Failure> {
    let mut bytes = 0;
    for one in routed {
        bytes += weight(&one);
        let Routed { stream, key, event_time, value } = one;
        cx.emit(&stream, key, event_time, &value)?;
    }
    Ok(bytes)
}

fn weight(routed: &Routed) -> usize {
    routed.value.len() + routed.key.as_bytes().len()
}

/// Runs code of the user's that must not take its key with it.
pub(super) fn guarded<R>(code: impl FnOnce() -> R) -> Result<R, Failure> {
    catch_unwind(AssertUnwindSafe(code))
        .map_err(|panic| Failure::permanent(format!("the code panicked: {}", panics::caught(panic.as_ref()))))
}
