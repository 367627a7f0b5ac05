//! `deploy/certificates.sh` makes what the programs take.

use crate::{deploy, is_installed};
use pelton_transport::{Security, TlsFiles};
use std::path::Path;
use std::process::Command;

fn make(place: &Path) -> TlsFiles {
    let output =
        Command::new("bash").arg(deploy("certificates.sh")).arg(place).arg("injector-1").output().unwrap();
    assert!(output.status.success(), "{output:?}");
    TlsFiles { certificate: place.join("tls.crt"), key: place.join("tls.key"), ca: place.join("ca.crt") }
}

#[test]
fn the_script_makes_certificates_that_are_taken_and_keeps_its_ca() {
    if !is_installed("openssl", "version") {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    let files = make(place.path());
    Security::mutual_tls(files.clone(), Some("pelton")).unwrap();
    let read = |path: &Path| std::fs::read(path).unwrap();
    let (ca, certificate) = (read(&files.ca), read(&files.certificate));
    let again = make(place.path());
    Security::mutual_tls(again, Some("pelton")).unwrap();
    assert_eq!(ca, read(&files.ca), "those that run know this CA");
    assert_ne!(certificate, read(&files.certificate), "it is renewed");
    let left: Vec<_> =
        std::fs::read_dir(place.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left.len(), 4, "{left:?}");
}
