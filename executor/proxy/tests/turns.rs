//! Workers that take turns on a device whose memory holds one of them only: the simulated CUDA device, and every OpenCL device here.

mod worker;

use proxy::Backend;
use proxy::cuda::Simulated;
use proxy::device::Api;
use proxy::turns::{Sharing, Switching, Turns};
use std::sync::Arc;
use wire::cuda::{self, Span, Work};
use wire::libraries::{Library, Value, number};
use wire::{Arg, DEVICE, Id, Op, Request, Stage, When};
use worker::Worker;

/// Bytes of each of a worker's two buffers: not a multiple of eight, so that the last word is one in part.
const BYTES: u64 = (1 << 20) + 4;
const ROUNDS: u32 = 6;
const COMMON: Id = 30;
const OWN: Id = 31;

type Make = Box<dyn Fn() -> Box<dyn Backend>>;

/// What the test needs of an API.
struct Steps {
    name: String,
    make: Make,
    /// Makes both buffers and fills them with bytes.
    set_up: fn(&mut Worker, common: u8, own: u8),
    /// Changes the worker's own buffer: every float is doubled.
    change: fn(&mut Worker),
    /// Reads a part of a buffer.
    read: fn(&mut Worker, Id) -> Vec<f32>,
}

fn all() -> Vec<Steps> {
    let simulated =
        Steps { name: "cuda:simulated".into(), make: Box::new(|| Box::new(Simulated::default())), set_up, change, read };
    let (devices, missing) = proxy::device::list();
    missing.iter().for_each(|sentence| println!("SKIPPED: {sentence}"));
    let devices = devices.into_iter().filter(|device| proxy::device::api(&device.name) == Api::OpenCl);
    let opencl = devices.map(|device| Steps {
        name: device.model.clone(),
        make: Box::new(move || device.open()),
        set_up: opencl::set_up,
        change: opencl::change,
        read: opencl::read,
    });
    std::iter::once(simulated).chain(opencl).collect()
}

const BASE: u64 = 0x2000_0000_0000;
const HANDLE: Id = 90;

fn set_up(worker: &mut Worker, common: u8, own: u8) {
    worker.done(Request::Cuda(cuda::Call::Space { id: 16, base: BASE, size: 32 << 30 }), &[]);
    let function = number(Library::Cublas, "cublasCreate_v2");
    worker.done(Request::Cuda(cuda::Call::Library { function, values: vec![Value::New(HANDLE)] }), &[]);
    for (id, byte) in [(COMMON, common), (OWN, own)] {
        let address = BASE + (id << 24);
        worker.done(Request::Cuda(cuda::Call::Alloc { id, space: 16, address, size: BYTES }), &[]);
        let work = Work::Set { to: Span::flat(address, BYTES), value: u32::from(byte), width: 1 };
        worker.done(Request::Cuda(cuda::Call::Command { stream: 0, work }), &[]);
    }
}

fn change(worker: &mut Worker) {
    // c = 0 a b + 2 c, over all of the buffer.
    let (own, word) = (Value::Word(BASE + (OWN << 24)), Value::Word);
    let scalar = |value: f32| Value::Bytes(value.to_ne_bytes().to_vec());
    let sizes = [word(0), word(0), word(1), word(BYTES / 4), word(1)];
    let operands = [scalar(0.0), own.clone(), word(1), own.clone(), word(1), scalar(2.0), own, word(1)];
    let values = std::iter::once(Value::Object(HANDLE)).chain(sizes).chain(operands).collect();
    let function = number(Library::Cublas, "cublasSgemm_v2");
    worker.post(Request::Cuda(cuda::Call::Library { function, values }), &[]);
}

fn read(worker: &mut Worker, id: Id) -> Vec<f32> {
    let from = Span::flat(BASE + (id << 24) + BYTES - 4096, 4096);
    let work = Work::Read { from, stage: Stage { ticket: 7, offset: 0, len: 4096 } };
    worker.done(Request::Cuda(cuda::Call::Command { stream: 0, work }), &[]);
    worker.staged(0, 4096)
}

mod opencl {
    use super::*;

    const SOURCE: &[u8] = b"__kernel void twice(__global float *x) { x[get_global_id(0)] *= 2.0f; }";

    pub fn set_up(worker: &mut Worker, common: u8, own: u8) {
        worker.done(Request::Context { id: 16, devices: vec![DEVICE], properties: vec![] }, &[]);
        worker.done(Request::Queue { id: 17, context: 16, device: DEVICE, properties: None }, &[]);
        for (id, byte) in [(COMMON, common), (OWN, own)] {
            worker.done(Request::Buffer { id, context: 16, flags: 1, size: BYTES, properties: vec![] }, &[]);
            let op = Op::FillBuffer { mem: id, pattern: vec![byte; 4], offset: 0, size: BYTES };
            worker.done(Request::Enqueue { queue: 17, wait: vec![], event: 0, when: When::Queued, op }, &[]);
        }
        worker.done(Request::ProgramSource { id: 18, context: 16 }, SOURCE);
        worker.done(Request::Build { program: 18, devices: vec![], options: None }, &[]);
        worker.done(Request::Kernel { id: 19, program: 18, name: "twice".into() }, &[]);
        // Through a part of it.
        worker.done(Request::SubBuffer { id: 32, parent: OWN, flags: 1, origin: 0, size: BYTES }, &[]);
        worker.done(Request::SetArg { kernel: 19, index: 0, arg: Arg::Object(32) }, &[]);
    }

    pub fn change(worker: &mut Worker) {
        let op = Op::Kernel { kernel: 19, args: vec![], offset: vec![], global: vec![BYTES / 4], local: vec![] };
        worker.post(Request::Enqueue { queue: 17, wait: vec![], event: 0, when: When::Queued, op }, &[]);
    }

    pub fn read(worker: &mut Worker, mem: Id) -> Vec<f32> {
        let op = Op::ReadBuffer { mem, offset: BYTES - 4096, stage: Stage { ticket: 7, offset: 0, len: 4096 } };
        worker.done(Request::Enqueue { queue: 17, wait: vec![], event: 0, when: When::Complete, op }, &[]);
        worker.staged(0, 4096)
    }
}

fn api(name: &str) -> Api {
    proxy::device::api(name)
}

fn worker(steps: &Steps, turns: &Arc<Turns>) -> Worker {
    let mut backend = (steps.make)();
    backend.share();
    Worker::seated(backend, Some(turns.join()))
}

fn floats(byte: u8, doubled: u32) -> Vec<f32> {
    vec![f32::from_ne_bytes([byte; 4]) * 2f32.powi(doubled as i32); 1024]
}

/// Two workers by turns, each changing a buffer of its own; `commons`: the bytes in the buffers that nobody changes.
fn by_turns(steps: &Steps, commons: [u8; 2]) -> Switching {
    let turns = Turns::new(Sharing { quantum_us: Some(2000), memory: Some(2 * BYTES) }, u64::MAX);
    let mut workers = commons.map(|_| worker(steps, &turns));
    for ((worker, common), own) in workers.iter_mut().zip(commons).zip([3, 4]) {
        (steps.set_up)(worker, common, own);
    }
    for round in 1..=ROUNDS {
        for ((worker, common), own) in workers.iter_mut().zip(commons).zip([3, 4]) {
            (steps.change)(worker);
            assert_eq!((steps.read)(worker, OWN), floats(own, round), "{}: round {round}", steps.name);
            assert_eq!((steps.read)(worker, COMMON), floats(common, 0), "{}: round {round}", steps.name);
        }
    }
    let sums = turns.switching().unwrap();
    // One of them is away; it moves on as any other.
    for (worker, own) in workers.into_iter().zip([3, 4]) {
        let mut worker = worker.move_to((steps.make)());
        assert_eq!((steps.read)(&mut worker, OWN), floats(own, ROUNDS), "{}: moved", steps.name);
        worker.end().unwrap();
    }
    sums
}

#[test]
fn each_sees_its_own_contents_and_equal_ones_are_not_moved() {
    for steps in all() {
        let (equal, different) = (by_turns(&steps, [9, 9]), by_turns(&steps, [9, 8]));
        println!("{}: equal {equal:?}, different {different:?}", steps.name);
        assert!(equal.switches >= u64::from(2 * ROUNDS - 2), "{}: {equal:?}", steps.name);
        assert!(equal.turn_s >= equal.move_s && equal.move_s > 0.0);
        let moved = |sums: Switching| (sums.out_bytes + sums.in_bytes) as f64 / sums.switches as f64;
        assert!(moved(equal) < 0.8 * moved(different), "{}: {equal:?} {different:?}", steps.name);
    }
}

#[test]
fn more_than_the_memory_is_refused_and_less_is_told() {
    for steps in all() {
        let turns = Turns::new(Sharing { quantum_us: None, memory: Some(3 * BYTES) }, u64::MAX);
        let (mut one, mut other) = (worker(&steps, &turns), worker(&steps, &turns));
        (steps.set_up)(&mut one, 1, 2);
        let buffer = |id, size| match api(&steps.name) {
            Api::Cuda => Request::Cuda(cuda::Call::Alloc { id, space: 16, address: BASE + (id << 24), size }),
            Api::OpenCl => Request::Buffer { id, context: 16, flags: 1, size, properties: vec![] },
        };
        let first = match api(&steps.name) {
            Api::Cuda => Request::Cuda(cuda::Call::Space { id: 16, base: BASE, size: 32 << 30 }),
            Api::OpenCl => Request::Context { id: 16, devices: vec![DEVICE], properties: vec![] },
        };
        other.done(first, &[]);
        other.done(buffer(20, BYTES), &[]);
        assert_ne!(other.call(buffer(21, 8), &[]), 0, "{}: side by side nothing is moved", steps.name);
        one.done(Request::Release { id: COMMON }, &[]);
        other.done(buffer(21, BYTES), &[]);
        one.end().unwrap();
        other.done(buffer(22, BYTES), &[]);
        other.end().unwrap();
    }
}
