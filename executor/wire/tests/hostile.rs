//! Decoding what an enemy sends: the fuzzer's seeds, and bytes drawn and changed at random.

use proptest::prelude::*;
use wire::cuda::{self, Span, Work};
use wire::libraries::{Pointer, Value};
use wire::{Answer, Arg, Call, Format, ImageDesc, Info, Op, Rect, Request, Stage, When};

#[path = "../fuzz/ring_check.rs"]
mod ring_check;

/// One call of each shape, for the fuzzer to start from. `seeds_are_stored` keeps the folder up to date.
fn calls() -> Vec<Call> {
    let stage = Stage { ticket: 9, offset: 4096, len: 256 };
    let rect = Rect { origin: [1, 2, 3], pitch: [64, 4096] };
    let enqueue = |op| Request::Enqueue { queue: 17, wait: vec![30, 31], event: 32, when: When::Complete, op };
    let desc = ImageDesc { kind: 0x10F1, extent: [8, 8, 0, 0], ..ImageDesc::default() };
    let args = vec![(0, Arg::Object(20)), (1, Arg::Bytes(vec![0, 0, 128, 63])), (2, Arg::Null(64))];
    let requests = [
        Request::Release { id: 20 },
        Request::SubDevices { parent: 1, properties: vec![0x1086, 1], ids: vec![18, 19] },
        Request::Context { id: 16, devices: vec![1], properties: vec![0x1084, 7] },
        Request::Queue { id: 17, context: 16, device: 1, properties: Some(vec![0x1093, 3]) },
        Request::Buffer { id: 20, context: 16, flags: 1, size: 1 << 40, properties: vec![] },
        Request::Image {
            id: 21,
            context: 16,
            flags: 1,
            format: Format { order: 1, data_type: 2 },
            desc,
            of: 0,
            properties: vec![],
        },
        Request::ProgramBinary { id: 22, context: 16, devices: vec![1], lengths: vec![u64::MAX] },
        Request::Compile { program: 22, devices: vec![], options: Some("-O2".into()), headers: vec![(23, "a.h".into())] },
        Request::Link { id: 24, context: 16, devices: vec![], options: None, programs: vec![22, 23] },
        Request::Wait { events: vec![32] },
        Request::Info { info: Info::SubGroup, id: 25, param: 0x2033, device: 1, input: vec![1; 24] },
        enqueue(Op::Kernel { kernel: 25, args, offset: vec![], global: vec![64, 64], local: vec![8, 8] }),
        enqueue(Op::ReadBuffer { mem: 20, offset: 8, stage }),
        enqueue(Op::CopyRect { from: 20, to: 20, from_rect: rect, to_rect: rect, region: [4, 4, 4] }),
        enqueue(Op::FillBuffer { mem: 20, pattern: vec![7; 16], offset: 0, size: 256 }),
        enqueue(Op::WriteImage { mem: 21, origin: [0; 3], region: [8, 8, 1] }),
    ];
    requests
        .into_iter()
        .chain(cuda_calls().map(Request::Cuda))
        .enumerate()
        .map(|(i, request)| Call { number: i as u64, request })
        .collect()
}

fn cuda_calls() -> impl Iterator<Item = cuda::Call> {
    let span = Span { address: 0x2000_0000_0000, row: 64, rows: 8, pitch: u64::MAX };
    let stage = Stage { ticket: 9, offset: 4096, len: 512 };
    let command = |work| cuda::Call::Command { stream: 18, work };
    let values = [
        Value::Null,
        Value::Word(u64::MAX),
        Value::Object(22),
        Value::New(23),
        Value::Stream(18),
        Value::Bytes(vec![7; 64]),
        Value::Room(u32::MAX),
        Value::Objects(vec![22, 0]),
        Value::Pointers(vec![Pointer::Device(u64::MAX), Pointer::Host(vec![1; 16])]),
    ];
    let library = cuda::Call::Library { function: u16::MAX, values: values.to_vec() };
    let launch = Work::Launch { function: 20, grid: [u32::MAX; 3], block: [1024, 1, 1], shared: 48 << 10, params: vec![7; 24] };
    [
        cuda::Call::Space { id: 16, base: 0x2000_0000_0000, size: 1 << 40 },
        cuda::Call::Alloc { id: 17, space: 16, address: u64::MAX, size: u64::MAX },
        cuda::Call::Stream { id: 18, space: 16, flags: 1, priority: -5 },
        cuda::Call::Function { id: 20, module: 19, name: "_Z10vector_addPKfS0_Pfi".into() },
        cuda::Call::Global { id: 21, module: 19, name: "factor".into(), address: 0, size: 4 },
        cuda::Call::Attribute { function: 20, attribute: 8, value: i32::MIN },
        command(launch),
        command(Work::Read { from: span, stage }),
        command(Work::Copy { from: span, to: Span::flat(1, 512) }),
        command(Work::Set { to: span, value: 7, width: 255 }),
        cuda::Call::Elapsed { from: 22, to: 23 },
        library,
    ]
    .into_iter()
}

fn encoded(call: &Call) -> Vec<u8> {
    let mut bytes = Vec::new();
    wire::encode(call, &mut bytes);
    bytes
}

/// What the fuzz target checks.
fn check(bytes: &[u8]) {
    if let Ok(call) = wire::decode::<Call>(bytes) {
        let _ = call.request.effect();
        assert_eq!(wire::decode::<Call>(&encoded(&call)).unwrap(), call);
    }
    let _ = wire::decode::<Answer>(bytes);
}

/// Writes the seeds with `ORRERY_WRITE_SEEDS` set; otherwise they must be what the messages are now.
#[test]
fn seeds_are_stored() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds");
    for (i, call) in calls().iter().enumerate() {
        let path = folder.join(format!("{i:02}"));
        if std::env::var_os("ORRERY_WRITE_SEEDS").is_some() {
            std::fs::write(&path, encoded(call)).unwrap();
        }
        let stored = std::fs::read(&path).unwrap();
        assert_eq!(stored, encoded(call), "{}: write it anew with ORRERY_WRITE_SEEDS=1", path.display());
        check(&stored);
        assert_eq!(wire::decode::<Call>(&stored).unwrap(), *call);
        // Cut off anywhere, or with something after it, it is no message.
        (0..stored.len()).for_each(|len| assert!(wire::decode::<Call>(&stored[..len]).is_err()));
        assert!(wire::decode::<Call>(&[&stored[..], &[0]].concat()).is_err());
    }
}

/// Some calls at a time, with bodies, as they lie in a ring.
fn rings() -> Vec<Vec<u8>> {
    let messages: Vec<_> = calls().iter().enumerate().map(|(i, call)| (encoded(call), vec![7; 61 * (i % 4)])).collect();
    messages.chunks(5).map(ring_check::sent).collect()
}

/// As for calls.
#[test]
fn rings_are_stored() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds-ring");
    for (i, bytes) in rings().iter().enumerate() {
        let path = folder.join(format!("{i:02}"));
        if std::env::var_os("ORRERY_WRITE_SEEDS").is_some() {
            std::fs::create_dir_all(&folder).unwrap();
            std::fs::write(&path, bytes).unwrap();
        }
        let stored = std::fs::read(&path).unwrap();
        assert_eq!(stored, *bytes, "{}: write it anew with ORRERY_WRITE_SEEDS=1", path.display());
        assert_eq!(ring_check::check(&stored), calls().chunks(5).nth(i).unwrap().len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_rings_are_calls_or_errors(which in 0usize..6, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = rings()[which].clone();
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        ring_check::check(&bytes);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_are_calls_or_errors(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        check(&bytes);
    }

    #[test]
    fn changed_calls_are_calls_or_errors(which in 0usize..28, changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = encoded(&calls()[which]);
        for (at, byte) in changes {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        check(&bytes);
    }
}
