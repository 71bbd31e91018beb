//! cuBLAS: handles, and products of 32-bit floats. Everything else of it is not forwarded.

use crate::c::{Handle, Result, get, put};
use crate::state::{State, state};
use crate::stream::stream;
use std::ffi::c_void;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use wire::cuda::{self, Call, Matrix, Work};

const SUCCESS: i32 = 0;
const NOT_INITIALIZED: i32 = 1;
const INVALID_VALUE: i32 = 7;
const EXECUTION_FAILED: i32 = 13;
const NOT_SUPPORTED: i32 = 15;
/// `CUDA_R_32F`
const FLOAT: i32 = 0;
/// `CUBLAS_POINTER_MODE_HOST`
const HOST_POINTERS: i32 = 0;

/// What a handle stands for. Modes other than where scalars lie are kept for the program to ask.
#[derive(Default)]
struct Blas {
    stream: AtomicUsize,
    math: AtomicI32,
    pointers: AtomicI32,
    atomics: AtomicI32,
}

fn blas(handle: Handle) -> Result<&'static Blas> {
    // SAFETY: the program promises to pass on what `cublasCreate` gave it.
    unsafe { handle.cast::<Blas>().as_ref() }.ok_or(NOT_INITIALIZED)
}

/// In cuBLAS's words.
fn status(result: Result<()>) -> i32 {
    result.err().unwrap_or(SUCCESS)
}

fn words_of_cublas(code: i32) -> i32 {
    match code {
        cuda::INVALID_VALUE | cuda::INVALID_HANDLE => INVALID_VALUE,
        cuda::NOT_SUPPORTED => NOT_SUPPORTED,
        _ => EXECUTION_FAILED,
    }
}

/// What the entries of a product have in common.
struct Product {
    operations: [i32; 2],
    sizes: [i32; 3],
    scalars: [*const f32; 2],
    /// `a`, `b`, `c`: address, elements from column to column, from matrix to matrix.
    matrices: [(*const c_void, i32, i64); 3],
    batch: i32,
}

impl Product {
    fn matrix(&self, which: usize) -> Result<Matrix> {
        let (start, lead, stride) = self.matrices[which];
        let (lead, stride) = (u32::try_from(lead), u64::try_from(stride));
        let address = start.addr() as u64;
        Ok(Matrix { address, lead: lead.map_err(|_| INVALID_VALUE)?, stride: stride.map_err(|_| INVALID_VALUE)? })
    }

    fn post(&self, handle: Handle) -> Result<()> {
        let blas = blas(handle)?;
        if blas.pointers.load(Ordering::Relaxed) != HOST_POINTERS {
            eprintln!("orrery: cuBLAS with scalars in device memory is not forwarded; see executor/PROXY.md");
            return Err(NOT_SUPPORTED);
        }
        let state = state().map_err(|_| NOT_INITIALIZED)?;
        let positive = |value: i32| u32::try_from(value).map_err(|_| INVALID_VALUE);
        let [m, n, k] = self.sizes;
        let (m, n, k, batch) = (positive(m)?, positive(n)?, positive(k)?, positive(self.batch)?);
        let [alpha, beta] = self.scalars;
        let (alpha, beta) = (get(alpha).map_err(|_| INVALID_VALUE)?, get(beta).map_err(|_| INVALID_VALUE)?);
        let [no_a, no_b] = self.operations.map(|operation| operation == 0);
        if self.operations.iter().any(|operation| !(0..3).contains(operation)) {
            return Err(INVALID_VALUE);
        }
        let (a, b, c) = (self.matrix(0)?, self.matrix(1)?, self.matrix(2)?);
        let ordered = |rows: u32, columns: u32, plain: bool| if plain { (rows, columns) } else { (columns, rows) };
        for (matrix, (rows, columns)) in [(a, ordered(m, k, no_a)), (b, ordered(k, n, no_b)), (c, (m, n))] {
            inside(state, matrix, rows, columns, batch)?;
        }
        let (transposed, sizes) = ([!no_a, !no_b], [m, n, k]);
        let work = Work::Gemm { transposed, sizes, alpha: alpha.to_bits(), beta: beta.to_bits(), a, b, c, batch };
        let on = std::ptr::without_provenance_mut(blas.stream.load(Ordering::Relaxed));
        let stream = stream(state, on).map_err(words_of_cublas)?;
        state.check().and_then(|()| state.post(Call::Command { stream, work }, &[])).map_err(words_of_cublas)
    }
}

/// Checks that a matrix lies in one allocation.
fn inside(state: &State, matrix: Matrix, rows: u32, columns: u32, batch: u32) -> Result<()> {
    let (address, len) = matrix.extent(rows, columns, batch).ok_or(INVALID_VALUE)?;
    if len == 0 {
        return Ok(());
    }
    let held = state.addresses().holding(address, len).is_ok();
    if held && matrix.lead >= rows { Ok(()) } else { Err(INVALID_VALUE) }
}

macro_rules! blas_calls {
    ($($name:ident($($arg:ident: $type:ty),*) $body:expr;)*) => { $(
        /// # Safety
        /// As cuBLAS's documentation has it.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments, reason = "cuBLAS's signature")]
        pub unsafe extern "C" fn $name($($arg: $type),*) -> i32 {
            status($body)
        }
    )* };
}

/// A place of a handle that is only kept.
fn keep(handle: Handle, place: fn(&Blas) -> &AtomicI32, value: i32) -> Result<()> {
    blas(handle).map(|blas| place(blas).store(value, Ordering::Relaxed))
}

fn kept(handle: Handle, place: fn(&Blas) -> &AtomicI32, to: *mut i32) -> Result<()> {
    blas(handle).and_then(|blas| put(to, place(blas).load(Ordering::Relaxed)).map_err(|_| INVALID_VALUE))
}

blas_calls! {
    cublasCreate_v2(to: *mut Handle) {
        state().map_err(|_| NOT_INITIALIZED).and_then(|_| {
            put(to, Box::into_raw(Box::<Blas>::default()).cast()).map_err(|_| INVALID_VALUE)
        })
    };
    cublasDestroy_v2(handle: Handle) blas(handle).map(|blas| {
        // SAFETY: made by `cublasCreate`; the program promises not to use it any more.
        drop(unsafe { Box::from_raw(std::ptr::from_ref(blas).cast_mut()) });
    });
    cublasGetVersion_v2(_handle: Handle, to: *mut i32) put(to, 130_000).map_err(|_| INVALID_VALUE);
    cublasSetStream_v2(handle: Handle, stream: Handle) blas(handle).map(|blas| blas.stream.store(stream.addr(), Ordering::Relaxed));
    cublasGetStream_v2(handle: Handle, to: *mut usize) {
        blas(handle).and_then(|blas| put(to, blas.stream.load(Ordering::Relaxed)).map_err(|_| INVALID_VALUE))
    };
    cublasSetWorkspace_v2(handle: Handle, _workspace: Handle, _size: usize) blas(handle).map(drop);
    cublasSetMathMode(handle: Handle, mode: i32) keep(handle, |blas| &blas.math, mode);
    cublasGetMathMode(handle: Handle, to: *mut i32) kept(handle, |blas| &blas.math, to);
    cublasSetPointerMode_v2(handle: Handle, mode: i32) keep(handle, |blas| &blas.pointers, mode);
    cublasGetPointerMode_v2(handle: Handle, to: *mut i32) kept(handle, |blas| &blas.pointers, to);
    cublasSetAtomicsMode(handle: Handle, mode: i32) keep(handle, |blas| &blas.atomics, mode);
    cublasGetAtomicsMode(handle: Handle, to: *mut i32) kept(handle, |blas| &blas.atomics, to);
    cublasSgemm_v2(handle: Handle, on_a: i32, on_b: i32, m: i32, n: i32, k: i32, alpha: *const f32, a: *const c_void, lda: i32,
        b: *const c_void, ldb: i32, beta: *const f32, c: *mut c_void, ldc: i32) {
        let matrices = [(a, lda, 0), (b, ldb, 0), (c.cast_const(), ldc, 0)];
        Product { operations: [on_a, on_b], sizes: [m, n, k], scalars: [alpha, beta], matrices, batch: 1 }.post(handle)
    };
    cublasSgemmStridedBatched(handle: Handle, on_a: i32, on_b: i32, m: i32, n: i32, k: i32, alpha: *const f32, a: *const c_void,
        lda: i32, stride_a: i64, b: *const c_void, ldb: i32, stride_b: i64, beta: *const f32, c: *mut c_void, ldc: i32,
        stride_c: i64, batch: i32) {
        let matrices = [(a, lda, stride_a), (b, ldb, stride_b), (c.cast_const(), ldc, stride_c)];
        Product { operations: [on_a, on_b], sizes: [m, n, k], scalars: [alpha, beta], matrices, batch }.post(handle)
    };
    cublasGemmEx(handle: Handle, on_a: i32, on_b: i32, m: i32, n: i32, k: i32, alpha: *const f32, a: *const c_void, kind_a: i32,
        lda: i32, b: *const c_void, kind_b: i32, ldb: i32, beta: *const f32, c: *mut c_void, kind_c: i32, ldc: i32, _compute: i32,
        _algorithm: i32) {
        if [kind_a, kind_b, kind_c] != [FLOAT; 3] {
            eprintln!("orrery: cublasGemmEx is forwarded for 32-bit floats only; see executor/PROXY.md");
            return NOT_SUPPORTED;
        }
        let matrices = [(a, lda, 0), (b, ldb, 0), (c.cast_const(), ldc, 0)];
        Product { operations: [on_a, on_b], sizes: [m, n, k], scalars: [alpha, beta], matrices, batch: 1 }.post(handle)
    };
}
