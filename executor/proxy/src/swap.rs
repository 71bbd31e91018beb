//! A worker's contents off the device and on again, so that others have all of its memory in their turn.
//!
//! Objects without contents stay where they are. Of the others the journal knows how to make them; kernels' arguments that refer to
//! them are set anew. What is equal is not moved: contents that did not change since they were on the host last, that another
//! worker's copy has, or that another worker has just left on the device (Singularity, arXiv:2202.07848, section 5.3).

use crate::answers::Reply;
use crate::backend::{DeviceError, Memory, Outcome};
use crate::image::PATIENCE;
use crate::session::{After, Session};
use crate::spare::{Copied, Key, sums};
use ring::Body;
use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Instant;
use wire::{Arg, Id, Info, Request, cl, cuda};

/// Keys of the sums: this process's secret.
fn keys() -> [u64; 2] {
    static KEYS: OnceLock<[u64; 2]> = OnceLock::new();
    *KEYS.get_or_init(|| {
        // The standard library seeds its hashes from the system's generator; to hash nothing gives 64 bits of that.
        [(); 2].map(|()| std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0))
    })
}

/// A failure of a request that was carried out before.
fn again(code: i32) -> DeviceError {
    DeviceError { what: "making memory again", code }
}

impl Session {
    /// Ends this worker's turn if others wait. Its own thread's task.
    pub(crate) fn pass_on(&mut self) -> After {
        let Some(seat) = self.seat.as_ref().filter(|seat| seat.is_mine() && seat.awaited()) else { return After::Continue };
        let began = Instant::now();
        match self.backend.drain(seat.quantum()) {
            Ok(true) => seat.pass(began.elapsed()),
            // What runs may wait for what the worker has sent since. It will be asked again.
            Ok(false) => seat.keep(),
            Err(error) => {
                eprintln!("orrery proxy: {error}");
                return After::End;
            }
        }
        After::Continue
    }

    /// Gives a request to the device. For one that makes memory there must be room.
    pub(crate) fn give(&mut self, request: &Request, body: Body, reply: &Reply) -> Outcome {
        let Some(((id, bytes), seat)) = request.memory().zip(self.seat.as_ref()) else {
            return self.backend.execute(request, body, &self.region, reply);
        };
        let full = if matches!(request, Request::Cuda(_)) { cuda::OUT_OF_MEMORY } else { cl::MEM_OBJECT_ALLOCATION_FAILURE };
        if !seat.take(bytes) {
            return Outcome::Now(full, Vec::new());
        }
        let contents = !body.is_empty();
        let mut outcome = self.backend.execute(request, body, &self.region, reply);
        // The runtime needs room of its own, so that it may have less than was counted on.
        if !contents && matches!(&outcome, Outcome::Now(code, _) if *code == full) && seat.clear() {
            outcome = self.backend.execute(request, Body::Empty, &self.region, reply);
        }
        match outcome {
            Outcome::Now(0, _) | Outcome::Later => drop(self.sizes.insert(id, bytes)),
            Outcome::Now(..) => seat.give_back(bytes),
        }
        outcome
    }

    /// An object is no more.
    pub(crate) fn forget(&mut self, id: Id) {
        self.copies.remove(&id);
        if let Some((bytes, seat)) = self.sizes.remove(&id).zip(self.seat.as_ref()) {
            seat.give_back(bytes);
        }
    }

    /// Answers about the device's memory, where this worker does not get what the device has.
    pub(crate) fn as_shared(&self, request: &Request, data: Vec<u8>) -> Vec<u8> {
        let Some((seat, memory)) = self.seat.as_ref().and_then(|seat| Some((seat, seat.memory()?))) else { return data };
        match request {
            Request::Info { info: Info::Device, param: cl::DEVICE_GLOBAL_MEM_SIZE | cl::DEVICE_MAX_MEM_ALLOC_SIZE, .. } => {
                let own = data.first_chunk::<8>().map_or(memory, |bytes| u64::from_ne_bytes(*bytes));
                own.min(memory).to_ne_bytes().to_vec()
            }
            Request::Cuda(cuda::Call::Describe) => match wire::decode::<cuda::Properties>(&data) {
                Ok(properties) => {
                    let properties = cuda::Properties { memory: properties.memory.min(memory), ..properties };
                    let mut told = Vec::new();
                    wire::encode(&properties, &mut told);
                    told
                }
                Err(_) => data,
            },
            Request::Cuda(cuda::Call::Memory) if !data.is_empty() => {
                [memory.saturating_sub(seat.used()), memory].map(u64::to_ne_bytes).concat()
            }
            _ => data,
        }
    }

    /// Moves its contents to the host. Its own thread's task; it is not its turn.
    ///
    /// # Errors
    /// The device is lost.
    pub(crate) fn leave_device(&mut self) -> Result<(), DeviceError> {
        let made = self.journal.memory();
        if self.away.is_some() || made.is_empty() || self.seat.is_none() {
            return Ok(());
        }
        if !self.backend.drain(PATIENCE)? {
            return Err(DeviceError { what: "moving contents while work goes on", code: cl::INVALID_OPERATION });
        }
        let ours: Vec<Id> = made.iter().map(|(id, ..)| *id).collect();
        let contents: Vec<Memory> = self.backend.memory().into_iter().filter(|memory| ours.contains(&memory.id)).collect();
        for memory in &contents {
            let copy = self.copy_out(*memory)?;
            self.copies.insert(memory.id, copy);
        }
        for (kernel, index, _) in self.journal.memory_args() {
            // Some runtimes keep what an argument refers to. One that does not take a null pointer keeps it a while longer.
            self.quietly(&Request::SetArg { kernel, index, arg: Arg::Null(8) });
        }
        for (id, _, _) in made.iter().rev().filter(|(.., held)| *held) {
            let key = self.copies.get(id).map(|copy| copy.key);
            match key.and_then(|key| Some((key, self.backend.part_with(*id)?))).zip(self.seat.as_ref()) {
                Some(((key, spare), seat)) => seat.with_spares(|spares| spares.leave(key, spare)),
                None => drop(self.quietly(&Request::Release { id: *id })),
            }
        }
        if let Some(seat) = &self.seat {
            seat.give_back(seat.used());
        }
        self.away = Some(contents);
        Ok(())
    }

    /// The host's copy of an object's contents, moved there if it has none.
    fn copy_out(&mut self, memory: Memory) -> Result<Arc<Copied>, DeviceError> {
        let by_device = self.backend.sums(memory.id, keys());
        let mut bytes = None;
        let found = match by_device {
            Some(sums) => sums,
            None => sums(bytes.insert(self.contents(memory)?), keys()),
        };
        let key = Key { sums: found, len: memory.len };
        let own = self.copies.get(&memory.id).filter(|copy| copy.key == key).cloned();
        let Some(seat) = &self.seat else { return Err(again(cl::INVALID_VALUE)) };
        let known = own.or_else(|| seat.with_spares(|spares| spares.copy(key)));
        // What had to be read to be compared was moved.
        let moved = bytes.is_some() || known.is_none();
        seat.count(|sums| if moved { sums.out_bytes += memory.len } else { sums.equal_bytes += memory.len });
        if let Some(known) = known {
            return Ok(known);
        }
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => self.contents(memory)?,
        };
        let copied = Copied { key, bytes };
        self.seat.as_ref().map(|seat| seat.with_spares(|spares| spares.keep(copied))).ok_or(again(cl::INVALID_VALUE))
    }

    fn contents(&mut self, memory: Memory) -> Result<Vec<u8>, DeviceError> {
        let mut bytes = vec![0; memory.len as usize];
        for (offset, part) in (0..).step_by(memory.piece.max(1) as usize).zip(bytes.chunks_mut(memory.piece.max(1) as usize)) {
            self.backend.read(memory.id, offset, part)?;
        }
        Ok(bytes)
    }

    /// Has its contents on the device again. It is its turn.
    ///
    /// # Errors
    /// The device is lost, or refuses what it took before.
    pub(crate) fn return_to_device(&mut self) -> Result<(), DeviceError> {
        let Some(contents) = self.away.take() else { return Ok(()) };
        let began = Instant::now();
        let returned = self.bring_back(&contents);
        if returned.is_err() {
            self.away = Some(contents);
        }
        if let Some(seat) = &self.seat {
            seat.count(|sums| sums.move_s += began.elapsed().as_secs_f64());
        }
        returned
    }

    fn bring_back(&mut self, contents: &[Memory]) -> Result<(), DeviceError> {
        let wanted: u64 = self.sizes.values().sum();
        if let Some(seat) = &self.seat
            && !seat.make_room(wanted)
        {
            return Err(again(cl::MEM_OBJECT_ALLOCATION_FAILURE));
        }
        let made = self.journal.memory();
        let mut there: BTreeMap<Id, u64> = BTreeMap::new();
        // First what can be taken over, because room for the rest is made by freeing what cannot.
        for (id, request, _) in &made {
            if self.adopt(*id, request) {
                there.insert(*id, self.sizes.get(id).copied().unwrap_or(0));
            }
        }
        for (_, request, held) in made.iter().filter(|(id, ..)| !there.contains_key(id)) {
            let code = match self.give_again(request, *held) {
                Outcome::Now(code, _) => code,
                Outcome::Later => 0,
            };
            if code != 0 {
                return Err(again(code));
            }
        }
        for memory in contents {
            if let Some(copy) = self.copies.get(&memory.id).filter(|_| !there.contains_key(&memory.id)) {
                let step = memory.piece.max(1) as usize;
                for (offset, part) in (0..).step_by(step).zip(copy.bytes.chunks(step)) {
                    self.backend.write(memory.id, offset, part)?;
                }
            }
        }
        for (id, ..) in made.iter().filter(|(.., held)| !held) {
            self.quietly(&Request::Release { id: *id });
        }
        for (kernel, index, object) in self.journal.memory_args() {
            self.quietly(&Request::SetArg { kernel, index, arg: Arg::Object(object) });
        }
        let equal: u64 = there.values().sum();
        let all: u64 = contents.iter().map(|memory| memory.len).sum();
        if let Some(seat) = &self.seat {
            seat.count(|sums| {
                sums.in_bytes += all.saturating_sub(equal);
                sums.equal_bytes += equal;
            });
        }
        Ok(())
    }

    /// Takes over what another worker has left, if it is the same. Room was made.
    fn adopt(&mut self, id: Id, request: &Request) -> bool {
        let Some((copy, seat)) = self.copies.get(&id).zip(self.seat.as_ref()) else { return false };
        let Some(spare) = seat.with_spares(|spares| spares.claim(copy.key)) else { return false };
        match self.backend.adopt(request, spare) {
            Ok(()) => seat.take(copy.key.len),
            Err(spare) => {
                seat.with_spares(|spares| spares.leave(copy.key, spare));
                false
            }
        }
    }

    /// Makes an object again. One that the worker has released and another one still needs is not on its account any more.
    fn give_again(&mut self, request: &Request, held: bool) -> Outcome {
        let reply = self.silent();
        if held {
            self.give(request, Body::Empty, &reply)
        } else {
            self.backend.execute(request, Body::Empty, &self.region, &reply)
        }
    }

    /// Carries something out that the journal is not to know of.
    fn quietly(&mut self, request: &Request) -> i32 {
        let reply = self.silent();
        match self.backend.execute(request, Body::Empty, &self.region, &reply) {
            Outcome::Now(code, _) => code,
            Outcome::Later => 0,
        }
    }
}
