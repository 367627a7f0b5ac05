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
}

impl Codec<Vec<u8>> for Raw {
    const NAME: &'static str = "raw";

    fn encode(value: &Vec<u8>) -> Result<Bytes, CodecError> {
        Ok(Bytes::copy_from_slice(value))
    }

    fn decode(bytes: &Bytes) -> Result<Vec<u8>, CodecError> {
        Ok(bytes.to_vec())
    }
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
        }
    }

    #[test]
    fn an_error_names_codec_type_and_reason() {
        let error = <Postcard as Codec<u8>>::decode(&Bytes::from_static(&[1, 2])).unwrap_err();
        assert_eq!(error.to_string(), "postcard: cannot decode u8: 1 bytes are left over");
    }
}
