//! What a request does to the set of live objects.

use crate::{Arg, Id, Op, Request};

/// What a request does to the set of live objects. Ids in `needs` must exist to make the object again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// It makes objects.
    Create {
        /// Their names.
        ids: Vec<Id>,
        /// What it is made from.
        needs: Vec<Id>,
    },
    /// It changes an object: the last one for an `aspect` holds. An aspect is a part of its state, such as one argument.
    Amend {
        /// Which object.
        id: Id,
        /// Which part of its state.
        aspect: u64,
        /// What the change refers to.
        needs: Vec<Id>,
    },
    /// It changes objects, all of them in one, as [`Effect::Amend`] changes one.
    Change {
        /// Which objects.
        ids: Vec<Id>,
        /// Which part of their state.
        aspect: u64,
        /// What the change refers to.
        needs: Vec<Id>,
    },
    /// It sets an argument. A kernel does not keep what its arguments refer to.
    Arg {
        /// Of which kernel.
        kernel: Id,
        /// Which one.
        index: u32,
        /// To what.
        arg: &'a Arg,
    },
    /// The worker has let go of it.
    Release(Id),
    /// A launch: changes arguments of its kernel, and may make an event.
    Command {
        /// The event, 0 for none.
        event: Id,
        /// The kernel and the arguments that it gets.
        args: Option<(Id, &'a [(u32, Arg)])>,
    },
    /// Nothing.
    None,
}

/// The aspect of a program's built state.
const BUILT: u64 = u64::MAX;
/// The aspect of a context's default queue for a device, with the device's id added.
const DEFAULT_QUEUE: u64 = 1 << 32;

impl Request {
    /// The object that this makes on the device's memory, and how many bytes of that it takes.
    pub fn memory(&self) -> Option<(Id, u64)> {
        match self {
            Request::Buffer { id, size, .. } | Request::Cuda(crate::cuda::Call::Alloc { id, size, .. }) => Some((*id, *size)),
            Request::Image { id, format, desc, of: 0, .. } => {
                let bytes = desc.region().iter().fold(format.pixel_bytes(), |product, n| product.saturating_mul(*n));
                Some((*id, bytes))
            }
            _ => None,
        }
    }

    /// What this does to the set of live objects.
    pub fn effect(&self) -> Effect<'_> {
        let create = |id: &Id, needs: &[Id]| Effect::Create { ids: vec![*id], needs: real(needs) };
        match self {
            Request::Release { id } => Effect::Release(*id),
            Request::SubDevices { parent, ids, .. } => Effect::Create { ids: ids.clone(), needs: real(&[*parent]) },
            Request::Context { id, devices, .. } => create(id, devices),
            Request::Queue { id, context, device, .. } => create(id, &[*context, *device]),
            Request::DefaultQueue { context, device, queue } => {
                Effect::Amend { id: *context, aspect: DEFAULT_QUEUE + device, needs: vec![*queue] }
            }
            Request::Buffer { id, context, .. }
            | Request::Pipe { id, context, .. }
            | Request::Sampler { id, context, .. }
            | Request::ProgramSource { id, context }
            | Request::ProgramIl { id, context }
            | Request::UserEvent { id, context } => create(id, &[*context]),
            Request::SubBuffer { id, parent, .. } => create(id, &[*parent]),
            Request::Image { id, context, of, .. } => create(id, &[*context, *of]),
            Request::ProgramBinary { id, context, devices, .. } | Request::ProgramBuiltIn { id, context, devices, .. } => {
                let needs: Vec<Id> = devices.iter().chain([context]).copied().collect();
                create(id, &needs)
            }
            Request::Link { id, context, devices, programs, .. } => {
                let needs: Vec<Id> = devices.iter().chain(programs).chain([context]).copied().collect();
                create(id, &needs)
            }
            Request::SpecConstant { program, index, .. } => {
                Effect::Amend { id: *program, aspect: u64::from(*index), needs: vec![] }
            }
            Request::Build { program, .. } => Effect::Amend { id: *program, aspect: BUILT, needs: vec![] },
            Request::Compile { program, headers, .. } => {
                Effect::Amend { id: *program, aspect: BUILT, needs: headers.iter().map(|header| header.0).collect() }
            }
            Request::Kernel { id, program, .. } => create(id, &[*program]),
            Request::SetArg { kernel, index, arg } => Effect::Arg { kernel: *kernel, index: *index, arg },
            Request::PastEvent { id, .. } => Effect::Command { event: *id, args: None },
            Request::SetUserEvent { id, .. } => Effect::Amend { id: *id, aspect: 0, needs: vec![] },
            Request::Enqueue { event, op, .. } => {
                let args = if let Op::Kernel { kernel, args, .. } = op { Some((*kernel, &args[..])) } else { None };
                Effect::Command { event: *event, args }
            }
            Request::Flush { .. }
            | Request::Finish { .. }
            | Request::Wait { .. }
            | Request::Reached { .. }
            | Request::Info { .. }
            | Request::ImageFormats { .. }
            | Request::Timers { .. } => Effect::None,
            Request::Cuda(call) => call.effect(),
        }
    }
}

/// Without "none" and the device itself, which is always there.
fn real(ids: &[Id]) -> Vec<Id> {
    ids.iter().copied().filter(|id| *id >= crate::FIRST).collect()
}
