//! What the commands do, a file each.

pub mod checkpoint;
pub mod devices;
pub mod exec;
pub mod explain;
pub mod keep;
pub mod launch;
pub mod outputs;
pub mod policies;
pub mod proxy;
pub mod replay;
pub mod run;
mod saved;
mod study;
pub mod timeline;
pub mod trace;
