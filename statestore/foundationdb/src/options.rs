//! The URL of a store on FoundationDB, read into options that are always valid.
//!
//! `fdb:CLUSTER_FILE?option=value&..`; without a file the client looks where it always does: `FDB_CLUSTER_FILE`,
//! the current directory, `/etc/foundationdb/fdb.cluster`. A `%` with two digits stands for any byte.

use crate::network::ClientOptions;
use pelton_statestore::OpenError;
use std::path::PathBuf;
use std::time::Duration;

/// How a store on FoundationDB is opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundationDbOptions {
    /// The cluster file; `None` leaves it to the client to find one.
    pub cluster_file: Option<PathBuf>,
    /// What all keys of the store begin with, so that many stores share a cluster: 1 to 100 bytes, no zero byte.
    pub prefix: String,
    /// How long one transaction may take before the cluster counts as unavailable.
    pub timeout: Duration,
    /// How long to wait for a cluster that does not answer when the store is opened.
    pub open_timeout: Duration,
    /// Whether a commit whose fence is known may do without reading it.
    pub fast_fence: bool,
    /// Whether a store that was restored or copied from elsewhere is taken over.
    pub adopt: bool,
    /// The client's own options; the first store that a process opens decides.
    pub client: ClientOptions,
}

impl Default for FoundationDbOptions {
    fn default() -> Self {
        Self {
            cluster_file: None,
            prefix: "pelton".to_owned(),
            timeout: Duration::from_secs(5),
            open_timeout: Duration::from_secs(60),
            fast_fence: true,
            adopt: false,
            client: ClientOptions::default(),
        }
    }
}

const PREFIX_BYTES_MAX: usize = 100;

const KNOWN: &str = "prefix, timeout, open_timeout, fast_fence, adopt, tls_certificate, tls_key, tls_ca, \
                     tls_verify_peers, trace_dir, external_client";

impl FoundationDbOptions {
    /// Reads a URL.
    ///
    /// # Errors
    /// [`OpenError::Url`], which names what is wrong and what is known.
    pub fn parse(url: &str) -> Result<Self, OpenError> {
        let wrong = |reason: String| OpenError::Url { url: url.to_owned(), reason };
        let Some(rest) = url.strip_prefix("fdb:") else {
            return Err(wrong("it does not begin with fdb:".to_owned()));
        };
        let (file, query) = rest.split_once('?').unwrap_or((rest, ""));
        let file = decode(file).map_err(wrong)?;
        let mut options =
            Self { cluster_file: (!file.is_empty()).then(|| PathBuf::from(file)), ..Self::default() };
        for option in query.split('&').filter(|option| !option.is_empty()) {
            let (name, value) = option
                .split_once('=')
                .ok_or_else(|| wrong(format!("the option {option:?} has no value; write {option}=..")))?;
            let value = decode(value).map_err(wrong)?;
            options.set(name, value).map_err(|reason| wrong(format!("{name}: {reason}")))?;
        }
        Ok(options)
    }

    fn set(&mut self, name: &str, value: String) -> Result<(), String> {
        match name {
            "prefix" => self.prefix = prefix(value)?,
            "timeout" => self.timeout = duration(&value)?,
            "open_timeout" => self.open_timeout = duration(&value)?,
            "fast_fence" => self.fast_fence = switch(&value)?,
            "adopt" => self.adopt = switch(&value)?,
            "tls_certificate" => self.client.tls_certificate = Some(value),
            "tls_key" => self.client.tls_key = Some(value),
            "tls_ca" => self.client.tls_ca = Some(value),
            "tls_verify_peers" => self.client.tls_verify_peers = Some(value),
            "trace_dir" => self.client.trace_dir = Some(value),
            "external_client" => self.client.external_clients.push(value),
            _ => return Err(format!("there is no such option; known are {KNOWN}")),
        }
        Ok(())
    }
}

fn prefix(value: String) -> Result<String, String> {
    match value.len() {
        0 => Err("it is empty".to_owned()),
        length if length > PREFIX_BYTES_MAX => {
            Err(format!("it has {length} bytes, and at most {PREFIX_BYTES_MAX} are possible"))
        }
        _ if value.contains('\0') => Err("it has a zero byte".to_owned()),
        _ => Ok(value),
    }
}

fn switch(value: &str) -> Result<bool, String> {
    match value {
        "on" | "yes" => Ok(true),
        "off" | "no" => Ok(false),
        _ => Err(format!("{value:?} is neither yes nor no")),
    }
}

/// A whole number of milliseconds, seconds or minutes: `500ms`, `5s`, `1m`.
fn duration(value: &str) -> Result<Duration, String> {
    let wrong = || format!("{value:?} is no time; write 500ms, 5s or 1m");
    let digits = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at_checked(digits).ok_or_else(wrong)?;
    let number: u32 = number.parse().map_err(|_| wrong())?;
    let duration = match unit {
        "ms" => Duration::from_millis(number.into()),
        "s" => Duration::from_secs(number.into()),
        "m" => Duration::from_secs(60 * u64::from(number)),
        _ => return Err(wrong()),
    };
    let longest = Duration::from_secs(3600);
    if duration.is_zero() || duration > longest {
        return Err(format!("{value} is not between 1ms and 60m"));
    }
    Ok(duration)
}

/// Replaces every `%xx` by the byte it stands for.
fn decode(text: &str) -> Result<String, String> {
    let wrong = || format!("{text:?} has a % without two hexadecimal digits behind it; write %25 for a %");
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let (digits, behind) = rest.split_first_chunk::<2>().ok_or_else(wrong)?;
        let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
        bytes.push(u8::from_str_radix(digits, 16).map_err(|_| wrong())?);
        rest = behind;
    }
    String::from_utf8(bytes).map_err(|_| format!("{text:?} is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(url: &str) -> String {
        FoundationDbOptions::parse(url).unwrap_err().to_string()
    }

    #[test]
    fn a_bare_url_has_the_defaults() {
        let options = FoundationDbOptions::parse("fdb:/etc/foundationdb/fdb.cluster").unwrap();
        let file = Some(PathBuf::from("/etc/foundationdb/fdb.cluster"));
        assert_eq!(options, FoundationDbOptions { cluster_file: file, ..FoundationDbOptions::default() });
        assert_eq!(FoundationDbOptions::parse("fdb:").unwrap(), FoundationDbOptions::default());
    }

    #[test]
    fn every_option_is_read() {
        let url = "fdb:a%3Fb?prefix=flights%20%26co&timeout=700ms&open_timeout=2m&fast_fence=off&adopt=yes\
                   &tls_certificate=c.pem&tls_key=k.pem&tls_ca=ca.pem&tls_verify_peers=Check.Valid%3D1\
                   &trace_dir=/tmp/t&external_client=/lib/a.so&external_client=/lib/b.so";
        let options = FoundationDbOptions::parse(url).unwrap();
        assert_eq!(options.cluster_file, Some(PathBuf::from("a?b")));
        assert_eq!(options.prefix, "flights &co");
        assert_eq!(options.timeout, Duration::from_millis(700));
        assert_eq!(options.open_timeout, Duration::from_secs(120));
        assert!(!options.fast_fence && options.adopt);
        assert_eq!(options.client.tls_verify_peers.as_deref(), Some("Check.Valid=1"));
        assert_eq!(options.client.external_clients, ["/lib/a.so", "/lib/b.so"]);
    }

    #[test]
    fn what_is_wrong_is_named_with_what_is_known() {
        let unknown = error("fdb:x?prefixes=a");
        assert!(unknown.contains("prefixes") && unknown.contains("prefix, timeout"), "{unknown}");
        for (url, hint) in [
            ("fdb:x?prefix=", "empty"),
            ("fdb:x?prefix=a%00b", "zero byte"),
            ("fdb:x?prefix", "no value"),
            ("fdb:x?timeout=5", "5s"),
            ("fdb:x?timeout=0s", "between"),
            ("fdb:x?timeout=99999999999s", "no time"),
            ("fdb:x?fast_fence=maybe", "neither yes nor no"),
            ("fdb:x%2", "%25"),
            ("fdb:x%é9", "%25"),
            ("fdb:x?prefix=%ff", "UTF-8"),
            ("embedded:x", "fdb:"),
        ] {
            assert!(error(url).contains(hint), "{url}: {}", error(url));
        }
        let long = format!("fdb:x?prefix={}", "p".repeat(101));
        assert!(error(&long).contains("101 bytes"));
    }
}
