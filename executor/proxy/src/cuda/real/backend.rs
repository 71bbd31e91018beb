//! A CUDA device as a backend, and its end.

use super::super::mapped::ok;
use super::super::{Failure, Result, Worker, carry_out};
use super::{Object, PIECE, Real, View};
use crate::answers::Reply;
use crate::backend::{Backend, DeviceError, Memory, News, Outcome, PastEvent};
use crate::cuda::libraries::{Called, Libraries};
use cudarc::driver::sys;
use ring::{Body, Region};
use std::sync::Arc;
use std::time::Duration;
use wire::cuda::{self, Call};
use wire::libraries::Value;
use wire::{DEVICE, Id, Request};

impl Worker for Real {
    fn ask(&mut self, call: &Call, body: Body, region: &Region) -> Result<Vec<u8>> {
        self.enter()?;
        self.call(call, body, region)
    }

    fn free(&mut self, id: Id) -> Result<()> {
        self.enter()?;
        self.release(id)
    }

    fn last_recorded(&mut self, id: Id) -> Option<&mut Option<u64>> {
        match self.objects.get_mut(&id) {
            Some(Object::Event(_, _, past)) => Some(past),
            _ => None,
        }
    }

    fn library(&mut self, function: u16, values: &[Value]) -> Result<Called> {
        self.enter()?;
        if let Some(failed) = self.failed.as_ref().filter(|failed| cuda::is_sticky(failed.code)) {
            return Err(failed.clone());
        }
        let view = View { objects: &self.objects, mapped: self.mapped.as_ref() };
        self.libraries.call(&view, function, values)
    }

    fn failed(&mut self) -> &mut Option<Failure> {
        &mut self.failed
    }
}

impl Backend for Real {
    fn execute(&mut self, request: &Request, body: Body, region: &Arc<Region>, reply: &Reply) -> Outcome {
        carry_out(self, request, body, region, reply)
    }

    fn news(&self) -> Box<dyn Fn() -> News + Send> {
        self.reads.news()
    }

    fn drain(&mut self, _patience: Duration) -> std::result::Result<bool, DeviceError> {
        let waited = self.enter().map_err(|failure| failure.code).and_then(|()| self.wait(cuda::DEFAULT_STREAM, false));
        waited.map(|()| true).map_err(|code| DeviceError { what: "finishing the device's work", code })
    }

    fn memory(&self) -> Vec<Memory> {
        let mapped = self.mapped.iter().flat_map(|mapped| mapped.all().map(|(id, _, size)| (id, size)));
        let globals = self.objects.iter().filter_map(|(id, object)| match object {
            Object::Global(_, _, size) => Some((*id, *size)),
            _ => None,
        });
        let mut all: Vec<Memory> = mapped.chain(globals).map(|(id, len)| Memory { id, len, piece: PIECE }).collect();
        all.sort_by_key(|memory| memory.id);
        all
    }

    fn read(&mut self, id: Id, offset: u64, to: &mut [u8]) -> std::result::Result<(), DeviceError> {
        let address = self.part(id, offset, to.len());
        // SAFETY: the part is in this worker's memory, and the target is as long.
        let read = address.and_then(|address| ok(unsafe { sys::cuMemcpyDtoH_v2(to.as_mut_ptr().cast(), address, to.len()) }));
        read.map_err(|code| DeviceError { what: "reading memory", code })
    }

    fn write(&mut self, id: Id, offset: u64, from: &[u8]) -> std::result::Result<(), DeviceError> {
        let address = self.part(id, offset, from.len());
        // SAFETY: as above.
        let written =
            address.and_then(|address| ok(unsafe { sys::cuMemcpyHtoD_v2(address, from.as_ptr().cast(), from.len()) }));
        written.map_err(|code| DeviceError { what: "writing memory", code })
    }

    fn past_events(&self) -> Vec<PastEvent> {
        let failed = self.failed.iter().map(|failed| PastEvent { id: DEVICE, status: failed.code, times: Vec::new() });
        let event = |(id, object): (&Id, &Object)| match object {
            Object::Event(..) => Some(PastEvent { id: *id, status: 0, times: vec![self.time(*id).ok()?] }),
            _ => None,
        };
        failed.chain(self.objects.iter().filter_map(event)).collect()
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        if self.context.is_null() || self.enter().is_err() {
            return;
        }
        // SAFETY: the context and everything in it are this worker's; memory goes first, as it is not the context's.
        unsafe {
            sys::cuCtxSynchronize();
            self.libraries = Libraries::default();
            self.mapped = None;
            sys::cuCtxDestroy_v2(self.context);
        }
    }
}
