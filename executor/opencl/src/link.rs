//! The connection to the proxy.

pub(crate) use ::link::{Link, Pages, Target, link};

/// The connection, made if there is none. An error says why there cannot be one.
pub(crate) fn connect() -> Result<&'static Link, String> {
    ::link::connect(crate::event::told)
}
