//! A certificate, its key and the CA, as files: what they hold, read and checked as a whole.
//!
//! Not here: when they are read again ([`crate::security`]). No error and no `Debug` of this module has a byte of
//! the key in it.

use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier, danger::ClientCertVerifier};
use rustls::version::TLS13;
use rustls::{CertificateError, ClientConfig, RootCertStore, ServerConfig};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where the parts of mutual TLS lie, each in PEM. Both sides need all three.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsFiles {
    /// This process's certificate, then the intermediate ones up to the CA.
    pub certificate: PathBuf,
    /// The certificate's private key.
    pub key: PathBuf,
    /// The certificates that a peer's certificate may descend from; two while a CA is being replaced.
    pub ca: PathBuf,
}

/// Which of the three files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsFile {
    /// [`TlsFiles::certificate`].
    Certificate,
    /// [`TlsFiles::key`].
    Key,
    /// [`TlsFiles::ca`].
    Ca,
}

impl fmt::Display for TlsFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Certificate => "TLS certificate",
            Self::Key => "TLS private key",
            Self::Ca => "TLS CA certificate",
        })
    }
}

/// Why TLS files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// It is missing, or may not be read.
    #[error("cannot read the {file} {path}: {error}; check the path, and that this user may read it")]
    Unreadable {
        /// Which.
        file: TlsFile,
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// It is no PEM, or has nothing of the kind in it.
    #[error("there is no {file} in {path}: {reason}; it is to be PEM, with its BEGIN and END lines")]
    Nothing {
        /// Which.
        file: TlsFile,
        /// Where.
        path: PathBuf,
        /// What is there instead.
        reason: String,
    },
    /// It is PEM, and cannot be used.
    #[error("the {file} {path} cannot be used: {reason}")]
    Unusable {
        /// Which.
        file: TlsFile,
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The key is another certificate's.
    #[error(
        "the TLS private key {key} is not that of the certificate {certificate}: give the two that were made together"
    )]
    OtherKey {
        /// The key's file.
        key: PathBuf,
        /// The certificate's file.
        certificate: PathBuf,
    },
    /// The certificate's time is over, or has not come.
    #[error("the TLS certificate {path} {when}: renew it, or set this machine's clock")]
    OutOfTime {
        /// Where.
        path: PathBuf,
        /// Since or until when it is not valid.
        when: String,
    },
    /// Peers that know the same CA would refuse it.
    #[error(
        "the TLS certificate {certificate} does not descend from the CA in {ca}: no peer would accept it ({reason})"
    )]
    OtherCa {
        /// The certificate's file.
        certificate: PathBuf,
        /// The CA's file.
        ca: PathBuf,
        /// What the check said.
        reason: String,
    },
    /// The name to expect of servers is none.
    #[error("{name:?} is no server name: write a host name or an IP address")]
    ServerName {
        /// What was given.
        name: String,
    },
}

/// Both sides' configurations, made from one reading of the files.
pub(crate) struct Credentials {
    pub(crate) server: Arc<ServerConfig>,
    pub(crate) client: Arc<ClientConfig>,
}

impl Credentials {
    /// Reads and checks `files`. It blocks on the disk.
    pub(crate) fn load(files: &TlsFiles) -> Result<Self, TlsError> {
        let chain = certificates(TlsFile::Certificate, &files.certificate)?;
        let key = private_key(&files.key)?;
        let roots = Arc::new(roots(&files.ca)?);
        let provider = Arc::new(default_provider());
        let ca_unusable =
            |reason: String| TlsError::Unusable { file: TlsFile::Ca, path: files.ca.clone(), reason };
        let clients = WebPkiClientVerifier::builder_with_provider(Arc::clone(&roots), Arc::clone(&provider))
            .build()
            .map_err(|error| ca_unusable(error.to_string()))?;
        let servers = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| ca_unusable(error.to_string()))?;
        check_own(&chain, clients.as_ref(), files)?;
        Ok(Self {
            server: Arc::new(server_config(&provider, clients, &chain, &key, files)?),
            client: Arc::new(client_config(&provider, servers, chain, key, files)?),
        })
    }
}

fn read(file: TlsFile, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|error| TlsError::Unreadable { file, path: path.to_owned(), error })
}

fn certificates(file: TlsFile, path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let nothing = |reason: String| TlsError::Nothing { file, path: path.to_owned(), reason };
    let found = CertificateDer::pem_slice_iter(&read(file, path)?)
        .collect::<Result<Vec<_>, pem::Error>>()
        .map_err(|error| nothing(error.to_string()))?;
    if found.is_empty() { Err(nothing("it has no CERTIFICATE section".to_owned())) } else { Ok(found) }
}

/// The reason is in words of this module, because a parser's error might quote what it failed on.
fn private_key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    let file = TlsFile::Key;
    PrivateKeyDer::from_pem_slice(&read(file, path)?).map_err(|error| {
        let reason = match error {
            pem::Error::NoItemsFound => "it has no PRIVATE KEY section, or an encrypted one",
            _ => "its PEM is damaged",
        };
        TlsError::Nothing { file, path: path.to_owned(), reason: reason.to_owned() }
    })
}

fn roots(path: &Path) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(TlsFile::Ca, path)? {
        roots.add(certificate).map_err(|error| TlsError::Unusable {
            file: TlsFile::Ca,
            path: path.to_owned(),
            reason: error.to_string(),
        })?;
    }
    Ok(roots)
}

/// Would a peer with the same CA accept this certificate? A wrong one is better refused here, in one clear line,
/// than by every peer.
fn check_own(
    chain: &[CertificateDer<'static>],
    peers: &dyn ClientCertVerifier,
    files: &TlsFiles,
) -> Result<(), TlsError> {
    let Some((own, intermediates)) = chain.split_first() else { return Ok(()) };
    let path = files.certificate.clone();
    let Err(error) = peers.verify_client_cert(own, intermediates, UnixTime::now()) else { return Ok(()) };
    match &error {
        rustls::Error::InvalidCertificate(reason) => match reason {
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                Err(TlsError::OutOfTime { path, when: "has expired".to_owned() })
            }
            CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
                Err(TlsError::OutOfTime { path, when: "is not valid yet".to_owned() })
            }
            // It is for servers only: good where this process connects to nobody.
            CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => Ok(()),
            CertificateError::BadEncoding => {
                Err(TlsError::Unusable { file: TlsFile::Certificate, path, reason: error.to_string() })
            }
            _ => {
                Err(TlsError::OtherCa { certificate: path, ca: files.ca.clone(), reason: error.to_string() })
            }
        },
        _ => Err(TlsError::Unusable { file: TlsFile::Certificate, path, reason: error.to_string() }),
    }
}

/// TLS 1.3 only: both sides are Pelton, or gRPC clients that have spoken it for years. Nothing is resumed: a
/// resumed session would skip the check of certificates that have changed since.
fn server_config(
    provider: &Arc<CryptoProvider>,
    peers: Arc<dyn ClientCertVerifier>,
    chain: &[CertificateDer<'static>],
    key: &PrivateKeyDer<'static>,
    files: &TlsFiles,
) -> Result<ServerConfig, TlsError> {
    let mut config = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| key_refused(&error, files))?
        .with_client_cert_verifier(peers)
        .with_single_cert(chain.to_vec(), key.clone_key())
        .map_err(|error| key_refused(&error, files))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(config)
}

fn client_config(
    provider: &Arc<CryptoProvider>,
    peers: Arc<WebPkiServerVerifier>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
    files: &TlsFiles,
) -> Result<ClientConfig, TlsError> {
    let mut config = ClientConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(&[&TLS13])
        .map_err(|error| key_refused(&error, files))?
        .with_webpki_verifier(peers)
        .with_client_auth_cert(chain, key)
        .map_err(|error| key_refused(&error, files))?;
    config.alpn_protocols = vec![b"h2".to_vec()];
    config.resumption = Resumption::disabled();
    Ok(config)
}

fn key_refused(error: &rustls::Error, files: &TlsFiles) -> TlsError {
    match error {
        rustls::Error::InconsistentKeys(_) => {
            TlsError::OtherKey { key: files.key.clone(), certificate: files.certificate.clone() }
        }
        _ => TlsError::Unusable {
            file: TlsFile::Key,
            path: files.key.clone(),
            reason: "it is of a kind that is not supported, or damaged".to_owned(),
        },
    }
}
