//! Secrets out of sight (oslo-bugs B8): values whose key sounds like one, at any depth, also in JSON that is the content
//! of a string.

use crate::json::{Text, Value};

/// The value with secrets replaced by `***`.
#[must_use]
pub fn masked(value: Value) -> Value {
    match value {
        Value::Array(values) => Value::Array(values.into_iter().map(masked).collect()),
        Value::Object(members) => {
            let members = members.into_iter().map(|(key, value)| {
                let value = if is_secret(&key) && value != Value::Null { Value::from("***") } else { masked(value) };
                (key, value)
            });
            Value::Object(members.collect())
        }
        Value::String(content) => inner(&content).map_or(Value::String(content), masked),
        other => other,
    }
}

/// The value of a string that holds an object or an array.
fn inner(content: &str) -> Option<Value> {
    let text = Text::new(content.as_bytes()).ok().filter(|text| text.is_object() || text.is_array())?;
    text.read().ok()
}

fn is_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    SECRETS.iter().any(|secret| key.contains(secret))
}

const SECRETS: &[&str] =
    &["pass", "token", "secret", "credential", "private_key", "_key_data", "auth_key", "connection_info"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn b08_secrets_are_masked_at_any_depth_and_in_nested_text() {
        let inner = r#"{\"admin_password\": \"s3cret\", \"n\": 1}"#;
        let text = format!(
            r#"{{"auth_token": "s3cret", "a": [{{"new_pass": "s3cret"}}], "b": "{inner}", "secret": {{"x": "s3cret"}}, "token": null}}"#
        );
        let value: Value = Text::new(text.as_bytes()).unwrap().read().unwrap();
        let shown = masked(value).to_string();
        assert!(!shown.contains("s3cret"), "{shown}");
        assert!(shown.contains(r#""n":1"#) && shown.contains(r#""token":null"#), "{shown}");
    }
}
