//! Objects as the program holds them: counted, and named in the proxy.

use crate::c::{Handle, Result};
use crate::dispatch::{DISPATCH, Dispatch};
use crate::link::link;
use rustc_hash::FxHashMap;
use std::sync::{Arc, LazyLock, PoisonError, RwLock};
use wire::{FIRST, Id, Request};

/// An object. The loader reads its first word.
#[repr(C)]
pub(crate) struct Object<T: Kind> {
    dispatch: &'static Dispatch,
    tag: u32,
    /// Its name in the proxy.
    pub(crate) id: Id,
    /// What is known of it here.
    pub(crate) data: T,
}

/// A counted reference. The count is what OpenCL calls the reference count; an object that needs another one holds one, too,
/// so that nothing is given up in the proxy before all that is made from it.
pub(crate) type Ref<T> = Arc<Object<T>>;

/// A kind of object.
pub(crate) trait Kind: Sized + 'static {
    /// Tells handles of different kinds apart.
    const TAG: u32;
    /// What OpenCL calls a handle that is not of this kind.
    const INVALID: i32;
    /// Whether a kernel's argument can be one.
    const ARGUMENT: bool = false;

    /// What is to be done before the proxy is told that it is given up.
    fn given_up(&self, _id: Id) {}

    /// What is to be done when it is given up, after the proxy was told.
    fn ended(&mut self, _handle: Handle) {}
}

/// Objects that kernels take as arguments: a value of a handle's size that is one of these handles means the object.
static ARGUMENTS: LazyLock<RwLock<FxHashMap<usize, Id>>> = LazyLock::new(RwLock::default);

/// The object that an argument's eight bytes mean, if they mean one.
pub(crate) fn argument(value: usize) -> Option<Id> {
    ARGUMENTS.read().unwrap_or_else(PoisonError::into_inner).get(&value).copied()
}

impl<T: Kind> Object<T> {
    /// A new object, counted once: for the program.
    pub(crate) fn new(id: Id, data: T) -> Ref<T> {
        let object = Arc::new(Object { dispatch: &DISPATCH, tag: T::TAG, id, data });
        if T::ARGUMENT {
            ARGUMENTS.write().unwrap_or_else(PoisonError::into_inner).insert(object.handle() as usize, id);
        }
        object
    }

    /// As the program sees it.
    pub(crate) fn handle(&self) -> Handle {
        std::ptr::from_ref(self).cast_mut().cast()
    }
}

impl<T: Kind> Drop for Object<T> {
    fn drop(&mut self) {
        let handle = self.handle();
        self.tag = 0;
        if T::ARGUMENT {
            ARGUMENTS.write().unwrap_or_else(PoisonError::into_inner).remove(&(handle as usize));
        }
        self.data.given_up(self.id);
        if self.id >= FIRST
            && let Ok(link) = link()
        {
            let _ = link.post(Request::Release { id: self.id }, &[], false);
        }
        self.data.ended(handle);
    }
}

/// Gives a reference to the program.
pub(crate) fn into_handle<T: Kind>(object: Ref<T>) -> Handle {
    Arc::into_raw(object).cast_mut().cast()
}

/// The object behind a handle, for the length of a call.
pub(crate) fn borrow<'a, T: Kind>(handle: Handle) -> Result<&'a Object<T>> {
    // SAFETY: the program promises that a handle that is not null is an OpenCL object that lives; all of ours begin alike.
    let object = unsafe { handle.cast::<Object<T>>().as_ref() }.ok_or(T::INVALID)?;
    if object.tag == T::TAG { Ok(object) } else { Err(T::INVALID) }
}

/// The object behind a handle, to keep.
pub(crate) fn share<T: Kind>(handle: Handle) -> Result<Ref<T>> {
    let object: *const Object<T> = borrow::<T>(handle)?;
    // SAFETY: handles of ours come from `into_handle`, and this one lives.
    unsafe {
        Arc::increment_strong_count(object);
        Ok(Arc::from_raw(object))
    }
}

/// The objects behind an array of handles.
pub(crate) fn share_all<T: Kind>(handles: &[Handle]) -> Result<Vec<Ref<T>>> {
    handles.iter().map(|handle| share(*handle)).collect()
}

/// `clRetain...`
pub(crate) fn retain<T: Kind>(handle: Handle) -> Result<()> {
    share::<T>(handle).map(|object| {
        into_handle(object);
    })
}

/// `clRelease...`
pub(crate) fn release<T: Kind>(handle: Handle) -> Result<()> {
    let object: *const Object<T> = borrow::<T>(handle)?;
    // SAFETY: the program gives up a reference that it holds.
    unsafe { Arc::decrement_strong_count(object) };
    Ok(())
}

/// `CL_..._REFERENCE_COUNT`
pub(crate) fn count<T: Kind>(object: &Object<T>) -> Result<u32> {
    let shared = share::<T>(object.handle())?;
    Ok(Arc::strong_count(&shared) as u32 - 1)
}
