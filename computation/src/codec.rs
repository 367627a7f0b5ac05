//! How typed values become bytes: in records, in state and in timers.
//!
//! | codec | for |
//! |---|---|
//! | [`Postcard`] | any serde type; compact, the default |
//! | [`Json`] | any serde type; readable, and fields may come and go |
//! | [`Prost`] | protobuf messages |
//! | [`Raw`] | bytes as they are |

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A way to encode `T`. What one version encodes, every later one must decode.
pub trait Codec<T>: Send + Sync + 'static {
    /// Its name, as graphs and error messages show it.
    const NAME: &'static str;

    /// The bytes of `value`.
    ///
    /// # Errors
    /// [`CodecError`] where the value cannot be encoded.
    fn encode(value: &T) -> Result<Bytes, CodecError>;

    /// The value in `bytes`.
    ///
    /// # Errors
    /// [`CodecError`] where the bytes are no `T`.
    fn decode(bytes: &Bytes) -> Result<T, CodecError>;

    /// The value in `bytes` as JSON, for people who look at state from outside; `None` where they are no `T`, or the
    /// codec cannot show it.
    fn show(bytes: &Bytes) -> Option<String> {
        let _ = bytes;
        None
    }
}

/// A value that could not be encoded, or bytes that could not be decoded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{codec}: cannot {action} {type_name}: {reason}")]
pub struct CodecError {
    /// Which codec.
    pub codec: &'static str,
    /// "encode" or "decode".
    pub action: &'static str,
    /// The Rust type.
    pub type_name: &'static str,
    /// What the codec said.
    pub reason: String,
}

impl CodecError {
    fn new<T>(codec: &'static str, action: &'static str, reason: impl ToString) -> Self {
        Self { codec, action, type_name: std::any::type_name::<T>(), reason: reason.to_string() }
    }
}

/// serde through postcard: compact and fast. Fields cannot be added or removed without a new schema version.
#[derive(Clone, Copy, Debug)]
pub struct Postcard;

impl<T: Serialize + DeserializeOwned> Codec<T> for Postcard {
    const NAME: &'static str = "postcard";

    fn encode(value: &T) -> Result<Bytes, CodecError> {
        let bytes = postcard::to_stdvec(value).map_err(|e| CodecError::new::<T>("postcard", "encode", e))?;
        Ok(bytes.into())
    }

    fn decode(bytes: &Bytes) -> Result<T, CodecError> {
        let (value, rest) =
            postcard::take_from_bytes(bytes).map_err(|e| CodecError::new::<T>("postcard", "decode", e))?;
        if rest.is_empty() {
            Ok(value)
        } else {
            Err(CodecError::new::<T>("postcard", "decode", format!("{} bytes are left over", rest.len())))
        }
    }

    fn show(bytes: &Bytes) -> Option<String> {
        serde_json::to_string(&<Self as Codec<T>>::decode(bytes).ok()?).ok()
    }
}

/// serde through JSON.
#[derive(Clone, Copy, Debug)]
pub struct Json;

impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    const NAME: &'static str = "json";

    fn encode(value: &T) -> Result<Bytes, CodecError> {
        let bytes = serde_json::to_vec(value).map_err(|e| CodecError::new::<T>("json", "encode", e))?;
        Ok(bytes.into())
    }

    fn decode(bytes: &Bytes) -> Result<T, CodecError> {
        serde_json::from_slice(bytes).map_err(|e| CodecError::new::<T>("json", "decode", e))
    }

    fn show(bytes: &Bytes) -> Option<String> {
        serde_json::to_string(&<Self as Codec<T>>::decode(bytes).ok()?).ok()
    }
}

/// Protobuf messages through prost.
#[derive(Clone, Copy, Debug)]
pub struct Prost;

impl<T: prost::Message + Default> Codec<T> for Prost {
    const NAME: &'static str = "prost";

    fn encode(value: &T) -> Result<Bytes, CodecError> {
        Ok(value.encode_to_vec().into())
    }

    fn decode(bytes: &Bytes) -> Result<T, CodecError> {
        T::decode(bytes.clone()).map_err(|e| CodecError::new::<T>("prost", "decode", e))
    }
}

/// Bytes as they are.
#[derive(Clone, Copy, Debug)]
pub struct Raw;

impl Codec<Bytes> for Raw {
    const NAME: &'static str = "raw";

    fn encode(value: &Bytes) -> Result<Bytes, CodecError> {
        Ok(value.clone())
    }

    fn decode(bytes: &Bytes) -> Result<Bytes, CodecError> {
        Ok(bytes.clone())
    }

    fn show(bytes: &Bytes) -> Option<String> {
        show_text(bytes)
    }
}

impl Codec<Vec<u8>> for Raw {
    const NAME: &'static str = "raw";

    fn encode(value: &Vec<u8>) -> Result<Bytes, CodecError> {
        Ok(Bytes::copy_from_slice(value))
    }

    fn decode(bytes: &Bytes) -> Result<Vec<u8>, CodecError> {
        Ok(bytes.to_vec())
    }

    fn show(bytes: &Bytes) -> Option<String> {
        show_text(bytes)
    }
}

/// Bytes that are text, as a JSON string.
fn show_text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok().filter(|text| !text.chars().any(char::is_control))?;
    serde_json::to_string(text).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn values_survive_every_codec(number: u64, text: String, bytes: Vec<u8>) {
            let value = (number, text.clone(), bytes.clone());
            let back: (u64, String, Vec<u8>) = Postcard::decode(&Postcard::encode(&value).unwrap()).unwrap();
            prop_assert_eq!(&back, &value);
            let back: (u64, String, Vec<u8>) = Json::decode(&Json::encode(&value).unwrap()).unwrap();
            prop_assert_eq!(&back, &value);
            let back: Vec<u8> = Raw::decode(&Raw::encode(&bytes).unwrap()).unwrap();
            prop_assert_eq!(back, bytes);
            let back: String = Prost::decode(&Prost::encode(&text).unwrap()).unwrap();
            prop_assert_eq!(back, text);
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let bytes = Bytes::from(bytes);
            let _ = <Postcard as Codec<(u64, String)>>::decode(&bytes);
            let _ = <Json as Codec<(u64, String)>>::decode(&bytes);
            let _ = <Prost as Codec<String>>::decode(&bytes);
            let _ = <Postcard as Codec<(u64, String)>>::show(&bytes);
            let _ = <Raw as Codec<Bytes>>::show(&bytes);
        }
    }

    #[test]
    fn a_value_is_shown_as_json_where_its_codec_knows_how() {
        let value = (7u64, "x\"y".to_owned(), vec![1u8, 2]);
        let shown = r#"[7,"x\"y",[1,2]]"#;
        let postcard = Postcard::encode(&value).unwrap();
        assert_eq!(<Postcard as Codec<(u64, String, Vec<u8>)>>::show(&postcard).unwrap(), shown);
        assert_eq!(<Postcard as Codec<(u64, String, Vec<u8>)>>::show(&Bytes::from_static(&[1])), None);
        let json = Json::encode(&value).unwrap();
        assert_eq!(<Json as Codec<(u64, String, Vec<u8>)>>::show(&json).unwrap(), shown);
        assert_eq!(<Raw as Codec<Bytes>>::show(&Bytes::from_static(b"EWR")).unwrap(), "\"EWR\"");
        assert_eq!(<Raw as Codec<Bytes>>::show(&Bytes::from_static(&[0, 255])), None);
    }

    #[test]
    fn an_error_names_codec_type_and_reason() {
        let error = <Postcard as Codec<u8>>::decode(&Bytes::from_static(&[1, 2])).unwrap_err();
        assert_eq!(error.to_string(), "postcard: cannot decode u8: 1 bytes are left over");
    }
}
