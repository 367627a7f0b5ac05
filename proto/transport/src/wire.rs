//! The bytes of one connection, encrypted or not, and what its failures mean in words.

use crate::network::Bytestream;
use rustls::pki_types::CertificateDer;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_rustls::TlsStream;

/// A connection as it is, or TLS over one.
#[derive(Debug)]
pub(crate) enum Wire {
    Plain(Box<dyn Bytestream>),
    Tls(Box<TlsStream<Box<dyn Bytestream>>>),
}

impl Wire {
    /// The certificates that the peer has shown, its own first.
    pub(crate) fn shown(&self) -> Option<&[CertificateDer<'static>]> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(io) => io.get_ref().1.peer_certificates(),
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, into),
            Self::Tls(io) => Pin::new(io).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, bytes),
            Self::Tls(io) => Pin::new(io).poll_write(cx, bytes),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write_vectored(cx, parts),
            Self::Tls(io) => Pin::new(io).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(io) => io.is_write_vectored(),
            Self::Tls(io) => io.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

/// What a failed connection says about the other side.
pub(crate) fn in_words(error: &io::Error) -> String {
    match tls_error(error) {
        Some(tls) => tls_in_words(tls),
        None => error.to_string(),
    }
}

/// The failure of a handshake, with words for a connection that was only closed.
pub(crate) fn in_handshake(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe => {
            let words = "it closed the connection during the TLS handshake; perhaps it does not speak TLS";
            io::Error::new(error.kind(), words)
        }
        _ => error,
    }
}

/// The TLS error that `error` carries, if one.
pub(crate) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref().and_then(|inner| inner.downcast_ref())
}

fn tls_in_words(error: &rustls::Error) -> String {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error};
    let words = match error {
        Error::NoCertificatesPresented => "it showed no certificate",
        Error::InvalidCertificate(Bad::UnknownIssuer) => "its certificate is of another CA",
        Error::InvalidCertificate(Bad::Expired | Bad::ExpiredContext { .. }) => "its certificate has expired",
        Error::InvalidCertificate(Bad::NotValidForName | Bad::NotValidForNameContext { .. }) => {
            "its certificate is for another name"
        }
        Error::InvalidMessage(_) => "it does not speak TLS",
        Error::AlertReceived(Alert::CertificateRequired) => "it requires a certificate",
        Error::AlertReceived(Alert::UnknownCA) => {
            "it refused the certificate of this side: of a CA it does not know"
        }
        Error::AlertReceived(Alert::CertificateExpired) => {
            "it refused the certificate of this side: that has expired"
        }
        Error::AlertReceived(
            Alert::BadCertificate | Alert::CertificateUnknown | Alert::UnsupportedCertificate,
        ) => "it refused the certificate of this side",
        _ => return format!("TLS: {error}"),
    };
    format!("{words} ({error})")
}
