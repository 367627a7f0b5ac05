//! The options that all services share: certificates, and how much is taken on.

use crate::credentials::{TlsError, TlsFiles};
use crate::limits::Limits;
use crate::security::Security;
use crate::server::ListenOptions;
use clap::value_parser;
use std::net::SocketAddr;
use std::path::PathBuf;

/// The options of mutual TLS, to be flattened into a program's own.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct SecurityArgs {
    /// This program's certificate, and the intermediate ones, in PEM: with a key and a CA, all connections are mutual TLS
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub tls_cert: Option<PathBuf>,
    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub tls_key: Option<PathBuf>,
    /// The CA that the certificates of others must descend from, in PEM
    #[arg(long, value_name = "FILE", help_heading = "TLS")]
    pub tls_ca: Option<PathBuf>,
    /// The name that servers' certificates must have, instead of the host they are reached at
    #[arg(long, value_name = "NAME", help_heading = "TLS")]
    pub tls_server_name: Option<String>,
}

/// Why the options of mutual TLS cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SecurityArgsError {
    /// Half of them are there, and plaintext was surely not meant.
    #[error("for TLS, --tls-cert, --tls-key and --tls-ca are given together: {missing} is missing")]
    Incomplete {
        /// The first that is not there.
        missing: &'static str,
    },
    /// The files cannot be used.
    #[error(transparent)]
    Files(#[from] TlsError),
}

impl SecurityArgs {
    /// Plaintext where nothing is given, else mutual TLS. Blocks while it reads the files.
    ///
    /// # Errors
    /// [`SecurityArgsError`].
    pub fn security(&self) -> Result<Security, SecurityArgsError> {
        let Self { tls_cert, tls_key, tls_ca, tls_server_name } = self;
        if tls_cert.is_none() && tls_key.is_none() && tls_ca.is_none() && tls_server_name.is_none() {
            return Ok(Security::none());
        }
        let there =
            |file: &Option<PathBuf>, missing| file.clone().ok_or(SecurityArgsError::Incomplete { missing });
        let files = TlsFiles {
            certificate: there(tls_cert, "--tls-cert")?,
            key: there(tls_key, "--tls-key")?,
            ca: there(tls_ca, "--tls-ca")?,
        };
        Ok(Security::mutual_tls(files, tls_server_name.as_deref())?)
    }
}

/// The options of a service that listens, to be flattened into a program's own. `--listen` is the program's, since
/// its default is.
#[derive(Clone, Debug, clap::Args)]
pub struct ServingArgs {
    /// Listen at an address that other machines can reach, though there is no TLS: whoever reaches it may read and
    /// change everything
    #[arg(long, help_heading = "Serving")]
    pub exposed_without_tls: bool,
    /// The most connections at once; one more is closed
    #[arg(long, value_name = "N", default_value_t = 1_024, value_parser = value_parser!(u32).range(1..=1_000_000), help_heading = "Serving")]
    pub connections_max: u32,
    /// The most connections of one client, which is the subject of its certificate, or without TLS the address that it
    /// comes from; one more is closed. Without it, as many as there may be
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..=1_000_000), help_heading = "Serving")]
    pub connections_per_client_max: Option<u32>,
    /// The most streams that one connection may have open; calls over it wait at the client
    #[arg(long, value_name = "N", default_value_t = 1_024, value_parser = value_parser!(u32).range(1..=1_000_000), help_heading = "Serving")]
    pub streams_per_connection_max: u32,
    /// How long calls that have begun may go on after the program is told to stop, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10_000, value_parser = value_parser!(u64).range(0..=3_600_000), help_heading = "Serving")]
    pub drain_ms_max: u64,
}

impl ServingArgs {
    /// How to listen at `address`.
    #[must_use]
    pub fn listen(&self, address: SocketAddr, security: &Security) -> ListenOptions {
        let count = |count: u32| usize::try_from(count).unwrap_or(usize::MAX);
        let limits = Limits {
            connections_max: count(self.connections_max),
            connections_per_client_max: count(
                self.connections_per_client_max.unwrap_or(self.connections_max),
            ),
            streams_per_connection_max: self.streams_per_connection_max,
            drain_ms_max: self.drain_ms_max,
            ..Limits::default()
        };
        ListenOptions {
            address,
            security: security.clone(),
            exposed_without_tls: self.exposed_without_tls,
            limits,
        }
    }
}
