//! NVIDIA's libraries above the runtime, called in the proxy for the worker.
//!
//! A worker knows its handles and descriptors by names; here is what they stand for. Every argument is checked against the
//! function's parameters before the library sees it: names and their types, lengths of arrays against the parameters that count
//! them, addresses against the worker's range, and whether scalars lie where the library will look for them. What the library is
//! given by pointer is a copy that only this process can change.
#![allow(unsafe_code, reason = "calls into NVIDIA's libraries")]

mod loaded;
mod marshal;
mod simulated;

pub use loaded::FOLDERS;

use super::Failure;
use loaded::Loaded;
use marshal::Marshal;
use std::collections::BTreeMap;
use wire::cuda;
use wire::libraries::{self, Function, Kind, Library, Pointer, Return, Type, Value};
use wire::{Effect, Id};

/// What a device has that calls refer to.
pub(crate) trait Site {
    /// The driver's handle of a stream.
    ///
    /// # Errors
    /// There is none of this name.
    fn stream(&self, id: Id) -> Result<u64, i32>;
    /// The name of a driver's handle.
    fn stream_name(&self, stream: u64) -> Id;
    /// The driver's address for one of the worker's.
    ///
    /// # Errors
    /// It is not in the worker's range.
    fn address(&self, address: u64) -> Result<u64, i32>;
}

/// A handle or descriptor.
pub(crate) struct Object {
    pub(crate) of: Type,
    /// The library's; 0: the simulated device's own.
    pub(crate) pointer: u64,
    /// Memory under one that the program has in memory of its own.
    memory: Vec<u128>,
    /// Scalars of the host's that the library knows by address, by what they were set for.
    kept: BTreeMap<u64, Vec<Vec<u128>>>,
    /// Numbers that it was made with.
    pub(crate) words: Vec<u64>,
    /// What its parts were last set to.
    pub(crate) attributes: BTreeMap<u32, Vec<u8>>,
    /// Objects that the library may reach through it, by what they were set for.
    uses: BTreeMap<u64, Vec<Id>>,
    /// How many others that is true of for this one.
    users: usize,
    /// The worker has not let go of it.
    held: bool,
}

impl Object {
    pub(crate) fn new(of: Type, pointer: u64, words: Vec<u64>) -> Object {
        let (kept, attributes, uses) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        Object { of, pointer, memory: Vec::new(), kept, words, attributes, uses, users: 0, held: true }
    }

    /// An attribute of 32 bits.
    pub(crate) fn attribute(&self, number: u32) -> Option<u32> {
        self.attributes.get(&number).and_then(|bytes| bytes.first_chunk::<4>()).map(|bytes| u32::from_ne_bytes(*bytes))
    }
}

/// What a call came to: the library's status, and the answer's data.
#[derive(Debug, Default)]
pub(crate) struct Called {
    pub(crate) status: i32,
    pub(crate) data: Vec<u8>,
}

/// Under which number of attribute a cuBLAS handle's pointer mode is noted.
const POINTER_MODE: u32 = u32::MAX;
/// The attribute of a description of a product that holds another descriptor's address.
const EMULATION_DESCRIPTOR: u64 = 38;

/// One worker's handles and descriptors.
#[derive(Default)]
pub(crate) struct Libraries {
    objects: BTreeMap<Id, Object>,
}

/// What the arguments are not.
pub(crate) fn wrong(function: &Function) -> Failure {
    let said = format!("{}: its arguments are not what it takes", function.name);
    Failure { code: cuda::INVALID_VALUE, said }
}

impl Libraries {
    /// Calls a function.
    ///
    /// # Errors
    /// It was not called: the library or the function is not there, or an argument is not what it must be.
    pub(crate) fn call(&mut self, site: &dyn Site, number: u16, values: &[Value]) -> Result<Called, Failure> {
        let (library, function) = libraries::function(number).ok_or(cuda::INVALID_VALUE)?;
        if function.params.len() != values.len() {
            return Err(wrong(function));
        }
        // Objects end by their release, and a name that is in use, if only by the library, is none for a new one.
        let taken = |value: &Value| matches!(value, Value::New(id) if self.objects.contains_key(id));
        if matches!(function.params, [Kind::Destroyed(_)]) || values.iter().any(taken) {
            return Err(wrong(function));
        }
        let loaded = Loaded::get(library)
            .map_err(|sentence| Failure { code: cuda::NOT_SUPPORTED, said: format!("{}: {sentence}", function.name) })?;
        if function.name == "cublasLtMatmulDescSetAttribute" && values[1] == Value::Word(EMULATION_DESCRIPTOR) {
            return Ok(Called { status: library.words()[2], ..Called::default() });
        }
        self.scalars_fit(library, function, values)?;
        let scratch = self.scratch(function, values)?;
        let mut marshal = Marshal::new(self, site, function);
        let done = values.iter().enumerate().try_for_each(|(at, value)| marshal.push(at, value, values, &scratch));
        let (frame, backs, buffers, kept) = marshal.finish();
        // SAFETY: the arguments were checked against the function's parameters one by one, and buffers live until the end of this.
        let returned = done.map(|()| unsafe { loaded.call(function, libraries::index(number), &frame) });
        self.end_scratch(&scratch);
        let returned = returned?.ok_or_else(|| {
            let said = format!("{}: this machine's {} does not have it", function.name, library.file());
            Failure { code: cuda::NOT_SUPPORTED, said }
        })?;
        let status = if function.returns == Return::Status { returned as i32 } else { 0 };
        let mut data = match function.returns {
            // SAFETY: the library's strings stay.
            Return::Text => unsafe { loaded::text(returned) },
            Return::Size => returned.to_ne_bytes().to_vec(),
            Return::Status | Return::Nothing => Vec::new(),
        };
        if status == 0 {
            self.note(number, function, values, &buffers, kept);
        }
        for back in backs {
            back.append(self, site, &buffers, &mut data);
        }
        Ok(Called { status, data })
    }

    /// An object that the worker holds.
    pub(crate) fn get(&self, id: Id) -> Option<&Object> {
        self.objects.get(&id).filter(|object| object.held)
    }

    /// Adds an object of the simulated device's own.
    pub(crate) fn add(&mut self, id: Id, object: Object) {
        self.objects.entry(id).or_insert(object);
    }

    /// The worker lets go of an object. It ends when the library can reach it through no other one: a program that has the order
    /// wrong, or means harm, must not have the library look at what is gone.
    pub(crate) fn release(&mut self, id: Id) {
        if let Some(object) = self.objects.get_mut(&id) {
            object.held = false;
            self.collect(vec![id]);
        }
    }

    fn collect(&mut self, mut ids: Vec<Id>) {
        while let Some(id) = ids.pop() {
            if self.objects.get(&id).is_none_or(|object| object.held || object.users > 0) {
                continue;
            }
            if let Some(object) = self.objects.remove(&id) {
                self.end(&object);
                ids.extend(self.use_no_more(object.uses.into_values().flatten()));
            }
        }
    }

    fn use_no_more(&mut self, ids: impl IntoIterator<Item = Id>) -> Vec<Id> {
        let ids: Vec<Id> = ids.into_iter().collect();
        for id in &ids {
            if let Some(object) = self.objects.get_mut(id) {
                object.users = object.users.saturating_sub(1);
            }
        }
        ids
    }

    /// Notes which objects a call has given to others.
    fn note_uses(&mut self, number: u16, values: &[Value]) {
        let Effect::Change { ids, aspect, mut needs } = libraries::effect(number, values) else { return };
        needs.retain(|id| self.objects.contains_key(id));
        for id in ids {
            let Some(object) = self.objects.get_mut(&id) else { continue };
            let before = object.uses.insert(aspect, needs.clone()).unwrap_or_default();
            for used in &needs {
                if let Some(object) = self.objects.get_mut(used) {
                    object.users += 1;
                }
            }
            let before = self.use_no_more(before);
            self.collect(before);
        }
    }

    fn end(&self, object: &Object) {
        if let Some((library, function)) = libraries::destructor(object.of)
            && object.pointer != 0
            && object.memory.is_empty()
        {
            self.plain(library, function.name, &[object.pointer]);
        }
    }

    /// Calls a function with words. Its status; 0 where there is none.
    fn plain(&self, library: Library, name: &str, words: &[u64]) -> i32 {
        let Ok(loaded) = Loaded::get(library) else { return 0 };
        let Ok(index) = library.functions().binary_search_by_key(&name, |function| function.name) else { return 0 };
        let mut frame = loaded::Frame { floats: [0; loaded::FLOATS], words: [0; loaded::WORDS] };
        frame.words[..words.len()].copy_from_slice(words);
        // SAFETY: callers give handles of the library's and numbers, as the function takes them.
        unsafe { loaded.call(&library.functions()[index], index, &frame) }.unwrap_or(0) as i32
    }

    /// Checks that scalars are where the library will look for them: here or on the device.
    fn scalars_fit(&self, library: Library, function: &Function, values: &[Value]) -> Result<(), Failure> {
        const HOST: u32 = 0;
        const ALPHA_VECTOR_BETA_ZERO: u32 = 3;
        const ALPHA_VECTOR_BETA_HOST: u32 = 4;
        let mode = match library {
            Library::Cudnn => HOST,
            Library::Cublas => self.object(values.first()).and_then(|handle| handle.attribute(POINTER_MODE)).unwrap_or(HOST),
            Library::CublasLt => {
                let number = if function.name == "cublasLtMatmul" { 2 } else { 1 };
                self.object(values.get(1)).and_then(|desc| desc.attribute(number)).unwrap_or(HOST)
            }
        };
        let mut scalars = 0;
        for (kind, value) in function.params.iter().zip(values) {
            let (Kind::Scalar(_) | Kind::Result(_) | Kind::Typed(_) | Kind::Both(_)) = kind else { continue };
            let here = mode == HOST || (mode == ALPHA_VECTOR_BETA_HOST && scalars == 1);
            let fits = match value {
                Value::Bytes(_) | Value::Room(_) => here,
                Value::Word(_) => !here,
                // The filling of a padded sequence may be none, and a scalar that is not looked at.
                Value::Null => {
                    (library == Library::Cudnn && matches!(function.params[0], Kind::Changed(_)))
                        || (mode == ALPHA_VECTOR_BETA_ZERO && scalars == 1)
                }
                _ => false,
            };
            scalars += 1;
            if !fits {
                let said = format!("{}: a scalar is not where the pointer mode says", function.name);
                return Err(Failure { code: cuda::INVALID_VALUE, said });
            }
        }
        Ok(())
    }

    pub(crate) fn object(&self, value: Option<&Value>) -> Option<&Object> {
        if let Some(Value::Object(id)) = value { self.get(*id) } else { None }
    }

    /// Backend descriptors in the place of those that the worker has let go of: what is found for several is found for the others,
    /// as after a restore.
    fn scratch(&self, function: &Function, values: &[Value]) -> Result<Vec<u64>, Failure> {
        let Some((Kind::Found, Value::Objects(ids))) = function.params.last().copied().zip(values.last()) else {
            return Ok(Vec::new());
        };
        let of = ids.iter().find_map(|id| self.get(*id)).filter(|object| object.of == Type::Backend);
        let of = of.and_then(|object| object.words.first().copied()).ok_or_else(|| wrong(function))?;
        let missing = ids.iter().filter(|id| self.get(**id).is_none()).count();
        let mut made = Vec::new();
        for _ in 0..missing {
            let mut slot = 0u64;
            if self.plain(Library::Cudnn, "cudnnBackendCreateDescriptor", &[of, (&raw mut slot) as u64]) != 0 || slot == 0 {
                self.end_scratch(&made);
                return Err(wrong(function));
            }
            made.push(slot);
        }
        Ok(made)
    }

    fn end_scratch(&self, made: &[u64]) {
        for pointer in made {
            self.plain(Library::Cudnn, "cudnnBackendDestroyDescriptor", &[*pointer]);
        }
    }

    /// Keeps what a call that succeeded has made and set.
    fn note(&mut self, number: u16, function: &Function, values: &[Value], buffers: &[Vec<u128>], kept: Vec<Vec<u128>>) {
        let words = || values.iter().filter_map(|value| if let Value::Word(word) = value { Some(*word) } else { None });
        for (at, (kind, value)) in function.params.iter().zip(values).enumerate() {
            match (kind, value) {
                (Kind::Created(of), Value::New(id)) => {
                    let pointer = buffers[at].first().map_or(0, |slot| *slot as u64);
                    self.objects.insert(*id, Object::new(*of, pointer, words().collect()));
                }
                (Kind::Place(of), Value::New(id)) => {
                    let memory = buffers[at].clone();
                    let mut object = Object::new(*of, memory.as_ptr() as u64, words().skip(1).collect());
                    object.memory = memory;
                    self.objects.insert(*id, object);
                }
                _ => {}
            }
        }
        self.note_uses(number, values);
        self.note_attributes(function, values);
        if let (Some(Kind::Elements), Some(Value::Object(id)), Some(Value::Word(attribute))) =
            (function.params.last(), values.first(), values.get(1))
            && let Some(object) = self.objects.get_mut(id)
        {
            object.kept.insert(u64::from(number) << 32 | attribute & 0xFFFF_FFFF, kept);
        }
    }

    /// Keeps what parts of an object were set to, where that matters here.
    pub(crate) fn note_attributes(&mut self, function: &Function, values: &[Value]) {
        let (Some(Value::Object(id)), Some(value)) = (values.first(), values.get(1)) else { return };
        let Some(object) = self.objects.get_mut(id) else { return };
        match (function.params, value, values.get(2)) {
            ([Kind::Changed(_), Kind::Attribute, Kind::Inputs(..), ..], Value::Word(number), Some(Value::Bytes(bytes))) => {
                object.attributes.insert(*number as u32, bytes.clone());
            }
            ([Kind::Changed(Type::Blas), Kind::Int], Value::Word(mode), None) if function.name == "cublasSetPointerMode_v2" => {
                object.attributes.insert(POINTER_MODE, (*mode as u32).to_ne_bytes().to_vec());
            }
            _ => {}
        }
    }
}

impl Drop for Libraries {
    fn drop(&mut self) {
        // What was made last goes first: descriptors before the handles that they were made with.
        for object in std::mem::take(&mut self.objects).values().rev() {
            self.end(object);
        }
    }
}

/// A list of addresses, here for [`Marshal`]: scalars of the host's are copied.
pub(crate) fn pointer(site: &dyn Site, pointer: &Pointer, kept: &mut Vec<Vec<u128>>) -> Result<u64, i32> {
    match pointer {
        Pointer::Device(0) => Ok(0),
        Pointer::Device(address) => site.address(*address),
        Pointer::Host(bytes) => {
            let bytes = bytes.get(..bytes.len().min(libraries::SCALAR_MAX)).unwrap_or_default();
            let mut copy = [0; libraries::SCALAR_MAX];
            copy[..bytes.len()].copy_from_slice(bytes);
            kept.push(vec![u128::from_ne_bytes(copy)]);
            Ok(kept.last().map_or(0, |copy| copy.as_ptr() as u64))
        }
    }
}
