//! What a worker and a device proxy say to each other.
//!
//! A [`Call`] is a [`Request`] with the number under which an answer is expected; its payload (program text, data to write)
//! travels beside it as the body of a ring message. An [`Answer`] carries the API's error code and the reads that are complete;
//! its payload is the answer's data. Objects are named by ids that the worker makes, so that creating one needs no round trip
//! and a checkpoint can bring it back under the same name.
//!
//! [`Request::effect`] says what a request does to the set of live objects. It is all that a journal needs to know in order to
//! be able to make the objects again, on another device or for another API.

pub mod cl;
pub mod cuda;
mod effect;
pub mod libraries;
mod message;

pub use effect::Effect;
pub use message::*;

/// A message that is none.
#[derive(Debug, thiserror::Error)]
#[error("not a message of this version: {0}")]
pub struct Malformed(postcard::Error);

/// Appends the encoding of `message` to `to`.
pub fn encode<T: serde::Serialize>(message: &T, to: &mut Vec<u8>) {
    struct Append<'a>(&'a mut Vec<u8>);
    impl postcard::ser_flavors::Flavor for Append<'_> {
        type Output = ();

        fn try_push(&mut self, byte: u8) -> postcard::Result<()> {
            self.0.push(byte);
            Ok(())
        }

        fn try_extend(&mut self, bytes: &[u8]) -> postcard::Result<()> {
            self.0.extend_from_slice(bytes);
            Ok(())
        }

        fn finalize(self) -> postcard::Result<()> {
            Ok(())
        }
    }
    // Appending to a vector cannot fail, and the messages hold nothing that postcard refuses.
    let _ = postcard::serialize_with_flavor(message, Append(to));
}

/// Reads one message that fills `bytes`.
///
/// # Errors
/// Whatever is not an encoded message, whole and without a rest.
pub fn decode<'a, T: serde::Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, Malformed> {
    let (message, rest) = postcard::take_from_bytes(bytes).map_err(Malformed)?;
    if rest.is_empty() { Ok(message) } else { Err(Malformed(postcard::Error::DeserializeBadEncoding)) }
}
