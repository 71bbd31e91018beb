//! CUDA's messages and numbers.
//!
//! Device addresses are the worker's to give: it learns of a range that the proxy has for it and allocates in there, so that an
//! address is the same after a restore, and neither allocating nor launching needs more than the proxy's consent.

use crate::libraries::{self, Value};
use crate::{Effect, Id, Stage};
use serde::{Deserialize, Serialize};

/// The stream that is always there: CUDA's default stream.
pub const DEFAULT_STREAM: Id = 0;

/// Rows of bytes in device memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// Where the first row begins.
    pub address: u64,
    /// Bytes of a row.
    pub row: u64,
    /// Rows.
    pub rows: u64,
    /// Bytes from row to row.
    pub pitch: u64,
}

impl Span {
    /// One row.
    pub fn flat(address: u64, len: u64) -> Span {
        Span { address, row: len, rows: 1, pitch: len }
    }

    /// Bytes of data; none when that is more than there can be.
    pub fn len(&self) -> Option<u64> {
        self.row.checked_mul(self.rows)
    }

    /// Whether there is no data.
    pub fn is_empty(&self) -> bool {
        self.row == 0 || self.rows == 0
    }

    /// The first address after the last row; none when there is no such address.
    pub fn end(&self) -> Option<u64> {
        let Some(last) = self.rows.checked_sub(1) else { return Some(self.address) };
        self.pitch.checked_mul(last)?.checked_add(self.row)?.checked_add(self.address)
    }

    /// Starts of the rows. Only for a span that has an end.
    pub fn starts(self) -> impl Iterator<Item = u64> {
        (0..self.rows).map(move |row| self.address + row * self.pitch)
    }
}

/// Work for a stream. What travels beside it, or lies in the staging area, is packed: rows without gaps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "fields are named as CUDA's parameters")]
#[rustfmt::skip]
pub enum Work {
    /// `params`: the parameters as the kernel's binary lays them out.
    Launch { function: Id, grid: [u32; 3], block: [u32; 3], shared: u32, params: Vec<u8> },
    Read { from: Span, stage: Stage },
    /// Body: the data.
    Write { to: Span },
    Copy { from: Span, to: Span },
    /// Sets elements of `width` bytes (1, 2 or 4) to the low bytes of `value`.
    Set { to: Span, value: u32, width: u8 },
    Record { event: Id },
    Wait { event: Id },
}

/// What a worker wants of a CUDA device.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "variants and fields are named as CUDA's functions and parameters")]
pub enum Call {
    /// Answer: [`Properties`].
    Describe,
    /// The range of addresses that `Describe` named. Everything else is made in it.
    Space {
        id: Id,
        base: u64,
        size: u64,
    },
    Alloc {
        id: Id,
        space: Id,
        address: u64,
        size: u64,
    },
    Stream {
        id: Id,
        space: Id,
        flags: u32,
        priority: i32,
    },
    Event {
        id: Id,
        space: Id,
        flags: u32,
    },
    /// Body: a fat binary, a cubin or PTX.
    Module {
        id: Id,
        space: Id,
    },
    /// Answer: [`FunctionInfo`].
    Function {
        id: Id,
        module: Id,
        name: String,
    },
    Attribute {
        function: Id,
        attribute: i32,
        value: i32,
    },
    /// A variable of a module, under an address of the worker's.
    Global {
        id: Id,
        module: Id,
        name: String,
        address: u64,
        size: u64,
    },
    Command {
        stream: Id,
        work: Work,
    },
    /// Answered when the stream's work is over, or with `id` 0 all work, or when the event is: with the first error since the
    /// last such answer, and a sentence about it.
    Synchronize {
        id: Id,
    },
    /// Answered at once: 0, or [`NOT_READY`].
    Query {
        id: Id,
    },
    /// Answer: milliseconds (f32).
    Elapsed {
        from: Id,
        to: Id,
    },
    /// Answer: bytes free and bytes in all (u64 each).
    Memory,
    /// A function of a library, by its number in [`libraries`]. The answer's code is its status; a negative one says that it was
    /// not called, with a sentence. Answer: what it returns (u64, or a string), then what it wrote, argument by argument.
    Library {
        function: u16,
        values: Vec<Value>,
    },
}

/// A device, as programs ask about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Properties {
    /// Its name.
    pub name: String,
    /// Bytes of memory.
    pub memory: u64,
    /// Start of the range of addresses for this worker.
    pub base: u64,
    /// Bytes of it.
    pub size: u64,
    /// Version of the driver: 1000 major + 10 minor.
    pub driver: i32,
    /// Its universally unique id.
    pub uuid: [u8; 16],
    /// Attributes by CUDA's numbers (`cudaDeviceAttr`), ascending. The others are 0.
    pub attributes: Vec<(i32, i32)>,
}

impl Properties {
    /// An attribute by CUDA's number.
    pub fn attribute(&self, number: i32) -> i32 {
        self.attributes.binary_search_by_key(&number, |entry| entry.0).map_or(0, |at| self.attributes[at].1)
    }
}

/// A kernel, as programs ask about it, and the parameters' places.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FunctionInfo {
    /// Attributes by the driver's numbers (`CUfunction_attribute`), ascending. The others are 0.
    pub attributes: Vec<(i32, i32)>,
    /// Offset and size of each parameter, where the device knows; a worker that read them from the binary needs them not.
    pub params: Option<Vec<(u32, u32)>>,
}

impl Call {
    /// What this does to the set of live objects.
    pub fn effect(&self) -> Effect<'_> {
        let create = |id: &Id, needs: &[Id]| Effect::Create { ids: vec![*id], needs: needs.to_vec() };
        match self {
            Call::Space { id, .. } => create(id, &[]),
            Call::Alloc { id, space, .. }
            | Call::Stream { id, space, .. }
            | Call::Event { id, space, .. }
            | Call::Module { id, space } => create(id, &[*space]),
            Call::Function { id, module, .. } | Call::Global { id, module, .. } => create(id, &[*module]),
            Call::Attribute { function, attribute, .. } => {
                Effect::Amend { id: *function, aspect: u64::from(attribute.cast_unsigned()), needs: vec![] }
            }
            Call::Command { .. } => Effect::Command { event: 0, args: None },
            Call::Library { function, values } => libraries::effect(*function, values),
            Call::Describe | Call::Synchronize { .. } | Call::Query { .. } | Call::Elapsed { .. } | Call::Memory => {
                Effect::None
            }
        }
    }
}

macro_rules! errors {
    ($($number:literal $constant:ident $name:literal $text:literal)*) => {
        $(#[allow(missing_docs, reason = "named and explained by CUDA's documentation")] pub const $constant: i32 = $number;)*

        /// The name that the runtime gives an error, and a description. The driver's numbers are the same.
        pub fn describe(code: i32) -> Option<(&'static str, &'static str)> {
            match code {
                $($number => Some(($name, $text)),)*
                _ => None,
            }
        }
    };
}

errors! {
    0 SUCCESS "cudaSuccess" "no error"
    1 INVALID_VALUE "cudaErrorInvalidValue" "invalid argument"
    2 OUT_OF_MEMORY "cudaErrorMemoryAllocation" "out of memory"
    3 NOT_INITIALIZED "cudaErrorInitializationError" "initialization error"
    9 INVALID_CONFIGURATION "cudaErrorInvalidConfiguration" "invalid configuration argument"
    12 INVALID_PITCH "cudaErrorInvalidPitchValue" "invalid pitch argument"
    13 INVALID_SYMBOL "cudaErrorInvalidSymbol" "invalid device symbol"
    21 INVALID_DIRECTION "cudaErrorInvalidMemcpyDirection" "invalid copy direction for memcpy"
    35 INSUFFICIENT_DRIVER "cudaErrorInsufficientDriver" "CUDA driver version is insufficient for CUDA runtime version"
    46 DEVICES_UNAVAILABLE "cudaErrorDevicesUnavailable" "CUDA-capable device(s) is/are busy or unavailable"
    52 MISSING_CONFIGURATION "cudaErrorMissingConfiguration" "__global__ function call is not configured"
    98 INVALID_DEVICE_FUNCTION "cudaErrorInvalidDeviceFunction" "invalid device function"
    100 NO_DEVICE "cudaErrorNoDevice" "no CUDA-capable device is detected"
    101 INVALID_DEVICE "cudaErrorInvalidDevice" "invalid device ordinal"
    200 INVALID_KERNEL_IMAGE "cudaErrorInvalidKernelImage" "device kernel image is invalid"
    201 INVALID_CONTEXT "cudaErrorDeviceUninitialized" "invalid device context"
    209 NO_KERNEL_IMAGE "cudaErrorNoKernelImageForDevice" "no kernel image is available for execution on the device"
    218 INVALID_PTX "cudaErrorInvalidPtx" "a PTX JIT compilation failed"
    400 INVALID_HANDLE "cudaErrorInvalidResourceHandle" "invalid resource handle"
    500 NOT_FOUND "cudaErrorSymbolNotFound" "named symbol not found"
    600 NOT_READY "cudaErrorNotReady" "device not ready"
    700 ILLEGAL_ADDRESS "cudaErrorIllegalAddress" "an illegal memory access was encountered"
    701 LAUNCH_OUT_OF_RESOURCES "cudaErrorLaunchOutOfResources" "too many resources requested for launch"
    704 PEER_ALREADY_ENABLED "cudaErrorPeerAccessAlreadyEnabled" "peer access is already enabled"
    712 ALREADY_REGISTERED "cudaErrorHostMemoryAlreadyRegistered" "part or all of the requested memory range is already mapped"
    713 NOT_REGISTERED "cudaErrorHostMemoryNotRegistered" "pointer does not correspond to a registered memory region"
    719 LAUNCH_FAILURE "cudaErrorLaunchFailure" "unspecified launch failure"
    800 NOT_PERMITTED "cudaErrorNotPermitted" "operation not permitted"
    801 NOT_SUPPORTED "cudaErrorNotSupported" "operation not supported"
    999 UNKNOWN "cudaErrorUnknown" "unknown error"
}

/// Whether an error stays: the context is lost with it, and every later call says it again.
pub fn is_sticky(code: i32) -> bool {
    matches!(code, DEVICES_UNAVAILABLE | 214 | 700 | 702..=703 | 710 | 714..=719)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_that_leaves_the_address_space_has_no_end() {
        assert_eq!(Span { address: 16, row: 4, rows: 3, pitch: 8 }.end(), Some(36));
        assert_eq!(Span::flat(16, 0).end(), Some(16));
        assert_eq!(Span { address: 16, row: 4, rows: 0, pitch: u64::MAX }.end(), Some(16));
        assert_eq!(Span::flat(u64::MAX, 1).end(), None);
        assert_eq!(Span { address: 0, row: 1, rows: u64::MAX, pitch: 2 }.end(), None);
    }
}
