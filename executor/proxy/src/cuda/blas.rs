//! cuBLAS's products on the simulated device.

use super::memory::Memory;
use wire::cuda::{self, Matrix, Work};

/// Most multiplications of one call: a limit against a worker that would keep its session busy for hours.
const WORK_MAX: u64 = 1 << 38;

/// Carries a [`Work::Gemm`] out. Terms are added in the order of the inner index, each multiplied and added in one rounding.
///
/// # Errors
/// A matrix is not in one allocation, or the work is too much.
pub(crate) fn gemm(memory: &mut Memory, work: &Work) -> Result<(), i32> {
    let Work::Gemm { transposed, sizes: [m, n, k], alpha, beta, a, b, c, batch } = work else {
        return Err(cuda::INVALID_VALUE);
    };
    let (alpha, beta) = (f32::from_bits(*alpha), f32::from_bits(*beta));
    let sized = |rows: u32, columns: u32, transposed: bool| if transposed { (columns, rows) } else { (rows, columns) };
    let (of_a, of_b) = (sized(*m, *k, transposed[0]), sized(*k, *n, transposed[1]));
    let total = [*m, *n, *k, *batch].iter().try_fold(1u64, |product, size| product.checked_mul(u64::from(*size)));
    total.filter(|total| *total <= WORK_MAX).ok_or(cuda::INVALID_VALUE)?;
    let (a_values, b_values) = (floats(memory, a, of_a, *batch)?, floats(memory, b, of_b, *batch)?);
    let mut c_values = floats(memory, c, (*m, *n), *batch)?;
    let steps = |matrix: &Matrix, transposed: bool| {
        let lead = matrix.lead as usize;
        if transposed { (lead, 1) } else { (1, lead) }
    };
    let ((a_row, a_inner), (b_inner, b_column)) = (steps(a, transposed[0]), steps(b, transposed[1]));
    let (m, n, k) = (*m as usize, *n as usize, *k as usize);
    for which in 0..*batch as usize {
        let start = |matrix: &Matrix| which * matrix.stride as usize;
        let (a_values, b_values) = (&a_values[start(a).min(a_values.len())..], &b_values[start(b).min(b_values.len())..]);
        for at in 0..m * n {
            let (row, column) = (at % m, at / m);
            let term = |i: usize| (a_values[row * a_row + i * a_inner], b_values[i * b_inner + column * b_column]);
            let sum = (0..k).map(term).fold(0.0, |sum: f32, (a, b)| a.mul_add(b, sum));
            let place = &mut c_values[start(c) + column * c.lead as usize + row];
            // What is there is not read when it counts for nothing: it may be no number.
            *place = if beta == 0.0 { alpha * sum } else { beta.mul_add(*place, alpha * sum) };
        }
    }
    let bytes = memory.bytes_mut(c.address, 4 * c_values.len() as u64)?;
    bytes.chunks_exact_mut(4).zip(&c_values).for_each(|(place, value)| place.copy_from_slice(&value.to_le_bytes()));
    Ok(())
}

/// All that a batch of matrices lies in.
fn floats(memory: &Memory, matrix: &Matrix, (rows, columns): (u32, u32), batch: u32) -> Result<Vec<f32>, i32> {
    let (address, len) = matrix.extent(rows, columns, batch).ok_or(cuda::INVALID_VALUE)?;
    if len == 0 {
        return Ok(Vec::new());
    }
    if matrix.lead < rows {
        return Err(cuda::INVALID_VALUE);
    }
    let bytes = memory.bytes(address, len).map_err(|_| cuda::INVALID_VALUE)?;
    Ok(bytes.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(memory: &mut Memory, address: u64, values: &[f32]) {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        memory.bytes_mut(address, bytes.len() as u64).unwrap().copy_from_slice(&bytes);
    }

    fn matrix(address: u64, lead: u32, stride: u64) -> Matrix {
        Matrix { address, lead, stride }
    }

    /// Column-major (2, 3) by (3, 2): all four ways to give the operands, in a batch of two of which one is of zeros.
    #[test]
    fn products_agree_however_their_operands_lie() {
        let mut memory = Memory::default();
        memory.allocate(16, 4096, 1024, 1 << 20).unwrap();
        put(&mut memory, 4096, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]);
        put(&mut memory, 4160, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        put(&mut memory, 4224, &[7.0, 9.0, 11.0, 8.0, 10.0, 12.0]);
        put(&mut memory, 4288, &[7.0, 8.0, 9.0, 10.0, 11.0, 12.0]);
        for transposed in [[false, false], [true, false], [false, true], [true, true]] {
            put(&mut memory, 4352, &[1.0; 10]);
            let a = if transposed[0] { matrix(4160, 3, 100) } else { matrix(4096, 2, 100) };
            let b = if transposed[1] { matrix(4288, 2, 100) } else { matrix(4224, 3, 100) };
            let (alpha, beta) = (2f32.to_bits(), 1f32.to_bits());
            let work = Work::Gemm { transposed, sizes: [2, 2, 3], alpha, beta, a, b, c: matrix(4352, 3, 5), batch: 2 };
            gemm(&mut memory, &work).unwrap();
            let values = floats(&memory, &matrix(4352, 10, 0), (10, 1), 1).unwrap();
            assert_eq!(values, [117.0, 279.0, 1.0, 129.0, 309.0, 1.0, 1.0, 1.0, 1.0, 1.0], "{transposed:?}");
        }
    }

    #[test]
    fn matrices_must_lie_in_memory() {
        let mut memory = Memory::default();
        memory.allocate(16, 4096, 64, 1 << 20).unwrap();
        let good = matrix(4096, 2, 0);
        let work =
            |a, sizes, batch| Work::Gemm { transposed: [false; 2], sizes, alpha: 0, beta: 0, a, b: good, c: good, batch };
        assert_eq!(gemm(&mut memory, &work(good, [2, 2, 2], 1)), Ok(()));
        for wrong in [matrix(4096, 1, 0), matrix(4156, 2, 0), matrix(u64::MAX, 2, 0), matrix(4096, u32::MAX, 0)] {
            assert!(gemm(&mut memory, &work(wrong, [2, 2, 2], 1)).is_err(), "{wrong:?}");
        }
        assert!(gemm(&mut memory, &work(matrix(4096, 2, u64::MAX), [2, 2, 2], 2)).is_err());
        assert!(gemm(&mut memory, &work(good, [u32::MAX; 3], u32::MAX)).is_err());
        assert_eq!(gemm(&mut memory, &work(good, [0, 2, 2], 3)), Ok(()));
    }
}
