//! What a device must be able to do.

use crate::answers::Reply;
use ring::{Body, Region};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use wire::{Id, Request};

/// How a request was taken.
#[derive(Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is answered: the API's error code (0: success) and the answer's data.
    Now(i32, Vec<u8>),
    /// It was accepted; the backend keeps a clone of the reply and answers when there is something to answer.
    Later,
}

/// A memory object whose contents a checkpoint has to save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Its name.
    pub id: Id,
    /// Bytes of its contents.
    pub len: u64,
    /// Bytes that are read and written at a time, the last time perhaps fewer: `len` where only all will do.
    pub piece: u64,
}

/// Device memory that no object owns. Only the backends of one device know what it is; dropping it frees it.
pub type Spare = Box<dyn std::any::Any + Send>;

/// What is left of a command that is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PastEvent {
    /// Its name.
    pub id: Id,
    /// 0, or the error that ended it.
    pub status: i32,
    /// Profiling: queued, submitted, started, ended, complete, in nanoseconds; empty where the queue keeps none.
    pub times: Vec<u64>,
}

/// What has ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct News {
    /// Tickets of reads, each told once.
    pub reads: Vec<u64>,
    /// Events and their status, as far as it costs little to know; a program that asks for others is answered.
    pub events: Vec<(Id, i32)>,
}

/// Tickets of reads that are complete and not yet told, for devices that carry work out when it comes.
#[derive(Clone, Default)]
pub(crate) struct Reads(Arc<Mutex<Vec<u64>>>);

impl Reads {
    /// Another one is complete.
    pub(crate) fn push(&self, ticket: u64) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(ticket);
    }

    /// What [`Backend::news`] wants: tells each once.
    pub(crate) fn news(&self) -> Box<dyn Fn() -> News + Send> {
        let Reads(reads) = self.clone();
        let told = move || std::mem::take(&mut *reads.lock().unwrap_or_else(PoisonError::into_inner));
        Box::new(move || News { reads: told(), events: Vec::new() })
    }
}

/// A device failure that no single request can be blamed for.
#[derive(Debug, thiserror::Error)]
#[error("{what}: the device's runtime says {code}")]
pub struct DeviceError {
    /// What was tried.
    pub what: &'static str,
    /// OpenCL's error code.
    pub code: i32,
}

/// One worker's objects on one accelerator.
///
/// The session around it keeps the journal, holds back what waits for the program's own events, and saves and restores; a
/// backend only carries out. It is called from one thread. Requests come from a program that may be an enemy: an unknown or
/// unfitting id is answered with the error code that OpenCL has for it, never with a panic. Objects that a backend holds when
/// it is dropped are freed.
///
/// `executor/proxy/tests/conformance.rs` is what every OpenCL backend must pass, `executor/proxy/tests/cuda.rs` every CUDA one, whose
/// error codes are CUDA's.
pub trait Backend: Send {
    /// Carries out one request. `body` may be kept as long as the device reads from it. Reads go to the region's staging area,
    /// whose bounds the backend checks.
    fn execute(&mut self, request: &Request, body: Body, region: &Arc<Region>, reply: &Reply) -> Outcome;

    /// What has ended since it was asked last. Asked from any thread, with every answer.
    fn news(&self) -> Box<dyn Fn() -> News + Send>;

    /// Finishes all that was given to the device, and all answers to it. False: it took longer than `patience`, as it does when a
    /// kernel waits for one that the program has yet to launch (FPGA channels).
    ///
    /// # Errors
    /// The device is lost.
    fn drain(&mut self, patience: Duration) -> Result<bool, DeviceError>;

    /// The memory that has contents of its own, in the order of ids.
    fn memory(&self) -> Vec<Memory>;

    /// Copies contents out. Call it after `drain`.
    ///
    /// # Errors
    /// The device's runtime refuses.
    fn read(&mut self, id: Id, offset: u64, to: &mut [u8]) -> Result<(), DeviceError>;

    /// Copies contents in.
    ///
    /// # Errors
    /// The device's runtime refuses.
    fn write(&mut self, id: Id, offset: u64, from: &[u8]) -> Result<(), DeviceError>;

    /// Contents may pass between this worker and others of its device from now on: see [`Backend::part_with`].
    fn share(&mut self) {}

    /// The sums of an object's contents under `keys`, as `spare.rs` defines them, found by the device itself; none where only
    /// reading all of it would do. Call it after `drain`.
    fn sums(&mut self, _id: Id, _keys: [u64; 2]) -> Option<[u64; 2]> {
        None
    }

    /// Takes the memory from under an object, which is gone then, for one with equal contents. None: release it instead.
    fn part_with(&mut self, _id: Id) -> Option<Spare> {
        None
    }

    /// Makes an object as `request` says over memory that has its contents already.
    ///
    /// # Errors
    /// The memory does not fit; here it is again.
    fn adopt(&mut self, _request: &Request, spare: Spare) -> Result<(), Spare> {
        Err(spare)
    }

    /// The commands' events that live, in the order of ids. Call it after `drain`: all are over.
    fn past_events(&self) -> Vec<PastEvent>;
}
