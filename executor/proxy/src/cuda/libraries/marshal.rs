//! Arguments, from a message to the library's calling convention, and results back.

use super::loaded::{FLOATS, Frame, WORDS};
use super::{Libraries, Site, pointer, wrong};
use crate::cuda::Failure;
use wire::libraries::{ARRAY_MAX, Function, Kind, SCALAR_MAX, Type, Value, attribute, data_bytes, element_bytes};
use wire::{Id, cuda};

/// The most memory that a program's own descriptor takes, in bytes.
pub(crate) const PLACE_MAX: u64 = 4096;

/// A buffer that the answer takes bytes from.
pub(crate) enum Back {
    /// So many bytes of the buffer of this number.
    Bytes(usize, usize),
    /// The name of the object that the pointer in it is.
    Name(usize),
    /// The name of the stream that the pointer in it is.
    Stream(usize),
}

impl Back {
    pub(crate) fn append(&self, libraries: &Libraries, site: &dyn Site, buffers: &[Vec<u128>], to: &mut Vec<u8>) {
        let pointer = |buffer: usize| buffers[buffer].first().map_or(0, |word| *word as u64);
        let name: Id = match self {
            Back::Bytes(buffer, len) => {
                let bytes = buffers[*buffer].iter().flat_map(|word| word.to_ne_bytes());
                return to.extend(bytes.take(*len));
            }
            Back::Stream(buffer) => site.stream_name(pointer(*buffer)),
            Back::Name(buffer) => {
                let own = pointer(*buffer);
                libraries.objects.iter().find(|(_, object)| own != 0 && object.pointer == own).map_or(0, |(id, _)| *id)
            }
        };
        to.extend(name.to_ne_bytes());
    }
}

/// The arguments of one call. There is a buffer for each, empty for those that need none.
pub(crate) struct Marshal<'a> {
    libraries: &'a Libraries,
    site: &'a dyn Site,
    function: &'static Function,
    frame: Frame,
    used: (usize, usize),
    backs: Vec<Back>,
    buffers: Vec<Vec<u128>>,
    kept: Vec<Vec<u128>>,
}

type Result<T> = std::result::Result<T, Failure>;

impl<'a> Marshal<'a> {
    pub(crate) fn new(libraries: &'a Libraries, site: &'a dyn Site, function: &'static Function) -> Self {
        let frame = Frame { floats: [0; FLOATS], words: [0; WORDS] };
        let (backs, buffers, kept) = (Vec::new(), vec![Vec::new(); function.params.len()], Vec::new());
        Marshal { libraries, site, function, frame, used: (0, 0), backs, buffers, kept }
    }

    pub(crate) fn finish(self) -> (Frame, Vec<Back>, Vec<Vec<u128>>, Vec<Vec<u128>>) {
        (self.frame, self.backs, self.buffers, self.kept)
    }

    fn wrong(&self) -> Failure {
        wrong(self.function)
    }

    /// Adds the next argument.
    pub(crate) fn push(&mut self, at: usize, value: &Value, values: &[Value], scratch: &[u64]) -> Result<()> {
        let kind = self.function.params[at];
        let word = match (kind, value) {
            (Kind::Float | Kind::Double, Value::Word(bits)) => {
                *self.frame.floats.get_mut(self.used.0).ok_or(cuda::INVALID_VALUE)? = *bits;
                self.used.0 += 1;
                return Ok(());
            }
            (Kind::Int | Kind::Attribute, Value::Word(word)) => *word & 0xFFFF_FFFF,
            (Kind::Long, Value::Word(word)) => *word,
            (Kind::Device, Value::Null | Value::Word(0)) => 0,
            (Kind::Device | Kind::Scalar(_) | Kind::Result(_) | Kind::Typed(_) | Kind::Both(_), Value::Word(address)) => {
                self.site.address(*address)?
            }
            (Kind::Stream, Value::Stream(id)) => self.site.stream(*id)?,
            (Kind::Handle(of) | Kind::Changed(of), Value::Object(id)) => self.handle(*id, of)?,
            // The library looks at the first without a check; others may be none.
            (Kind::Handle(_), Value::Null) if at > 0 => 0,
            _ => self.buffer(at, value, values, scratch)?,
        };
        *self.frame.words.get_mut(self.used.1).ok_or(cuda::INVALID_VALUE)? = word;
        self.used.1 += 1;
        Ok(())
    }

    fn handle(&self, id: Id, of: Type) -> Result<u64> {
        let object = self.libraries.get(id).filter(|object| object.of.does_for(of)).ok_or_else(|| self.wrong())?;
        if object.pointer == 0 {
            let said = format!("the simulated device has no {}", self.function.name);
            return Err(Failure { code: cuda::NOT_SUPPORTED, said });
        }
        Ok(object.pointer)
    }

    /// What goes by pointer.
    fn buffer(&mut self, at: usize, value: &Value, values: &[Value], scratch: &[u64]) -> Result<u64> {
        match (self.function.params[at], value) {
            (Kind::Created(_), Value::New(_)) => Ok(self.hold(at, &[], 8)),
            (Kind::Place(_), Value::New(_)) => {
                let Some(Value::Word(size @ 16..=PLACE_MAX)) = values.get(at + 1) else { return Err(self.wrong()) };
                Ok(self.hold(at, &[], *size as usize))
            }
            (Kind::Name(_), _) => Ok(self.name(at, Back::Name(at))),
            (Kind::StreamName, _) => Ok(self.name(at, Back::Stream(at))),
            (Kind::Scalar(len), Value::Bytes(bytes)) => {
                let len = if len == 0 { SCALAR_MAX } else { len as usize };
                if bytes.len() > len {
                    return Err(self.wrong());
                }
                Ok(self.hold(at, bytes, len))
            }
            (Kind::Scalar(_), Value::Null) => Ok(0),
            (Kind::Input(_), Value::Null) if self.function.name == "cublasLtMatmul" => Ok(0),
            (Kind::Input(len), Value::Bytes(bytes)) if bytes.len() == len as usize => Ok(self.hold(at, bytes, bytes.len())),
            // A place that the program does not want filled is filled here, where it does no harm.
            (Kind::Output(len), Value::Null) => Ok(self.hold(at, &[], len as usize)),
            (Kind::Output(len) | Kind::Result(len), Value::Room(room)) if *room == len => Ok(self.room(at, len as usize)),
            (Kind::Typed(of), Value::Room(room)) => {
                let Some(Value::Word(data_type)) = values.get(of as usize) else { return Err(self.wrong()) };
                if *room != data_bytes(*data_type & 0xFFFF_FFFF) {
                    return Err(self.wrong());
                }
                Ok(self.room(at, *room as usize))
            }
            (Kind::Change(len) | Kind::Both(len), Value::Bytes(bytes)) if bytes.len() == len as usize => {
                self.backs.push(Back::Bytes(at, bytes.len()));
                Ok(self.hold(at, bytes, bytes.len()))
            }
            (Kind::Inputs(count, size), _) => self.array(at, value, self.count(count, values)?, size, false),
            (Kind::Outputs(count, size), _) => self.array(at, value, self.count(count, values)?, size, true),
            (Kind::Elements, _) => self.elements(at, value, values),
            (Kind::Found, _) => self.found(at, value, values, scratch),
            _ => Err(self.wrong()),
        }
    }

    /// A buffer that begins with `bytes`; its address. There is always room for one element of any kind.
    fn hold(&mut self, at: usize, bytes: &[u8], len: usize) -> u64 {
        let mut words = vec![0u128; len.div_ceil(16).max(1)];
        for (word, part) in words.iter_mut().zip(bytes.chunks(16)) {
            let mut whole = [0; 16];
            whole[..part.len()].copy_from_slice(part);
            *word = u128::from_ne_bytes(whole);
        }
        self.buffers[at] = words;
        self.buffers[at].as_ptr() as u64
    }

    fn room(&mut self, at: usize, len: usize) -> u64 {
        self.backs.push(Back::Bytes(at, len));
        self.hold(at, &[], len)
    }

    fn name(&mut self, at: usize, back: Back) -> u64 {
        self.backs.push(back);
        self.hold(at, &[], 8)
    }

    /// How many elements a parameter says. A negative number is the library's to refuse.
    fn count(&self, at: u32, values: &[Value]) -> Result<u64> {
        let Some(Value::Word(word)) = values.get(at as usize) else { return Err(self.wrong()) };
        let count = match self.function.params[at as usize] {
            Kind::Int => i64::from(*word as i32),
            _ => *word as i64,
        };
        let count = count.max(0) as u64;
        if count > ARRAY_MAX { Err(self.wrong()) } else { Ok(count) }
    }

    /// Bytes of an array. What a call of several arrays may need is bounded by what the message brings or the bound of each.
    fn len(&self, count: u64, size: u32) -> Result<usize> {
        count.checked_mul(u64::from(size)).filter(|len| *len <= ARRAY_MAX).map(|len| len as usize).ok_or_else(|| self.wrong())
    }

    fn array(&mut self, at: usize, value: &Value, count: u64, size: u32, out: bool) -> Result<u64> {
        let len = self.len(count, size)?;
        match value {
            Value::Null if len == 0 => Ok(0),
            Value::Bytes(bytes) if !out && bytes.len() == len => Ok(self.hold(at, bytes, len)),
            Value::Room(room) if out && *room as usize == len => Ok(self.room(at, len)),
            _ => Err(self.wrong()),
        }
    }

    /// Type and count of a backend attribute. The number of elements has room for any type's.
    fn attribute(&self, values: &[Value]) -> Result<(i32, u64)> {
        let Some(Value::Word(of)) = values.get(2) else { return Err(self.wrong()) };
        let count = self.count(3, values)?;
        self.len(count, 16)?;
        Ok((*of as i32, count))
    }

    fn elements(&mut self, at: usize, value: &Value, values: &[Value]) -> Result<u64> {
        let (of, count) = self.attribute(values)?;
        let words: Vec<u64> = match (of, value) {
            (_, Value::Null) if count == 0 => return Ok(0),
            (attribute::HANDLE, Value::Objects(ids)) => self.handles(ids, Type::Dnn)?,
            (attribute::DESCRIPTOR, Value::Objects(ids)) => self.handles(ids, Type::Backend)?,
            (attribute::POINTER, Value::Pointers(pointers)) => {
                let (site, kept) = (self.site, &mut self.kept);
                pointers.iter().map(|one| pointer(site, one, kept)).collect::<std::result::Result<_, _>>()?
            }
            (attribute::HANDLE | attribute::DESCRIPTOR | attribute::POINTER, _) => return Err(self.wrong()),
            (_, Value::Bytes(bytes)) if bytes.len() == self.len(count, element_bytes(of))? => {
                return Ok(self.hold(at, bytes, 16 * count as usize));
            }
            _ => return Err(self.wrong()),
        };
        if words.len() as u64 != count {
            return Err(self.wrong());
        }
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        Ok(self.hold(at, &bytes, bytes.len()))
    }

    fn handles(&self, ids: &[Id], of: Type) -> Result<Vec<u64>> {
        ids.iter().map(|id| if *id == 0 { Ok(0) } else { self.handle(*id, of) }).collect()
    }

    fn found(&mut self, at: usize, value: &Value, values: &[Value], scratch: &[u64]) -> Result<u64> {
        let (of, count) = self.attribute(values)?;
        match (of, value) {
            (_, Value::Null) if count == 0 => Ok(0),
            (attribute::DESCRIPTOR, Value::Objects(ids)) if ids.len() as u64 == count => {
                let mut scratch = scratch.iter();
                let one = |id: &Id| match self.libraries.get(*id).is_some() {
                    true => self.handle(*id, Type::Backend),
                    false => scratch.next().copied().ok_or_else(|| self.wrong()),
                };
                let words = ids.iter().map(one).collect::<Result<Vec<u64>>>()?;
                let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
                Ok(self.hold(at, &bytes, bytes.len()))
            }
            (attribute::HANDLE, Value::Room(8)) if count == 1 => Ok(self.name(at, Back::Name(at))),
            (attribute::DESCRIPTOR | attribute::HANDLE, _) => Err(self.wrong()),
            (_, Value::Room(room)) if *room as usize == self.len(count, element_bytes(of))? => {
                self.backs.push(Back::Bytes(at, *room as usize));
                Ok(self.hold(at, &[], 16 * count as usize))
            }
            _ => Err(self.wrong()),
        }
    }
}
