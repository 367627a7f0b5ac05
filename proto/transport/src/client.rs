//! Connecting.

use crate::security::Security;
use std::time::Duration;
use tonic::transport::{Channel, Endpoint};

/// Why an address cannot be connected to at all.
#[derive(Debug, thiserror::Error)]
#[error("{address:?} is no address: write HOST:PORT ({reason})")]
pub struct ConnectError {
    address: String,
    reason: String,
}

/// A channel to `address` (HOST:PORT) that connects when it is first used, and again when it must. Calls fail with
/// UNAVAILABLE while it cannot.
///
/// # Errors
/// [`ConnectError`] where the address is none.
pub fn connect(address: &str, _security: &Security) -> Result<Channel, ConnectError> {
    let bad = |reason: String| ConnectError { address: address.to_owned(), reason };
    if !address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
        return Err(bad("there is no port".to_owned()));
    }
    let endpoint =
        Endpoint::from_shared(format!("http://{address}")).map_err(|error| bad(error.to_string()))?;
    Ok(endpoint
        .tcp_nodelay(true)
        .connect_timeout(Duration::from_secs(2))
        .http2_keep_alive_interval(Duration::from_secs(5))
        .keep_alive_timeout(Duration::from_secs(5))
        .keep_alive_while_idle(true)
        .connect_lazy())
}
