//! Messages between a worker and a device proxy over one shared file.
//!
//! A [`Region`] is a named file in a memory file system, mapped by both sides with its descriptor closed, so that a
//! checkpointer sees nothing but a mapped file: no socket, no pipe, no anonymous memory that would come back private.
//! It holds two queues of bytes, each with one [`Sender`] and one [`Receiver`], and a staging area for what a device reads
//! out. Every frame is published by a single store of the queue's tail: a writer that is frozen between any two instructions
//! leaves either a whole frame or none.
//!
//! A side that waits spins for a few microseconds, then sleeps on a futex and uses no processor. Neither side trusts the
//! other: cursors and lengths are checked before use, and what is wrong ends the connection with [`Error::Corrupt`]. A side
//! that waits for a dead peer is told so ([`Error::Gone`]): see [`Region::peer_alive`].

mod bell;
mod frame;
mod guard;
mod receiver;
mod region;
mod sender;
mod sync;

pub use receiver::{Body, Interrupt, Message, Partial, Receiver};
pub use region::{Direction, Layout, Region};
pub use sender::{Sender, SpaceAwaited};

/// Why a queue cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The other side wrote something that cannot be: a bug there, or an enemy.
    #[error("the shared ring is corrupt: {what} is {got}, expected {expected}; the connection is closed")]
    Corrupt {
        /// Which word.
        what: &'static str,
        /// What it says.
        got: u64,
        /// What it may say.
        expected: String,
    },
    /// The other side is no more.
    #[error("the other side of the shared ring is gone")]
    Gone,
    /// The wait was ended from this side by an [`Interrupt`].
    #[error("interrupted")]
    Interrupted,
    /// The file could not be made, opened or mapped.
    #[error("ring file {path}: {problem}")]
    File {
        /// Its path.
        path: std::path::PathBuf,
        /// What went wrong and what to do.
        problem: String,
    },
}
