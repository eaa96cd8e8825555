//! The context of a request: who asks, on whose behalf (oslo-zmq, section 3).
//!
//! To this crate it is one opaque JSON object that travels with every message. It usually holds a
//! token, so it is never printed.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::json::{ReadError, Text};

/// A JSON object, cheap to clone. `Debug` shows its length only.
///
/// ```
/// use oslo_rpc::Context;
///
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Ours { user_id: String, roles: Vec<String> }
///
/// let ours = Ours { user_id: "u-1".to_owned(), roles: vec!["admin".to_owned()] };
/// let context = Context::new(&ours)?;
/// assert_eq!(context.read::<Ours>()?.roles, ["admin"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Context {
    text: Arc<str>,
}

impl Context {
    /// A context of anything that serde writes as an object. The keys `self` and `replies` collide
    /// with names inside the originals and are best avoided.
    ///
    /// # Errors
    ///
    /// [`ContextError`].
    pub fn new(content: &(impl Serialize + ?Sized)) -> Result<Self, ContextError> {
        let text = serde_json::to_string(content).map_err(ContextError::Encode)?;
        if text.starts_with('{') { Ok(Self { text: text.into() }) } else { Err(ContextError::NoObject) }
    }

    /// The context of a received message, an object.
    #[cfg(feature = "driver")]
    pub(crate) fn received(text: Text<'_>) -> Self {
        Self { text: text.as_str().into() }
    }

    /// Its JSON text.
    pub fn text(&self) -> Text<'_> {
        Text::trusted(&self.text)
    }

    /// Reads it into a type.
    ///
    /// # Errors
    ///
    /// [`ReadError`]: it has another shape.
    pub fn read<T: DeserializeOwned>(&self) -> Result<T, ReadError> {
        self.text().read()
    }
}

/// Nobody in particular: an empty object.
impl Default for Context {
    fn default() -> Self {
        Self { text: "{}".into() }
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Context({} octets)", self.text.len())
    }
}

/// What was to be a context is none.
#[derive(Debug, Error)]
pub enum ContextError {
    /// It is no object.
    #[error("a context must be an object: use a struct or a map")]
    NoObject,
    /// It cannot be written as JSON.
    #[error("the context cannot be written as JSON")]
    Encode(#[source] serde_json::Error),
}
