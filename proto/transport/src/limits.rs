//! How much one service takes on (I11).

/// Bounds on connections. Messages have theirs per service: see [`crate::MESSAGE_BYTES_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections at once; one more is closed, and its client told by that to come again.
    pub connections_max: usize,
    /// The most of them that one client may have: see [`crate::ClientIdentity`].
    pub connections_per_client_max: usize,
    /// The most streams that one connection may have open; calls over it wait at the client.
    pub streams_per_connection_max: u32,
    /// The most calls of one connection whose answer has not begun; those over it wait. A stream of answers counts
    /// until its first.
    pub calls_per_connection_max: usize,
    /// The most bytes of headers, of one call.
    pub header_bytes_max: u32,
    /// How long a client may take for its TLS handshake, and then again until it has greeted.
    pub greeting_ms_max: u64,
    /// How often a connection on which nothing is heard is asked whether it lives.
    pub keep_alive_ms: u64,
    /// How long the answer to that may take.
    pub keep_alive_answer_ms_max: u64,
    /// How long calls that have begun may go on after the service is told to stop; then their connections are cut.
    pub drain_ms_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 1_024,
            connections_per_client_max: 1_024,
            streams_per_connection_max: 1_024,
            calls_per_connection_max: 512,
            header_bytes_max: 16 << 10,
            greeting_ms_max: 10_000,
            keep_alive_ms: 10_000,
            keep_alive_answer_ms_max: 10_000,
            drain_ms_max: 10_000,
        }
    }
}
