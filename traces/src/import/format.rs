//! The formats, and how to tell them apart by content.

use super::lines::is_comment;
use std::fmt;
use std::str::FromStr;

macro_rules! formats {
    ($($variant:ident, $name:literal, $about:literal, $columns:literal;)*) => {
        /// A public trace format.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Format {
            $(#[doc = $about] $variant,)*
        }

        /// A line of the table of formats.
        #[derive(Clone, Copy, Debug)]
        pub struct FormatInfo {
            /// The format.
            pub format: Format,
            /// Its name on the command line.
            pub name: &'static str,
            /// What it is.
            pub about: &'static str,
            /// The columns or fields that are used.
            pub columns: &'static str,
        }

        /// All formats, the most specific first: the order in which they are tried.
        pub const FORMATS: &[FormatInfo] = &[
            $(FormatInfo { format: Format::$variant, name: $name, about: $about, columns: $columns },)*
        ];
    };
}

formats! {
    Parquet, "parquet", "Orrery's canonical form: everything an importer knows, in one Parquet file.",
        "all of a trace";
    Philly, "philly", "Microsoft Philly 2017, the original cluster_job_log (JSON); --machines takes its machine list.",
        "jobid, submitted_time, attempts (start_time, end_time, detail: ip, gpus), status, vc, user";
    Batsim, "batsim", "Batsim workload (JSON): jobs and profiles.",
        "jobs: id, subtime, res, profile, walltime; profiles: delay, parallel and others whose length is known";
    PhillyCsv, "philly-csv", "Philly, merged from public derivatives (CSV).",
        "job_id, submit_s, submit_ts, num_gpus, duration_s, status, vc";
    Helios, "helios", "SenseTime Helios 2020, the original cluster_log.csv.",
        "job_id, user, vc, gpu_num, cpu_num, node_num, state, submit_time, start_time, end_time, duration";
    HeliosReduced, "helios-reduced", "Helios reduced to four columns (arrival_s, service_sec).",
        "job_id, arrival_s, service_sec, gpu_count";
    Fleetsim, "fleetsim", "Fleetsim slice of Helios: comment lines, submit_time in microseconds.",
        "job_id, user, tenant, class, submit_time (microseconds), num_chips, chip_type, duration_s, walltime_limit_s, final_status";
    PaiTasks, "pai-tasks", "Alibaba PAI 2020, pai_task_table; --with takes pai_job_table.",
        "job_name, task_name, inst_num, status, start_time, end_time, plan_cpu, plan_mem, plan_gpu, gpu_type";
    Pai, "pai", "Alibaba PAI 2020, the simulator's pai_job_*.csv.",
        "job_id, num_inst, submit_time, num_cpu, num_gpu, gpu_type, duration, user";
    Openb, "openb", "Alibaba openb 2023 pods; --machines takes the node list.",
        "name, cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec, qos, pod_phase, creation_time, deletion_time, scheduled_time";
    LingjunJobs, "lingjun-jobs", "Alibaba Lingjun 2023, the original job.csv; --with takes worker.csv, --machines topo.csv.",
        "job_name, kind, model, status, priority, gmt_job_submitted, gmt_job_running, gmt_job_finished, gmt_job_stopped";
    Lingjun, "lingjun", "Lingjun jobs reduced to size and duration (CSV).",
        "job id, arrival time (sec), size, duration (sec), topology";
    Itp, "itp", "Microsoft ITP 2021, raw or ElasticFlow's (CSV, or the tar.gz of all clusters).",
        "job_id, submission_time, duration, num_gpu, model_name";
    Pollux, "pollux", "Pollux and Sia workloads; durations are not in them: --with gives them.",
        "name, time, application, num_replicas, batch_size";
    Slurm, "slurm", "Slurm accounting, `sacct -X -P`.",
        "JobID, Submit, Start, End, Elapsed, AllocTRES, ReqTRES, Timelimit, State, User, Account, Partition, QOS, Priority";
    Swf, "swf", "Standard Workload Format 2.2; processors are taken as accelerators.",
        "18 numeric fields, header comments";
    Gavel, "gavel", "Gavel and Shockwave .trace; durations from the throughput table (--with) unless the trace has them.",
        "job_type, total_steps, scale_factor, priority_weight, duration, arrival_time";
    Csv, "csv", "Any CSV whose columns are found by name.",
        "job_id, submit_time, duration, num_gpu and their synonyms; tenant, priority, estimate, tier, gpu_type, gpu_milli, cpus, memory, status, start, end, label";
}

/// A name that is no format.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no format {0:?}; the formats are: {names}", names = Format::names())]
pub struct UnknownFormat(pub String);

impl Format {
    /// Its line in the table.
    pub fn info(self) -> &'static FormatInfo {
        FORMATS.iter().find(|info| info.format == self).unwrap_or(&FORMATS[0])
    }

    /// All names, comma-separated.
    pub fn names() -> String {
        FORMATS.iter().map(|info| info.name).collect::<Vec<_>>().join(", ")
    }

    /// The format of a content that begins with `head` (decompressed; some tens of KiB are plenty).
    pub fn detect(head: &[u8]) -> Option<Format> {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        if head.starts_with(b"PAR1") {
            return Some(Format::Parquet);
        }
        match head.trim_ascii_start().first()? {
            b'[' | b'{' => return detect_json(head),
            b';' => return Some(Format::Swf),
            _ => {}
        }
        let line = first_line(head)?;
        if line.contains(&0) {
            return None;
        }
        detect_delimited(line)
    }
}

fn has(head: &[u8], needle: &str) -> bool {
    head.windows(needle.len()).any(|window| window == needle.as_bytes())
}

fn detect_json(head: &[u8]) -> Option<Format> {
    if has(head, "\"jobid\"") || has(head, "\"attempts\"") || has(head, "\"submitted_time\"") {
        return Some(Format::Philly);
    }
    let batsim = ["\"nb_res\"", "\"profiles\"", "\"subtime\""].iter().any(|key| has(head, key));
    batsim.then_some(Format::Batsim)
}

/// The first line that is neither blank nor a comment.
pub(crate) fn first_line(head: &[u8]) -> Option<&[u8]> {
    let mut lines = head.split(|b| *b == b'\n').map(|line| line.trim_ascii());
    lines.find(|line| !line.is_empty() && !is_comment(line, b','))
}

fn detect_delimited(line: &[u8]) -> Option<Format> {
    let tabs = line.iter().filter(|b| **b == b'\t').count();
    if tabs >= 5 && super::gavel::is_gavel(line) {
        return Some(Format::Gavel);
    }
    let words: Vec<&[u8]> = line.split(u8::is_ascii_whitespace).filter(|w| !w.is_empty()).collect();
    if words.len() == 18 && words.iter().all(|w| super::cell::decimal(w, 1).is_some()) {
        return Some(Format::Swf);
    }
    let names = header_keys(line, delimiter_of(line));
    let all = |wanted: &[&str]| wanted.iter().all(|w| names.iter().any(|n| n == w));
    let by_header: &[(Format, &[&str])] = &[
        (Format::Slurm, &["jobid", "submit"]),
        (Format::PhillyCsv, &["job_id", "submit_s", "num_gpus", "duration_s"]),
        (Format::Helios, &["job_id", "gpu_num", "submit_time", "state"]),
        (Format::HeliosReduced, &["job_id", "arrival_s", "service_sec", "gpu_count"]),
        (Format::Fleetsim, &["job_id", "submit_time", "num_chips", "duration_s", "final_status"]),
        (Format::PaiTasks, &["job_name", "task_name", "inst_num", "plan_gpu"]),
        (Format::Pai, &["job_id", "num_inst", "submit_time", "num_gpu", "duration"]),
        (Format::Openb, &["name", "cpu_milli", "memory_mib", "num_gpu", "gpu_milli"]),
        (Format::LingjunJobs, &["job_name", "gmt_job_submitted"]),
        (Format::Lingjun, &["job_id", "arrival_time_sec", "size", "duration_sec"]),
        (Format::Itp, &["job_id", "submission_time", "num_gpu", "duration"]),
        (Format::Pollux, &["name", "time", "application", "num_replicas"]),
    ];
    let found = by_header.iter().find(|(_, wanted)| all(wanted)).map(|(format, _)| *format);
    found.or_else(|| super::pai::is_task_row(line).then_some(Format::PaiTasks)).or_else(|| {
        let plain = super::plain::is_plain(&names);
        plain.then_some(Format::Csv)
    })
}

/// The delimiter of a header line: the most frequent of `|`, tab, `;` and `,`, comma in doubt.
pub(crate) fn delimiter_of(line: &[u8]) -> u8 {
    let count = |delimiter: u8| line.iter().filter(|b| **b == delimiter).count();
    let best = [b',', b'|', b'\t', b';'].into_iter().rev().max_by_key(|d| count(*d));
    best.filter(|d| count(*d) > 0).unwrap_or(b',')
}

/// A column name in lower case, everything else than letters and digits turned into single `_`.
pub(crate) fn key(name: &str) -> String {
    let mut key = String::new();
    for c in name.chars() {
        if c.is_ascii_alphanumeric() {
            key.push(c.to_ascii_lowercase());
        } else if !key.is_empty() && !key.ends_with('_') {
            key.push('_');
        }
    }
    key.truncate(key.trim_end_matches('_').len());
    key
}

fn header_keys(line: &[u8], delimiter: u8) -> Vec<String> {
    line.split(|b| *b == delimiter).map(|name| key(&String::from_utf8_lossy(name))).collect()
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.info().name)
    }
}

impl FromStr for Format {
    type Err = UnknownFormat;
    fn from_str(name: &str) -> Result<Format, UnknownFormat> {
        let found = FORMATS.iter().find(|info| info.name.eq_ignore_ascii_case(name.trim()));
        found.map(|info| info.format).ok_or_else(|| UnknownFormat(name.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_a_wrong_one_lists_them() {
        for info in FORMATS {
            assert_eq!(info.name.parse::<Format>(), Ok(info.format));
            assert_eq!(info.format.to_string(), info.name);
        }
        let error = "phily".parse::<Format>().unwrap_err().to_string();
        assert!(error.contains("\"phily\"") && error.contains("philly-csv"), "{error}");
    }

    #[test]
    fn detects_by_content() {
        let cases: &[(&str, Option<Format>)] = &[
            ("PAR1\0\0", Some(Format::Parquet)),
            ("[{\"status\": \"Pass\", \"jobid\": \"a\"", Some(Format::Philly)),
            ("{\"nb_res\": 4, \"jobs\": [", Some(Format::Batsim)),
            ("; Version: 2.2\n", Some(Format::Swf)),
            ("1 0 5 10 4 -1 -1 4 10 -1 1 1 1 -1 1 -1 -1 -1\n", Some(Format::Swf)),
            ("job_id,submit_time,duration,num_gpu,vc\n", Some(Format::Csv)),
            ("# slice\njob_id,user,tenant,class,submit_time,num_chips,duration_s,final_status\n", Some(Format::Fleetsim)),
            ("#job id,arrival time (sec),topology,shape,size,duration (sec)\n", Some(Format::Lingjun)),
            ("JobID|Submit|Start|End\n", Some(Format::Slurm)),
            ("a,b,c\n1,2,3\n", None),
            ("{\"x\": 1}", None),
            ("", None),
            ("\0\0\0", None),
        ];
        for (text, want) in cases {
            assert_eq!(Format::detect(text.as_bytes()), *want, "{text}");
        }
    }
}
