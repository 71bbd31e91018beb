//! cuBLAS's copies between the host's memory and the device's: strided ones of the runtime's.

use super::in_words;
use crate::c::{Handle, Result};
use crate::copy::{Rows, Sizes, Wait, copy};
use crate::state::{State, state};
use crate::stream::stream;
use wire::cuda;
use wire::libraries::Library;

const HOST_TO_DEVICE: i32 = 1;
const DEVICE_TO_HOST: i32 = 2;

/// A copy of `count` pieces of `bytes` bytes; from one to the next are so many bytes there and here.
struct Strided {
    count: i64,
    bytes: i64,
    from: (Handle, i64),
    to: (Handle, i64),
    kind: i32,
}

impl Strided {
    fn carry_out(&self, state: &State, on: Handle, wait: Wait) -> Result<()> {
        let size = |value: i64| usize::try_from(value).map_err(|_| cuda::INVALID_VALUE);
        let rows = |(start, pitch): (Handle, i64)| Ok::<_, i32>(Rows { start, pitch: size(pitch)? });
        let sizes = Sizes { width: size(self.bytes)?, height: size(self.count)? };
        copy(state, rows(self.to)?, rows(self.from)?, sizes, self.kind, stream(state, on)?, wait)
    }

    fn status(&self, on: Handle, wait: Wait) -> i32 {
        let done = state().and_then(|state| {
            state.check()?;
            crate::driver::have_context();
            self.carry_out(state, on, wait)
        });
        done.map_or_else(|code| in_words(Library::Cublas, code), |()| 0)
    }
}

macro_rules! vectors {
    ($($name:ident $late:ident $number:ty, $kind:ident;)*) => { $(
        /// # Safety
        /// As cuBLAS's documentation has it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(n: $number, size: $number, x: Handle, x_step: $number, y: Handle, y_step: $number) -> i32 {
            let [n, size, x_step, y_step] = [n, size, x_step, y_step].map(i64::from);
            let (from, to) = ((x, x_step * size), (y, y_step * size));
            Strided { count: n, bytes: size, from, to, kind: $kind }.status(std::ptr::null_mut(), Wait::Yes)
        }

        /// # Safety
        /// As cuBLAS's documentation has it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $late(
            n: $number, size: $number, x: Handle, x_step: $number, y: Handle, y_step: $number, stream: Handle,
        ) -> i32 {
            let [n, size, x_step, y_step] = [n, size, x_step, y_step].map(i64::from);
            let (from, to) = ((x, x_step * size), (y, y_step * size));
            Strided { count: n, bytes: size, from, to, kind: $kind }.status(stream, Wait::No)
        }
    )* };
}

macro_rules! matrices {
    ($($name:ident $late:ident $number:ty, $kind:ident;)*) => { $(
        /// # Safety
        /// As cuBLAS's documentation has it.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn $name(
            rows: $number, columns: $number, size: $number, a: Handle, lda: $number, b: Handle, ldb: $number,
        ) -> i32 {
            let [rows, columns, size, lda, ldb] = [rows, columns, size, lda, ldb].map(i64::from);
            let (from, to) = ((a, lda * size), (b, ldb * size));
            Strided { count: columns, bytes: rows * size, from, to, kind: $kind }.status(std::ptr::null_mut(), Wait::Yes)
        }

        /// # Safety
        /// As cuBLAS's documentation has it.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments, reason = "cuBLAS's signature")]
        pub unsafe extern "C" fn $late(
            rows: $number, columns: $number, size: $number, a: Handle, lda: $number, b: Handle, ldb: $number, stream: Handle,
        ) -> i32 {
            let [rows, columns, size, lda, ldb] = [rows, columns, size, lda, ldb].map(i64::from);
            let (from, to) = ((a, lda * size), (b, ldb * size));
            Strided { count: columns, bytes: rows * size, from, to, kind: $kind }.status(stream, Wait::No)
        }
    )* };
}

vectors! {
    cublasSetVector cublasSetVectorAsync i32, HOST_TO_DEVICE;
    cublasSetVector_64 cublasSetVectorAsync_64 i64, HOST_TO_DEVICE;
    cublasGetVector cublasGetVectorAsync i32, DEVICE_TO_HOST;
    cublasGetVector_64 cublasGetVectorAsync_64 i64, DEVICE_TO_HOST;
}

matrices! {
    cublasSetMatrix cublasSetMatrixAsync i32, HOST_TO_DEVICE;
    cublasSetMatrix_64 cublasSetMatrixAsync_64 i64, HOST_TO_DEVICE;
    cublasGetMatrix cublasGetMatrixAsync i32, DEVICE_TO_HOST;
    cublasGetMatrix_64 cublasGetMatrixAsync_64 i64, DEVICE_TO_HOST;
}
