//! cuBLAS's products on a real device. Compiled, and not run on a GPU.
#![allow(unsafe_code, reason = "calls into cuBLAS")]

use super::real::Real;
use super::{Failure, Result};
use cudarc::cublas::sys;
use std::ptr::null_mut;
use wire::cuda::{self, Matrix, Span, Work};

/// cuBLAS's state for one context.
pub(crate) struct Blas(sys::cublasHandle_t);

fn ok(status: sys::cublasStatus_t) -> std::result::Result<(), i32> {
    // Its codes are its own; the worker has checked what it can, so what is left is a failure to carry out.
    if status as i32 == 0 { Ok(()) } else { Err(cuda::LAUNCH_OUT_OF_RESOURCES) }
}

impl Blas {
    fn new() -> Result<Blas> {
        // SAFETY: looks whether the library can be loaded; without this, its first use would be a panic.
        if !unsafe { sys::is_culib_present() } {
            let said =
                "cuBLAS not found by the proxy (pip install nvidia-cublas, and name its folder in LD_LIBRARY_PATH)".into();
            return Err(Failure { code: cuda::NOT_SUPPORTED, said });
        }
        let mut handle = null_mut();
        // SAFETY: the pointer is to a value of this function.
        ok(unsafe { sys::cublasCreate_v2(&mut handle) })?;
        Ok(Blas(handle))
    }
}

impl Drop for Blas {
    fn drop(&mut self) {
        // SAFETY: made by `new`, and nobody else's.
        unsafe { sys::cublasDestroy_v2(self.0) };
    }
}

impl Real {
    /// Carries a [`Work::Gemm`] out.
    pub(crate) fn gemm(&mut self, stream: cudarc::driver::sys::CUstream, work: &Work) -> Result<()> {
        let Work::Gemm { transposed, sizes: [m, n, k], alpha, beta, a, b, c, batch } = work else {
            return Err(cuda::INVALID_VALUE.into());
        };
        let ordered = |rows: u32, columns: u32, turned: bool| if turned { (columns, rows) } else { (rows, columns) };
        let (of_a, of_b) = (ordered(*m, *k, transposed[0]), ordered(*k, *n, transposed[1]));
        let place = |matrix: &Matrix, (rows, columns): (u32, u32)| {
            let (address, len) = matrix.extent(rows, columns, *batch).ok_or(cuda::INVALID_VALUE)?;
            if len == 0 { Ok(address) } else { self.place(Span::flat(address, len)).map(|(span, _)| span.address) }
        };
        let (at_a, at_b, at_c) = (place(a, of_a)?, place(b, of_b)?, place(c, (*m, *n))?);
        let operation =
            |turned: bool| if turned { sys::cublasOperation_t::CUBLAS_OP_T } else { sys::cublasOperation_t::CUBLAS_OP_N };
        let size = |value: u32| i32::try_from(value).map_err(|_| cuda::INVALID_VALUE);
        let (m, n, k, batch) = (size(*m)?, size(*n)?, size(*k)?, size(*batch)?);
        let leads = (size(a.lead)?, size(b.lead)?, size(c.lead)?);
        let [of_a, of_b] = transposed.map(operation);
        let (alpha, beta) = (f32::from_bits(*alpha), f32::from_bits(*beta));
        if self.blas.is_none() {
            self.blas = Some(Blas::new()?);
        }
        let Some(Blas(handle)) = self.blas.as_ref() else { return Err(cuda::NOT_SUPPORTED.into()) };
        let strides = [a, b, c].map(|matrix| matrix.stride.cast_signed());
        // SAFETY: the matrices were just checked to lie in this worker's memory, scalars are values of this function, and
        // streams of the driver's and the runtime's are the same.
        unsafe {
            ok(sys::cublasSetStream_v2(*handle, stream.cast()))?;
            ok(sys::cublasSgemmStridedBatched(
                *handle,
                of_a,
                of_b,
                m,
                n,
                k,
                &alpha,
                at_a as *const f32,
                leads.0,
                strides[0],
                at_b as *const f32,
                leads.1,
                strides[1],
                &beta,
                at_c as *mut f32,
                leads.2,
                strides[2],
                batch,
            ))?;
        }
        Ok(())
    }
}
