//! Certificates of a CA made for the test, servers that answer health only, and what was logged.

#![allow(dead_code, reason = "each suite uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test that called it")]

use pelton_transport::{Limits, ListenOptions, Security, Server, TlsFiles, connect};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::service::Routes;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// Long enough for any loaded machine; nothing that succeeds takes it.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A CA, and the certificates it gives.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pub(crate) pem: String,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem }
    }

    /// Certificate and key for `names`, as PEM.
    pub(crate) fn give(&self, names: &[&str]) -> (String, String) {
        self.give_until(names, 2090)
    }

    /// A certificate for this machine with a subject.
    pub(crate) fn security_of(&self, subject: &str) -> Security {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, subject);
        let place = tempfile::tempdir().unwrap();
        let given = (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem());
        Security::mutual_tls(self.files_with(place.path(), &given), None).unwrap()
    }

    pub(crate) fn give_until(&self, names: &[&str], year: i32) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(year, 1, 1);
        (params.signed_by(&key, &self.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// Files under `place` with a certificate for this machine.
    pub(crate) fn files(&self, place: &Path) -> TlsFiles {
        self.files_with(place, &self.give(&["localhost", "127.0.0.1", "::1"]))
    }

    pub(crate) fn files_with(&self, place: &Path, (certificate, key): &(String, String)) -> TlsFiles {
        let files = TlsFiles {
            certificate: place.join("tls.crt"),
            key: place.join("tls.key"),
            ca: place.join("ca.crt"),
        };
        std::fs::write(&files.certificate, certificate).unwrap();
        std::fs::write(&files.key, key).unwrap();
        std::fs::write(&files.ca, &self.pem).unwrap();
        files
    }

    pub(crate) fn security(&self) -> Security {
        let place = tempfile::tempdir().unwrap();
        Security::mutual_tls(self.files(place.path()), None).unwrap()
    }
}

/// A server that runs until it is dropped.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), tonic::transport::Error>>,
}

impl Running {
    pub(crate) async fn start(security: &Security, limits: Limits) -> Self {
        Self::start_at("127.0.0.1:0", security, limits).await
    }

    pub(crate) async fn start_at(address: &str, security: &Security, limits: Limits) -> Self {
        logs();
        let options = ListenOptions {
            security: security.clone(),
            limits,
            ..ListenOptions::new(address.parse().unwrap())
        };
        Self::serve(Server::bind(&options).await.unwrap())
    }

    pub(crate) fn serve(server: Server) -> Self {
        let (address, stop) = (server.address(), CancellationToken::new());
        let task = tokio::spawn(server.serve(Routes::default(), stop.clone()));
        Self { address, stop, task }
    }

    /// The server has returned, and returned well.
    pub(crate) async fn ended(self) {
        tokio::time::timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap();
    }
}

/// One call over a new connection.
pub(crate) async fn call(address: &str, security: &Security) -> Result<(), Status> {
    let mut client = HealthClient::new(connect(address, security).unwrap());
    let checked = client.check(HealthCheckRequest::default());
    tokio::time::timeout(PATIENCE, checked).await.expect("the call ends").map(drop)
}

/// All that an error says, its sources included.
pub(crate) fn all(error: &dyn std::error::Error) -> String {
    let sources = std::iter::successors(Some(error), |error| error.source());
    sources.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LOG.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// What all tests of this process have logged.
pub(crate) fn logs() -> String {
    static ONCE: OnceLock<()> = OnceLock::new();
    ONCE.get_or_init(|| {
        tracing_subscriber::fmt().with_ansi(false).with_writer(|| Log).with_env_filter("debug").init();
    });
    String::from_utf8(LOG.lock().unwrap_or_else(PoisonError::into_inner).clone()).unwrap()
}

/// Waits for a line with all of `words`.
pub(crate) async fn logged(words: &[&str]) {
    let found = async {
        while !logs().lines().any(|line| words.iter().all(|word| line.contains(word))) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let found = tokio::time::timeout(PATIENCE, found).await;
    assert!(found.is_ok(), "no line with {words:?} in\n{}", logs());
}
