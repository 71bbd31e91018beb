//! A process per accelerator that serves workers' device calls. `executor/PROXY.md` tells the whole story.
//!
//! A worker's calls arrive on its ring ([`ring`]), one [`Session`] a worker. The session notes what changes state in its
//! journal, holds back what waits for the program itself, and hands the rest to a [`Backend`]. For a checkpoint it finishes
//! the device's work and writes an image: the journal, the memory as content-addressed chunks, what is on the way.

mod answers;
mod backend;
pub mod binary;
pub mod checkpoint;
pub mod control;
pub mod criu;
pub mod cuda;
mod daemon;
pub mod device;
pub mod facade;
mod files;
mod held;
mod hold;
mod image;
pub mod job;
mod journal;
pub mod migrate;
pub mod objects;
pub mod opencl;
pub mod place;
pub mod restore;
#[cfg(feature = "object-store")]
mod s3;
mod session;
mod shelf;
pub mod simulated;
mod spare;
pub mod store;
mod swap;
pub mod tree;
pub mod turns;

pub use answers::Reply;
pub use backend::{Backend, DeviceError, Memory, News, Outcome, PastEvent, Spare};
pub use daemon::{Daemon, Open};
pub use image::{Cost, Image, ImageError, read_images};
pub use session::{After, Remote, Session, Task};
