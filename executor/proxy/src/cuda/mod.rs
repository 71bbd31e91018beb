//! CUDA devices: real ones through their driver, and a simulated one.

mod blas;
mod cublas;
mod device;
pub mod kernels;
mod mapped;
pub mod memory;
mod properties;
mod real;
mod simulated;
mod work;

pub use device::Device;
pub use real::Real;
pub use simulated::{MEMORY, Simulated};

use crate::answers::Reply;
use crate::backend::Outcome;
use ring::{Body, Region};
use std::time::{SystemTime, UNIX_EPOCH};
use wire::cuda::{self, Call};
use wire::{DEVICE, Id, Request};

pub(crate) type Result<T> = std::result::Result<T, Failure>;

/// An error code, and a sentence where one helps.
#[derive(Clone, Debug, Default)]
pub(crate) struct Failure {
    pub(crate) code: i32,
    pub(crate) said: String,
}

impl From<i32> for Failure {
    fn from(code: i32) -> Failure {
        Failure { code, said: String::new() }
    }
}

/// How a result is answered. One that nobody is told now is kept for the next who waits, and one that stays is kept in any case.
fn settle(failed: &mut Option<Failure>, result: Result<Vec<u8>>, reply: &Reply) -> Outcome {
    match result {
        Ok(data) => Outcome::Now(0, data),
        Err(failure) => {
            if cuda::is_sticky(failure.code) || (!reply.wanted() && failed.is_none()) {
                *failed = Some(failure.clone());
            }
            Outcome::Now(failure.code, failure.said.into_bytes())
        }
    }
}

/// One worker's view of a CUDA device, of either kind.
pub(crate) trait Worker {
    fn ask(&mut self, call: &Call, body: Body, region: &Region) -> Result<Vec<u8>>;
    fn free(&mut self, id: Id) -> Result<()>;
    /// When an event was last recorded, before this device had it; nanoseconds since 1970.
    fn last_recorded(&mut self, id: Id) -> Option<&mut Option<u64>>;
    /// What nobody was told yet, or stays.
    fn failed(&mut self) -> &mut Option<Failure>;
}

/// Carries a request out. An event that is past is what a checkpoint says of it, or of the device itself: an error that nobody
/// was told.
pub(crate) fn carry_out(worker: &mut impl Worker, request: &Request, body: Body, region: &Region, reply: &Reply) -> Outcome {
    let result = match request {
        Request::Cuda(call) => worker.ask(call, body, region),
        Request::Release { id } => worker.free(*id).map(|()| Vec::new()),
        Request::PastEvent { id: DEVICE, status, .. } => {
            *worker.failed() = Some((*status).into());
            Ok(Vec::new())
        }
        Request::PastEvent { id, times, .. } => {
            if let Some(time) = worker.last_recorded(*id) {
                *time = times.first().copied();
            }
            Ok(Vec::new())
        }
        _ => Err(cuda::NOT_SUPPORTED.into()),
    };
    settle(worker.failed(), result, reply)
}

pub(crate) fn encoded<T: serde::Serialize>(value: &T) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(value, &mut bytes);
    bytes
}

/// Nanoseconds since 1970.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_nanos() as u64)
}
