//! Arguments of library calls, from the program's memory to messages and back.

use super::handle;
use crate::c::{Handle, Result, bytes, get};
use crate::state::{State, lock};
use crate::stream::stream;
use rustc_hash::{FxHashSet, FxHasher};
use std::hash::{Hash, Hasher};
use std::sync::Mutex;
use wire::Id;
use wire::cuda::{self, Call};
use wire::libraries::{
    self, ARRAY_MAX, Function, Kind, Library, Pointer, SCALAR_MAX, Type, Value, attribute, data_bytes, element_bytes,
};

/// What an object's name has before it in memory of the program's.
const MARK: u64 = 0x6f72_7265_7279_4c54;
/// Pages are at least this long: what is in the same one can be read.
const PAGE: usize = 4096;

/// A descriptor in memory: [`MARK`], and its name.
type Named = [u64; 2];

/// cuDNN's variant packs: there is one for every execution of a graph, and to finalize it only checks that all of it was set.
static PACKS: Mutex<Option<FxHashSet<Id>>> = Mutex::new(None);
/// `CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR`
const VARIANT_PACK: u64 = 16;

pub(super) fn is_variant_pack(word: u64) -> bool {
    lock(&PACKS).get_or_insert_default().contains(&word)
}

/// A call's arguments, and where its results go.
pub(super) struct Packed {
    pub(super) values: Vec<Value>,
    /// Places for results, in the order of arguments: where, how many bytes, and whether they are an object's name.
    places: Vec<(*mut u8, usize)>,
    /// Where a new object's handle goes, and its name.
    new: Option<(u64, Kind, Id)>,
    /// The new object is a variant pack.
    packs: bool,
    hash: FxHasher,
}

fn pointer<T>(word: u64) -> *mut T {
    std::ptr::with_exposed_provenance_mut(word as usize)
}

/// The name behind a handle. None: a null pointer.
fn name(of: Type, word: u64) -> Result<Option<Id>> {
    if word == 0 {
        return Ok(None);
    }
    if !of.lies_in_memory() {
        return Ok(Some(word));
    }
    let [mark, id] = get(pointer::<Named>(word))?;
    if mark == MARK { Ok(Some(id)) } else { Err(cuda::INVALID_VALUE) }
}

/// A scalar whose length only the library knows: as much of the longest as is certainly there.
fn scalar(start: u64) -> Vec<u8> {
    let room = PAGE - start as usize % PAGE;
    bytes(pointer::<std::ffi::c_void>(start), room.min(SCALAR_MAX)).to_vec()
}

/// Lets go of an object.
pub(super) fn destroy(state: &State, of: Type, word: u64) -> Result<()> {
    let id = name(of, word)?.ok_or(cuda::INVALID_VALUE)?;
    if of == Type::Backend {
        lock(&PACKS).get_or_insert_default().remove(&id);
    }
    if of.lies_in_memory() {
        let start = pointer::<Named>(word);
        // SAFETY: the mark says that it was made by `made`, of this type; the program promises not to use it any more.
        unsafe {
            start.write([0, 0]);
            drop(Box::from_raw(start));
        }
    }
    state.release(id)
}

pub(super) fn pack(state: &State, function: &Function, words: &[u64]) -> Result<Packed> {
    let mut packed = Packed {
        values: Vec::with_capacity(words.len()),
        places: Vec::new(),
        new: None,
        packs: false,
        hash: FxHasher::default(),
    };
    for (at, kind) in function.params.iter().enumerate() {
        let value = packed.value(state, *kind, at, words)?;
        packed.values.push(value);
    }
    // Whether a plan can be carried out shows when it is for the first time.
    if function.name == "cudnnBackendExecute" {
        packed.values[1].plain(&mut packed.hash, true);
    }
    Ok(packed)
}

trait Plain {
    /// Adds what is plain in an argument: numbers and bytes, and of all else whether it is there.
    fn plain(&self, hash: &mut FxHasher, names: bool);
}

impl Plain for Value {
    fn plain(&self, hash: &mut FxHasher, names: bool) {
        std::mem::discriminant(self).hash(hash);
        match self {
            Value::Bytes(bytes) => bytes.hash(hash),
            Value::Object(id) if names => id.hash(hash),
            Value::Objects(ids) => ids.len().hash(hash),
            Value::Pointers(pointers) => pointers.len().hash(hash),
            _ => {}
        }
    }
}

impl Packed {
    /// A number for what is plain in the call.
    pub(super) fn key(&self, number: u16) -> u64 {
        let mut hash = self.hash.clone();
        number.hash(&mut hash);
        self.values.iter().for_each(|value| value.plain(&mut hash, false));
        hash.finish()
    }

    pub(super) fn has_results(&self) -> bool {
        !self.places.is_empty()
    }

    fn value(&mut self, state: &State, kind: Kind, at: usize, words: &[u64]) -> Result<Value> {
        let word = words[at];
        Ok(match kind {
            Kind::Int | Kind::Attribute | Kind::Long | Kind::Float | Kind::Double => {
                word.hash(&mut self.hash);
                Value::Word(word)
            }
            Kind::Handle(of) | Kind::Changed(of) | Kind::Destroyed(of) => name(of, word)?.map_or(Value::Null, Value::Object),
            Kind::Created(_) | Kind::Place(_) => {
                if word == 0 {
                    return Err(cuda::INVALID_VALUE);
                }
                let id = state.new_id();
                self.new = Some((word, kind, id));
                self.packs = kind == Kind::Created(Type::Backend) && words[0] as u32 as u64 == VARIANT_PACK;
                Value::New(id)
            }
            Kind::Stream => Value::Stream(stream(state, pointer(word))?),
            Kind::Device => Value::Word(word),
            Kind::Scalar(_) | Kind::Both(_) | Kind::Result(_) | Kind::Typed(_) if state.is_device(word) => Value::Word(word),
            Kind::Scalar(_) | Kind::Input(_) | Kind::Both(_) | Kind::Change(_) if word == 0 => Value::Null,
            Kind::Scalar(0) => Value::Bytes(scalar(word)),
            Kind::Scalar(len) | Kind::Input(len) => Value::Bytes(bytes(pointer(word), len as usize).to_vec()),
            Kind::Both(len) | Kind::Change(len) => {
                let value = Value::Bytes(bytes(pointer(word), len as usize).to_vec());
                self.places.push((pointer(word), len as usize));
                value
            }
            Kind::Output(len) | Kind::Result(len) => self.room(word, len),
            Kind::Name(_) | Kind::StreamName => self.room(word, 8),
            Kind::Typed(of) => self.room(word, data_bytes(words[of as usize] & 0xFFFF_FFFF)),
            Kind::Inputs(count, size) => {
                let len = array(words[count as usize], size)?;
                if word == 0 { Value::Null } else { Value::Bytes(bytes(pointer(word), len as usize).to_vec()) }
            }
            Kind::Outputs(count, size) => self.room(word, array(words[count as usize], size)?),
            Kind::Elements => elements(state, word, words)?,
            Kind::Found => self.found(word, words)?,
        })
    }

    fn room(&mut self, word: u64, len: u32) -> Value {
        if word == 0 {
            return Value::Null;
        }
        self.places.push((pointer(word), len as usize));
        Value::Room(len)
    }

    fn found(&mut self, word: u64, words: &[u64]) -> Result<Value> {
        let (of, count) = (words[2] as i32, words[3]);
        if word == 0 {
            return Ok(Value::Null);
        }
        if of == attribute::DESCRIPTOR {
            return Ok(Value::Objects(ids(word, count)?));
        }
        Ok(self.room(word, array(count, element_bytes(of))?))
    }

    /// Results go to the program's memory.
    pub(super) fn hand_out(&self, data: &[u8]) {
        let mut rest = data;
        for (to, len) in &self.places {
            let Some((part, left)) = rest.split_at_checked(*len) else { return };
            // SAFETY: the program promises that its pointers are to as much memory as the function writes.
            unsafe { std::ptr::copy_nonoverlapping(part.as_ptr(), *to, *len) };
            rest = left;
        }
    }

    /// A new object's handle goes to the program.
    pub(super) fn made(&self, state: &State) {
        let Some((word, kind, id)) = self.new else { return };
        let memory = pointer::<Named>(word);
        match kind {
            Kind::Created(of) if of.lies_in_memory() => {
                let named: *mut Named = Box::into_raw(Box::new([MARK, id]));
                // SAFETY: the program promises that the pointer is to a place for a handle.
                unsafe { pointer::<*mut Named>(word).write_unaligned(named) };
            }
            Kind::Created(_) => {
                if self.packs {
                    lock(&PACKS).get_or_insert_default().insert(id);
                }
                // SAFETY: as above.
                unsafe { pointer::<Handle>(word).write_unaligned(handle(id)) };
            }
            _ => {
                // One that was here before is no more.
                if let Ok([MARK, before]) = get(memory) {
                    let _ = state.release(before);
                }
                // SAFETY: the program promises memory for the whole descriptor, which is longer.
                unsafe { memory.write_unaligned([MARK, id]) };
            }
        }
    }

    /// After random states were drawn for a dropout descriptor, a restore must not draw them again: from now on it is as if the
    /// descriptor had been made from states that are there.
    pub(super) fn restores(&self, state: &State, function: &Function, library: Library) -> Result<()> {
        if (library, function.name) != (Library::Cudnn, "cudnnSetDropoutDescriptor") {
            return Ok(());
        }
        const RESTORE: u16 = libraries::number(Library::Cudnn, "cudnnRestoreDropoutDescriptor");
        state.post(Call::Library { function: RESTORE, values: self.values.clone() }, &[])
    }
}

/// Bytes of an array.
fn array(count: u64, size: u32) -> Result<u32> {
    // Counts of 32 bits come with zeros before them.
    let count = if count > 1 << 63 || (1 << 31..1 << 32).contains(&count) { 0 } else { count };
    let len = count.checked_mul(u64::from(size)).filter(|len| *len <= ARRAY_MAX).ok_or(cuda::INVALID_VALUE)?;
    Ok(len as u32)
}

fn words_at(start: u64, count: u64) -> Result<Vec<u64>> {
    let len = array(count, 8)?;
    let bytes = bytes(pointer(start), len as usize);
    Ok(bytes.chunks_exact(8).filter_map(|word| word.first_chunk::<8>()).map(|word| u64::from_ne_bytes(*word)).collect())
}

fn ids(start: u64, count: u64) -> Result<Vec<Id>> {
    words_at(start, count)
}

/// What a backend descriptor's attribute is set to.
fn elements(state: &State, start: u64, words: &[u64]) -> Result<Value> {
    let (of, count) = (words[2] as i32, words[3]);
    if start == 0 {
        return Ok(Value::Null);
    }
    Ok(match of {
        attribute::HANDLE | attribute::DESCRIPTOR => Value::Objects(ids(start, count)?),
        attribute::POINTER => {
            let one = |word: u64| {
                if word == 0 || state.is_device(word) { Pointer::Device(word) } else { Pointer::Host(scalar(word)) }
            };
            Value::Pointers(words_at(start, count)?.into_iter().map(one).collect())
        }
        _ => Value::Bytes(bytes(pointer(start), array(count, element_bytes(of))? as usize).to_vec()),
    })
}
