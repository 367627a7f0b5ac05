//! What the file and the environment say, one over the other, each value with where it comes from.

use super::error::ConfigError;
use figment::providers::{Format, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What the variables of options begin with.
const PREFIX: &str = "PELTON_";

/// What Pelton's own suites read begins so too, and is for no program.
const SUITES: [&str; 4] = ["SEED", "FLIGHT", "PROGRAMS", "TEST_"];

/// How many options an error proposes, at most.
const PROPOSED_MAX: usize = 3;

/// How like a key an option must be to be proposed, between 0 and 1.
const LIKENESS_MIN: f64 = 0.8;

/// What is done with a key that is no option.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unknown {
    Refused,
    PassedOver,
}

/// The long names of a program's options, and what is done with others.
pub(super) struct Known {
    pub(super) options: BTreeSet<String>,
    pub(super) unknown: Unknown,
}

/// The variables of an environment that are for Pelton.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// Names without the prefix, and values as they stand.
    variables: Vec<(String, String)>,
}

impl Environment {
    /// That of this process. A variable that is not UTF-8 is passed over.
    #[must_use]
    pub fn of_process() -> Self {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::of(std::env::vars_os().filter_map(utf8))
    }

    /// One made of `variables`.
    pub fn of(variables: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>) -> Self {
        let mut variables: Vec<(String, String)> = variables
            .into_iter()
            .filter_map(|(name, value)| Some((name.into().strip_prefix(PREFIX)?.to_owned(), value.into())))
            .filter(|(name, value): &(String, String)| {
                !value.is_empty() && !SUITES.iter().any(|suite| name.starts_with(suite))
            })
            .collect();
        variables.sort();
        Self { variables }
    }

    /// The configuration file it names.
    pub(super) fn config_file(&self) -> Option<PathBuf> {
        self.variables.iter().find(|(name, _)| name == "CONFIG").map(|(_, value)| PathBuf::from(value))
    }

    fn layers(&self, known: &Known) -> Result<Vec<Layer>, ConfigError> {
        let mut layers = Vec::new();
        for (name, value) in self.variables.iter().filter(|(name, _)| name != "CONFIG") {
            let mut layer = Layer::new(format!("environment variable {PREFIX}{name}"));
            let key = name.to_lowercase().replace("__", "_");
            if is_service_link(name) && !known.options.contains(&option_name(&key)) {
                continue;
            }
            layer.add(&key, Value::from(value.as_str()), known)?;
            layers.push(layer);
        }
        Ok(layers)
    }
}

/// Kubernetes and Docker tell every container of a service "pelton-injector" in PELTON_INJECTOR_PORT and others.
fn is_service_link(name: &str) -> bool {
    ["_SERVICE_HOST", "_SERVICE_PORT", "_PORT"].iter().any(|end| name.ends_with(end))
        || name.contains("_SERVICE_PORT_")
        || ["_TCP", "_UDP"].iter().any(|protocol| name.contains("_PORT_") && name.contains(protocol))
}

/// What stands over the defaults: values by option.
#[derive(Debug)]
pub(super) struct Settings {
    figment: Figment,
}

impl Settings {
    pub(super) fn read(
        file: Option<&Path>,
        environment: &Environment,
        known: &Known,
    ) -> Result<Self, ConfigError> {
        let mut figment = Figment::new();
        if let Some(path) = file {
            figment = figment.merge(from_file(path, known)?);
        }
        for layer in environment.layers(known)? {
            figment = figment.merge(layer);
        }
        Ok(Self { figment })
    }

    /// The values given for `option`; several where it stands as a list.
    pub(super) fn get(&self, option: &str) -> Option<Given> {
        match self.figment.find_value(option).ok()? {
            Value::Array(_, items) => Some(Given::List(items.iter().filter_map(text).collect())),
            value => text(&value).map(Given::One),
        }
    }

    /// Where the value of `option` comes from.
    pub(super) fn origin(&self, option: &str) -> Option<String> {
        self.figment.find_metadata(option).map(|metadata| metadata.name.to_string())
    }
}

/// What a layer gives for one option.
pub(super) enum Given {
    One(String),
    List(Vec<String>),
}

/// A scalar as it would stand on the command line.
fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(_, text) => Some(text.clone()),
        Value::Char(_, character) => Some(character.to_string()),
        Value::Bool(_, truth) => Some(truth.to_string()),
        Value::Num(_, number) => {
            let whole = number.to_i128().map(|whole| whole.to_string());
            whole
                .or_else(|| number.to_u128().map(|whole| whole.to_string()))
                .or_else(|| number.to_f64().map(|f| f.to_string()))
        }
        Value::Empty(..) | Value::Dict(..) | Value::Array(..) => None,
    }
}

fn from_file(path: &Path, known: &Known) -> Result<Layer, ConfigError> {
    let contents =
        std::fs::read_to_string(path).map_err(|error| ConfigError::File { path: path.to_owned(), error })?;
    let mut profiles = Toml::string(&contents).data().map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        reason: without_lines(&error.to_string()),
    })?;
    let mut layer = Layer::new(path.display().to_string());
    layer.add_all("", profiles.remove(&Profile::Default).unwrap_or_default(), known)?;
    Ok(layer)
}

/// The parser quotes the line it failed on. The wrong file may have been named, so that line may be a secret.
fn without_lines(message: &str) -> String {
    let quotes =
        |line: &&str| line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit()).starts_with('|');
    message.lines().filter(|line| !quotes(line)).collect::<Vec<_>>().join(", ").trim_end().to_owned()
}

/// One source of values, by option.
struct Layer {
    origin: String,
    values: Dict,
}

impl Layer {
    fn new(origin: String) -> Self {
        Self { origin, values: Dict::new() }
    }

    fn add_all(&mut self, above: &str, table: Dict, known: &Known) -> Result<(), ConfigError> {
        for (key, value) in table {
            let key = if above.is_empty() { key } else { format!("{above}.{key}") };
            match value {
                Value::Dict(_, table) => self.add_all(&key, table, known)?,
                value => self.add(&key, value, known)?,
            }
        }
        Ok(())
    }

    fn add(&mut self, key: &str, value: Value, known: &Known) -> Result<(), ConfigError> {
        let option = option_name(key);
        if !known.options.contains(&option) {
            if known.unknown == Unknown::PassedOver {
                return Ok(());
            }
            return Err(ConfigError::Unknown {
                origin: self.origin.clone(),
                key: key.to_owned(),
                near: near(&option, &known.options),
            });
        }
        let shape = |reason: &str| ConfigError::Shape {
            origin: self.origin.clone(),
            key: key.to_owned(),
            reason: reason.to_owned(),
        };
        let fits = match &value {
            Value::Array(_, items) => items.iter().all(|item| text(item).is_some()),
            value => text(value).is_some(),
        };
        if !fits {
            return Err(shape("is neither a value nor a list of values"));
        }
        if self.values.insert(option, value).is_some() {
            return Err(shape("is given twice, under two spellings"));
        }
        Ok(())
    }
}

impl Provider for Layer {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.origin.clone())
    }

    fn data(&self) -> figment::Result<Map<Profile, Dict>> {
        Ok(Profile::Default.collect(self.values.clone()))
    }
}

/// The long name of the option that a key stands for.
fn option_name(key: &str) -> String {
    key.replace(['.', '_'], "-")
}

fn near(option: &str, known: &BTreeSet<String>) -> String {
    let mut like: Vec<(f64, &str)> = known
        .iter()
        .map(|known| (strsim::jaro_winkler(option, known), known.as_str()))
        .filter(|(likeness, _)| *likeness >= LIKENESS_MIN)
        .collect();
    like.sort_by(|a, b| b.0.total_cmp(&a.0));
    let like: Vec<&str> = like.into_iter().take(PROPOSED_MAX).map(|(_, name)| name).collect();
    if like.is_empty() {
        let all: Vec<&str> = known.iter().map(String::as_str).collect();
        format!("there are {}", all.join(", "))
    } else {
        format!("did you mean {}?", like.join(", or "))
    }
}
