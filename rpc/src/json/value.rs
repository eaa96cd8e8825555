//! Any JSON value, for those who do not know its type beforehand.

use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Error as _, Serialize, Serializer};
use serde_json::value::RawValue;

use super::read::{AS_TEXT, float};
use super::text::Text;

/// A value of the dialect. Integers are exact whatever their size, and never become floats.
///
/// ```
/// use oslo_rpc::json::{Text, Value};
///
/// let value: Value = Text::new(b"[1, 1.0, 1606938044258990275541962092341162602522202993782792835301376]")?.read()?;
/// let Value::Array(values) = value else { return Err("no array".into()) };
/// assert_eq!(values[..2], [Value::Int(1), Value::Float(1.0)]);
/// assert_eq!(values[2].to_string(), "1606938044258990275541962092341162602522202993782792835301376");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Value {
    /// `null`.
    #[default]
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// An integer.
    Int(i128),
    /// An integer of more than 127 bits: its decimal digits, perhaps with a minus before them.
    BigInt(Box<str>),
    /// A number written with a fraction or an exponent, `NaN`, or an infinity.
    Float(f64),
    /// A string.
    String(String),
    /// An array.
    Array(Vec<Self>),
    /// An object.
    Object(BTreeMap<String, Self>),
}

impl Value {
    /// The value of anything that serde can write as JSON.
    ///
    /// # Errors
    ///
    /// [`serde_json::Error`]: it cannot.
    pub fn of(value: &(impl Serialize + ?Sized)) -> Result<Self, serde_json::Error> {
        let text = serde_json::to_string(value)?;
        Text::new(text.as_bytes()).map_err(serde_json::Error::custom)?.read().map_err(serde_json::Error::custom)
    }

    /// A string's content.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(string) => Some(string),
            _ => None,
        }
    }

    /// The value of a key of an object.
    pub fn get(&self, key: &str) -> Option<&Self> {
        match self {
            Self::Object(members) => members.get(key),
            _ => None,
        }
    }

    /// The value of a text. It recurses as deep as a text may nest.
    ///
    /// `None`: a string in it has a single surrogate.
    fn of_text(text: Text<'_>) -> Option<Self> {
        let content = text.as_str();
        Some(match content.as_bytes().first()? {
            b'n' => Self::Null,
            b't' => Self::Bool(true),
            b'f' => Self::Bool(false),
            b'"' => Self::String(text.string()?.into_owned()),
            b'[' => Self::Array(text.elements().map(Self::of_text).collect::<Option<_>>()?),
            b'{' => {
                let members = text.members();
                let pairs = members.map(|(key, value)| Some((key.string()?.into_owned(), Self::of_text(value)?)));
                Self::Object(pairs.collect::<Option<_>>()?)
            }
            _ if content.bytes().all(|octet| octet == b'-' || octet.is_ascii_digit()) => {
                content.parse().map_or_else(|_| Self::BigInt(content.into()), Self::Int)
            }
            _ => Self::Float(float(content)?),
        })
    }
}

/// As it is sent.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&serde_json::to_string(self).map_err(|_| fmt::Error)?)
    }
}

/// As JSON, `NaN` and infinities are written `null`, like those of any type that serde writes: JSON has no others.
impl Serialize for Value {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(value) => serializer.serialize_bool(*value),
            Self::Int(n) => match (u64::try_from(*n), i64::try_from(*n)) {
                (Ok(n), _) => serializer.serialize_u64(n),
                (_, Ok(n)) => serializer.serialize_i64(n),
                _ if serializer.is_human_readable() => serializer.serialize_i128(*n),
                _ => Err(S::Error::custom("an integer of more than 64 bits can be sent as JSON only")),
            },
            Self::BigInt(_) if !serializer.is_human_readable() => {
                Err(S::Error::custom("an integer of more than 64 bits can be sent as JSON only"))
            }
            Self::BigInt(digits) => {
                RawValue::from_string(digits.to_string()).map_err(S::Error::custom)?.serialize(serializer)
            }
            Self::Float(n) => serializer.serialize_f64(*n),
            Self::String(string) => serializer.serialize_str(string),
            Self::Array(values) => serializer.collect_seq(values),
            Self::Object(members) => serializer.collect_map(members),
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(AS_TEXT, ByText)
    }
}

/// Takes the text from our own reader, and what it says from any other.
struct ByText;

impl<'de> Visitor<'de> for ByText {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_borrowed_str<E: serde::de::Error>(self, text: &'de str) -> Result<Value, E> {
        let text = Text::new(text.as_bytes()).map_err(E::custom)?;
        Value::of_text(text).ok_or_else(|| E::custom("a string has a single surrogate, half of a character"))
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(ByVisit)
    }
}

struct ByVisit;

impl<'de> Visitor<'de> for ByVisit {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, n: i64) -> Result<Value, E> {
        Ok(Value::Int(n.into()))
    }

    fn visit_u64<E>(self, n: u64) -> Result<Value, E> {
        Ok(Value::Int(n.into()))
    }

    fn visit_f64<E>(self, n: f64) -> Result<Value, E> {
        Ok(Value::Float(n))
    }

    fn visit_str<E>(self, string: &str) -> Result<Value, E> {
        Ok(Value::String(string.to_owned()))
    }

    fn visit_string<E>(self, string: String) -> Result<Value, E> {
        Ok(Value::String(string))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(value) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((key, value)) = map.next_entry()? {
            members.insert(key, value);
        }
        Ok(Value::Object(members))
    }
}

macro_rules! value_from {
    ($($type:ty => $variant:ident,)*) => {$(
        impl From<$type> for Value {
            fn from(value: $type) -> Self {
                Self::$variant(value.into())
            }
        }
    )*};
}

value_from! { bool => Bool, i32 => Int, u32 => Int, i64 => Int, u64 => Int, f64 => Float, &str => String, String => String, }

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        Text::new(text.as_bytes()).unwrap().read().unwrap()
    }

    #[test]
    fn what_is_read_is_written_alike() {
        for text in [
            "null",
            "true",
            "-1",
            "18446744073709551616",
            "1.0",
            "1e22",
            "\"é😀\\n\"",
            "1606938044258990275541962092341162602522202993782792835301376",
            "-170141183460469231731687303715884105729",
            r#"{"a":[1,2.5,{}],"b":[]}"#,
        ] {
            let read = value(text);
            let written = serde_json::to_string(&read).unwrap();
            assert_eq!(value(&written), read, "{text}");
        }
        assert_eq!(value("1e2"), Value::Float(100.0));
        assert_eq!(value("100"), Value::Int(100));
    }

    #[test]
    fn it_may_stand_in_a_type_and_come_from_any_format() {
        let nested: BTreeMap<String, Vec<Value>> = Text::new(br#"{"a": [1, NaN]}"#).unwrap().read().unwrap();
        assert_eq!(nested["a"][0], Value::Int(1));
        let strict: Value = serde_json::from_str(r#"{"a": [1, -2.5, "x", null, true]}"#).unwrap();
        assert_eq!(strict, value(r#"{"a": [1, -2.5, "x", null, true]}"#));
        assert_eq!(Value::of(&(1, "a")).unwrap(), Value::Array(vec![1.into(), "a".into()]));
    }

    #[test]
    fn what_is_no_number_is_null_wherever_it_is_written() {
        for text in ["NaN", "Infinity", "-Infinity"] {
            assert_eq!(value(text).to_string(), "null");
            assert_eq!(value(&format!("[{text}]")).to_string(), "[null]");
            assert_eq!(Value::of(&value(text)).unwrap(), Value::Null);
        }
    }

    #[test]
    fn a_single_surrogate_is_refused() {
        assert!(Text::new(br#"["\ud800"]"#).unwrap().read::<Value>().is_err());
    }
}
