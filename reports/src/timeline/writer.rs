//! Events as JSON, one a line.

use serde_json::json;
use std::io::{self, Write};

const COUNTERS_PID: u32 = 1;

/// Writes events and counts them.
pub(super) struct EventWriter<W> {
    out: W,
    pub events: u64,
}

/// What a slice says about its job.
pub(super) struct Slice<'a> {
    pub name: &'a str,
    pub job: u32,
    pub attempt: u32,
    pub tenant: &'a str,
    pub accelerators: f64,
}

impl<W: Write> EventWriter<W> {
    pub fn begin(mut out: W) -> io::Result<EventWriter<W>> {
        write!(out, "{{\"displayTimeUnit\":\"ms\",\"traceEvents\":[")?;
        let mut writer = EventWriter { out, events: 0 };
        writer.metadata("process_name", COUNTERS_PID, 0, json!({"name": "fleet"}))?;
        Ok(writer)
    }

    fn next(&mut self) -> io::Result<()> {
        self.events += 1;
        self.out.write_all(if self.events == 1 { b"\n" } else { b",\n" })
    }

    fn metadata(&mut self, what: &str, pid: u32, tid: u32, args: serde_json::Value) -> io::Result<()> {
        self.next()?;
        write!(self.out, "{{\"ph\":\"M\",\"name\":\"{what}\",\"pid\":{pid},\"tid\":{tid},\"args\":{args}}}")
    }

    /// Names a process.
    pub fn process(&mut self, pid: u32, name: &str) -> io::Result<()> {
        self.metadata("process_name", pid, 0, json!({ "name": name }))?;
        self.metadata("process_sort_index", pid, 0, json!({ "sort_index": pid }))
    }

    /// Names a thread and says where it stands.
    pub fn thread(&mut self, pid: u32, tid: u32, name: &str, order: u64) -> io::Result<()> {
        self.metadata("thread_name", pid, tid, json!({ "name": name }))?;
        self.metadata("thread_sort_index", pid, tid, json!({ "sort_index": order }))
    }

    /// Opens the slice of an attempt.
    pub fn open(&mut self, at: u64, pid: u32, tid: u32, slice: &Slice<'_>) -> io::Result<()> {
        self.next()?;
        let Slice { name, job, attempt, tenant, accelerators } = slice;
        let (name, tenant) = (json!(name), json!(tenant));
        write!(self.out, "{{\"ph\":\"B\",\"ts\":{at},\"pid\":{pid},\"tid\":{tid},\"name\":{name},\"args\":{{")?;
        write!(self.out, "\"job\":{job},\"attempt\":{attempt},\"tenant\":{tenant},\"accelerators\":{accelerators}}}}}")
    }

    /// Opens a slice inside an attempt's.
    pub fn open_phase(&mut self, at: u64, pid: u32, tid: u32, name: &str) -> io::Result<()> {
        self.next()?;
        write!(self.out, "{{\"ph\":\"B\",\"ts\":{at},\"pid\":{pid},\"tid\":{tid},\"name\":\"{name}\"}}")
    }

    /// Closes the innermost open slice of a track.
    pub fn close(&mut self, at: u64, pid: u32, tid: u32) -> io::Result<()> {
        self.next()?;
        write!(self.out, "{{\"ph\":\"E\",\"ts\":{at},\"pid\":{pid},\"tid\":{tid}}}")
    }

    /// A counter has this value from now on.
    pub fn counter(&mut self, at: u64, name: &str, value: f64) -> io::Result<()> {
        self.next()?;
        write!(
            self.out,
            "{{\"ph\":\"C\",\"ts\":{at},\"pid\":{COUNTERS_PID},\"name\":\"{name}\",\"args\":{{\"value\":{value}}}}}"
        )
    }

    /// Ends the file with what is known of it as a whole.
    pub fn finish(mut self, about: &serde_json::Value) -> io::Result<u64> {
        writeln!(self.out, "\n],\"otherData\":{about}}}")?;
        Ok(self.events)
    }
}
