//! What every backend must do, over a real ring: the simulated device always, and every OpenCL device that is here.

use proxy::simulated::Simulated;
use proxy::store::Store;
use proxy::{After, Backend, Image, Remote, Session};
use ring::{Direction, Layout, Receiver, Region, Sender};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use wire::{Answer, Arg, Call, DEVICE, Id, Op, Request, Stage, When};

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
    for device in devices {
        all.push((device.model.clone(), Box::new(move || device.open())));
    }
    all
}

/// A worker without a program: says what it is told to.
struct Worker {
    folder: tempfile::TempDir,
    region: Arc<Region>,
    sender: Sender,
    receiver: Receiver,
    number: u64,
    /// Tickets that were told to be complete.
    reads: Vec<u64>,
    remote: Remote,
    thread: JoinHandle<Result<(), ring::Error>>,
}

fn serve(session: Session) -> (Remote, JoinHandle<Result<(), ring::Error>>) {
    let (give, take) = mpsc::channel();
    let thread = std::thread::spawn(move || session.serve(|remote| drop(give.send(remote))));
    (take.recv().unwrap(), thread)
}

impl Worker {
    fn new(backend: Box<dyn Backend>) -> Worker {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ring");
        let layout = Layout { requests: 1 << 16, responses: 1 << 16, staging: 1 << 16 };
        let region = Arc::new(Region::create(&path, layout, std::process::id()).unwrap());
        let (remote, thread) = serve(Session::new(Region::open(&path).unwrap(), backend));
        assert!(region.wait_attached(Duration::from_secs(10)));
        let sender = Sender::new(region.clone(), Direction::Requests);
        let receiver = Receiver::new(region.clone(), Direction::Responses, 1 << 30);
        Worker { folder, region, sender, receiver, number: 0, reads: Vec::new(), remote, thread }
    }

    fn send(&mut self, number: u64, request: Request, body: &[u8]) {
        let mut head = Vec::new();
        wire::encode(&Call { number, request }, &mut head);
        let region = self.region.clone();
        self.sender.send(&head, body, true, &|| region.peer_alive()).unwrap();
    }

    fn post(&mut self, request: Request, body: &[u8]) {
        self.send(0, request, body);
    }

    fn begin(&mut self, request: Request, body: &[u8]) -> u64 {
        self.number += 1;
        self.send(self.number, request, body);
        self.number
    }

    fn answer(&mut self, number: u64) -> (i32, Vec<u8>) {
        loop {
            let region = self.region.clone();
            let message = self.receiver.recv(&|| region.peer_alive()).unwrap();
            let answer: Answer = wire::decode(&message.head).unwrap();
            self.reads.extend(answer.reads);
            if answer.number == number {
                return (answer.code, message.body.into_vec());
            }
        }
    }

    fn call(&mut self, request: Request, body: &[u8]) -> i32 {
        let number = self.begin(request, body);
        self.answer(number).0
    }

    fn done(&mut self, request: Request, body: &[u8]) {
        let asked = format!("{request:?}");
        assert_eq!(self.call(request, body), 0, "{asked}");
    }

    fn floats(&mut self, mem: Id) -> Vec<f32> {
        let ticket = self.number + 1_000_000;
        let stage = Stage { ticket, offset: 4096, len: BYTES };
        let op = Op::ReadBuffer { mem, offset: 0, stage };
        self.done(Request::Enqueue { queue: QUEUE, wait: vec![], event: 0, when: When::Complete, op }, &[]);
        assert!(self.reads.contains(&ticket), "the answer tells the read");
        self.staged(4096)
    }

    #[allow(unsafe_code, reason = "the staging area is shared memory")]
    fn staged(&self, offset: usize) -> Vec<f32> {
        // SAFETY: the range lies in the staging area, and the read into it is complete.
        let bytes = unsafe { std::slice::from_raw_parts(self.region.staging().add(offset), BYTES as usize) };
        bytes.chunks_exact(4).map(|bytes| f32::from_ne_bytes(bytes.try_into().unwrap())).collect()
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

    fn end(self) -> Result<(), ring::Error> {
        self.remote.run(Box::new(|_| After::End));
        self.thread.join().unwrap()
    }

    /// Saves the session, ends it, and has a new one go on in its place.
    fn move_to(mut self, backend: Box<dyn Backend>) -> Worker {
        let (ring, chunks): (PathBuf, PathBuf) = (self.folder.path().join("saved"), self.folder.path().join("chunks"));
        let (give, take) = mpsc::channel();
        let (to, store) = (ring.clone(), Store::open(&chunks).unwrap());
        self.remote.run(Box::new(move |session| {
            let (image, _) = session.save(&store, &to).unwrap();
            // As it goes through a file.
            let bytes = postcard::to_stdvec(&image).unwrap();
            give.send(bytes).unwrap();
            After::End
        }));
        let bytes = take.recv().unwrap();
        self.thread.join().unwrap().unwrap();
        let image: Image = postcard::from_bytes(&bytes).unwrap();
        let region = Region::open(self.region.path()).unwrap();
        let (remote, thread) = serve(Session::load(image, &Store::open(&chunks).unwrap(), region, backend).unwrap());
        self.remote = remote;
        self.thread = thread;
        self
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
        assert_eq!(worker.staged(0), expected(|i| 2.0 * i), "{name}");
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
