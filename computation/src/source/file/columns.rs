//! Which columns a row type needs: what its `Deserialize` says of itself before it has seen a row.

use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use std::fmt;

/// The names of the fields of `T`, aliases included; `None` where it is no struct, and any column will do.
pub(crate) fn columns_of<T: DeserializeOwned>() -> Option<&'static [&'static str]> {
    let mut fields = None;
    // It always fails: only the question is of interest.
    let _ = T::deserialize(Probe { fields: &mut fields });
    fields
}

/// Answers no question but that for a struct, by noting its fields.
struct Probe<'a> {
    fields: &'a mut Option<&'static [&'static str]>,
}

#[derive(Debug)]
struct Asked;

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only a probe")
    }
}

impl std::error::Error for Asked {}

impl serde::de::Error for Asked {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Probe<'_> {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
        Err(Asked::custom("not a struct"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Asked> {
        *self.fields = Some(fields);
        Err(Asked)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Asked> {
        visitor.visit_newtype_struct(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "only its names matter")]
    struct Flight {
        origin: String,
        #[serde(rename = "dep_delay")]
        delay: Option<i32>,
    }

    #[derive(serde::Deserialize)]
    #[expect(dead_code, reason = "only its names matter")]
    struct Wrapped(Flight);

    #[test]
    fn a_struct_needs_its_fields_by_the_names_they_have_in_the_data() {
        assert_eq!(columns_of::<Flight>(), Some(&["origin", "dep_delay"][..]));
        assert_eq!(columns_of::<Wrapped>(), columns_of::<Flight>());
    }

    #[test]
    fn a_map_and_a_tuple_need_none() {
        assert_eq!(columns_of::<BTreeMap<String, String>>(), None);
        assert_eq!(columns_of::<(u8, String)>(), None);
    }
}
