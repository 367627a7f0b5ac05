//! Records from outside over mutual TLS.

use crate::services::Services;
use crate::{expected, of_client};
use pelton::client::{IngestClient, Security, TlsFiles};
use pelton::{IngestLimits, WallClock};
use pelton_proto::ingest::FinishRequest;
use pelton_proto::ingest::ingest_client::IngestClient as Calls;
use pelton_transport::connect;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use std::path::Path;
use std::sync::Arc;
use tonic::Code;

/// Certificates of a CA of their own, each with a name.
pub(crate) struct Ca {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    place: tempfile::TempDir,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let pem = params.self_signed(&key).unwrap().pem();
        Self { issuer: Issuer::new(params, key), pem, place: tempfile::tempdir().unwrap() }
    }

    /// A certificate for this machine, with `name` as its subject.
    pub(crate) fn give(&self, name: &str) -> Security {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
        params.distinguished_name.push(DnType::CommonName, name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap().pem();
        let write = |what: &str, text: &str| {
            let path = Path::new(self.place.path()).join(format!("{name}.{what}"));
            std::fs::write(&path, text).unwrap();
            path
        };
        let files = TlsFiles {
            certificate: write("crt", &certificate),
            key: write("key", &key.serialize_pem()),
            ca: write("ca", &self.pem),
        };
        Security::mutual_tls(files, None).unwrap()
    }
}

#[test]
fn a_client_with_a_certificate_appends_and_one_without_or_of_another_ca_does_not() {
    let (ca, other) = (Ca::new(), Ca::new());
    let services = Services::start_secured(
        vec![Arc::new(WallClock), Arc::new(WallClock)],
        ca.give("workers"),
        IngestLimits::default(),
    );
    let client = |security: Security| {
        IngestClient::connect(services.addresses(), "orders", "ann").unwrap().secured(security)
    };
    for wrong in [Security::none(), other.give("ann")] {
        let refused = services.block_on(async {
            let mut calls = Calls::new(connect(&services.addresses()[0], &wrong).unwrap());
            calls.finish(FinishRequest { stream: "orders".to_owned() }).await
        });
        // What TLS refuses is a connection that could not be made, or one that broke off.
        assert!(matches!(refused.unwrap_err().code(), Code::Unavailable | Code::Unknown | Code::Cancelled));
    }
    services.block_on(async {
        let mut ann = client(ca.give("ann"));
        ann.append((0..500).map(|id| of_client("ann", id)).collect()).await.unwrap();
        ann.finish().await.unwrap();
    });
    assert_eq!(services.collected(1), expected(&["ann"], 500));
    services.until_done();
}
