//! Who may speak with whom: anybody, or those who show a certificate of one CA.
//!
//! The files are looked at again whenever a connection is made, and every few seconds by a [`crate::Server`]: new
//! connections use what the files hold then, those that live go on as they are. Files that cannot be used are
//! reported, once for each change, and the last good ones stay in use.
//!
//! Whoever has a certificate of the CA may do everything: keep a CA for Pelton alone.

use crate::credentials::{Credentials, TlsError, TlsFiles};
use rustls::pki_types::ServerName;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

/// How connections are secured: not at all, or by mutual TLS. Clones share what they have read.
#[derive(Clone, Default)]
pub struct Security {
    mutual: Option<Arc<Mutual>>,
}

struct Mutual {
    files: TlsFiles,
    server_name: Option<ServerName<'static>>,
    state: Mutex<State>,
}

struct State {
    credentials: Arc<Credentials>,
    /// The files' stamp before `credentials` were read.
    stamp: Stamp,
    /// The stamp of the files that were last reported as broken.
    reported: Option<Stamp>,
}

/// When the three files last changed, and how long they are; `None` for one that cannot be looked at.
type Stamp = [Option<(SystemTime, u64)>; 3];

impl Security {
    /// Plaintext: for one machine, or a network that others cannot reach.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Mutual TLS with what `files` hold. A server is to have a certificate for the host of the address that it is
    /// connected to by, or for `server_name` where that is given.
    ///
    /// Blocks while it reads the files.
    ///
    /// # Errors
    /// [`TlsError`], where the files cannot be used as they are now.
    pub fn mutual_tls(files: TlsFiles, server_name: Option<&str>) -> Result<Self, TlsError> {
        let server_name = server_name
            .map(|name| {
                ServerName::try_from(name.to_owned())
                    .map_err(|_| TlsError::ServerName { name: name.to_owned() })
            })
            .transpose()?;
        let stamp = stamp(&files);
        let credentials = Arc::new(Credentials::load(&files)?);
        let state = Mutex::new(State { credentials, stamp, reported: None });
        Ok(Self { mutual: Some(Arc::new(Mutual { files, server_name, state })) })
    }

    /// Whether connections are encrypted, and both sides show certificates.
    #[must_use]
    pub fn is_mutual_tls(&self) -> bool {
        self.mutual.is_some()
    }

    /// What new connections use: nothing, or what the files hold now.
    pub(crate) async fn current(&self) -> Option<Arc<Credentials>> {
        let mutual = Arc::clone(self.mutual.as_ref()?);
        let refreshed = Arc::clone(&mutual);
        match tokio::task::spawn_blocking(move || refreshed.refresh()).await {
            Ok(credentials) => Some(credentials),
            // The runtime is ending.
            Err(_) => Some(Arc::clone(&mutual.lock().credentials)),
        }
    }

    /// The name that a server at `host` is to have.
    pub(crate) fn server_name(&self, host: &str) -> Result<ServerName<'static>, TlsError> {
        match self.mutual.as_ref().and_then(|mutual| mutual.server_name.clone()) {
            Some(name) => Ok(name),
            None => ServerName::try_from(host.to_owned())
                .map_err(|_| TlsError::ServerName { name: host.to_owned() }),
        }
    }
}

impl Mutual {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Files that failed are tried at every call: they may have been in the middle of being written, and complete
    /// with the same stamp.
    fn refresh(&self) -> Arc<Credentials> {
        let stamp = stamp(&self.files);
        {
            let state = self.lock();
            if state.stamp == stamp {
                return Arc::clone(&state.credentials);
            }
        }
        let loaded = Credentials::load(&self.files);
        let mut state = self.lock();
        match loaded {
            Ok(credentials) => {
                tracing::info!(certificate = %self.files.certificate.display(), "read the TLS files again");
                *state = State { credentials: Arc::new(credentials), stamp, reported: None };
            }
            Err(error) if state.reported != Some(stamp) => {
                tracing::warn!(%error, "the TLS files have changed and cannot be used; the last good ones stay in use");
                state.reported = Some(stamp);
            }
            Err(_) => {}
        }
        Arc::clone(&state.credentials)
    }
}

impl fmt::Debug for Security {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.mutual {
            None => f.write_str("Security(plaintext)"),
            Some(mutual) => f
                .debug_struct("Security")
                .field("files", &mutual.files)
                .field("server_name", &mutual.server_name)
                .finish_non_exhaustive(),
        }
    }
}

fn stamp(files: &TlsFiles) -> Stamp {
    [&files.certificate, &files.key, &files.ca].map(|path| look(path))
}

fn look(path: &Path) -> Option<(SystemTime, u64)> {
    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.len()))
}
