//! Who may speak with whom.

/// How connections are secured: not at all, or by mutual TLS.
#[derive(Clone, Debug, Default)]
pub struct Security {
    _private: (),
}

impl Security {
    /// Plaintext: for one machine, or a network that others cannot reach.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Whether connections are encrypted, and both sides show certificates.
    #[must_use]
    pub fn is_mutual_tls(&self) -> bool {
        false
    }
}
