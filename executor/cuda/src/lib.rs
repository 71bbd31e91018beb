//! CUDA's runtime and driver libraries, which forward to a device proxy. `orrery exec` puts them in the way of unmodified
//! programs, under the real libraries' names.
//!
//! Objects are names for those in the proxy. What CUDA lets return before it is carried out is sent and forgotten: launches,
//! copies, fills, records of events. What such a call could get wrong is checked here where it can be (handles, ranges of
//! device memory, sizes of a launch), and otherwise shows at the next call that waits, as CUDA has it. Device addresses are given
//! here, out of a range that the proxy keeps for this worker; a kernel's parameters are packed as its binary says. So a launch
//! needs no answer.
//!
//! All functions are C's: they believe what CUDA's documentation makes the caller promise about pointers and handles.
#![allow(unsafe_code, reason = "C's interface: pointers and handles come from the program")]
#![allow(non_snake_case, reason = "functions are named as CUDA's")]
#![allow(clippy::not_unsafe_ptr_arg_deref, reason = "C's interface: what pointers point to is the caller's promise")]

mod absent;
mod address;
mod c;
mod copy;
mod cubin;
mod device;
mod driver;
mod driver_copy;
mod driver_module;
mod fatbin;
mod launch;
mod library;
mod memory;
mod module;
mod ptx;
mod register;
mod state;
mod stream;
