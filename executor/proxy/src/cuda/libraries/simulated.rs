//! What the simulated device has of cuBLAS and cuBLASLt: handles, and products of 32-bit floats. Descriptors are the real
//! libraries' where those are found, and notes of what was set where they are not.

use super::loaded::Loaded;
use super::marshal::PLACE_MAX;
use super::{Called, Libraries, Object};
use crate::cuda::Failure;
use crate::cuda::blas::{Activation, Matrix, Product, multiply};
use crate::cuda::memory::Memory;
use wire::cuda;
use wire::libraries::{Function, Kind, Library, Type, Value};

type Result<T> = std::result::Result<T, Failure>;

/// What cuBLAS and cuBLASLt say that their version is, where they are not found.
const VERSION: u32 = 130_000;
/// The most bytes of an answer: hundreds of algorithms.
const ROOM_MAX: u32 = 1 << 16;
/// `CUDA_R_32F`
const FLOAT: u64 = 0;
const COLUMNS_FIRST: u32 = 0;
/// Bits of `cublasLtEpilogue_t`.
const DEFAULT: u32 = 1;
const RELU: u32 = 2;
const BIAS: u32 = 4;
const GELU: u32 = 32;

/// Where a function has what makes up a product: `alpha`, `beta`, for each matrix address, elements between columns and between
/// matrices (0: none), the number of matrices, and types that must be floats.
struct Places {
    scalars: [usize; 2],
    matrices: [[usize; 3]; 3],
    batch: usize,
    types: &'static [usize],
}

fn places(name: &str) -> Option<Places> {
    let (scalars, matrices, batch, types): (_, _, _, &[usize]) = match name {
        "cublasSgemm_v2" => ([6, 11], [[7, 8, 0], [9, 10, 0], [12, 13, 0]], 0, &[]),
        "cublasSgemmStridedBatched" => ([6, 13], [[7, 8, 9], [10, 11, 12], [14, 15, 16]], 17, &[]),
        "cublasGemmEx" => ([6, 13], [[7, 9, 0], [10, 12, 0], [14, 16, 0]], 0, &[8, 11, 15]),
        "cublasGemmStridedBatchedEx" => ([6, 15], [[7, 9, 10], [11, 13, 14], [16, 18, 19]], 20, &[8, 12, 17]),
        _ => return None,
    };
    Some(Places { scalars, matrices, batch, types })
}

fn word(values: &[Value], at: usize) -> u64 {
    if let Some(Value::Word(word)) = values.get(at) { *word } else { 0 }
}

fn size(values: &[Value], at: usize) -> std::result::Result<u32, i32> {
    u32::try_from(word(values, at) as i32).map_err(|_| cuda::INVALID_VALUE)
}

/// A float that a call passes by pointer.
fn scalar(memory: &Memory, value: Option<&Value>) -> std::result::Result<f32, i32> {
    let bytes = match value {
        Some(Value::Bytes(bytes)) => &bytes[..],
        Some(Value::Word(address)) => memory.bytes(*address, 4)?,
        _ => return Err(cuda::INVALID_VALUE),
    };
    bytes.first_chunk::<4>().map(|bytes| f32::from_ne_bytes(*bytes)).ok_or(cuda::INVALID_VALUE)
}

/// In the library's words.
fn settled(library: Library, result: std::result::Result<(), i32>) -> Called {
    let [wrong, failed, unsupported] = library.words();
    let status = match result {
        Ok(()) => 0,
        Err(cuda::INVALID_VALUE | cuda::ILLEGAL_ADDRESS) => wrong,
        Err(cuda::NOT_SUPPORTED) => unsupported,
        Err(_) => failed,
    };
    Called { status, ..Called::default() }
}

impl Libraries {
    /// Carries out what the simulated device has of itself. None: the call is the real library's.
    pub(crate) fn simulated(
        &mut self,
        memory: &mut Memory,
        library: Library,
        function: &Function,
        values: &[Value],
    ) -> Option<Result<Called>> {
        if library == Library::Cudnn || function.params.len() != values.len() {
            return None;
        }
        match (function.params, values) {
            ([Kind::Created(of @ (Type::Blas | Type::Lt))], [Value::New(id)]) => {
                self.add(*id, Object::new(*of, 0, Vec::new()));
                return Some(Ok(Called::default()));
            }
            ([], []) if function.name.ends_with("Version") && Loaded::get(library).is_err() => {
                return Some(Ok(Called { status: 0, data: u64::from(VERSION).to_ne_bytes().to_vec() }));
            }
            _ => {}
        }
        if library == Library::CublasLt
            && Loaded::get(library).is_err()
            && let Some(called) = self.described(function, values)
        {
            return Some(Ok(called));
        }
        let own = self.object(values.first()).filter(|object| object.pointer == 0)?;
        match function.name {
            "cublasLtMatmul" => Some(Ok(settled(library, self.matmul(values, memory)))),
            "cublasLtMatmulAlgoGetHeuristic" => {
                let Some(Value::Room(room @ 96..=ROOM_MAX)) = values.get(8) else {
                    return Some(Err(cuda::INVALID_VALUE.into()));
                };
                // One, which is none in particular: 64 bytes of it, no workspace, success, one wave.
                let mut data = vec![0; *room as usize];
                data[76..80].copy_from_slice(&1f32.to_ne_bytes());
                data.extend(1u32.to_ne_bytes());
                Some(Ok(Called { status: 0, data }))
            }
            "cublasGetVersion_v2" => Some(Ok(Called { status: 0, data: VERSION.to_ne_bytes().to_vec() })),
            name if library == Library::Cublas => match places(name) {
                Some(places) => Some(Ok(settled(library, product(values, &places, memory)))),
                None => handle_state(own, function).map(Ok).or_else(|| self.set_handle_state(function, values).map(Ok)),
            },
            _ => None,
        }
    }

    /// A handle's mode or stream is what it was set to.
    fn set_handle_state(&mut self, function: &Function, values: &[Value]) -> Option<Called> {
        let ([Kind::Changed(Type::Blas), ..], Some(Value::Object(id))) = (function.params, values.first()) else { return None };
        let state = match (function.params.get(1)?, values.get(1)?) {
            (Kind::Stream, Value::Stream(stream)) => *stream,
            (Kind::Int | Kind::Device, Value::Word(word)) => *word,
            _ => return None,
        };
        self.note_attributes(function, values);
        self.objects.get_mut(id)?.attributes.insert(state_key(function.name), state.to_ne_bytes().to_vec());
        Some(Called::default())
    }

    /// cuBLASLt's descriptors where the library is not found.
    fn described(&mut self, function: &Function, values: &[Value]) -> Option<Called> {
        let words = || values.iter().filter_map(|value| if let Value::Word(word) = value { Some(*word) } else { None });
        match (function.params, values) {
            ([Kind::Created(of), ..], [Value::New(id), ..]) => {
                self.add(*id, Object::new(*of, 0, words().collect()));
            }
            ([Kind::Place(of), ..], [Value::New(id), Value::Word(16..=PLACE_MAX), ..]) => {
                self.add(*id, Object::new(*of, 0, words().skip(1).collect()));
            }
            ([Kind::Changed(_), Kind::Attribute, ..], [Value::Object(id), _, Value::Bytes(bytes), Value::Word(len)])
                if self.get(*id).is_some() && bytes.len() as u64 == *len =>
            {
                self.note_attributes(function, values);
            }
            (
                [Kind::Handle(_), Kind::Attribute, Kind::Outputs(..), ..],
                [Value::Object(id), Value::Word(number), out, Value::Word(0..=PLACE_MAX), written],
            ) => {
                let bytes = self.get(*id)?.attributes.get(&(*number as u32))?;
                let mut data = Vec::new();
                if let Value::Room(room @ 0..=ROOM_MAX) = out {
                    data.extend(bytes.iter().copied().chain(std::iter::repeat(0)).take(*room as usize));
                }
                if *written != Value::Null {
                    data.extend((bytes.len() as u64).to_ne_bytes());
                }
                return Some(Called { status: 0, data });
            }
            _ => return None,
        }
        Some(Called::default())
    }

    fn matmul(&self, values: &[Value], memory: &mut Memory) -> std::result::Result<(), i32> {
        let desc = self.object(values.get(1)).ok_or(cuda::INVALID_VALUE)?;
        let layouts = [4, 6, 9, 11].map(|at| self.object(values.get(at)).map(Layout::of));
        let [Some(a), Some(b), c, Some(d)] = layouts else { return Err(cuda::INVALID_VALUE) };
        let (a, b, d, c) = (a?, b?, d?, c.unwrap_or_else(|| Layout::of(desc)).or(Err(cuda::INVALID_VALUE)));
        let transposed = [3, 4].map(|attribute| desc.attribute(attribute).unwrap_or(0) != 0);
        let turned =
            |layout: &Layout, turned: bool| if turned { (layout.columns, layout.rows) } else { (layout.rows, layout.columns) };
        let ((m, k), (inner, n)) = (turned(&a, transposed[0]), turned(&b, transposed[1]));
        let epilogue = desc.attribute(7).unwrap_or(DEFAULT);
        let known = matches!(epilogue & !BIAS, 0 | DEFAULT | RELU | GELU);
        if !known {
            return Err(cuda::NOT_SUPPORTED);
        }
        let (alpha, beta) = (scalar(memory, values.get(2))?, scalar(memory, values.get(7)).unwrap_or(0.0));
        if inner != k || (d.rows, d.columns) != (m, n) {
            return Err(cuda::INVALID_VALUE);
        }
        let bias = desc.attributes.get(&8).and_then(|bytes| bytes.first_chunk::<8>()).map(|bytes| u64::from_ne_bytes(*bytes));
        let bias = bias.filter(|_| epilogue & BIAS != 0);
        let activation = match epilogue & (RELU | GELU) {
            RELU => Activation::Relu,
            GELU => Activation::Gelu,
            _ => Activation::None,
        };
        let c = if beta == 0.0 { Matrix::default() } else { c?.matrix(word(values, 8)) };
        let (sizes, batch) = ([m, n, k], d.batch);
        let (a, b, d) = (a.matrix(word(values, 3)), b.matrix(word(values, 5)), d.matrix(word(values, 10)));
        multiply(memory, &Product { transposed, sizes, alpha, beta, a, b, c, d, batch, bias, activation })
    }
}

/// What a matrix layout says.
struct Layout {
    rows: u32,
    columns: u32,
    lead: u32,
    batch: u32,
    stride: u64,
}

impl Layout {
    fn of(object: &Object) -> std::result::Result<Layout, i32> {
        let set = |number: u32| {
            let bytes = object.attributes.get(&number)?;
            bytes.first_chunk::<8>().map(|bytes| u64::from_ne_bytes(*bytes))
        };
        let at = |number: u32, word: usize| {
            u32::try_from(set(number).unwrap_or_else(|| object.words.get(word).copied().unwrap_or(0)))
                .map_err(|_| cuda::INVALID_VALUE)
        };
        let data_type = object.attribute(0).map_or_else(|| object.words.first().copied(), |own| Some(u64::from(own)));
        let plain = data_type == Some(FLOAT) && object.attribute(1).unwrap_or(COLUMNS_FIRST) == COLUMNS_FIRST;
        if object.of != Type::MatrixLayout || !plain {
            return Err(cuda::NOT_SUPPORTED);
        }
        let (batch, stride) = (object.attribute(5).unwrap_or(1), set(6).unwrap_or(0));
        Ok(Layout { rows: at(2, 1)?, columns: at(3, 2)?, lead: at(4, 3)?, batch, stride })
    }

    fn matrix(&self, address: u64) -> Matrix {
        Matrix { address, lead: self.lead, stride: self.stride }
    }
}

/// Under which number of attribute a handle's state is kept: by the function's name, without what it does and its version.
fn state_key(name: &str) -> u32 {
    let what = name.trim_start_matches("cublas").get(3..).unwrap_or_default().trim_end_matches("_v2");
    what.bytes().fold(1 << 31, |key: u32, byte| key.wrapping_mul(31).wrapping_add(u32::from(byte)) | 1 << 31)
}

fn handle_state(handle: &Object, function: &Function) -> Option<Called> {
    let len = match function.params {
        [Kind::Handle(Type::Blas), Kind::Output(len)] => *len as usize,
        [Kind::Handle(Type::Blas), Kind::StreamName] => 8,
        _ => return None,
    };
    let state = handle.attributes.get(&state_key(function.name)).cloned().unwrap_or_else(|| vec![0; 8]);
    Some(Called { status: 0, data: state[..len].to_vec() })
}

fn product(values: &[Value], places: &Places, memory: &mut Memory) -> std::result::Result<(), i32> {
    if places.types.iter().any(|at| word(values, *at) != FLOAT) {
        return Err(cuda::NOT_SUPPORTED);
    }
    let operations = [word(values, 1), word(values, 2)];
    if operations.iter().any(|operation| *operation > 2) {
        return Err(cuda::INVALID_VALUE);
    }
    let stride = |at: usize| if at == 0 { 0 } else { word(values, at) };
    let matrix = |[address, lead, between]: [usize; 3]| {
        Ok::<_, i32>(Matrix { address: word(values, address), lead: size(values, lead)?, stride: stride(between) })
    };
    let [a, b, c] = places.matrices;
    let (a, b, c) = (matrix(a)?, matrix(b)?, matrix(c)?);
    let batch = if places.batch == 0 { 1 } else { size(values, places.batch)? };
    let sizes = [size(values, 3)?, size(values, 4)?, size(values, 5)?];
    let [alpha, beta] = places.scalars.map(|at| scalar(memory, values.get(at)));
    let transposed = operations.map(|operation| operation != 0);
    let product = Product { transposed, sizes, alpha: alpha?, beta: beta?, a, b, c, d: c, batch, ..Product::default() };
    multiply(memory, &product)
}
