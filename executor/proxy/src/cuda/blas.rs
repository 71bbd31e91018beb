//! Products of matrices on the simulated device: cuBLAS's and cuBLASLt's.

use super::memory::Memory;
use wire::cuda;

/// Most multiplications of one call: a limit against a worker that would keep its session busy for hours.
const WORK_MAX: u64 = 1 << 38;

/// A matrix of 32-bit floats, or a batch of them, column-major.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Matrix {
    /// Where it begins.
    pub(crate) address: u64,
    /// Elements from column to column.
    pub(crate) lead: u32,
    /// Elements from one to the next.
    pub(crate) stride: u64,
}

impl Matrix {
    /// The bytes that matrices of `rows` and `columns` lie in: address and length. None where they leave the address space.
    fn extent(&self, rows: u32, columns: u32, batch: u32) -> Option<(u64, u64)> {
        if rows == 0 || columns == 0 || batch == 0 {
            return Some((self.address, 0));
        }
        let one = u64::from(self.lead).checked_mul(u64::from(columns - 1))?.checked_add(u64::from(rows))?;
        let elements = self.stride.checked_mul(u64::from(batch - 1))?.checked_add(one)?;
        let bytes = elements.checked_mul(4)?;
        self.address.checked_add(bytes).map(|_| (self.address, bytes))
    }
}

/// What is done to each element of a product in the end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Activation {
    #[default]
    None,
    Relu,
    Gelu,
}

/// `d` = activation(`alpha` op(`a`) op(`b`) + `beta` `c` + bias), `batch` of them.
#[derive(Clone, Debug, Default)]
pub(crate) struct Product {
    pub(crate) transposed: [bool; 2],
    /// m, n, k
    pub(crate) sizes: [u32; 3],
    pub(crate) alpha: f32,
    pub(crate) beta: f32,
    pub(crate) a: Matrix,
    pub(crate) b: Matrix,
    pub(crate) c: Matrix,
    pub(crate) d: Matrix,
    pub(crate) batch: u32,
    /// Where a number for each row is.
    pub(crate) bias: Option<u64>,
    pub(crate) activation: Activation,
}

/// Carries a product out. Terms are added in the order of the inner index, each multiplied and added in one rounding.
///
/// # Errors
/// A matrix is not in one allocation, or the work is too much.
pub(crate) fn multiply(memory: &mut Memory, product: &Product) -> Result<(), i32> {
    let Product { transposed, sizes: [m, n, k], alpha, beta, a, b, c, d, batch, bias, activation } = product;
    let sized = |rows: u32, columns: u32, transposed: bool| if transposed { (columns, rows) } else { (rows, columns) };
    let (of_a, of_b) = (sized(*m, *k, transposed[0]), sized(*k, *n, transposed[1]));
    let total = [*m, *n, *k, *batch].iter().try_fold(1u64, |product, size| product.checked_mul(u64::from(*size)));
    total.filter(|total| *total <= WORK_MAX).ok_or(cuda::INVALID_VALUE)?;
    if [*m, *n, *batch].contains(&0) {
        return Ok(());
    }
    let (a_values, b_values) = (floats(memory, a, of_a, *batch)?, floats(memory, b, of_b, *batch)?);
    let c_values = if *beta == 0.0 { Vec::new() } else { floats(memory, c, (*m, *n), *batch)? };
    let mut d_values = floats(memory, d, (*m, *n), *batch)?;
    let column = |address| Matrix { address, lead: *m, stride: 0 };
    let biases = bias.map(|address| floats(memory, &column(address), (*m, 1), 1)).transpose()?;
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
            let place = |matrix: &Matrix| start(matrix) + column * matrix.lead as usize + row;
            let term = |i: usize| (a_values[row * a_row + i * a_inner], b_values[i * b_inner + column * b_column]);
            let sum = (0..k).map(term).fold(0.0, |sum: f32, (a, b)| a.mul_add(b, sum));
            // What is there is not read when it counts for nothing: it may be no number.
            let sum = if *beta == 0.0 { alpha * sum } else { beta.mul_add(c_values[place(c)], alpha * sum) };
            let sum = sum + biases.as_ref().map_or(0.0, |biases| biases[row]);
            d_values[place(d)] = match activation {
                Activation::None => sum,
                Activation::Relu => sum.max(0.0),
                Activation::Gelu => gelu(sum),
            };
        }
    }
    let bytes = memory.bytes_mut(d.address, 4 * d_values.len() as u64)?;
    bytes.chunks_exact_mut(4).zip(&d_values).for_each(|(place, value)| place.copy_from_slice(&value.to_le_bytes()));
    Ok(())
}

/// By the hyperbolic tangent, as cuBLASLt's (Hendrycks and Gimpel, arXiv:1606.08415, section 2).
fn gelu(x: f32) -> f32 {
    let inner = (2.0 / std::f32::consts::PI).sqrt() * (0.044_715 * x * x).mul_add(x, x);
    0.5 * x * (1.0 + inner.tanh())
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
            let c = matrix(4352, 3, 5);
            let sums =
                Product { transposed, sizes: [2, 2, 3], alpha: 2.0, beta: 1.0, a, b, c, d: c, batch: 2, ..Product::default() };
            multiply(&mut memory, &sums).unwrap();
            let values = floats(&memory, &matrix(4352, 10, 0), (10, 1), 1).unwrap();
            assert_eq!(values, [117.0, 279.0, 1.0, 129.0, 309.0, 1.0, 1.0, 1.0, 1.0, 1.0], "{transposed:?}");
        }
    }

    #[test]
    fn a_bias_is_added_to_each_row_before_the_activation() {
        let mut memory = Memory::default();
        memory.allocate(16, 4096, 1024, 1 << 20).unwrap();
        put(&mut memory, 4096, &[1.0, -2.0]);
        put(&mut memory, 4160, &[3.0, 4.0]);
        put(&mut memory, 4224, &[0.5, 7.0]);
        let plain = Product { sizes: [2, 2, 1], alpha: 1.0, a: matrix(4096, 2, 0), batch: 1, ..Product::default() };
        let plain = Product { b: matrix(4160, 1, 0), d: matrix(4352, 2, 0), bias: Some(4224), ..plain };
        let mut result = |activation| {
            multiply(&mut memory, &Product { activation, ..plain.clone() }).unwrap();
            floats(&memory, &matrix(4352, 4, 0), (4, 1), 1).unwrap()
        };
        assert_eq!(result(Activation::None), [3.5, 1.0, 4.5, -1.0]);
        assert_eq!(result(Activation::Relu), [3.5, 1.0, 4.5, 0.0]);
        let smooth = result(Activation::Gelu);
        assert!((smooth[1] - 0.841_192).abs() < 1e-5 && (smooth[3] + 0.158_808).abs() < 1e-5, "{smooth:?}");
    }

    #[test]
    fn matrices_must_lie_in_memory() {
        let mut memory = Memory::default();
        memory.allocate(16, 4096, 64, 1 << 20).unwrap();
        let good = matrix(4096, 2, 0);
        let work = |a, sizes, batch| Product { sizes, a, b: good, c: good, d: good, batch, ..Product::default() };
        assert_eq!(multiply(&mut memory, &work(good, [2, 2, 2], 1)), Ok(()));
        for wrong in [matrix(4096, 1, 0), matrix(4156, 2, 0), matrix(u64::MAX, 2, 0), matrix(4096, u32::MAX, 0)] {
            assert!(multiply(&mut memory, &work(wrong, [2, 2, 2], 1)).is_err(), "{wrong:?}");
        }
        assert!(multiply(&mut memory, &work(matrix(4096, 2, u64::MAX), [2, 2, 2], 2)).is_err());
        assert!(multiply(&mut memory, &work(good, [u32::MAX; 3], u32::MAX)).is_err());
        for nothing in [good, matrix(0, 1, 0)] {
            assert_eq!(multiply(&mut memory, &work(nothing, [0, 2, 2], 3)), Ok(()));
        }
    }
}
