//! JSON as it is written: objects that are known in advance, field by field. Reading is `serde_json`'s, but for numbers
//! of which Google makes texts; writing its values would bring the printing of floating-point numbers, 14 KB of WASM
//! for none that we have.

use std::borrow::Cow;

use serde_json::Value as Json;

/// The value of a field.
#[derive(Clone, Debug)]
pub enum Field<'a> {
    Null,
    Boolean(bool),
    Integer(i64),
    Text(Cow<'a, str>),
    /// JSON already.
    Json(String),
}

macro_rules! field_from {
    ($($type:ty => |$value:ident| $make:expr,)*) => {
        $(impl<'a> From<$type> for Field<'a> {
            fn from($value: $type) -> Self {
                $make
            }
        })*
    };
}

field_from! {
    bool => |value| Self::Boolean(value),
    i64 => |value| Self::Integer(value),
    u16 => |value| Self::Integer(value.into()),
    u32 => |value| Self::Integer(value.into()),
    // Nothing here is counted that far.
    u64 => |value| Self::Integer(i64::try_from(value).unwrap_or(i64::MAX)),
    &'a str => |value| Self::Text(Cow::Borrowed(value)),
    String => |value| Self::Text(Cow::Owned(value)),
}

impl<'a, T: Into<Field<'a>>> From<Option<T>> for Field<'a> {
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Into::into)
    }
}

/// An object of these fields.
pub fn object(fields: &[(&str, Field<'_>)]) -> String {
    let mut json = String::from("{");
    for (name, value) in fields {
        if json.len() > 1 {
            json.push(',');
        }
        json.push_str(&text(name));
        json.push(':');
        match value {
            Field::Null => json.push_str("null"),
            Field::Boolean(value) => json.push_str(if *value { "true" } else { "false" }),
            Field::Integer(value) => json.push_str(&value.to_string()),
            Field::Text(value) => json.push_str(&text(value)),
            Field::Json(value) => json.push_str(value),
        }
    }
    json.push('}');
    json
}

/// An array of what is JSON already.
pub fn array(elements: &[String]) -> String {
    format!("[{}]", elements.join(","))
}

/// A text in quotes, with everything escaped that needs it.
fn text(text: &str) -> String {
    // Text can always be written.
    serde_json::to_string(text).unwrap_or_default()
}

/// A whole number, written as one, as a text or with a fraction, which is cut off.
pub(crate) fn number(json: &Json) -> Option<u64> {
    match json {
        // What is negative or too large is the nearest number that there is.
        Json::Number(number) => number.as_u64().or_else(|| Some(number.as_f64()? as u64)),
        Json::String(text) => {
            let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
            fraction.bytes().all(|byte| byte.is_ascii_digit()).then(|| whole.parse().ok())?
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_reads_back_as_what_was_written() {
        let written = object(&[
            ("text", "\"\\\n\u{1}\u{2028}ü".into()),
            ("integer", i64::MIN.into()),
            ("boolean", true.into()),
            ("none", Option::<&str>::None.into()),
            ("nested", Field::Json(array(&[object(&[]), object(&[("a", 1_i64.into())])]))),
        ]);
        let read: serde_json::Value = serde_json::from_str(&written).unwrap();
        let expected = serde_json::json!({
            "text": "\"\\\n\u{1}\u{2028}ü",
            "integer": i64::MIN,
            "boolean": true,
            "none": null,
            "nested": [{}, { "a": 1 }],
        });
        assert_eq!(read, expected);
    }
}
