//! Kernels of the simulated CUDA device: Rust functions under the names of the kernels that they stand for.
//!
//! They do what the kernels of the same names in `executor/tests/cuda/*.cu` do, in an order that does not change from run to
//! run, and contract `a * b + c` into one rounding as nvcc does. An access outside of an allocation is an illegal address.

use super::memory::Memory;
use wire::cuda;

type Result<T> = std::result::Result<T, i32>;

/// One launch.
pub struct Launch<'a> {
    /// Threads in all.
    pub threads: u64,
    /// Blocks.
    pub blocks: u64,
    /// Bytes of dynamic shared memory.
    pub shared: u32,
    /// Parameters, laid out as C does.
    pub params: Params<'a>,
    /// The device's memory.
    pub memory: &'a mut Memory,
    /// Addresses of the module's variables.
    pub globals: &'a dyn Fn(&str) -> Option<u64>,
}

/// Takes parameters off one after the other.
pub struct Params<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Params<'a> {
    /// Of a launch.
    pub fn new(bytes: &'a [u8]) -> Params<'a> {
        Params { bytes, at: 0 }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N]> {
        let start = self.at.next_multiple_of(N);
        let bytes = self.bytes.get(start..).and_then(|rest| rest.first_chunk::<N>()).ok_or(cuda::INVALID_VALUE)?;
        self.at = start + N;
        Ok(*bytes)
    }

    fn pointer(&mut self) -> Result<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn float(&mut self) -> Result<f32> {
        self.take().map(f32::from_le_bytes)
    }

    fn count(&mut self) -> Result<u64> {
        self.take().map(|bytes| i32::from_le_bytes(bytes).max(0) as u64)
    }
}

/// A kernel.
pub type Kernel = fn(&mut Launch<'_>) -> Result<()>;

/// All of them: the name in the source, bytes of parameters, and what it does.
pub const KERNELS: [(&str, usize, Kernel); 13] = [
    ("fill", 16, fill),
    ("vector_add", 28, vector_add),
    ("saxpy", 28, saxpy),
    ("scale", 16, scale),
    ("scale_by_factor", 12, scale_by_factor),
    ("reduce_sum", 20, reduce_sum),
    ("matmul", 36, matmul),
    ("matmul_nt", 36, matmul_nt),
    ("matmul_tn", 36, matmul_tn),
    ("subtract", 28, subtract),
    ("relu", 20, relu),
    ("relu_gradient", 28, relu_gradient),
    ("sgd_step", 24, sgd_step),
];

/// The kernel for a name as it is in a binary, mangled or not, and bytes of its parameters.
pub fn find(name: &str) -> Option<(usize, Kernel)> {
    let plain = source_name(name);
    KERNELS.iter().find(|(known, ..)| *known == plain).map(|(_, size, kernel)| (*size, *kernel))
}

/// The name in the source: of `_Z` names that of a function outside of namespaces, whatever its parameters.
pub fn source_name(name: &str) -> &str {
    let plain = || {
        let rest = name.strip_prefix("_Z")?;
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        rest.get(digits..digits + rest[..digits].parse::<usize>().ok()?)
    };
    plain().unwrap_or(name)
}

impl Launch<'_> {
    fn floats(&self, address: u64, count: u64) -> Result<Vec<f32>> {
        let bytes = self.memory.bytes(address, bytes_of(count)?)?;
        Ok(bytes.chunks_exact(4).map(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]])).collect())
    }

    fn put(&mut self, address: u64, values: &[f32]) -> Result<()> {
        let bytes = self.memory.bytes_mut(address, bytes_of(values.len() as u64)?)?;
        bytes.chunks_exact_mut(4).zip(values).for_each(|(place, value)| place.copy_from_slice(&value.to_le_bytes()));
        Ok(())
    }

    /// How many elements a kernel with one thread an element works on.
    fn elements(&mut self) -> Result<u64> {
        Ok(self.params.count()?.min(self.threads))
    }
}

fn bytes_of(count: u64) -> Result<u64> {
    count.checked_mul(4).ok_or(cuda::ILLEGAL_ADDRESS)
}

/// `fill(float *x, float value, int n)`: `x[i] = value`.
fn fill(launch: &mut Launch<'_>) -> Result<()> {
    let (x, value, n) = (launch.params.pointer()?, launch.params.float()?, launch.elements()?);
    launch.memory.bytes(x, bytes_of(n)?)?;
    launch.put(x, &vec![value; n as usize])
}

/// `vector_add(const float *a, const float *b, float *out, int n)`: `out[i] = a[i] + b[i]`.
fn vector_add(launch: &mut Launch<'_>) -> Result<()> {
    binary(launch, |a, b| a + b)
}

/// `subtract(const float *a, const float *b, float *out, int n)`: `out[i] = a[i] - b[i]`.
fn subtract(launch: &mut Launch<'_>) -> Result<()> {
    binary(launch, |a, b| a - b)
}

/// `relu_gradient(const float *y, const float *upstream, float *out, int n)`: `out[i] = y[i] > 0 ? upstream[i] : 0`.
fn relu_gradient(launch: &mut Launch<'_>) -> Result<()> {
    binary(launch, |y, upstream| if y > 0.0 { upstream } else { 0.0 })
}

/// `relu(const float *x, float *y, int n)`: `y[i] = x[i] > 0 ? x[i] : 0`.
fn relu(launch: &mut Launch<'_>) -> Result<()> {
    let (x, y, n) = (launch.params.pointer()?, launch.params.pointer()?, launch.elements()?);
    let values: Vec<f32> = launch.floats(x, n)?.into_iter().map(|x| if x > 0.0 { x } else { 0.0 }).collect();
    launch.put(y, &values)
}

fn binary(launch: &mut Launch<'_>, f: impl Fn(f32, f32) -> f32) -> Result<()> {
    let (a, b, out) = (launch.params.pointer()?, launch.params.pointer()?, launch.params.pointer()?);
    let n = launch.elements()?;
    let values: Vec<f32> = launch.floats(a, n)?.into_iter().zip(launch.floats(b, n)?).map(|(a, b)| f(a, b)).collect();
    launch.put(out, &values)
}

/// `saxpy(float a, const float *x, float *y, int n)`: `y[i] = a * x[i] + y[i]`.
fn saxpy(launch: &mut Launch<'_>) -> Result<()> {
    let (a, x, y) = (launch.params.float()?, launch.params.pointer()?, launch.params.pointer()?);
    let n = launch.elements()?;
    let values: Vec<f32> = launch.floats(x, n)?.into_iter().zip(launch.floats(y, n)?).map(|(x, y)| a.mul_add(x, y)).collect();
    launch.put(y, &values)
}

/// `sgd_step(float *weights, const float *gradient, float rate, int n)`: `weights[i] -= rate * gradient[i]`.
fn sgd_step(launch: &mut Launch<'_>) -> Result<()> {
    let (weights, gradient, rate) = (launch.params.pointer()?, launch.params.pointer()?, launch.params.float()?);
    let n = launch.elements()?;
    let pairs = launch.floats(weights, n)?.into_iter().zip(launch.floats(gradient, n)?);
    let values: Vec<f32> = pairs.map(|(weight, gradient)| (-rate).mul_add(gradient, weight)).collect();
    launch.put(weights, &values)
}

/// `scale(float *x, float factor, int n)`: `x[i] *= factor`.
fn scale(launch: &mut Launch<'_>) -> Result<()> {
    let (x, factor, n) = (launch.params.pointer()?, launch.params.float()?, launch.elements()?);
    let values: Vec<f32> = launch.floats(x, n)?.into_iter().map(|x| x * factor).collect();
    launch.put(x, &values)
}

/// `scale_by_factor(float *x, int n)`: the same with the module's variable `factor`.
fn scale_by_factor(launch: &mut Launch<'_>) -> Result<()> {
    let (x, n) = (launch.params.pointer()?, launch.elements()?);
    let address = (launch.globals)("factor").ok_or(cuda::ILLEGAL_ADDRESS)?;
    let factor = launch.floats(address, 1)?[0];
    let values: Vec<f32> = launch.floats(x, n)?.into_iter().map(|x| x * factor).collect();
    launch.put(x, &values)
}

/// `reduce_sum(const float *x, float *out, int n)`: `out[0]` = the sum, added up in the order of the elements.
fn reduce_sum(launch: &mut Launch<'_>) -> Result<()> {
    let (x, out, n) = (launch.params.pointer()?, launch.params.pointer()?, launch.params.count()?);
    let sum = launch.floats(x, n)?.into_iter().fold(0.0, |sum: f32, x| sum + x);
    launch.put(out, &[sum])
}

/// `matmul(const float *a, const float *b, float *c, int m, int n, int k)`: row-major `c` (m, n) = `a` (m, k) `b` (k, n).
fn matmul(launch: &mut Launch<'_>) -> Result<()> {
    product(launch, |_, n, k| ([k, 1], [n, 1]))
}

/// The same with `b` (n, k).
fn matmul_nt(launch: &mut Launch<'_>) -> Result<()> {
    product(launch, |_, _, k| ([k, 1], [1, k]))
}

/// The same with `a` (k, m).
fn matmul_tn(launch: &mut Launch<'_>) -> Result<()> {
    product(launch, |m, n, _| ([1, m], [n, 1]))
}

/// Strides of `a` (row, inner) and `b` (inner, column) come from the sizes. One thread an element, terms in order.
fn product(launch: &mut Launch<'_>, strides: fn(usize, usize, usize) -> ([usize; 2], [usize; 2])) -> Result<()> {
    let (a, b, c) = (launch.params.pointer()?, launch.params.pointer()?, launch.params.pointer()?);
    let (m, n, k) = (launch.params.count()?, launch.params.count()?, launch.params.count()?);
    // Counts are 31 bits each, so products of two do not overflow.
    let (a, b) = (launch.floats(a, m * k)?, launch.floats(b, k * n)?);
    launch.memory.bytes(c, bytes_of(m * n)?)?;
    let (m, n, k) = (m as usize, n as usize, k as usize);
    let (of_a, of_b) = strides(m, n, k);
    let element = |at: usize| {
        let (row, column) = (at / n, at % n);
        let term = |i: usize| (a[row * of_a[0] + i * of_a[1]], b[i * of_b[0] + column * of_b[1]]);
        (0..k).map(term).fold(0.0, |sum: f32, (a, b)| a.mul_add(b, sum))
    };
    let values: Vec<f32> = (0..m * n).map(element).collect();
    launch.put(c, &values)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(name: &str, memory: &mut Memory, params: &[u8]) -> Result<()> {
        let (_, kernel) = find(name).unwrap();
        kernel(&mut Launch { threads: 1024, blocks: 1, shared: 0, params: Params::new(params), memory, globals: &|_| None })
    }

    #[test]
    fn names_are_found_mangled_or_not() {
        assert!(find("saxpy").is_some() && find("_Z5saxpyfPKfPfi").is_some());
        assert_eq!(source_name("_Z10vector_addPKfS0_Pfi"), "vector_add");
        for odd in ["_Z", "_Z99x", "_Z99999999999999999999x", "_ZN1a4fillEv", "other", "_Z4\u{e9}\u{e9}\u{e9}"] {
            assert!(find(odd).is_none(), "{odd}");
        }
    }

    #[test]
    fn parameters_lie_where_c_puts_them_and_what_is_not_there_is_an_error() {
        let mut memory = Memory::default();
        memory.allocate(16, 4096, 16, 64).unwrap();
        let mut params = 2.5f32.to_le_bytes().to_vec();
        params.extend([0; 4]);
        params.extend(4096u64.to_le_bytes());
        params.extend(4096u64.to_le_bytes());
        params.extend(4i32.to_le_bytes());
        let mut ones = vec![];
        (0..4).for_each(|_| ones.extend(1f32.to_le_bytes()));
        memory.bytes_mut(4096, 16).unwrap().copy_from_slice(&ones);
        run("saxpy", &mut memory, &params).unwrap();
        assert_eq!(memory.bytes(4096, 4).unwrap(), 3.5f32.to_le_bytes());
        assert_eq!(run("saxpy", &mut memory, &params[..27]), Err(cuda::INVALID_VALUE));
        params[24..28].copy_from_slice(&5i32.to_le_bytes());
        assert_eq!(run("saxpy", &mut memory, &params), Err(cuda::ILLEGAL_ADDRESS));
        params[24..28].copy_from_slice(&i32::MAX.to_le_bytes());
        let mut fill = 4096u64.to_le_bytes().to_vec();
        fill.extend([0, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x7F]);
        assert_eq!(run("fill", &mut memory, &fill), Err(cuda::ILLEGAL_ADDRESS));
    }

    #[test]
    fn products_agree_however_their_operands_lie() {
        let mut memory = Memory::default();
        memory.allocate(16, 4096, 4096, 1 << 20).unwrap();
        let put = |memory: &mut Memory, at: u64, values: &[f32]| {
            let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
            memory.bytes_mut(at, bytes.len() as u64).unwrap().copy_from_slice(&bytes);
        };
        put(&mut memory, 4096, &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0]); // (2, 3)
        put(&mut memory, 4160, &[1.0, 4.0, 2.0, 5.0, 3.0, 6.0]); // its transpose
        put(&mut memory, 4224, &[7.0, 8.0, 9.0, 10.0, 11.0, 12.0]); // (3, 2)
        put(&mut memory, 4288, &[7.0, 9.0, 11.0, 8.0, 10.0, 12.0]);
        for (name, a, b) in [("matmul", 4096u64, 4224u64), ("matmul_nt", 4096, 4288), ("matmul_tn", 4160, 4224)] {
            let mut params: Vec<u8> = [a, b, 4352].iter().flat_map(|p| p.to_le_bytes()).collect();
            params.extend([2i32, 2, 3].iter().flat_map(|n| n.to_le_bytes()));
            run(name, &mut memory, &params).unwrap();
            let expected: Vec<u8> = [58f32, 64.0, 139.0, 154.0].iter().flat_map(|value| value.to_le_bytes()).collect();
            assert_eq!(memory.bytes(4352, 16).unwrap(), expected, "{name}");
        }
    }
}
