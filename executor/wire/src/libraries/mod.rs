//! NVIDIA's libraries above the runtime (cuBLAS, cuBLASLt, cuDNN): their functions, and calls to them.
//!
//! The tables are made from the libraries' headers (`executor/cuda/generate/libraries.py`): for each function what its parameters
//! are. The worker packs arguments by them, the proxy checks and unpacks them by them, and what a call does to the set of live
//! objects follows from them, so that no function needs code of its own but those few whose arguments say what others are.

mod cublas;
mod cublas_lt;
mod cudnn;

use crate::{Effect, FIRST, Id};
use serde::{Deserialize, Serialize};

/// What a handle or descriptor stands for. Named as in the libraries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as the libraries' types")]
#[rustfmt::skip]
pub enum Type {
    Blas, Lt, MatmulDesc, MatrixLayout, TransformDesc, Preference, EmulationDesc,
    Dnn, Backend, Tensor, Filter, Convolution, Pooling, Activation, Lrn, OpTensor, ReduceTensor, TensorTransform,
    SpatialTransformer, Dropout, Rnn, RnnData, SeqData, Attn, CtcLoss,
}

impl Type {
    /// Whether programs may keep it in memory of their own, so that its name is there and the handle points to it.
    pub const fn lies_in_memory(self) -> bool {
        matches!(self, Type::MatmulDesc | Type::MatrixLayout | Type::TransformDesc | Type::Preference | Type::EmulationDesc)
    }

    /// Whether a handle of this type does where `wanted` is asked for. A cuBLAS handle is a cuBLASLt handle, too.
    pub fn does_for(self, wanted: Type) -> bool {
        self == wanted || (self == Type::Blas && wanted == Type::Lt)
    }
}

/// What a parameter is. Other parameters are named by their index.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// 32 bits.
    Int,
    /// 32 bits that name the part of an object that the call sets.
    Attribute,
    /// 64 bits.
    Long,
    /// A float by value.
    Float,
    /// A double by value.
    Double,
    /// An object that the call uses.
    Handle(Type),
    /// An object that the call changes.
    Changed(Type),
    /// Where a new object's handle goes.
    Created(Type),
    /// The caller's own memory, where a new object is to be.
    Place(Type),
    /// An object that is no more after the call.
    Destroyed(Type),
    /// Where the handle of an object that is there goes.
    Name(Type),
    /// A stream.
    Stream,
    /// Where a stream's handle goes.
    StreamName,
    /// An address on the device.
    Device,
    /// Bytes in, here or on the device, as the handle's pointer mode says. 0: up to [`SCALAR_MAX`], as the data's type has it.
    Scalar(u32),
    /// Bytes out, here or on the device, as the handle's pointer mode says.
    Result(u32),
    /// The same; the parameter holds the `cudaDataType` of one.
    Typed(u32),
    /// Bytes in and out, here or on the device, as the handle's pointer mode says.
    Both(u32),
    /// Bytes in.
    Input(u32),
    /// Bytes out.
    Output(u32),
    /// Bytes in and out.
    Change(u32),
    /// As many elements as the parameter says, each of so many bytes, in.
    Inputs(u32, u32),
    /// The same, out.
    Outputs(u32, u32),
    /// An array that a cuDNN backend descriptor's attribute is set to; type and count are the two parameters before it.
    Elements,
    /// An array for the elements of such an attribute; type, room and count out are the three before it.
    Found,
}

/// What a function returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Return {
    /// Its library's status: 0 is success.
    Status,
    /// A number.
    Size,
    /// A string that stays.
    Text,
    /// Nothing.
    Nothing,
}

/// A function.
#[derive(Clone, Copy, Debug)]
pub struct Function {
    /// Its exported name.
    pub name: &'static str,
    /// Its parameters.
    pub params: &'static [Kind],
    /// What it returns.
    pub returns: Return,
}

/// The longest scalar: a complex number of doubles.
pub const SCALAR_MAX: usize = 16;
/// The longest array of a call, in bytes.
pub const ARRAY_MAX: u64 = 1 << 24;

macro_rules! returns {
    () => {
        Return::Status
    };
    ($returns:ident) => {
        Return::$returns
    };
}

macro_rules! functions {
    ($($name:ident($($param:ident: $kind:ident $(($($of:tt)*))?),*) $(-> $returns:ident)?;)*) => {
        #[allow(unused_imports, reason = "not every library has parameters of all kinds")]
        pub(super) const FUNCTIONS: &[Function] = {
            use Kind::*;
            use Type::*;
            &[$(Function {
                name: stringify!($name),
                params: &[$($kind $(($($of)*))?),*],
                returns: returns!($($returns)?),
            }),*]
        };
    };
}
use {functions, returns};

/// A library.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "named as NVIDIA's")]
pub enum Library {
    Cublas,
    CublasLt,
    Cudnn,
}

impl Library {
    /// All of them, in the order of functions' numbers.
    pub const ALL: [Library; 3] = [Library::Cublas, Library::CublasLt, Library::Cudnn];

    /// Its functions, in the order of names.
    pub const fn functions(self) -> &'static [Function] {
        match self {
            Library::Cublas => cublas::FUNCTIONS,
            Library::CublasLt => cublas_lt::FUNCTIONS,
            Library::Cudnn => cudnn::FUNCTIONS,
        }
    }

    /// Its file's name.
    pub const fn file(self) -> &'static str {
        match self {
            Library::Cublas => "libcublas.so.13",
            Library::CublasLt => "libcublasLt.so.13",
            Library::Cudnn => "libcudnn.so.9",
        }
    }

    /// What its statuses call a wrong argument, a failure to carry out, and a lack of support.
    pub const fn words(self) -> [i32; 3] {
        match self {
            Library::Cublas | Library::CublasLt => [7, 13, 15],
            Library::Cudnn => [2000, 5000, 3000],
        }
    }
}

/// Numbers of a library's functions begin at multiples of this.
const EACH: u16 = 4096;

/// A function's number. Known when the program is compiled, where a name that is not in the table is an error.
pub const fn number(library: Library, name: &str) -> u16 {
    let functions = library.functions();
    let (mut low, mut high) = (0, functions.len());
    while low < high {
        let middle = usize::midpoint(low, high);
        match compare(functions[middle].name, name) {
            0 => return library as u16 * EACH + middle as u16,
            1 => high = middle,
            _ => low = middle + 1,
        }
    }
    panic!("no such function")
}

/// 0: equal, 1: the first is greater, -1: the second is.
const fn compare(a: &str, b: &str) -> i32 {
    let (a, b) = (a.as_bytes(), b.as_bytes());
    let mut at = 0;
    while at < a.len() && at < b.len() {
        if a[at] != b[at] {
            return if a[at] > b[at] { 1 } else { -1 };
        }
        at += 1;
    }
    (a.len() > b.len()) as i32 - (a.len() < b.len()) as i32
}

/// A function's place in its library's table.
pub const fn index(number: u16) -> usize {
    (number % EACH) as usize
}

/// A function by number.
pub fn function(number: u16) -> Option<(Library, &'static Function)> {
    let library = *Library::ALL.get(usize::from(number / EACH))?;
    Some((library, library.functions().get(index(number))?))
}

/// The function that ends objects of a type.
pub fn destructor(of: Type) -> Option<(Library, &'static Function)> {
    let functions = |library: Library| library.functions().iter().map(move |function| (library, function));
    Library::ALL.into_iter().flat_map(functions).find(|(_, function)| function.params == [Kind::Destroyed(of)])
}

/// An argument.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Value {
    /// A null pointer, or no object.
    Null,
    /// A number's or float's bits, or an address on the device.
    Word(u64),
    /// An object that is there.
    Object(Id),
    /// The name of an object that the call makes.
    New(Id),
    /// A stream.
    Stream(Id),
    /// Bytes that the call reads, or reads and writes.
    Bytes(Vec<u8>),
    /// Room for so many bytes.
    Room(u32),
    /// An array of objects, 0 for none.
    Objects(Vec<Id>),
    /// An array of addresses.
    Pointers(Vec<Pointer>),
}

/// An address in a cuDNN attribute.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Pointer {
    /// None, or one on the device.
    Device(u64),
    /// A scalar of the host's: what is there.
    Host(Vec<u8>),
}

/// Bytes of an element of a cuDNN backend attribute, by `cudnnBackendAttributeType_t`.
pub fn element_bytes(attribute_type: i32) -> u32 {
    match attribute_type {
        attribute::BOOLEAN | attribute::CHAR => 1,
        attribute::HANDLE | attribute::INT64 | attribute::DOUBLE | attribute::POINTER | attribute::DESCRIPTOR => 8,
        attribute::FRACTION => 16,
        // Enumerations, 32-bit numbers.
        _ => 4,
    }
}

/// Numbers of `cudnnBackendAttributeType_t` of which the size or the meaning is not an enumeration's.
#[allow(missing_docs, reason = "named as cuDNN's")]
#[rustfmt::skip]
pub mod attribute {
    pub const HANDLE: i32 = 0;
    pub const BOOLEAN: i32 = 2;
    pub const INT64: i32 = 3;
    pub const DOUBLE: i32 = 5;
    pub const POINTER: i32 = 6;
    pub const DESCRIPTOR: i32 = 15;
    pub const CHAR: i32 = 24;
    pub const FRACTION: i32 = 26;
}

/// Bytes of a number by `cudaDataType`, for the types that results have: halves, floats, doubles, complex ones.
pub fn data_bytes(data_type: u64) -> u32 {
    match data_type {
        2 | 14 => 2,
        0 => 4,
        1 | 4 => 8,
        5 => 16,
        6 | 15 => 4,
        _ => SCALAR_MAX as u32,
    }
}

/// What a call does to the set of live objects.
pub fn effect(number: u16, values: &[Value]) -> Effect<'static> {
    let Some((_, function)) = function(number) else { return Effect::None };
    let (mut made, mut changed, mut needs) = (Vec::new(), Vec::new(), Vec::new());
    let mut aspect = 0;
    for (kind, value) in function.params.iter().zip(values) {
        match (kind, value) {
            (_, Value::New(id)) => made.push(*id),
            (Kind::Changed(_), Value::Object(id)) => changed.push(*id),
            (Kind::Found, Value::Objects(ids)) => changed.extend(ids),
            (_, Value::Object(id) | Value::Stream(id)) => needs.push(*id),
            (_, Value::Objects(ids)) => needs.extend(ids),
            (Kind::Attribute, Value::Word(attribute)) => aspect = *attribute & 0xFFFF_FFFF,
            _ => {}
        }
    }
    changed.retain(|id| *id >= FIRST);
    needs.retain(|id| *id >= FIRST && !changed.contains(id));
    // Setting a dropout descriptor draws random states; the same values without that are another function's.
    const SET: u16 = self::number(Library::Cudnn, "cudnnSetDropoutDescriptor");
    const RESTORE: u16 = self::number(Library::Cudnn, "cudnnRestoreDropoutDescriptor");
    let setter = if number == RESTORE { SET } else { number };
    let aspect = u64::from(setter) << 32 | aspect;
    match (made.is_empty(), changed.is_empty()) {
        (false, _) => Effect::Create { ids: made, needs },
        (true, false) => Effect::Change { ids: changed, aspect, needs },
        (true, true) => Effect::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_in_order_and_refer_to_what_is_there() {
        for library in Library::ALL {
            let functions = library.functions();
            assert!(functions.is_sorted_by(|a, b| a.name < b.name));
            for (i, of) in functions.iter().enumerate() {
                assert_eq!(super::number(library, of.name), library as u16 * EACH + i as u16);
                for kind in of.params {
                    if let Kind::Inputs(count, _) | Kind::Outputs(count, _) | Kind::Typed(count) = kind {
                        let counter = of.params[*count as usize];
                        assert!(matches!(counter, Kind::Int | Kind::Long), "{}: {counter:?}", of.name);
                    }
                    if let Kind::Created(made) = kind {
                        assert!(destructor(*made).is_some(), "{made:?}");
                    }
                }
            }
        }
        assert!(function(u16::MAX).is_none() && function(EACH - 1).is_none());
    }

    #[test]
    fn what_a_call_changes_follows_from_its_parameters() {
        let word = Value::Word;
        let create = number(Library::Cudnn, "cudnnBackendCreateDescriptor");
        let made = effect(create, &[word(15), Value::New(20)]);
        assert_eq!(made, Effect::Create { ids: vec![20], needs: vec![] });
        let set = number(Library::Cudnn, "cudnnBackendSetAttribute");
        let objects = Value::Objects(vec![21, 0, 22]);
        let changed = effect(set, &[Value::Object(20), word(7), word(15), word(3), objects.clone()]);
        assert_eq!(changed, Effect::Change { ids: vec![20], aspect: u64::from(set) << 32 | 7, needs: vec![21, 22] });
        let get = number(Library::Cudnn, "cudnnBackendGetAttribute");
        let found = effect(get, &[Value::Object(20), word(7), word(15), word(3), Value::Room(8), objects]);
        assert_eq!(found, Effect::Change { ids: vec![21, 22], aspect: u64::from(get) << 32 | 7, needs: vec![20] });
        let stream = number(Library::Cublas, "cublasSetStream_v2");
        let changed = effect(stream, &[Value::Object(20), Value::Stream(0)]);
        assert_eq!(changed, Effect::Change { ids: vec![20], aspect: u64::from(stream) << 32, needs: vec![] });
        assert_eq!(effect(number(Library::Cublas, "cublasSscal_v2"), &[Value::Object(20)]), Effect::None);
    }
}
