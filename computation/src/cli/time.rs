//! Times as people write them: a moment, or how long ago.

use jiff::{SignedDuration, Timestamp};
use pelton_domain::ProcessingTime;
use std::time::Duration;

/// A moment, or so long before now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// This moment.
    At(ProcessingTime),
    /// So long ago.
    Ago(Duration),
}

impl When {
    /// Reads `2026-03-01T12:00:00Z`, or `2h 30m` for so long ago.
    ///
    /// # Errors
    /// How to write it.
    pub fn parse(text: &str) -> Result<Self, String> {
        if let Ok(at) = text.parse::<Timestamp>() {
            return Ok(Self::At(ProcessingTime::from_micros(at.as_microsecond())));
        }
        let ago = text.parse::<SignedDuration>().ok().and_then(|ago| Duration::try_from(ago).ok());
        let hint = "write a moment such as 2026-03-01T12:00:00Z, or how long ago, such as 2h or \"1h 30m\"";
        ago.map(Self::Ago).ok_or_else(|| hint.to_owned())
    }

    /// Which moment it is, where it is `now`.
    #[must_use]
    pub fn moment(self, now: ProcessingTime) -> ProcessingTime {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now.minus(ago),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_and_how_long_ago_are_read_and_anything_else_is_refused_with_a_hint() {
        let now = ProcessingTime::from_secs(10_000);
        assert_eq!(When::parse("1970-01-01T00:00:07Z").unwrap().moment(now), ProcessingTime::from_secs(7));
        assert_eq!(When::parse("1h 30m").unwrap().moment(now), ProcessingTime::from_secs(4_600));
        for wrong in ["", "soon", "-1h", "2026-03-01"] {
            assert!(When::parse(wrong).unwrap_err().contains("such as 2h"), "{wrong}");
        }
    }
}
