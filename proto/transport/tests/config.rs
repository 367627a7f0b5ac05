//! Options from defaults, a file, the environment and the command line; what is refused, and in which words.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "what fails here fails the test that called it")]

mod common;

use clap::Parser;
use common::{Ca, Running};
use pelton_transport::config::{
    self, ConfigError, Environment, SecurityArgs, SecurityArgsError, ServingArgs,
};
use pelton_transport::{Limits, Security};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

#[derive(Debug, Parser)]
#[command(name = "program", version)]
struct Options {
    #[arg(long, default_value = "127.0.0.1:4100")]
    listen: SocketAddr,
    #[arg(long)]
    store: String,
    #[arg(long, value_delimiter = ',')]
    injectors: Vec<String>,
    #[command(flatten)]
    security: SecurityArgs,
    #[command(flatten)]
    serving: ServingArgs,
    #[command(subcommand)]
    role: Option<Role>,
}

#[derive(Debug, clap::Subcommand)]
enum Role {
    Worker {
        #[arg(long)]
        name: String,
    },
}

fn read(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> Result<Options, ConfigError> {
    let place = tempfile::tempdir().unwrap();
    let path = place.path().join("pelton.toml");
    std::fs::write(&path, file).unwrap();
    let mut arguments = vec!["program", "--config", path.to_str().unwrap()];
    arguments.extend(flags);
    config::parse_from(arguments, &Environment::of(environment.iter().copied()))
}

fn refused(file: &str, environment: &[(&str, &str)], flags: &[&str]) -> String {
    read(file, environment, flags).unwrap_err().to_string()
}

#[test]
fn each_layer_goes_over_the_one_before() {
    let file = "listen = '127.0.0.1:1'\nstore = 'file'\nconnections_max = 7\n[tls]\nserver_name = 'file'";
    let environment = [("PELTON_LISTEN", "127.0.0.1:2"), ("PELTON_TLS__SERVER_NAME", "variable")];
    let options = read("store = 'file'", &[], &[]).unwrap();
    assert_eq!((options.listen.port(), options.store.as_str()), (4100, "file"), "defaults, file");
    assert_eq!(options.serving.connections_max, 1_024);
    let options = read(file, &[], &[]).unwrap();
    assert_eq!((options.listen.port(), options.serving.connections_max), (1, 7));
    assert_eq!(options.security.tls_server_name.as_deref(), Some("file"));
    let options = read(file, &environment, &[]).unwrap();
    assert_eq!((options.listen.port(), options.store.as_str()), (2, "file"));
    assert_eq!(options.security.tls_server_name.as_deref(), Some("variable"));
    let flags = ["--listen", "127.0.0.1:3", "--tls-server-name=flag"];
    let options = read(file, &environment, &flags).unwrap();
    assert_eq!((options.listen.port(), options.store.as_str()), (3, "file"));
    assert_eq!(options.security.tls_server_name.as_deref(), Some("flag"));
}

#[test]
fn a_nested_key_and_a_flat_one_are_the_same_option_in_every_layer() {
    let nested = "store = 's'\n[tls]\ncert = 'file'";
    let flat = [("PELTON_TLS_CERT", "variable")];
    let cert = |options: Options| options.security.tls_cert;
    assert_eq!(cert(read(nested, &flat, &[]).unwrap()), Some(PathBuf::from("variable")));
    let said = refused("tls-cert = 'a'\n[tls]\ncert = 'b'", &[], &[]);
    assert!(said.contains("is given twice, under two spellings"), "{said}");
}

#[test]
fn switches_lists_and_subcommands_take_settings() {
    let file = "store = 's'\nexposed-without-tls = true\ninjectors = ['a:1', 'b:2']\nname = '007'";
    let options = read(file, &[], &["worker"]).unwrap();
    assert!(options.serving.exposed_without_tls);
    assert_eq!(options.injectors, ["a:1", "b:2"]);
    assert!(matches!(options.role, Some(Role::Worker { name }) if name == "007"));
    let environment = [("PELTON_INJECTORS", "c:3,d:4"), ("PELTON_NAME", "008")];
    let options = read(file, &environment, &["worker", "--name", "flag"]).unwrap();
    assert_eq!(options.injectors, ["c:3", "d:4"]);
    assert!(matches!(options.role, Some(Role::Worker { name }) if name == "flag"));
    let options = read(file, &environment, &["worker"]).unwrap();
    assert!(matches!(options.role, Some(Role::Worker { name }) if name == "008"), "a name is no number");
}

#[test]
fn an_unknown_key_is_refused_with_its_place_and_what_is_near() {
    let said = refused("store = 's'\n[tls]\ncrt = 'x'", &[], &[]);
    assert!(said.contains("pelton.toml: there is no option tls.crt; did you mean tls-cert"), "{said}");
    let said = refused("", &[("PELTON_CONECTIONS_MAX", "1")], &[]);
    let expected = "environment variable PELTON_CONECTIONS_MAX: there is no option conections_max; \
                    did you mean connections-max, or connections-per-client-max?";
    assert_eq!(said, expected);
    let said = refused("zzz = 1", &[], &[]);
    assert!(said.contains("there are connections-max, connections-per-client-max, drain-ms-max,"), "{said}");
}

#[test]
fn a_value_that_does_not_fit_is_refused_with_its_origin() {
    let said = refused("store = 's'\nlisten = 'nowhere'", &[], &[]);
    assert!(said.contains("pelton.toml: error: invalid value 'nowhere' for '--listen <LISTEN>'"), "{said}");
    let said = refused(
        "store = 's'\nlisten = 'nowhere'",
        &[("PELTON_CONNECTIONS_MAX", "0")],
        &["--listen", "[::1]:1"],
    );
    assert!(
        said.starts_with("environment variable PELTON_CONNECTIONS_MAX: error: invalid value '0'"),
        "{said}"
    );
    let said = refused("store = 's'\nlisten = '[::1]:1'", &[], &["--listen", "flag"]);
    assert!(said.starts_with("error: invalid value 'flag'"), "the command line's own: {said}");
    let said = refused("store = ['a', 'b']", &[], &[]);
    assert!(said.contains("pelton.toml: store takes one value, and is a list"), "{said}");
    let said = refused("store = [['a']]", &[], &[]);
    assert!(said.contains("store is neither a value nor a list of values"), "{said}");
    let said = refused("", &[], &[]);
    assert!(said.contains("required arguments were not provided") && said.contains("--store"), "{said}");
}

#[test]
fn a_file_that_is_missing_or_no_toml_is_named_and_none_of_it_is_shown() {
    let missing =
        config::parse_from::<Options>(["program", "--config=/nowhere.toml"], &Environment::default());
    let said = missing.unwrap_err().to_string();
    assert!(said.starts_with("cannot read the configuration /nowhere.toml: "), "{said}");
    let named = Environment::of([("PELTON_CONFIG", "/other.toml")]);
    let said = config::parse_from::<Options>(["program"], &named).unwrap_err().to_string();
    assert!(said.contains("/other.toml"), "{said}");

    let secret = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIHNlY3JldA==\n-----END PRIVATE KEY-----";
    let error = read(secret, &[], &[]).unwrap_err();
    let said = error.to_string();
    assert!(said.contains("pelton.toml is no TOML: ") && said.contains("line 1"), "{said}");
    for shown in [said, format!("{error:?}")] {
        assert!(!shown.contains("PRIVATE KEY") && !shown.contains("MC4"), "{shown}");
    }
}

#[test]
fn what_kubernetes_says_of_services_is_no_option() {
    let links = [
        ("PELTON_INJECTOR_PORT", "tcp://10.0.0.1:4200"),
        ("PELTON_INJECTOR_PORT_4200_TCP_ADDR", "10.0.0.1"),
        ("PELTON_INJECTOR_SERVICE_HOST", "10.0.0.1"),
        ("PELTON_STORE", ""),
    ];
    assert_eq!(read("store = 's'", &links, &[]).unwrap().store, "s");
}

#[test]
fn tls_is_given_whole_or_not_at_all() {
    assert!(!SecurityArgs::default().security().unwrap().is_mutual_tls());
    let half = SecurityArgs { tls_cert: Some(PathBuf::from("x")), ..SecurityArgs::default() };
    let said = half.security().unwrap_err();
    assert!(matches!(said, SecurityArgsError::Incomplete { missing: "--tls-key" }), "{said}");
    let (ca, place) = (Ca::new("one"), tempfile::tempdir().unwrap());
    let files = ca.files(place.path());
    let whole = SecurityArgs {
        tls_cert: Some(files.certificate),
        tls_key: Some(files.key),
        tls_ca: Some(files.ca),
        tls_server_name: None,
    };
    assert!(whole.security().unwrap().is_mutual_tls());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_probe_says_whether_a_service_is_well() {
    let (ca, place) = (Ca::new("one"), tempfile::tempdir().unwrap());
    let files = ca.files(place.path());
    let security = Security::mutual_tls(files.clone(), None).unwrap();
    let server = Running::start(&security, Limits::default()).await;
    let address = server.address.to_string();
    // As in a service's container: its file and variables are there, and have more than the probe knows.
    let config = place.path().join("pelton.toml");
    let paths = [&files.certificate, &files.key, &files.ca].map(|path| path.display().to_string());
    let [cert, key, tls_ca] = paths;
    let text = format!("store = 'x'\n[tls]\ncert = '{cert}'\nkey = '{key}'\nca = '{tls_ca}'");
    std::fs::write(&config, text).unwrap();

    let well = probe(&address, Some(&config));
    assert!(well.status.success(), "{well:?}");
    let plaintext = probe(&address, None);
    assert_eq!(plaintext.status.code(), Some(1));
    let said = String::from_utf8(plaintext.stderr).unwrap();
    assert!(said.contains("it speaks TLS, and this side has no certificate"), "{said}");
    server.stop.cancel();
    server.ended().await;
    assert_eq!(probe(&address, Some(&config)).status.code(), Some(1));
}

fn probe(address: &str, config: Option<&Path>) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pelton-probe"));
    command.args(["--connect", address, "--wait-ms", "60000"]).env("PELTON_LISTEN", "127.0.0.1:1");
    if let Some(config) = config {
        command.env("PELTON_CONFIG", config);
    }
    command.output().unwrap()
}
