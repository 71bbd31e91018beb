//! What the commands do, a file each.

pub mod outputs;
pub mod policies;
pub mod run;
