//! Arguments and results, in whichever form they came: JSON, or MessagePack between peers of this crate.

use std::fmt;

use serde::Serialize;
use serde::de::{DeserializeOwned, Error as _};

use crate::json::{MAX_DEPTH, ReadError, Text};

/// Arguments or a result, not yet read. `Debug` shows the length only.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Payload<'a> {
    /// As JSON.
    Json(Text<'a>),
    /// As MessagePack, not yet known to be any.
    MessagePack(&'a [u8]),
}

impl Payload<'_> {
    /// Reads it into a type.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: it has another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        match self {
            Self::Json(text) => text.read(),
            Self::MessagePack(octets) => unpack(octets),
        }
    }

    /// Whether it is an object without members.
    #[cfg(any(feature = "driver", test))]
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Json(text) => text.is_object() && text.members().next().is_none(),
            Self::MessagePack(octets) => **octets == [EMPTY_MAP],
        }
    }
}

impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(text) => text.fmt(f),
            Self::MessagePack(octets) => write!(f, "MessagePack({} octets)", octets.len()),
        }
    }
}

/// A value in MessagePack: structs with the names of their fields, as JSON has them.
pub(crate) fn pack(value: &(impl Serialize + ?Sized)) -> Result<Vec<u8>, rmp_serde::encode::Error> {
    rmp_serde::to_vec_named(value)
}

/// Whether a packed value is a map; one that is null becomes an empty one.
pub(crate) fn as_map(mut packed: Vec<u8>) -> Option<Vec<u8>> {
    match packed.first_mut()? {
        null @ &mut NIL => *null = EMPTY_MAP,
        EMPTY_MAP..=0x8f | 0xde | 0xdf => {}
        _ => return None,
    }
    Some(packed)
}

/// Its errors are of our own making: those of the reader show what it found, which may be secret.
fn unpack<T: DeserializeOwned>(octets: &[u8]) -> Result<T, ReadError> {
    let mut reader = rmp_serde::Deserializer::from_read_ref(octets);
    reader.set_max_depth(usize::try_from(MAX_DEPTH).unwrap_or(usize::MAX));
    let value = T::deserialize(&mut reader).map_err(|_| ReadError::custom("the MessagePack has another shape"))?;
    Ok(value)
}

/// Markers of the format.
const EMPTY_MAP: u8 = 0x80;
const NIL: u8 = 0xc0;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::json::Value;
    use proptest::prelude::*;

    #[test]
    fn values_survive_and_what_has_no_place_is_refused() {
        let text = br#"{"a": [1, -7, 18446744073709551615, 2.5, null, true, "\u00e9"], "b": {}}"#;
        let value: Value = Text::new(text).unwrap().read().unwrap();
        let packed = pack(&value).unwrap();
        assert_eq!(Payload::MessagePack(&packed).read::<Value>().unwrap(), value);
        assert!(pack(&Value::BigInt("1".repeat(60).into())).is_err());
        assert!(pack(&Value::Int(1 << 70)).is_err());
    }

    #[test]
    fn arguments_are_a_map() {
        assert_eq!(as_map(pack(&()).unwrap()), Some(vec![EMPTY_MAP]));
        assert!(as_map(pack(&[1]).unwrap()).is_none());
        assert!(Payload::MessagePack(&[EMPTY_MAP]).is_empty());
        let error = Payload::MessagePack(&pack("s3cret").unwrap()).read::<u8>().unwrap_err().to_string();
        assert!(!error.contains("s3cret"), "{error}");
    }

    proptest! {
        #[test]
        fn any_octets_are_read_or_refused(octets in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Payload::MessagePack(&octets).read::<Value>();
        }
    }
}
