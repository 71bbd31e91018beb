//! What every CUDA backend must do, over a real ring: the simulated device always, and every CUDA device that is here.

mod worker;

use proxy::Backend;
use proxy::device::Api;
use std::slice::from_ref;
use wire::cuda::{self, Call, FunctionInfo, Properties, Span, Work};
use wire::libraries::{Library, Value, number};
use wire::{Id, Request, Stage};
use worker::Worker;

/// For devices that compile it; the simulated one knows kernels by name.
const PTX: &[u8] = b".version 7.0
.target sm_52
.address_size 64
.visible .global .f32 factor;
.visible .entry vector_add(.param .u64 a, .param .u64 b, .param .u64 out, .param .u32 n)
{ .reg .pred %p; .reg .b32 %r<6>; .reg .f32 %f<3>; .reg .b64 %d<8>;
  ld.param.u64 %d0, [a]; ld.param.u64 %d1, [b]; ld.param.u64 %d2, [out]; ld.param.u32 %r0, [n];
  mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.s32 %r4, %r1, %r2, %r3;
  setp.ge.s32 %p, %r4, %r0; @%p bra END;
  mul.wide.s32 %d3, %r4, 4; add.s64 %d4, %d0, %d3; add.s64 %d5, %d1, %d3; add.s64 %d6, %d2, %d3;
  ld.global.f32 %f0, [%d4]; ld.global.f32 %f1, [%d5]; add.f32 %f2, %f0, %f1; st.global.f32 [%d6], %f2;
END: ret; }
.visible .entry scale_by_factor(.param .u64 x, .param .u32 n)
{ .reg .pred %p; .reg .b32 %r<6>; .reg .f32 %f<3>; .reg .b64 %d<4>;
  ld.param.u64 %d0, [x]; ld.param.u32 %r0, [n];
  mov.u32 %r1, %ctaid.x; mov.u32 %r2, %ntid.x; mov.u32 %r3, %tid.x; mad.lo.s32 %r4, %r1, %r2, %r3;
  setp.ge.s32 %p, %r4, %r0; @%p bra END;
  mul.wide.s32 %d1, %r4, 4; add.s64 %d2, %d0, %d1; ld.global.f32 %f0, [%d2]; ld.global.f32 %f1, [factor];
  mul.f32 %f2, %f0, %f1; st.global.f32 [%d2], %f2;
END: ret; }
\0";

const SPACE: Id = 16;
const STREAM: Id = 17;
const A: Id = 18;
const OUT: Id = 19;
const MODULE: Id = 20;
const ADD: Id = 21;
const SCALE: Id = 22;
const FACTOR: Id = 23;
const BEGIN: Id = 24;
const END: Id = 25;
const ITEMS: usize = 1024;
const BYTES: u64 = 4 * ITEMS as u64;

type Make = Box<dyn Fn() -> Box<dyn Backend>>;

fn backends() -> Vec<(String, Make)> {
    let (devices, missing) = proxy::device::list();
    missing.iter().for_each(|sentence| println!("SKIPPED: {sentence}"));
    let cuda = devices.into_iter().filter(|device| proxy::device::api(&device.name) == Api::Cuda);
    cuda.map(|device| (device.name.clone(), Box::new(move || device.open()) as Make)).collect()
}

/// A worker and where its memory begins: `A` and, 64 KiB later, `OUT`; then `FACTOR`.
struct Site {
    worker: Worker,
    base: u64,
}

fn command(work: Work) -> Request {
    Request::Cuda(Call::Command { stream: STREAM, work })
}

impl Site {
    fn new(backend: Box<dyn Backend>) -> Site {
        let mut worker = Worker::new(backend);
        let number = worker.begin(Request::Cuda(Call::Describe), &[]);
        let (code, answer) = worker.answer(number);
        assert_eq!(code, 0);
        let Properties { base, size, .. } = wire::decode(&answer).unwrap();
        let mut site = Site { worker, base };
        for call in [
            Call::Space { id: SPACE, base, size },
            Call::Stream { id: STREAM, space: SPACE, flags: 1, priority: 0 },
            Call::Alloc { id: A, space: SPACE, address: base, size: BYTES },
            Call::Alloc { id: OUT, space: SPACE, address: site.out(), size: BYTES },
            Call::Event { id: BEGIN, space: SPACE, flags: 0 },
            Call::Event { id: END, space: SPACE, flags: 0 },
        ] {
            site.worker.done(Request::Cuda(call), &[]);
        }
        site.worker.done(Request::Cuda(Call::Module { id: MODULE, space: SPACE }), PTX);
        let address = site.base + (2 << 16);
        site.worker
            .done(Request::Cuda(Call::Global { id: FACTOR, module: MODULE, name: "factor".into(), address, size: 4 }), &[]);
        for (id, name) in [(ADD, "vector_add"), (SCALE, "scale_by_factor")] {
            let number = site.worker.begin(Request::Cuda(Call::Function { id, module: MODULE, name: name.into() }), &[]);
            let (code, answer) = site.worker.answer(number);
            assert_eq!(code, 0, "{name}");
            assert!(wire::decode::<FunctionInfo>(&answer).is_ok());
        }
        let numbers: Vec<u8> = (0..ITEMS).flat_map(|i| (i as f32).to_ne_bytes()).collect();
        site.worker.post(command(Work::Write { to: Span::flat(base, BYTES) }), &numbers);
        site.worker.post(command(Work::Write { to: Span::flat(address, 4) }), &3f32.to_ne_bytes());
        site
    }

    fn out(&self) -> u64 {
        self.base + (1 << 16)
    }

    /// `OUT` = `A` + `A`
    fn add(&self, items: u32) -> Request {
        let mut params: Vec<u8> = [self.base, self.base, self.out()].iter().flat_map(|address| address.to_le_bytes()).collect();
        params.extend(items.to_le_bytes());
        let (grid, block) = ([items.div_ceil(256), 1, 1], [256, 1, 1]);
        command(Work::Launch { function: ADD, grid, block, shared: 0, params })
    }

    /// `OUT` *= `FACTOR`
    fn scale(&self) -> Request {
        let params = [&self.out().to_le_bytes()[..], &(ITEMS as u32).to_le_bytes()].concat();
        command(Work::Launch { function: SCALE, grid: [4, 1, 1], block: [256, 1, 1], shared: 0, params })
    }

    fn read(&self, ticket: u64, offset: u64) -> Request {
        let stage = Stage { ticket, offset, len: BYTES };
        command(Work::Read { from: Span::flat(self.out(), BYTES), stage })
    }

    fn result(&mut self) -> Vec<f32> {
        let ticket = self.worker.number + 1_000_000;
        let read = self.read(ticket, 4096);
        self.worker.done(read, &[]);
        assert!(self.worker.reads.contains(&ticket), "the answer tells the read");
        self.worker.staged(4096, BYTES)
    }
}

fn expected(of: impl Fn(f32) -> f32) -> Vec<f32> {
    (0..ITEMS).map(|i| of(i as f32)).collect()
}

#[test]
fn work_is_carried_out_in_order() {
    for (name, make) in backends() {
        let mut site = Site::new(make());
        for request in [command(Work::Record { event: BEGIN }), site.add(ITEMS as u32), site.scale()] {
            site.worker.post(request, &[]);
        }
        let (out, base) = (site.out(), site.base);
        site.worker.post(command(Work::Copy { from: Span::flat(base + 4, 4), to: Span::flat(out, 4) }), &[]);
        let rows = Span { address: out + 8, row: 4, rows: 2, pitch: 8 };
        site.worker.post(command(Work::Set { to: rows, value: 0x3F80_0000, width: 4 }), &[]);
        site.worker.post(command(Work::Record { event: END }), &[]);
        let mut numbers = expected(|i| 6.0 * i);
        (numbers[0], numbers[2], numbers[4]) = (1.0, 1.0, 1.0);
        assert_eq!(site.result(), numbers, "{name}");
        site.worker.done(Request::Cuda(Call::Synchronize { id: END }), &[]);
        site.worker.done(Request::Cuda(Call::Query { id: STREAM }), &[]);
        let number = site.worker.begin(Request::Cuda(Call::Elapsed { from: BEGIN, to: END }), &[]);
        let (code, answer) = site.worker.answer(number);
        let milliseconds = f32::from_ne_bytes(answer.try_into().unwrap());
        assert!(code == 0 && (0.0..10_000.0).contains(&milliseconds), "{name}: {code} {milliseconds}");
        site.worker.end().unwrap();
    }
}

#[test]
fn what_is_wrong_is_an_error_code_and_not_an_end() {
    for (name, make) in backends() {
        let mut site = Site::new(make());
        let (base, end) = (site.base, u64::MAX);
        let whole = Span::flat(base, BYTES);
        let wide = Span { address: base, row: 1 << 40, rows: 1 << 40, pitch: 1 << 40 };
        let stage = |offset, len| Stage { ticket: 1, offset, len };
        let launch = |function, grid, params: usize| {
            command(Work::Launch { function, grid, block: [1; 3], shared: 0, params: vec![0; params] })
        };
        let cuda = Request::Cuda;
        let wrong = [
            Request::Release { id: 999 },
            Request::Flush { queue: STREAM },
            cuda(Call::Space { id: 900, base, size: 1 }),
            cuda(Call::Alloc { id: A, space: SPACE, address: base + (3 << 16), size: 8 }),
            cuda(Call::Alloc { id: 7, space: SPACE, address: base + (3 << 16), size: 8 }),
            cuda(Call::Alloc { id: 900, space: STREAM, address: base + (3 << 16), size: 8 }),
            cuda(Call::Alloc { id: 900, space: SPACE, address: base + 8, size: 8 }),
            cuda(Call::Alloc { id: 900, space: SPACE, address: base - 8, size: 8 }),
            cuda(Call::Alloc { id: 900, space: SPACE, address: base + (3 << 16), size: 0 }),
            cuda(Call::Alloc { id: 900, space: SPACE, address: end, size: end }),
            cuda(Call::Alloc { id: 900, space: SPACE, address: base + (3 << 16), size: 1 << 50 }),
            cuda(Call::Function { id: 900, module: MODULE, name: "none".into() }),
            cuda(Call::Function { id: 900, module: A, name: "scale".into() }),
            cuda(Call::Global { id: 900, module: A, name: "factor".into(), address: base + (3 << 16), size: 4 }),
            cuda(Call::Attribute { function: A, attribute: 8, value: 1 }),
            cuda(Call::Synchronize { id: A }),
            cuda(Call::Query { id: 999 }),
            cuda(Call::Elapsed { from: BEGIN, to: END }),
            cuda(Call::Elapsed { from: A, to: 999 }),
            cuda(Call::Command { stream: A, work: Work::Record { event: BEGIN } }),
            command(Work::Record { event: A }),
            command(Work::Wait { event: 999 }),
            command(Work::Read { from: whole, stage: stage((1 << 16) - 8, BYTES) }),
            command(Work::Read { from: whole, stage: stage(u64::MAX, BYTES) }),
            command(Work::Read { from: whole, stage: stage(0, BYTES - 1) }),
            command(Work::Read { from: Span::flat(base + 8, BYTES), stage: stage(0, BYTES) }),
            command(Work::Read { from: wide, stage: stage(0, BYTES) }),
            command(Work::Write { to: whole }),
            command(Work::Copy { from: Span::flat(end, 8), to: whole }),
            command(Work::Copy { from: wide, to: wide }),
            command(Work::Set { to: whole, value: 0, width: 3 }),
            command(Work::Set { to: wide, value: 0, width: 1 }),
            launch(A, [1; 3], 28),
            launch(ADD, [0, 1, 1], 28),
            launch(ADD, [u32::MAX; 3], 28),
            launch(ADD, [1; 3], 0),
        ];
        for request in wrong {
            let asked = format!("{name}: {request:?}");
            assert_ne!(site.worker.call(request, &[]), 0, "{asked}");
        }
        // Work that nobody waits for tells its error at the end, once.
        site.worker.post(command(Work::Record { event: A }), &[]);
        assert_ne!(site.worker.call(Request::Cuda(Call::Synchronize { id: STREAM }), &[]), 0, "{name}");
        site.worker.done(Request::Cuda(Call::Synchronize { id: 0 }), &[]);
        site.worker.end().unwrap();
    }
}

#[test]
fn a_session_moves_with_everything_that_is_on_the_way() {
    for (name, make) in backends() {
        let mut site = Site::new(make());
        for request in [command(Work::Record { event: BEGIN }), site.add(ITEMS as u32), site.read(77, 0)] {
            site.worker.post(request, &[]);
        }
        site.worker = site.worker.move_to(make());
        site.worker.done(Request::Cuda(Call::Synchronize { id: STREAM }), &[]);
        assert!(site.worker.reads.contains(&77), "{name}: the read is told after the move");
        assert_eq!(site.worker.staged(0, BYTES), expected(|i| 2.0 * i), "{name}");
        // Kernels, the module's variable, and addresses are as they were.
        let scale = site.scale();
        site.worker.post(scale, &[]);
        site.worker.post(command(Work::Record { event: END }), &[]);
        assert_eq!(site.result(), expected(|i| 6.0 * i), "{name}");
        site.worker.done(Request::Cuda(Call::Elapsed { from: BEGIN, to: END }), &[]);
        // What was freed stays so, and its place can be taken.
        site.worker.done(Request::Release { id: A }, &[]);
        site.worker = site.worker.move_to(make());
        let address = site.base;
        site.worker.done(Request::Cuda(Call::Alloc { id: 100, space: SPACE, address, size: 8 }), &[]);
        site.worker.end().unwrap();
    }
}

fn library(name: &str, values: &[Value]) -> Request {
    let named = |library: &Library| library.functions().iter().any(|function| function.name == name);
    let library = Library::ALL.into_iter().find(named).unwrap();
    Request::Cuda(Call::Library { function: number(library, name), values: values.to_vec() })
}

fn words(words: &[u64]) -> Vec<Value> {
    words.iter().map(|word| Value::Word(*word)).collect()
}

const HANDLE: Id = 200;
const DEVICE_POINTERS: u64 = 1;

/// A worker with a cuBLAS handle, where there is one to be had.
fn with_blas(name: &str, make: &Make) -> Option<Site> {
    let mut site = Site::new(make());
    let made = site.worker.call(library("cublasCreate_v2", &[Value::New(HANDLE)]), &[]) == 0;
    if !made {
        println!("SKIPPED: {name}: no cuBLAS (pip install nvidia-cublas, and name its folder in ORRERY_CUDA_LIBRARIES)");
    }
    made.then_some(site)
}

#[test]
fn a_librarys_handle_moves_with_what_it_was_set_to() {
    for (name, make) in backends() {
        let Some(mut site) = with_blas(&name, &make) else { continue };
        let handle = Value::Object(HANDLE);
        let set = |name, value| library(name, &[handle.clone(), value]);
        site.worker.done(set("cublasSetStream_v2", Value::Stream(STREAM)), &[]);
        site.worker.done(set("cublasSetPointerMode_v2", Value::Word(0)), &[]);
        site.worker.done(set("cublasSetPointerMode_v2", Value::Word(DEVICE_POINTERS)), &[]);
        site.worker.done(Request::Release { id: A }, &[]);
        site.worker = site.worker.move_to(make());
        for (function, room, expected) in [
            ("cublasGetStream_v2", 8, STREAM.to_ne_bytes().to_vec()),
            ("cublasGetPointerMode_v2", 4, 1u32.to_ne_bytes().to_vec()),
        ] {
            let number = site.worker.begin(library(function, &[handle.clone(), Value::Room(room)]), &[]);
            assert_eq!(site.worker.answer(number), (0, expected), "{name}: {function}");
        }
        site.worker.done(Request::Release { id: HANDLE }, &[]);
        site.worker = site.worker.move_to(make());
        assert_ne!(site.worker.call(set("cublasSetMathMode", Value::Word(0)), &[]), 0, "{name}: it is gone");
        site.worker.end().unwrap();
    }
}

/// Descriptors of the real libraries, where the proxy finds them.
#[test]
fn descriptors_move_with_what_they_were_set_to() {
    for (name, make) in backends() {
        let mut site = Site::new(make());
        let (desc, kept) = (Value::Object(210), Value::Object(211));
        let create = library("cudnnCreateTensorDescriptor", &[Value::New(210)]);
        if site.worker.call(create, &[]) != 0 {
            println!("SKIPPED: {name}: no cuDNN (pip install nvidia-cudnn-cu13, and name its folder in ORRERY_CUDA_LIBRARIES)");
            continue;
        }
        let numbers = |numbers: &[i32]| Value::Bytes(numbers.iter().flat_map(|number| number.to_ne_bytes()).collect());
        let dims = [numbers(&[2, 3, 4, 5]), numbers(&[60, 20, 5, 1])];
        let set = [from_ref(&desc), &words(&[0, 4])[..], &dims].concat();
        site.worker.done(library("cudnnSetTensorNdDescriptor", &set), &[]);
        let layout = [&[Value::New(211)], &words(&[0, 30, 40, 50])[..]].concat();
        site.worker.done(library("cublasLtMatrixLayoutCreate", &layout), &[]);
        let set = [from_ref(&kept), &words(&[3])[..], &[Value::Bytes(77u64.to_ne_bytes().to_vec()), Value::Word(8)]].concat();
        site.worker.done(library("cublasLtMatrixLayoutSetAttribute", &set), &[]);
        // A length that its array has not.
        let beyond = [from_ref(&desc), &words(&[0, 5])[..], &dims].concat();
        assert_ne!(site.worker.call(library("cudnnSetTensorNdDescriptor", &beyond), &[]), 0, "{name}");
        for _ in 0..2 {
            site.worker = site.worker.move_to(make());
        }
        let number = site.worker.begin(library("cudnnGetTensorSizeInBytes", &[desc.clone(), Value::Room(8)]), &[]);
        assert_eq!(site.worker.answer(number), (0, 480u64.to_ne_bytes().to_vec()), "{name}");
        let get = [from_ref(&kept), &words(&[3])[..], &[Value::Room(8), Value::Word(8), Value::Null]].concat();
        let number = site.worker.begin(library("cublasLtMatrixLayoutGetAttribute", &get), &[]);
        assert_eq!(site.worker.answer(number), (0, 77u64.to_ne_bytes().to_vec()), "{name}");
        site.worker.end().unwrap();
    }
}

#[test]
fn a_wrong_call_of_a_library_is_an_error_code_and_not_an_end() {
    for (name, make) in backends() {
        let Some(mut site) = with_blas(&name, &make) else { continue };
        let (handle, base) = (Value::Object(HANDLE), site.base);
        let scalar = |bytes: usize| Value::Bytes(vec![0; bytes]);
        let scale = |handle: &Value, scalar: Value, address: u64| {
            let values = [handle.clone(), Value::Word(4), scalar, Value::Word(address), Value::Word(1)];
            library("cublasSscal_v2", &values)
        };
        let numbered = |function, values: Vec<Value>| Request::Cuda(Call::Library { function, values });
        let mut wrong = vec![
            numbered(u16::MAX, vec![]),
            numbered(number(Library::Cublas, "cublasSscal_v2"), vec![Value::Null; 4]),
            numbered(number(Library::Cublas, "cublasSscal_v2"), vec![Value::Null; 5]),
            numbered(number(Library::Cublas, "cublasSscal_v2"), vec![Value::Room(u32::MAX); 5]),
            scale(&Value::Object(999), scalar(4), base),
            scale(&Value::Object(A), scalar(4), base),
            scale(&handle, scalar(5), base),
            scale(&handle, Value::Null, base),
            scale(&handle, Value::Word(base), base),
            scale(&handle, scalar(4), 4096),
            scale(&handle, scalar(4), u64::MAX),
            library("cublasSetStream_v2", &[handle.clone(), Value::Stream(999)]),
            library("cublasSetStream_v2", &[handle.clone(), Value::Word(0)]),
            library("cublasCreate_v2", &[Value::New(HANDLE)]),
            library("cublasCreate_v2", &[Value::New(3)]),
            library("cublasCreate_v2", &[Value::Object(HANDLE)]),
            library("cudnnDestroy", from_ref(&handle)),
            library("cudnnSetStream", &[handle.clone(), Value::Stream(STREAM)]),
            library("cudnnGetTensorSizeInBytes", &[handle.clone(), Value::Room(8)]),
        ];
        let layout = |id| [&[Value::New(id)], &words(&[0, 30, 40, 50])[..]].concat();
        site.worker.done(library("cublasLtMatrixLayoutCreate", &layout(220)), &[]);
        let set = |bytes: Value, len| {
            library("cublasLtMatrixLayoutSetAttribute", &[Value::Object(220), Value::Word(3), bytes, Value::Word(len)])
        };
        wrong.extend([set(scalar(8), 9), set(scalar(8), u64::MAX), set(Value::Null, 8), set(Value::Room(8), 8)]);
        let place = |size| {
            library("cublasLtMatrixLayoutInit_internal", &[&[Value::New(221), size], &words(&[0, 1, 1, 1])[..]].concat())
        };
        wrong.extend([place(Value::Word(8)), place(Value::Word(1 << 40)), place(Value::Null)]);
        for request in wrong {
            let asked = format!("{name}: {request:?}");
            assert_ne!(site.worker.call(request, &[]), 0, "{asked}");
        }
        // Nobody waits for it: a later call says so, once.
        site.worker.post(scale(&Value::Object(999), scalar(4), base), &[]);
        assert_ne!(site.worker.call(Request::Cuda(Call::Synchronize { id: STREAM }), &[]), 0, "{name}");
        site.worker.done(Request::Cuda(Call::Synchronize { id: 0 }), &[]);
        site.worker.end().unwrap();
    }
}

#[test]
fn an_error_that_nobody_was_told_moves_too() {
    for (name, make) in backends().into_iter().filter(|(name, _)| name == "cuda:simulated") {
        let mut site = Site::new(make());
        let beyond = site.add(4096);
        site.worker.post(beyond, &[]);
        site.worker = site.worker.move_to(make());
        for _ in 0..2 {
            let code = site.worker.call(Request::Cuda(Call::Synchronize { id: 0 }), &[]);
            assert_eq!(code, cuda::ILLEGAL_ADDRESS, "{name}: it stays");
        }
        site.worker.end().unwrap();
    }
}
