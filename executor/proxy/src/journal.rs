//! What it takes to make a worker's objects again: the log of state-changing requests, compacted as it grows.

use std::collections::{BTreeMap, BTreeSet};
use wire::{Arg, Effect, Id, Op, Request};

/// The live objects, each with the request that made it and the last request for each of its aspects.
#[derive(Default)]
pub(crate) struct Journal {
    sequence: u64,
    records: BTreeMap<Id, Record>,
    /// Objects made together with another one (sub-devices), and which one that is.
    siblings: BTreeMap<Id, Id>,
}

struct Record {
    made: Entry,
    /// How many of the objects that the request made the worker still holds.
    held: usize,
    /// How many live records need this one.
    needed: usize,
    aspects: BTreeMap<u64, Entry>,
    args: BTreeMap<u32, (u64, Arg)>,
}

struct Entry {
    sequence: u64,
    request: Request,
    body: Vec<u8>,
    needs: Vec<Id>,
}

/// A request to be made again, and its body.
pub(crate) type Replay = (Request, Vec<u8>);

impl Journal {
    /// Whether `request`'s body has to be kept for [`Journal::record`]. Memory's contents are saved on their own.
    pub(crate) fn keeps_body(request: &Request) -> bool {
        matches!(
            request,
            Request::ProgramSource { .. }
                | Request::ProgramIl { .. }
                | Request::ProgramBinary { .. }
                | Request::Cuda(wire::cuda::Call::Module { .. })
        )
    }

    /// Notes what a request that was carried out has changed.
    pub(crate) fn record(&mut self, request: &Request, body: Vec<u8>) {
        self.sequence += 1;
        match request.effect() {
            Effect::Create { ids, needs } => self.create(request, body, &ids, needs),
            Effect::Amend { id, aspect, needs } => self.amend(request, id, aspect, needs),
            // One entry under each: it is made again as long as one of them lives.
            Effect::Change { ids, aspect, needs } => {
                ids.into_iter().for_each(|id| self.amend(request, id, aspect, needs.clone()));
            }
            Effect::Arg { kernel, index, arg } => self.set_arg(kernel, index, arg),
            Effect::Command { args: Some((kernel, args)), .. } => {
                for (index, arg) in args {
                    self.set_arg(kernel, *index, arg);
                }
            }
            Effect::Release(id) => self.release(id),
            Effect::Command { args: None, .. } | Effect::None => {}
        }
    }

    /// All arguments that a kernel has now.
    pub(crate) fn args(&self, kernel: Id) -> Vec<(u32, Arg)> {
        let record = self.records.get(&kernel);
        record.map_or_else(Vec::new, |record| record.args.iter().map(|(index, (_, arg))| (*index, arg.clone())).collect())
    }

    /// The requests that make everything again, in order.
    pub(crate) fn replay(&self) -> Vec<Replay> {
        let mut all: Vec<(u64, Replay)> = Vec::new();
        let mut shared = BTreeSet::new();
        for (id, record) in &self.records {
            let aspects = record.aspects.values().filter(|entry| shared.insert(entry.sequence));
            let entries = std::iter::once(&record.made).chain(aspects);
            all.extend(entries.map(|entry| (entry.sequence, (entry.request.clone(), entry.body.clone()))));
            for (index, (sequence, arg)) in &record.args {
                // What the argument refers to may be gone: the program must set it anew before it launches.
                if !matches!(arg, Arg::Object(object) if !self.lives(*object)) {
                    all.push((*sequence, (Request::SetArg { kernel: *id, index: *index, arg: arg.clone() }, Vec::new())));
                }
            }
        }
        // An object that was released but is still needed is made again and released at the end.
        let zombies = self.records.iter().filter(|(_, record)| record.held == 0);
        all.extend(zombies.map(|(id, _)| (u64::MAX, (Request::Release { id: *id }, Vec::new()))));
        all.sort_by_key(|(sequence, _)| *sequence);
        all.into_iter().map(|(_, replay)| replay).collect()
    }

    /// The requests that make memory, in order, each with its object and whether the worker still holds that.
    pub(crate) fn memory(&self) -> Vec<(Id, Request, bool)> {
        let mut all: Vec<_> = self.records.iter().filter(|(_, record)| makes_memory(&record.made.request)).collect();
        all.sort_by_key(|(_, record)| record.made.sequence);
        all.into_iter().map(|(id, record)| (*id, record.made.request.clone(), record.held > 0)).collect()
    }

    /// Arguments that refer to memory which lives: kernel, index and object.
    pub(crate) fn memory_args(&self) -> Vec<(Id, u32, Id)> {
        let memory = |id: &Id| self.records.get(id).is_some_and(|record| record.held > 0 && makes_memory(&record.made.request));
        let kernels = self.records.iter().filter(|(_, record)| record.held > 0);
        let args = kernels.flat_map(|(kernel, record)| record.args.iter().map(|(index, (_, arg))| (*kernel, *index, arg)));
        args.filter_map(|(kernel, index, arg)| match arg {
            Arg::Object(object) if memory(object) => Some((kernel, index, *object)),
            _ => None,
        })
        .collect()
    }

    fn lives(&self, id: Id) -> bool {
        self.records.contains_key(&self.primary(id))
    }

    fn primary(&self, id: Id) -> Id {
        self.siblings.get(&id).copied().unwrap_or(id)
    }

    fn create(&mut self, request: &Request, body: Vec<u8>, ids: &[Id], needs: Vec<Id>) {
        let Some((&first, others)) = ids.split_first() else { return };
        self.need(&needs);
        self.siblings.extend(others.iter().map(|id| (*id, first)));
        let made = Entry { sequence: self.sequence, request: request.clone(), body, needs };
        let record = Record { made, held: ids.len(), needed: 0, aspects: BTreeMap::new(), args: BTreeMap::new() };
        self.records.insert(first, record);
    }

    fn amend(&mut self, request: &Request, id: Id, aspect: u64, needs: Vec<Id>) {
        let id = self.primary(id);
        if !self.records.contains_key(&id) {
            return;
        }
        self.need(&needs);
        let entry = Entry { sequence: self.sequence, request: request.clone(), body: Vec::new(), needs };
        let old = self.records.get_mut(&id).and_then(|record| record.aspects.insert(aspect, entry));
        if let Some(old) = old {
            self.need_no_more(&old.needs);
        }
    }

    fn set_arg(&mut self, kernel: Id, index: u32, arg: &Arg) {
        if let Some(record) = self.records.get_mut(&kernel) {
            record.args.insert(index, (self.sequence, arg.clone()));
        }
    }

    fn release(&mut self, id: Id) {
        let id = self.primary(id);
        if let Some(record) = self.records.get_mut(&id) {
            record.held = record.held.saturating_sub(1);
            self.collect(id);
        }
    }

    fn collect(&mut self, id: Id) {
        if self.records.get(&id).is_some_and(|record| record.held == 0 && record.needed == 0)
            && let Some(record) = self.records.remove(&id)
        {
            self.siblings.retain(|_, first| *first != id);
            self.need_no_more(&record.made.needs);
            for entry in record.aspects.values() {
                self.need_no_more(&entry.needs);
            }
        }
    }

    fn need(&mut self, ids: &[Id]) {
        for id in ids {
            let id = self.primary(*id);
            if let Some(record) = self.records.get_mut(&id) {
                record.needed += 1;
            }
        }
    }

    fn need_no_more(&mut self, ids: &[Id]) {
        for id in ids {
            let id = self.primary(*id);
            if let Some(record) = self.records.get_mut(&id) {
                record.needed = record.needed.saturating_sub(1);
                self.collect(id);
            }
        }
    }
}

/// Whether a request makes memory that can be freed and made again.
fn makes_memory(request: &Request) -> bool {
    matches!(
        request,
        Request::Buffer { .. }
            | Request::SubBuffer { .. }
            | Request::Image { .. }
            | Request::Cuda(wire::cuda::Call::Alloc { .. })
    )
}

/// The kernel that a request launches.
pub(crate) fn launched(request: &Request) -> Option<Id> {
    match request {
        Request::Enqueue { op: Op::Kernel { kernel, .. }, .. } => Some(*kernel),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn note(journal: &mut Journal, request: Request) {
        journal.record(&request, Vec::new());
    }

    fn context(id: Id) -> Request {
        Request::Context { id, devices: vec![wire::DEVICE], properties: vec![] }
    }

    fn build(program: Id, options: &str) -> Request {
        Request::Build { program, devices: vec![], options: Some(options.into()) }
    }

    fn kinds(journal: &Journal) -> Vec<Request> {
        journal.replay().into_iter().map(|(request, _)| request).collect()
    }

    #[test]
    fn what_is_released_and_not_needed_leaves_no_trace() {
        let mut journal = Journal::default();
        note(&mut journal, context(16));
        note(&mut journal, Request::Buffer { id: 17, context: 16, flags: 0, size: 4, properties: vec![] });
        note(&mut journal, Request::Release { id: 17 });
        assert_eq!(kinds(&journal), [context(16)]);
        note(&mut journal, Request::Release { id: 16 });
        assert!(kinds(&journal).is_empty());
    }

    #[test]
    fn a_released_program_comes_back_for_its_kernel_and_is_released_again() {
        let mut journal = Journal::default();
        let kernel = Request::Kernel { id: 18, program: 17, name: "k".into() };
        note(&mut journal, context(16));
        note(&mut journal, Request::ProgramSource { id: 17, context: 16 });
        note(&mut journal, build(17, "-O0"));
        note(&mut journal, build(17, "-O2"));
        note(&mut journal, kernel.clone());
        note(&mut journal, Request::Release { id: 17 });
        let program = Request::ProgramSource { id: 17, context: 16 };
        let release = Request::Release { id: 17 };
        assert_eq!(kinds(&journal), [context(16), program, build(17, "-O2"), kernel, release]);
        note(&mut journal, Request::Release { id: 18 });
        assert_eq!(kinds(&journal), [context(16)]);
    }

    #[test]
    fn what_is_found_for_several_objects_is_found_again_as_long_as_one_lives() {
        use wire::libraries::{Library, Value, number};
        let mut journal = Journal::default();
        let call = |name, values: &[Value]| {
            let function = number(Library::Cudnn, name);
            Request::Cuda(wire::cuda::Call::Library { function, values: values.to_vec() })
        };
        let create = |id| call("cudnnBackendCreateDescriptor", &[Value::Word(3), Value::New(id)]);
        let get = call(
            "cudnnBackendGetAttribute",
            &[Value::Object(20), Value::Word(1), Value::Word(15), Value::Word(2), Value::Room(8), Value::Objects(vec![21, 22])],
        );
        for id in [20, 21, 22] {
            note(&mut journal, create(id));
        }
        note(&mut journal, get.clone());
        note(&mut journal, Request::Release { id: 20 });
        note(&mut journal, Request::Release { id: 21 });
        assert_eq!(kinds(&journal), [create(20), create(22), get, Request::Release { id: 20 }]);
        note(&mut journal, Request::Release { id: 22 });
        assert!(kinds(&journal).is_empty());
    }

    #[test]
    fn the_last_argument_holds_unless_its_buffer_is_gone() {
        let mut journal = Journal::default();
        note(&mut journal, Request::Buffer { id: 20, context: 16, flags: 0, size: 4, properties: vec![] });
        note(&mut journal, Request::Kernel { id: 18, program: 17, name: "k".into() });
        for byte in [1, 2] {
            note(&mut journal, Request::SetArg { kernel: 18, index: 0, arg: Arg::Bytes(vec![byte]) });
        }
        note(&mut journal, Request::SetArg { kernel: 18, index: 1, arg: Arg::Object(20) });
        assert_eq!(journal.args(18), [(0, Arg::Bytes(vec![2])), (1, Arg::Object(20))]);
        note(&mut journal, Request::Release { id: 20 });
        assert_eq!(kinds(&journal).len(), 2);
    }
}
