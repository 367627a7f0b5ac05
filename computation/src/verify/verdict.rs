//! What came of a verification.

use std::fmt;

/// What came of a verification.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// How many differences were reported.
    pub differences: u64,
    /// How many entries of state, timers, dead letters and lines were compared.
    pub places: u64,
    /// What was not compared, each with the reason.
    pub not_compared: Vec<(String, &'static str)>,
    /// Computations that have dropped records as late, and how many: live, and in the shadow. What is late hangs on when
    /// watermarks arrive, so where this is not the same, differences may come of it.
    pub late: Vec<(String, u64, u64)>,
}

impl Verdict {
    /// Whether nothing differs.
    #[must_use]
    pub fn is_same(&self) -> bool {
        self.differences == 0
    }

    /// It as JSON.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let not_compared = self.not_compared.iter().map(|(what, why)| serde_json::json!([what, why]));
        let late = self.late.iter().map(
            |(name, live, shadow)| serde_json::json!({ "computation": name, "live": live, "shadow": shadow }),
        );
        serde_json::json!({
            "same": self.is_same(),
            "differences": self.differences,
            "compared": self.places,
            "not_compared": not_compared.collect::<Vec<_>>(),
            "late": late.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (what, why) in &self.not_compared {
            writeln!(f, "Not compared: {what}: {why}.")?;
        }
        for (name, live, shadow) in &self.late {
            writeln!(f, "Late records dropped by {name}: {live} live, {shadow} in the shadow.")?;
        }
        match self.differences {
            0 => write!(
                f,
                "Same: {} entries, timers, dead letters and lines, without a difference.",
                self.places
            ),
            1 => write!(f, "1 difference in {} entries, timers, dead letters and lines.", self.places),
            many => {
                write!(f, "{many} differences in {} entries, timers, dead letters and lines.", self.places)
            }
        }
    }
}
