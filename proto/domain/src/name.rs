//! Names that users choose and that stores keep: of pipelines, computations, streams, cells and tags.

use std::fmt;
use std::sync::Arc;

/// A name: 1 to 64 characters of `a-z A-Z 0-9 _ - .`, beginning with a letter or a digit.
///
/// State hangs on names, so they are explicit and checked once, where they enter.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

/// Why a text is no [`Name`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no name: {reason}; use 1 to 64 of a-z A-Z 0-9 _ - . and begin with a letter or digit")]
pub struct NameError {
    /// The text that was given.
    pub text: String,
    /// What is wrong with it.
    pub reason: &'static str,
}

impl Name {
    /// The longest name, in bytes.
    pub const LENGTH_MAX: usize = 64;

    /// Checks `text`.
    ///
    /// # Errors
    /// [`NameError`] where it is empty, too long, or has a character that names do not have.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let fail = |reason| Err(NameError { text: text.to_owned(), reason });
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        match text.chars().next() {
            None => fail("it is empty"),
            Some(_) if text.len() > Self::LENGTH_MAX => fail("it is longer than 64 bytes"),
            Some(first) if !first.is_ascii_alphanumeric() => fail("it begins with another character"),
            Some(_) if !text.chars().all(allowed) => fail("it has another character"),
            Some(_) => Ok(Self(text.into())),
        }
    }

    /// The name's text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

impl std::str::FromStr for Name {
    type Err = NameError;
    fn from_str(text: &str) -> Result<Self, NameError> {
        Self::new(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_name_is_refused_with_its_reason() {
        assert!(Name::new("flight_delays-2.x").is_ok());
        for (text, reason) in
            [("", "empty"), ("-a", "begins"), ("a b", "another character"), (&"x".repeat(65), "longer")]
        {
            let error = Name::new(text).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
