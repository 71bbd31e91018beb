//! The messages.

use crate::cl;
use serde::{Deserialize, Serialize};

/// Names an object of one worker. 0 is none; [`DEVICE`] is the proxied device itself.
pub type Id = u64;

/// The proxied device.
pub const DEVICE: Id = 1;
/// The first id that a worker may give to an object.
pub const FIRST: Id = 16;

/// What a worker asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Number for the answer; 0: none is wanted.
    pub number: u64,
    /// The question.
    pub request: Request,
}

/// What the proxy answers. The answer's data is the message's body.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Answer {
    /// The call's number.
    pub number: u64,
    /// OpenCL's error code, 0 for success; or what the request says.
    pub code: i32,
    /// Tickets of reads whose data lies in the staging area now.
    pub reads: Vec<u64>,
    /// Events that are over, and their status: the program need not ask.
    pub events: Vec<(Id, i32)>,
}

/// An argument of a kernel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Arg {
    /// A value, as the program gave it.
    Bytes(Vec<u8>),
    /// So many bytes of local memory, or a null pointer.
    Null(u64),
    /// A memory object, sampler or queue.
    Object(Id),
}

/// OpenCL's `cl_image_format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Format {
    /// `image_channel_order`
    pub order: u32,
    /// `image_channel_data_type`
    pub data_type: u32,
}

impl Format {
    /// Bytes of a pixel. A format that the specification does not have is the runtime's to refuse.
    pub fn pixel_bytes(self) -> u64 {
        let channels = match self.order {
            cl::RG | cl::RA | cl::RX => 2,
            cl::RGB | cl::RGX | cl::SRGB => 3,
            cl::RGBA | cl::BGRA | cl::ARGB | cl::ABGR | cl::RGBX | cl::SRGBA | cl::SBGRA | cl::SRGBX => 4,
            _ => 1,
        };
        match self.data_type {
            cl::UNORM_SHORT_565 | cl::UNORM_SHORT_555 => 2,
            cl::UNORM_INT_101010 | cl::UNORM_INT_101010_2 | cl::UNORM_INT24 => 4,
            cl::SNORM_INT8 | cl::UNORM_INT8 | cl::SIGNED_INT8 | cl::UNSIGNED_INT8 => channels,
            cl::SNORM_INT16 | cl::UNORM_INT16 | cl::SIGNED_INT16 | cl::UNSIGNED_INT16 | cl::HALF_FLOAT => 2 * channels,
            _ => 4 * channels,
        }
    }
}

/// OpenCL's `cl_image_desc` without its pointer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageDesc {
    /// `image_type`
    pub kind: u32,
    /// width, height, depth, array size
    pub extent: [u64; 4],
    /// row pitch, slice pitch, in bytes
    pub pitch: [u64; 2],
    /// mip levels, samples
    pub levels: [u32; 2],
}

impl ImageDesc {
    /// Its size as a region.
    pub fn region(&self) -> [u64; 3] {
        let [width, height, depth, layers] = self.extent.map(|n| n.max(1));
        match self.kind {
            cl::MEM_OBJECT_IMAGE3D => [width, height, depth],
            cl::MEM_OBJECT_IMAGE2D => [width, height, 1],
            cl::MEM_OBJECT_IMAGE2D_ARRAY => [width, height, layers],
            cl::MEM_OBJECT_IMAGE1D_ARRAY => [width, layers, 1],
            _ => [width, 1, 1],
        }
    }
}

/// A box of bytes or pixels in an object: OpenCL's origin, region and pitches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rect {
    /// Where it begins.
    pub origin: [u64; 3],
    /// Bytes from row to row, slice to slice, in the object; 0: as OpenCL counts.
    pub pitch: [u64; 2],
}

/// A read's destination: the staging area at `offset`, and the name under which it is told to be complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stage {
    /// Names the read.
    pub ticket: u64,
    /// Bytes from the start of the staging area.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
}

/// A command for a queue. What travels beside it, or lies in the staging area, is packed: rows and slices without gaps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields are named as OpenCL's parameters")]
#[rustfmt::skip]
pub enum Op {
    /// Arguments that changed since the last launch travel along. Empty `global`: `clEnqueueTask`.
    Kernel { kernel: Id, args: Vec<(u32, Arg)>, offset: Vec<u64>, global: Vec<u64>, local: Vec<u64> },
    ReadBuffer { mem: Id, offset: u64, stage: Stage },
    WriteBuffer { mem: Id, offset: u64 },
    ReadRect { mem: Id, from: Rect, region: [u64; 3], stage: Stage },
    WriteRect { mem: Id, to: Rect, region: [u64; 3] },
    CopyBuffer { from: Id, to: Id, from_offset: u64, to_offset: u64, size: u64 },
    CopyRect { from: Id, to: Id, from_rect: Rect, to_rect: Rect, region: [u64; 3] },
    FillBuffer { mem: Id, pattern: Vec<u8>, offset: u64, size: u64 },
    ReadImage { mem: Id, origin: [u64; 3], region: [u64; 3], stage: Stage },
    WriteImage { mem: Id, origin: [u64; 3], region: [u64; 3] },
    CopyImage { from: Id, to: Id, from_origin: [u64; 3], to_origin: [u64; 3], region: [u64; 3] },
    FillImage { mem: Id, color: [u32; 4], origin: [u64; 3], region: [u64; 3] },
    ImageToBuffer { from: Id, to: Id, origin: [u64; 3], region: [u64; 3], offset: u64 },
    BufferToImage { from: Id, to: Id, offset: u64, origin: [u64; 3], region: [u64; 3] },
    Migrate { mems: Vec<Id>, flags: u64 },
    Marker,
    Barrier,
}

/// Which object an information query is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[allow(missing_docs, reason = "named as OpenCL's functions clGet<name>Info")]
pub enum Info {
    Platform,
    Device,
    Queue,
    Mem,
    Image,
    Sampler,
    Program,
    Build,
    Kernel,
    WorkGroup,
    Arg,
    SubGroup,
    Event,
    Profiling,
}

/// When a command is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum When {
    /// As soon as the device's runtime has taken or refused it.
    Queued,
    /// When it is complete.
    Complete,
}

/// What a worker wants done. Property lists are without their final 0.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "variants and fields are named as OpenCL's functions and parameters")]
pub enum Request {
    Release {
        id: Id,
    },
    SubDevices {
        parent: Id,
        properties: Vec<i64>,
        ids: Vec<Id>,
    },
    Context {
        id: Id,
        devices: Vec<Id>,
        properties: Vec<i64>,
    },
    Queue {
        id: Id,
        context: Id,
        device: Id,
        properties: Option<Vec<u64>>,
    },
    DefaultQueue {
        context: Id,
        device: Id,
        queue: Id,
    },
    /// Body: initial contents, if any.
    Buffer {
        id: Id,
        context: Id,
        flags: u64,
        size: u64,
        properties: Vec<u64>,
    },
    SubBuffer {
        id: Id,
        parent: Id,
        flags: u64,
        origin: u64,
        size: u64,
    },
    /// Body: initial contents, if any. `of`: the buffer or image that it is made from.
    Image {
        id: Id,
        context: Id,
        flags: u64,
        format: Format,
        desc: ImageDesc,
        of: Id,
        properties: Vec<u64>,
    },
    Pipe {
        id: Id,
        context: Id,
        flags: u64,
        packet: u32,
        packets: u32,
    },
    Sampler {
        id: Id,
        context: Id,
        properties: Vec<u64>,
        legacy: bool,
    },
    /// Body: the text.
    ProgramSource {
        id: Id,
        context: Id,
    },
    /// Body: the code. `extension`: clCreateProgramWithILKHR.
    ProgramIl {
        id: Id,
        context: Id,
    },
    /// Body: the binaries, one after the other. Answer: a status (i32) per device.
    ProgramBinary {
        id: Id,
        context: Id,
        devices: Vec<Id>,
        lengths: Vec<u64>,
    },
    ProgramBuiltIn {
        id: Id,
        context: Id,
        devices: Vec<Id>,
        names: String,
    },
    SpecConstant {
        program: Id,
        index: u32,
        value: Vec<u8>,
    },
    Build {
        program: Id,
        devices: Vec<Id>,
        options: Option<String>,
    },
    Compile {
        program: Id,
        devices: Vec<Id>,
        options: Option<String>,
        headers: Vec<(Id, String)>,
    },
    Link {
        id: Id,
        context: Id,
        devices: Vec<Id>,
        options: Option<String>,
        programs: Vec<Id>,
    },
    Kernel {
        id: Id,
        program: Id,
        name: String,
    },
    SetArg {
        kernel: Id,
        index: u32,
        arg: Arg,
    },
    /// An event that is over, as a checkpoint has it: its status, and its profiling times in nanoseconds if it has any.
    PastEvent {
        id: Id,
        status: i32,
        times: Vec<u64>,
    },
    UserEvent {
        id: Id,
        context: Id,
    },
    SetUserEvent {
        id: Id,
        status: i32,
    },
    /// `event` 0: none is wanted.
    Enqueue {
        queue: Id,
        wait: Vec<Id>,
        event: Id,
        when: When,
        op: Op,
    },
    Flush {
        queue: Id,
    },
    Finish {
        queue: Id,
    },
    /// Answered when all are complete: 0, or -14 when one failed.
    Wait {
        events: Vec<Id>,
    },
    /// Answered when the event reaches `status` (or less): its status.
    Reached {
        event: Id,
        status: i32,
    },
    /// `device` and `input` where the query has them.
    Info {
        info: Info,
        id: Id,
        param: u32,
        device: Id,
        input: Vec<u8>,
    },
    /// Answer: `cl_image_format`s.
    ImageFormats {
        context: Id,
        flags: u64,
        kind: u32,
    },
    /// Answer: device and host time (u64 each), in nanoseconds.
    Timers {
        device: Id,
    },
    /// For a CUDA device. Error codes in answers to these are CUDA's.
    Cuda(crate::cuda::Call),
}
