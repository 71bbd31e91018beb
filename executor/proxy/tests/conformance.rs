//! What every OpenCL backend must do, over a real ring: the simulated device always, and every OpenCL device that is here.

mod worker;

use proxy::Backend;
use proxy::device::Api;
use proxy::simulated::Simulated;
use wire::{Arg, DEVICE, Id, Op, Request, Stage, When};
use worker::Worker;

const SOURCE: &[u8] = b"__kernel void add(__global const float *a, __global const float *b, __global float *out) {
    size_t i = get_global_id(0); out[i] = a[i] + b[i]; }
__kernel void scale(__global float *x, float factor) { x[get_global_id(0)] *= factor; }";

const CONTEXT: Id = 16;
const QUEUE: Id = 17;
const A: Id = 18;
const B: Id = 19;
const OUT: Id = 20;
const PROGRAM: Id = 21;
const ADD: Id = 22;
const SCALE: Id = 23;
const USER: Id = 24;
const ITEMS: usize = 1024;
const BYTES: u64 = 4 * ITEMS as u64;

type Make = Box<dyn Fn() -> Box<dyn Backend>>;

fn backends() -> Vec<(String, Make)> {
    let mut all: Vec<(String, Make)> = vec![("simulated".into(), Box::new(|| Box::new(Simulated::default())))];
    let (devices, missing) = proxy::device::list();
    missing.iter().for_each(|sentence| println!("SKIPPED: {sentence}"));
    for device in devices.into_iter().filter(|device| proxy::device::api(&device.name) == Api::OpenCl) {
        all.push((device.model.clone(), Box::new(move || device.open())));
    }
    all
}

/// What tests of OpenCL devices need beside.
trait OpenCl {
    fn floats(&mut self, mem: Id) -> Vec<f32>;
    fn set_up(&mut self);
}

impl OpenCl for Worker {
    fn floats(&mut self, mem: Id) -> Vec<f32> {
        let ticket = self.number + 1_000_000;
        let stage = Stage { ticket, offset: 4096, len: BYTES };
        let op = Op::ReadBuffer { mem, offset: 0, stage };
        self.done(Request::Enqueue { queue: QUEUE, wait: vec![], event: 0, when: When::Complete, op }, &[]);
        assert!(self.reads.contains(&ticket), "the answer tells the read");
        self.staged(4096, BYTES)
    }

    /// Context, queue, two buffers with numbers, one for results, and both kernels.
    fn set_up(&mut self) {
        let number = |i: usize| i as f32;
        let bytes: Vec<u8> = (0..ITEMS).flat_map(|i| number(i).to_ne_bytes()).collect();
        self.done(Request::Context { id: CONTEXT, devices: vec![DEVICE], properties: vec![] }, &[]);
        self.done(Request::Queue { id: QUEUE, context: CONTEXT, device: DEVICE, properties: None }, &[]);
        for (id, body) in [(A, &bytes[..]), (B, &bytes[..]), (OUT, &[])] {
            self.done(Request::Buffer { id, context: CONTEXT, flags: 1, size: BYTES, properties: vec![] }, body);
        }
        self.done(Request::ProgramSource { id: PROGRAM, context: CONTEXT }, SOURCE);
        self.done(Request::Build { program: PROGRAM, devices: vec![], options: None }, &[]);
        self.done(Request::Kernel { id: ADD, program: PROGRAM, name: "add".into() }, &[]);
        self.done(Request::Kernel { id: SCALE, program: PROGRAM, name: "scale".into() }, &[]);
    }
}

fn launch(kernel: Id, args: Vec<(u32, Arg)>, wait: Vec<Id>, event: Id) -> Request {
    let op = Op::Kernel { kernel, args, offset: vec![], global: vec![ITEMS as u64], local: vec![] };
    Request::Enqueue { queue: QUEUE, wait, event, when: When::Queued, op }
}

fn add_args() -> Vec<(u32, Arg)> {
    vec![(0, Arg::Object(A)), (1, Arg::Object(B)), (2, Arg::Object(OUT))]
}

fn factor(value: f32) -> Vec<(u32, Arg)> {
    vec![(0, Arg::Object(OUT)), (1, Arg::Bytes(value.to_ne_bytes().to_vec()))]
}

fn expected(of: impl Fn(f32) -> f32) -> Vec<f32> {
    (0..ITEMS).map(|i| of(i as f32)).collect()
}

#[test]
fn commands_are_carried_out_in_order() {
    for (name, make) in backends() {
        let mut worker = Worker::new(make());
        worker.set_up();
        worker.post(launch(ADD, add_args(), vec![], 0), &[]);
        worker.post(launch(SCALE, factor(3.0), vec![], 0), &[]);
        let write = Op::WriteBuffer { mem: OUT, offset: 0 };
        worker.post(
            Request::Enqueue { queue: QUEUE, wait: vec![], event: 0, when: When::Queued, op: write },
            &7f32.to_ne_bytes(),
        );
        let mut numbers = expected(|i| 6.0 * i);
        numbers[0] = 7.0;
        assert_eq!(worker.floats(OUT), numbers, "{name}");
        worker.end().unwrap();
    }
}

#[test]
fn what_is_wrong_is_an_error_code_and_not_an_end() {
    for (name, make) in backends() {
        let mut worker = Worker::new(make());
        worker.set_up();
        let enqueue = |op| Request::Enqueue { queue: QUEUE, wait: vec![], event: 0, when: When::Queued, op };
        let past_staging = Stage { ticket: 1, offset: (1 << 16) - 8, len: BYTES };
        let past_everything = Stage { ticket: 1, offset: u64::MAX, len: BYTES };
        let wrong = [
            Request::Release { id: 999 },
            Request::Release { id: DEVICE },
            Request::Context { id: CONTEXT, devices: vec![DEVICE], properties: vec![] },
            Request::Buffer { id: 7, context: CONTEXT, flags: 1, size: 8, properties: vec![] },
            Request::Buffer { id: 999, context: QUEUE, flags: u64::MAX, size: u64::MAX, properties: vec![] },
            Request::Kernel { id: 999, program: A, name: "add".into() },
            Request::Kernel { id: 999, program: PROGRAM, name: "none".into() },
            Request::SetArg { kernel: ADD, index: 0, arg: Arg::Object(999) },
            Request::Finish { queue: A },
            Request::Wait { events: vec![999] },
            enqueue(Op::ReadBuffer { mem: A, offset: 0, stage: past_staging }),
            enqueue(Op::ReadBuffer { mem: A, offset: 0, stage: past_everything }),
            enqueue(Op::ReadBuffer { mem: A, offset: u64::MAX - 8, stage: Stage { ticket: 1, offset: 0, len: 64 } }),
            enqueue(Op::FillBuffer { mem: A, pattern: vec![], offset: 0, size: 8 }),
            enqueue(Op::CopyBuffer { from: A, to: 999, from_offset: 0, to_offset: 0, size: 8 }),
        ];
        for request in wrong {
            let asked = format!("{name}: {request:?}");
            assert_ne!(worker.call(request, &[]), 0, "{asked}");
        }
        // A command that nobody waits for tells its error at the end, once.
        worker.post(enqueue(Op::CopyBuffer { from: A, to: 999, from_offset: 0, to_offset: 0, size: 8 }), &[]);
        assert_ne!(worker.call(Request::Finish { queue: QUEUE }, &[]), 0, "{name}");
        worker.done(Request::Finish { queue: QUEUE }, &[]);
        worker.end().unwrap();
    }
}

#[test]
fn bytes_that_are_no_message_end_their_own_connection_only() {
    for (_, make) in backends() {
        let mut other = Worker::new(make());
        other.set_up();
        let mut worker = Worker::new(make());
        let region = worker.region.clone();
        worker.sender.send(&[0xFF; 33], &[], true, &|| region.peer_alive()).unwrap();
        assert!(matches!(worker.thread.join().unwrap(), Err(ring::Error::Corrupt { .. })));
        other.done(Request::Finish { queue: QUEUE }, &[]);
        other.end().unwrap();
    }
}

#[test]
fn a_session_moves_with_everything_that_is_on_the_way() {
    for (name, make) in backends() {
        let mut worker = Worker::new(make());
        worker.set_up();
        worker.post(launch(ADD, add_args(), vec![], 40), &[]);
        // A read whose completion nobody has been told, and commands that wait for the program.
        let stage = Stage { ticket: 77, offset: 0, len: BYTES };
        let read = Op::ReadBuffer { mem: OUT, offset: 0, stage };
        worker.post(Request::Enqueue { queue: QUEUE, wait: vec![], event: 0, when: When::Queued, op: read }, &[]);
        worker.done(Request::UserEvent { id: USER, context: CONTEXT }, &[]);
        worker.done(launch(SCALE, factor(2.0), vec![USER], 41), &[]);
        worker.post(launch(SCALE, factor(5.0), vec![], 42), &[]);
        let waiting = worker.begin(Request::Wait { events: vec![42] }, &[]);
        let mut worker = worker.move_to(make());
        worker.done(Request::Wait { events: vec![40] }, &[]);
        assert!(worker.reads.contains(&77), "{name}: the read is told after the move");
        assert_eq!(worker.staged(0, BYTES), expected(|i| 2.0 * i), "{name}");
        worker.done(Request::SetUserEvent { id: USER, status: 0 }, &[]);
        assert_eq!(worker.answer(waiting).0, 0, "{name}: who waited before the move is answered after it");
        assert_eq!(worker.floats(OUT), expected(|i| 20.0 * i), "{name}");
        // Arguments set before the move hold after it.
        let mut worker = worker.move_to(make());
        worker.post(launch(SCALE, vec![], vec![], 0), &[]);
        assert_eq!(worker.floats(OUT), expected(|i| 100.0 * i), "{name}");
        worker.end().unwrap();
    }
}
