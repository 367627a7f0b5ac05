//! Compares what was run with its shadow, computation by computation.

use super::difference::{Difference, Place};
use super::lines::{FileLines, KeptLines};
use super::ordered::{self, At};
use super::plan::Compared;
use super::settled::InStore;
use super::stored::{Bags, DeadLetters, Stored};
use super::{VerifyError, multiset};
use pelton_domain::ProcessingTime;
use std::sync::Arc;

/// Both sides of one computation.
struct Sides {
    live: Stored,
    shadow: Stored,
}

impl Sides {
    fn of(compared: &Compared, live: &InStore, shadow: &InStore, now: ProcessingTime) -> Option<Self> {
        let cells: Arc<[_]> = compared.cells.clone().unwrap_or_default().into();
        let side = |pipeline: &InStore| {
            let number = pipeline.number(&compared.computation)?;
            Some(Stored {
                store: pipeline.store.clone(),
                keys: pipeline.keys.computation(number),
                cells: cells.clone(),
                streams: Arc::new(pipeline.streams()),
                now,
            })
        };
        Some(Self { live: side(live)?, shadow: side(shadow)? })
    }
}

/// Compares one computation. Returns how many entries, timers, dead letters and lines were compared.
pub(super) async fn compare(
    compared: &Compared,
    (live, shadow): (&InStore, &InStore),
    now: ProcessingTime,
    report: &mut (dyn FnMut(Difference) + Send),
) -> Result<u64, VerifyError> {
    let name = compared.computation.as_str();
    let missing = VerifyError::Damaged { what: "the catalogue: it lacks a computation that has run" };
    let Sides { live, shadow } = Sides::of(compared, live, shadow, now).ok_or(missing)?;
    let mut places = 0;
    if compared.cells.is_some() {
        places += ordered::compare(name, live.entries(), shadow.entries(), entry, report).await?;
        places += multiset::compare(name, &Bags(live.clone()), &Bags(shadow.clone()), report).await?;
        places += ordered::compare(name, live.timers(), shadow.timers(), timer, report).await?;
    }
    let letters = (DeadLetters(live), DeadLetters(shadow.clone()));
    places += multiset::compare(name, &letters.0, &letters.1, report).await?;
    if let Some(target) = &compared.lines {
        let kept = KeptLines { stored: shadow, target: target.clone() };
        places += multiset::compare(name, &FileLines(target.clone()), &kept, report).await?;
    }
    Ok(places)
}

fn entry(at: &At) -> Place {
    let cell = String::from_utf8_lossy(&at.cell).into_owned();
    Place::Entry { cell, namespace: at.namespace.clone(), sub_key: at.sub_key.clone() }
}

fn timer(at: &At) -> Place {
    let tag = String::from_utf8_lossy(&at.sub_key).into_owned();
    Place::Timer { tag, namespace: at.namespace.clone() }
}
