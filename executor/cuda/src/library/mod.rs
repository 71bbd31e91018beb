//! cuBLAS, cuBLASLt and cuDNN: every function of their tables packs its arguments and sends them.
//!
//! A handle is the object's name. The descriptors that programs may have in memory of their own are pointers to their names. A call
//! with results waits for them. One without is answered the first time that it is made with these numbers, so that what is wrong or
//! not supported is said by the call itself, as natively; later ones are sent and forgotten, and should one fail, the next call that
//! waits for the device says so.

mod host;
mod pack;

use crate::c::Handle;
use crate::state::{State, lock, state};
use pack::Packed;
use rustc_hash::{FxHashMap, FxHashSet};
use std::ffi::CString;
use std::sync::Mutex;
use wire::cuda::{self, Call};
use wire::libraries::{self, Function, Kind, Library, Return, Type};
use wire::{Id, Request};

/// Calls that were answered without an error: more are forgotten all at once.
const KNOWN_MAX: usize = 1 << 16;

/// Calls that succeeded once, by what is plain in them.
static KNOWN: Mutex<Option<FxHashSet<u64>>> = Mutex::new(None);

/// What a call came to.
struct Outcome {
    status: i32,
    /// What the function returns, where that is a number or a string.
    data: Vec<u8>,
}

/// An error of the connection or the device, in a library's words.
fn in_words(library: Library, code: i32) -> i32 {
    let [wrong, failed, unsupported] = library.words();
    match code {
        cuda::INVALID_VALUE | cuda::INVALID_HANDLE => wrong,
        cuda::NOT_SUPPORTED => unsupported,
        _ => failed,
    }
}

/// What every function of a table does. Its status.
fn forward(number: u16, words: &[u64]) -> i32 {
    let Some((library, function)) = libraries::function(number) else { return cuda::NOT_SUPPORTED };
    let not_initialized = if library == Library::Cudnn { 1001 } else { 1 };
    match (function.params.first(), words.first()) {
        (Some(Kind::Handle(Type::Blas) | Kind::Changed(Type::Blas) | Kind::Destroyed(Type::Blas)), Some(0)) => {
            return not_initialized;
        }
        (Some(Kind::Created(Type::Blas | Type::Lt | Type::Dnn)), _) if state().is_err() => return not_initialized,
        _ => {}
    }
    carry_out(library, function, number, words).map_or_else(|code| in_words(library, code), |outcome| outcome.status)
}

/// The same, for one that returns a number. 0: there is nobody to ask.
fn number_of(number: u16, words: &[u64]) -> u64 {
    let outcome = libraries::function(number)
        .ok_or(cuda::NOT_SUPPORTED)
        .and_then(|(library, function)| carry_out(library, function, number, words));
    outcome.ok().and_then(|outcome| outcome.data.first_chunk::<8>().map(|bytes| u64::from_ne_bytes(*bytes))).unwrap_or(0)
}

/// The same, for one that returns a string, which is kept for ever: there are few.
fn text_of(number: u16, words: &[u64]) -> *const std::ffi::c_char {
    static TEXTS: Mutex<Option<FxHashMap<(u16, u64), CString>>> = Mutex::new(None);
    let key = (number, words.first().copied().unwrap_or(0) & 0xFFFF_FFFF);
    let ask = || {
        let outcome = libraries::function(number)
            .ok_or(cuda::NOT_SUPPORTED)
            .and_then(|(library, function)| carry_out(library, function, number, words));
        let text = outcome.map_or_else(|_| format!("status {}", key.1 as i32).into_bytes(), |outcome| outcome.data);
        CString::new(text).unwrap_or_default()
    };
    let mut texts = lock(&TEXTS);
    texts.get_or_insert_default().entry(key).or_insert_with(ask).as_ptr()
}

fn carry_out(library: Library, function: &'static Function, number: u16, words: &[u64]) -> crate::c::Result<Outcome> {
    let state = state()?;
    state.check()?;
    crate::driver::have_context();
    if let [Kind::Destroyed(of)] = function.params {
        return pack::destroy(state, *of, words[0]).map(|()| Outcome { status: 0, data: Vec::new() });
    }
    let mut packed = pack::pack(state, function, words)?;
    let key = packed.key(number);
    // What comes back in memory of the program's, and what may fail for reasons that are in no number, is waited for.
    let waits = function.returns != Return::Status
        || packed.has_results()
        || (function.name == "cudnnBackendFinalize" && !pack::is_variant_pack(words[0]))
        || matches!(function.params, [.., Kind::Found] | [Kind::Created(Type::Blas | Type::Lt | Type::Dnn)]);
    if !waits && lock(&KNOWN).get_or_insert_default().contains(&key) {
        let values = std::mem::take(&mut packed.values);
        state.post(Call::Library { function: number, values }, &[])?;
        packed.made(state);
        return Ok(Outcome { status: 0, data: Vec::new() });
    }
    let outcome = ask(state, function, number, &packed)?;
    if outcome.status == 0 {
        let mut known = lock(&KNOWN);
        let known = known.get_or_insert_default();
        if known.len() >= KNOWN_MAX {
            known.clear();
        }
        known.insert(key);
        let _ = packed.restores(state, function, library);
    }
    Ok(outcome)
}

/// Sends a call and waits for it.
fn ask(state: &State, function: &Function, number: u16, packed: &Packed) -> crate::c::Result<Outcome> {
    let request = Request::Cuda(Call::Library { function: number, values: packed.values.clone() });
    let link = state.link();
    let asked = link.begin(request, &[]).and_then(|number| link.wait_for(number));
    let (status, data) = asked.map_err(|code| state.code(code))?;
    if status < 0 {
        if !data.is_empty() {
            said_once(&String::from_utf8_lossy(&data));
        }
        return Err(state.code(-status));
    }
    let own = if function.returns == Return::Size { 8 } else { 0 };
    let (own, results) =
        if function.returns == Return::Text { (data.len(), &[][..]) } else { (own, data.get(own..).unwrap_or_default()) };
    // What a call that failed has left of its results is what was there before.
    if status == 0 {
        packed.hand_out(results);
        packed.made(state);
    }
    Ok(Outcome { status, data: data[..own.min(data.len())].to_vec() })
}

/// Says a sentence, once.
fn said_once(sentence: &str) {
    static SAID: Mutex<Option<FxHashSet<String>>> = Mutex::new(None);
    if lock(&SAID).get_or_insert_default().insert(sentence.to_owned()) {
        eprintln!("orrery: {sentence}");
    }
}

/// The handle that a name is to the program.
fn handle(id: Id) -> Handle {
    crate::stream::handle(id)
}

/// How C passes a parameter.
macro_rules! passed {
    (Float) => {
        f32
    };
    (Double) => {
        f64
    };
    (Int) => {
        i32
    };
    (Attribute) => {
        i32
    };
    ($other:ident) => {
        u64
    };
}

/// A parameter as eight bytes.
trait Word {
    fn word(self) -> u64;
}

impl Word for u64 {
    fn word(self) -> u64 {
        self
    }
}

impl Word for i32 {
    fn word(self) -> u64 {
        u64::from(self.cast_unsigned())
    }
}

impl Word for f32 {
    fn word(self) -> u64 {
        u64::from(self.to_bits())
    }
}

impl Word for f64 {
    fn word(self) -> u64 {
        self.to_bits()
    }
}

macro_rules! returned {
    () => { i32 };
    (Size) => { u64 };
    (Text) => { *const std::ffi::c_char };
    (Nothing) => { () };
}

macro_rules! by_return {
    ($number:expr, $words:expr;) => {
        forward($number, $words)
    };
    ($number:expr, $words:expr; Size) => {
        number_of($number, $words)
    };
    ($number:expr, $words:expr; Text) => {
        text_of($number, $words)
    };
    ($number:expr, $words:expr; Nothing) => {{
        forward($number, $words);
    }};
}

macro_rules! functions {
    ($($name:ident($($param:ident: $kind:ident $(($($of:tt)*))?),*) $(-> $returns:ident)?;)*) => { $(
        /// Forwarded.
        ///
        /// # Safety
        /// As its library's documentation has it.
        #[unsafe(no_mangle)]
        #[allow(clippy::too_many_arguments, reason = "the library's signature")]
        pub unsafe extern "C" fn $name($($param: passed!($kind)),*) -> returned!($($returns)?) {
            const NUMBER: u16 = libraries::number(LIBRARY, stringify!($name));
            by_return!(NUMBER, &[$(Word::word($param)),*]; $($returns)?)
        }
    )* };
}

mod cublas {
    use super::*;
    const LIBRARY: Library = Library::Cublas;
    wire::cublas_functions!(functions);
}

mod cublas_lt {
    use super::*;
    const LIBRARY: Library = Library::CublasLt;
    wire::cublas_lt_functions!(functions);
}

mod cudnn {
    use super::*;
    const LIBRARY: Library = Library::Cudnn;
    wire::cudnn_functions!(functions);
}
