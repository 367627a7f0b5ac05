//! Mutual TLS: who is let in, what is said to those who are not, and files that change.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test that called it")]

mod common;

use common::{Ca, PATIENCE, Running, all, call, logged, logs};
use pelton_transport::{Limits, Security, TlsError, TlsFiles, connect};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use std::sync::Arc;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

#[tokio::test]
async fn two_with_certificates_of_one_ca_speak_over_every_name_of_this_machine() {
    let ca = Ca::new("one");
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let server = Running::start_at(address, &ca.security(), Limits::default()).await;
        call(&server.address.to_string(), &ca.security()).await.unwrap();
    }
    let server = Running::start(&ca.security(), Limits::default()).await;
    call(&format!("localhost:{}", server.address.port()), &ca.security()).await.unwrap();
}

#[tokio::test]
async fn a_server_name_stands_for_the_host_of_the_address() {
    let (ca, place) = (Ca::new("one"), tempfile::tempdir().unwrap());
    let files = ca.files_with(place.path(), &ca.give(&["injector.pelton"]));
    let server = Running::start(&Security::mutual_tls(files.clone(), None).unwrap(), Limits::default()).await;
    let address = server.address.to_string();
    let named = Security::mutual_tls(files.clone(), Some("injector.pelton")).unwrap();
    call(&address, &named).await.unwrap();

    let refused = call(&address, &Security::mutual_tls(files.clone(), None).unwrap()).await.unwrap_err();
    assert!(all(&refused).contains("its certificate is for another name"), "{}", all(&refused));
    assert!(matches!(Security::mutual_tls(files, Some("not a name")), Err(TlsError::ServerName { .. })));
}

#[tokio::test]
async fn a_client_of_another_ca_refuses_the_server_and_both_logs_say_why() {
    let server = Running::start(&Ca::new("one").security(), Limits::default()).await;
    let refused = call(&server.address.to_string(), &Ca::new("two").security()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    assert!(all(&refused).contains("its certificate is of another CA"), "{}", all(&refused));
    logged(&["WARN", "cannot connect", "of another CA"]).await;
    logged(&["WARN", "a TLS handshake failed", "it refused the certificate of this side", "peer=127.0.0.1"])
        .await;
}

/// A client that knows the server's CA, and whose own certificate is of another.
#[tokio::test]
async fn a_server_refuses_a_client_of_another_ca_and_the_client_is_told() {
    let (ca, other, place) = (Ca::new("one"), Ca::new("two"), tempfile::tempdir().unwrap());
    let server = Running::start(&ca.security(), Limits::default()).await;
    let client = other.files(place.path());
    std::fs::write(&client.ca, ca.pem.clone() + &other.pem).unwrap();
    let refused =
        call(&server.address.to_string(), &Security::mutual_tls(client, None).unwrap()).await.unwrap_err();
    logged(&["WARN", "a TLS handshake failed", "its certificate is of another CA"]).await;
    logged(&["WARN", "the connection was refused", "of a CA it does not know"]).await;
    assert!(all(&refused).contains("of a CA it does not know"), "{}", all(&refused));
}

#[tokio::test]
async fn a_client_without_a_certificate_is_refused_and_so_is_one_whose_has_expired() {
    let ca = Ca::new("one");
    let server = Running::start(&ca.security(), Limits::default()).await;
    let alert = speak_tls(&server, &ca, None).await;
    assert!(alert.contains("CertificateRequired"), "{alert}");
    logged(&["WARN", "a TLS handshake failed", "it showed no certificate"]).await;

    let alert = speak_tls(&server, &ca, Some(ca.give_until(&["localhost"], 2020))).await;
    assert!(alert.contains("CertificateExpired"), "{alert}");
    logged(&["WARN", "a TLS handshake failed", "its certificate has expired"]).await;
}

/// What a client that is made by hand reads instead of HTTP/2.
async fn speak_tls(server: &Running, ca: &Ca, shown: Option<(String, String)>) -> String {
    let mut roots = rustls::RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca.pem.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider);
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    let mut config = match shown {
        None => config.with_no_client_auth(),
        Some((certificate, key)) => config
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
    let stream = TcpStream::connect(server.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = connector.connect(name, stream).await.expect("TLS 1.3 asks the client last");
    let read = tokio::time::timeout(PATIENCE, stream.read(&mut [0; 64])).await.expect("the server answers");
    format!("{:?}", read.unwrap_err())
}

#[tokio::test]
async fn plaintext_to_tls_and_tls_to_plaintext_are_told_apart_on_both_sides() {
    let ca = Ca::new("one");
    let secure = Running::start(&ca.security(), Limits::default()).await;
    let plain = Running::start(&Security::none(), Limits::default()).await;

    call(&secure.address.to_string(), &Security::none()).await.unwrap_err();
    logged(&["WARN", "a TLS handshake failed", "it does not speak TLS"]).await;
    logged(&["WARN", "the connection was refused", "it speaks TLS, and this side has no certificate"]).await;

    let refused = call(&plain.address.to_string(), &ca.security()).await.unwrap_err();
    logged(&["WARN", "refused a client that speaks TLS: this service has no certificate"]).await;
    let told = all(&refused);
    assert!(
        told.contains("does not speak TLS")
            || told.contains("closed the connection during the TLS handshake"),
        "{told}"
    );
}

#[test]
fn every_fault_of_the_files_is_named_with_its_file() {
    let (ca, place) = (Ca::new("one"), tempfile::tempdir().unwrap());
    let said = |files: &TlsFiles| Security::mutual_tls(files.clone(), None).unwrap_err().to_string();
    let good = ca.files(place.path());
    let elsewhere = |name: &str, text: &str| {
        let path = place.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };

    let missing = place.path().join("missing.key");
    let line = said(&TlsFiles { key: missing, ..good.clone() });
    assert!(line.starts_with("cannot read the TLS private key"), "{line}");
    assert!(line.contains("missing.key") && line.contains("No such file"), "{line}");

    let line = said(&TlsFiles { ca: elsewhere("empty", ""), ..good.clone() });
    assert!(line.starts_with("there is no TLS CA certificate in"), "{line}");
    let line = said(&TlsFiles { certificate: good.key.clone(), ..good.clone() });
    assert!(line.contains("there is no TLS certificate in") && line.contains("tls.key"), "{line}");

    let line = said(&TlsFiles { key: elsewhere("other.key", &ca.give(&["localhost"]).1), ..good.clone() });
    assert!(line.contains("other.key is not that of the certificate"), "{line}");

    let (old, key) = ca.give_until(&["localhost"], 2020);
    let (certificate, key) = (elsewhere("old.crt", &old), elsewhere("old.key", &key));
    let line = said(&TlsFiles { certificate, key, ..good.clone() });
    assert!(line.contains("old.crt has expired"), "{line}");

    let line = said(&TlsFiles { ca: elsewhere("two.crt", &Ca::new("two").pem), ..good });
    assert!(line.contains("does not descend from the CA in") && line.contains("two.crt"), "{line}");
}

#[test]
fn no_error_and_no_debug_output_has_the_key_in_it() {
    let (ca, place) = (Ca::new("one"), tempfile::tempdir().unwrap());
    let files = ca.files(place.path());
    let security = Security::mutual_tls(files.clone(), None).unwrap();
    let key = std::fs::read_to_string(&files.key).unwrap();
    let secret = key.lines().nth(1).unwrap();
    let damaged = place.path().join("damaged.key");
    std::fs::write(&damaged, key.replace("-----END", "-----DNE")).unwrap();
    let error = Security::mutual_tls(TlsFiles { key: damaged, ..files }, None).unwrap_err();
    for shown in [format!("{security:?}"), error.to_string(), format!("{error:?}")] {
        assert!(!shown.contains(secret), "{shown}");
        assert!(!shown.contains(&secret[..16]), "{shown}");
    }
}

#[tokio::test]
async fn new_files_are_used_by_new_connections_and_broken_ones_are_reported_and_left() {
    let (old, new, place) = (Ca::new("one"), Ca::new("two"), tempfile::tempdir().unwrap());
    let files = old.files(place.path());
    let security = Security::mutual_tls(files.clone(), None).unwrap();
    let server = Running::start(&security, Limits::default()).await;
    let address = server.address.to_string();
    let mut living = HealthClient::new(connect(&address, &old.security()).unwrap());
    living.check(HealthCheckRequest::default()).await.unwrap();

    // A certificate that is half written: the old one stays, without and with a connection.
    let whole = std::fs::read_to_string(&files.certificate).unwrap();
    std::fs::write(&files.certificate, &whole[..whole.len() / 2]).unwrap();
    let path = files.certificate.display().to_string();
    logged(&["WARN", "the last good ones stay in use", &path]).await;
    call(&address, &old.security()).await.unwrap();
    let reports = logs().lines().filter(|line| line.contains("stay in use") && line.contains(&path)).count();
    assert_eq!(reports, 1, "once for each change");

    new.files(place.path());
    logged(&["INFO", "read the TLS files again", &path]).await;
    call(&address, &new.security()).await.unwrap();
    call(&address, &old.security()).await.unwrap_err();
    living.check(HealthCheckRequest::default()).await.unwrap();
    // The client's side has new ones too.
    call(&address, &security).await.unwrap();
}
