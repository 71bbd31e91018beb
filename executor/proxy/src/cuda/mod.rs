//! CUDA devices: real ones through their driver, and a simulated one.

mod blas;
mod device;
pub mod kernels;
pub(crate) mod libraries;
mod mapped;
pub mod memory;
mod properties;
mod real;
mod simulated;
mod work;

pub use device::Device;
pub use libraries::FOLDERS as LIBRARY_FOLDERS;
pub use real::Real;
pub use simulated::{MEMORY, Simulated};

use crate::answers::Reply;
use crate::backend::Outcome;
use libraries::Called;
use ring::{Body, Region};
use std::time::{SystemTime, UNIX_EPOCH};
use wire::cuda::{self, Call};
use wire::libraries::Value;
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

/// The same for a library's call, whose status is its own. Later calls say in CUDA's words that one failed.
fn settle_library(failed: &mut Option<Failure>, function: u16, result: Result<Called>, reply: &Reply) -> Outcome {
    let name = wire::libraries::function(function).map_or("a library", |(_, function)| function.name);
    let late = match &result {
        Ok(Called { status: 0, .. }) => None,
        Ok(Called { status, .. }) => {
            let said = format!("{name} failed with status {status} after the program had gone on");
            Some(Failure { code: cuda::UNKNOWN, said })
        }
        Err(failure) => Some(failure.clone()),
    };
    if let Some(late) = late
        && !reply.wanted()
        && failed.is_none()
    {
        *failed = Some(late);
    }
    match result {
        Ok(Called { status, data }) => Outcome::Now(status, data),
        Err(Failure { code, said }) => Outcome::Now(-code.abs().max(1), said.into_bytes()),
    }
}

/// One worker's view of a CUDA device, of either kind.
pub(crate) trait Worker {
    fn ask(&mut self, call: &Call, body: Body, region: &Region) -> Result<Vec<u8>>;
    fn free(&mut self, id: Id) -> Result<()>;
    /// When an event was last recorded, before this device had it; nanoseconds since 1970.
    fn last_recorded(&mut self, id: Id) -> Option<&mut Option<u64>>;
    /// Calls a function of a library.
    fn library(&mut self, function: u16, values: &[Value]) -> Result<Called>;
    /// What nobody was told yet, or stays.
    fn failed(&mut self) -> &mut Option<Failure>;
}

/// Carries a request out. An event that is past is what a checkpoint says of it, or of the device itself: an error that nobody
/// was told.
pub(crate) fn carry_out(worker: &mut impl Worker, request: &Request, body: Body, region: &Region, reply: &Reply) -> Outcome {
    let result = match request {
        Request::Cuda(Call::Library { function, values }) => {
            let result = worker.library(*function, values);
            return settle_library(worker.failed(), *function, result, reply);
        }
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
