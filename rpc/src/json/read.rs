//! From a text to a type, by serde.
//!
//! A value is read in place: a string without escapes is borrowed, a member that a type has no field
//! for is stepped over. Errors name shapes and fields, never contents.

use std::borrow::Cow;
use std::{fmt, vec};

use serde::de::value::{BorrowedStrDeserializer, StringDeserializer};
use serde::de::{
    self, Deserialize, DeserializeSeed, Deserializer, EnumAccess, Expected, IntoDeserializer, MapAccess, SeqAccess,
    Unexpected, VariantAccess, Visitor,
};
use serde::forward_to_deserialize_any;
use thiserror::Error;

use super::text::{Elements, Text};

impl<'a> Text<'a> {
    /// Reads it into a type.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: it has another shape.
    pub fn read<T: Deserialize<'a>>(&self) -> Result<T, ReadError> {
        T::deserialize(*self)
    }
}

/// A text has another shape than the type it was to be read into.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{expectation}")]
pub struct ReadError {
    expectation: Box<str>,
}

/// The name under which a type asks for the text itself rather than for what it says.
pub(super) const AS_TEXT: &str = "oslo_rpc::json::Text";

impl de::Error for ReadError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self { expectation: message.to_string().into() }
    }

    // The default texts show what was found, and that may be a password.
    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {expected}, found {}", shape(found)))
    }

    fn invalid_value(_: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {expected}, found another value"))
    }

    fn unknown_variant(_: &str, expected: &'static [&'static str]) -> Self {
        Self::custom(format_args!("expected one of {}, found another name", expected.join(", ")))
    }
}

impl<'de> Deserializer<'de> for Text<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        let text = self.as_str();
        match text.as_bytes().first() {
            Some(b'n') => visitor.visit_unit(),
            Some(b't') => visitor.visit_bool(true),
            Some(b'f') => visitor.visit_bool(false),
            Some(b'[') => visitor.visit_seq(Seq(self.elements())),
            Some(b'{') => {
                let members: Vec<_> = self.members().collect();
                visitor.visit_map(Map { members: members.into_iter(), value: None })
            }
            Some(b'"') => match self.string() {
                Some(Cow::Borrowed(string)) => visitor.visit_borrowed_str(string),
                Some(Cow::Owned(string)) => visitor.visit_string(string),
                None => Err(de::Error::custom("a string has a single surrogate, half of a character")),
            },
            _ => number(text, visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        if self.is_null() { visitor.visit_none() } else { visitor.visit_some(self) }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if name == AS_TEXT { visitor.visit_borrowed_str(self.as_str()) } else { visitor.visit_newtype_struct(self) }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        if !self.is_object() {
            return visitor.visit_enum(Variant { name: self, content: None });
        }
        let mut members = self.members();
        match (members.next(), members.next()) {
            (Some((name, content)), None) => visitor.visit_enum(Variant { name, content: Some(content) }),
            _ => Err(de::Error::custom("expected an object of one member, the name of a variant")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

/// The narrowest of serde's numbers that holds it exactly, and for what none holds a float.
fn number<'de, V: Visitor<'de>>(text: &str, visitor: V) -> Result<V::Value, ReadError> {
    let is_integer = text.bytes().all(|octet| octet == b'-' || octet.is_ascii_digit());
    if is_integer {
        if let Ok(n) = text.parse() {
            return visitor.visit_u64(n);
        }
        if let Ok(n) = text.parse() {
            return visitor.visit_i64(n);
        }
        if let Ok(n) = text.parse() {
            return visitor.visit_i128(n);
        }
        if let Ok(n) = text.parse() {
            return visitor.visit_u128(n);
        }
    }
    visitor.visit_f64(float(text).ok_or_else(|| de::Error::custom("expected a number"))?)
}

/// A number's value, `NaN` and the infinities included.
pub(super) fn float(text: &str) -> Option<f64> {
    match text {
        "NaN" => Some(f64::NAN),
        "Infinity" => Some(f64::INFINITY),
        "-Infinity" => Some(f64::NEG_INFINITY),
        number => number.parse().ok(),
    }
}

fn shape(found: Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "a boolean",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "an integer",
        Unexpected::Float(_) => "a float",
        Unexpected::Str(_) | Unexpected::Char(_) => "a string",
        Unexpected::Unit | Unexpected::Option => "null",
        Unexpected::Seq => "an array",
        Unexpected::Map => "an object",
        _ => "something else",
    }
}

struct Seq<'de>(Elements<'de>);

impl<'de> SeqAccess<'de> for Seq<'de> {
    type Error = ReadError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>, ReadError> {
        self.0.next().map(|text| seed.deserialize(text)).transpose()
    }
}

/// Members of an object. A repeated key is given once, with its last value.
struct Map<'de> {
    members: vec::IntoIter<(Text<'de>, Text<'de>)>,
    value: Option<Text<'de>>,
}

impl<'de> MapAccess<'de> for Map<'de> {
    type Error = ReadError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, ReadError> {
        while let Some((key, value)) = self.members.next() {
            if self.members.as_slice().iter().take(REPEATS).any(|(later, _)| same(*later, key)) {
                continue;
            }
            self.value = Some(value);
            return seed.deserialize(Key(key)).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, ReadError> {
        match self.value.take() {
            Some(value) => seed.deserialize(value),
            None => Err(de::Error::custom("a value was asked for before its key")),
        }
    }
}

fn same(a: Text<'_>, b: Text<'_>) -> bool {
    a == b || (a.as_str().contains('\\') || b.as_str().contains('\\')) && a.string() == b.string()
}

/// A key: a string, or a number or boolean in quotes for maps with such keys.
struct Key<'de>(Text<'de>);

macro_rules! parsed_keys {
    ($($method:ident $visit:ident,)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
            match self.0.string().and_then(|key| key.parse().ok()) {
                Some(key) => visitor.$visit(key),
                None => self.0.deserialize_any(visitor),
            }
        }
    )*};
}

impl<'de> Deserializer<'de> for Key<'de> {
    type Error = ReadError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        self.0.deserialize_any(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, _: &'static str, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ReadError> {
        visitor.visit_some(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, ReadError> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    parsed_keys! {
        deserialize_bool visit_bool,
        deserialize_i8 visit_i8, deserialize_i16 visit_i16, deserialize_i32 visit_i32, deserialize_i64 visit_i64,
        deserialize_i128 visit_i128,
        deserialize_u8 visit_u8, deserialize_u16 visit_u16, deserialize_u32 visit_u32, deserialize_u64 visit_u64,
        deserialize_u128 visit_u128,
        deserialize_f32 visit_f32, deserialize_f64 visit_f64,
    }

    forward_to_deserialize_any! {
        char str string bytes byte_buf unit unit_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

struct Variant<'de> {
    name: Text<'de>,
    content: Option<Text<'de>>,
}

impl<'de> EnumAccess<'de> for Variant<'de> {
    type Error = ReadError;
    type Variant = Content<'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(self, seed: V) -> Result<(V::Value, Content<'de>), ReadError> {
        let name = match self.name.string() {
            Some(Cow::Borrowed(name)) => seed.deserialize(BorrowedStrDeserializer::<ReadError>::new(name)),
            Some(Cow::Owned(name)) => {
                let name: StringDeserializer<ReadError> = name.into_deserializer();
                seed.deserialize(name)
            }
            None => Err(de::Error::custom("expected the name of a variant")),
        };
        Ok((name?, Content(self.content)))
    }
}

struct Content<'de>(Option<Text<'de>>);

impl<'de> Content<'de> {
    fn required(self) -> Result<Text<'de>, ReadError> {
        self.0.ok_or_else(|| de::Error::custom("expected a variant with content"))
    }
}

impl<'de> VariantAccess<'de> for Content<'de> {
    type Error = ReadError;

    fn unit_variant(self) -> Result<(), ReadError> {
        match self.0 {
            Some(content) if !content.is_null() => Err(de::Error::custom("expected a variant without content")),
            _ => Ok(()),
        }
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, ReadError> {
        seed.deserialize(self.required()?)
    }

    fn tuple_variant<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, ReadError> {
        self.required()?.deserialize_any(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(self, _: &'static [&'static str], visitor: V) -> Result<V::Value, ReadError> {
        self.required()?.deserialize_any(visitor)
    }
}

/// Members looked through for a later one of the same key. Python never writes one twice; comparing
/// every key of a large object with every other would take quadratic time.
const REPEATS: usize = 16;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use proptest::prelude::*;

    fn parse<T: de::DeserializeOwned>(text: &str) -> Result<T, ReadError> {
        Text::new(text.as_bytes()).unwrap().read()
    }

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    enum Choice {
        Plain,
        Number(u8),
        Pair(u8, String),
        Named { a: Option<i64> },
    }

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    struct All {
        flag: bool,
        float: f64,
        text: String,
        choices: Vec<Choice>,
        map: BTreeMap<u16, (char, Option<String>)>,
        unit: (),
    }

    #[test]
    fn every_shape_survives() {
        let all = All {
            flag: true,
            float: -1.5e-7,
            text: "é\n\"😀".to_owned(),
            choices: vec![Choice::Plain, Choice::Number(7), Choice::Pair(1, "x".to_owned()), Choice::Named { a: None }],
            map: [(7, ('a', None)), (80, ('é', Some("\\".to_owned())))].into(),
            unit: (),
        };
        let text = serde_json::to_string(&all).unwrap();
        assert_eq!(parse::<All>(&text), Ok(all));
    }

    #[test]
    fn numbers_beyond_strict_json() {
        assert_eq!(parse("-170141183460469231731687303715884105728"), Ok(i128::MIN));
        assert_eq!(parse("340282366920938463463374607431768211455"), Ok(u128::MAX));
        assert_eq!(parse("1000000000000000000000000000000000000000000"), Ok(1e42));
        assert_eq!(parse("[Infinity, -Infinity, 1]"), Ok((f64::INFINITY, f64::NEG_INFINITY, 1.0)));
        assert!(parse::<f64>("NaN").unwrap().is_nan());
    }

    #[test]
    fn the_last_of_a_repeated_key_counts() {
        #[derive(Debug, PartialEq, serde::Deserialize)]
        struct A {
            a: u8,
        }
        assert_eq!(parse(r#"{"a": 1, "\u0061": 2, "b": [{}]}"#), Ok(A { a: 2 }));
    }

    #[test]
    fn errors_show_no_content() {
        let told = parse::<u8>("\"s3cret\"").unwrap_err().to_string();
        assert_eq!(told, "expected u8, found a string");
        assert_eq!(parse::<u8>("300").unwrap_err().to_string(), "expected u8, found another value");
        assert_eq!(
            parse::<Choice>("\"s3cret\"").unwrap_err().to_string(),
            "expected one of Plain, Number, Pair, Named, found another name"
        );
        assert!(parse::<String>(r#""\ud800""#).unwrap_err().to_string().contains("single surrogate"));
    }

    proptest! {
        #[test]
        fn it_reads_what_a_strict_parser_reads(map in prop::collection::btree_map("\\PC{0,8}", any::<Option<i64>>(), 0..6)) {
            let text = serde_json::to_string(&map).unwrap();
            prop_assert_eq!(parse::<BTreeMap<String, Option<i64>>>(&text), Ok(map));
        }
    }
}
