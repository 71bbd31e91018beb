//! One small sample of each format, and what must come of it.

use policies::{Level, Span, Time, TypeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use traces::import::{Format, ImportError, ImportOptions, Imported, NEVER_ENDS, OnBadRow, import, import_bytes};
use traces::{Outcome, TraceJob};

fn read(text: &str) -> Imported {
    import_bytes("sample", text.as_bytes(), &ImportOptions::default()).unwrap_or_else(|error| panic!("{error}"))
}

fn fails(text: &str) -> String {
    let error = import_bytes("sample", text.as_bytes(), &ImportOptions::default());
    let message = error.expect_err("it must not be accepted").to_string();
    assert!(!message.contains('\n'), "one line: {message}");
    message
}

/// id, submit and duration in seconds, accelerators.
fn short(job: &TraceJob) -> (&str, f64, f64, u32) {
    (&job.id, job.submit.as_secs_f64(), job.duration.as_secs_f64(), job.demand.accelerators)
}

fn file(folder: &Path, name: &str, content: &[u8]) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, content).unwrap();
    path
}

#[test]
fn plain_csv_finds_columns_by_name() {
    let all = read(
        "Job ID;Arrival;Run Time;GPUs;User;Priority;Walltime;Tier;GPU Type;gpu_milli;cpus;memory_gb;state;within\r\n\
         b;5.5;0:01:30;1;ann;3;120;2;A100|H100;250;4;16;failed;node\r\n\
         \r\n\
         \"a\";1;60;2;bob;;;;;;;;;\r\n",
    );
    assert_eq!(all.trace.format, "csv");
    assert_eq!(all.trace.types, ["A100", "H100"]);
    let [a, b] = &all.trace.jobs[..] else { panic!() };
    assert_eq!((short(a), short(b)), (("a", 1.0, 60.0, 2), ("b", 5.5, 90.0, 1)));
    assert_eq!((b.demand.milli, b.demand.types, b.demand.within), (250, TypeSet(3), Level::Node));
    assert_eq!((b.demand.cpu_milli, b.demand.memory_mib, b.priority, b.tier), (4000, 16384, 3, 2));
    assert_eq!((b.estimate, b.outcome), (Some(Span::from_secs(120)), Outcome::Failed));
    assert_eq!(all.trace.tenants[a.tenant as usize], "bob");
    assert_eq!((a.demand.types, a.estimate), (TypeSet::ANY, None));
}

#[test]
fn plain_csv_rebases_calendar_and_unix_times_only() {
    let dates = read("submit_time,start,end,num_gpu\n2020-01-01 00:00:10,2020-01-01 00:01:00,2020-01-01 00:02:00,1\n");
    assert_eq!(short(&dates.trace.jobs[0]), ("0", 0.0, 60.0, 1));
    assert_eq!(dates.trace.epoch_unix_s, Some(1_577_836_810));
    assert_eq!(dates.trace.jobs[0].recorded_start, Some(Time::from_secs(50)));
    let unix = read("id,submit_time_ms,duration_min,gpus\na,1577836810500,2,0.5\n");
    assert_eq!((short(&unix.trace.jobs[0]), unix.trace.jobs[0].demand.milli), (("a", 0.5, 120.0, 1), 500));
    assert_eq!(unix.trace.epoch_unix_s, Some(1_577_836_810));
    let relative = read("id,submit_time,duration,num_gpu\na,651507.0,1,1\n");
    assert_eq!((relative.trace.jobs[0].submit.as_secs_f64(), relative.trace.epoch_unix_s), (651_507.0, None));
    assert!(fails("id,submit,duration,gpus\na,5,1,1\nb,2020-01-01 00:00,1,1\n").contains("row 3"));
}

#[test]
fn equal_times_keep_row_order_in_unsorted_input() {
    let all = read("id,submit,duration,gpus\nc,9,1,1\nb,3,1,1\na,3,1,1\nd,9,1,1\n");
    assert_eq!(all.trace.jobs.iter().map(|j| &*j.id).collect::<String>(), "bacd");
}

#[test]
fn each_kind_of_bad_row_names_its_place() {
    let cases = [
        ("a,-1,5,1", "column submit: found \"-1\""),
        ("a,x,5,1", "column submit: found \"x\""),
        ("a,1,nan,1", "column duration: found \"nan\""),
        ("a,1,-5,1", "column duration: found \"-5\""),
        ("a,1,,1", "column duration: found \"\""),
        ("a,1,1e300,1", "column duration: found \"1e300\""),
        ("a,1,5,0", "column gpus: found \"0\", expected at least one accelerator"),
        ("a,1,5,-1", "column gpus: found \"-1\""),
        ("a,1,5,99999999999", "column gpus"),
        ("ok,1,5,1", "column id: found \"ok\", expected an identifier that no earlier row has"),
        (",1,5,1", "column id"),
        ("a,1,5", "expected 4 fields"),
        ("a,1,5,1,7", "expected 4 fields"),
        ("\"a,1,5,1", "expected a closing quote"),
    ];
    for (row, want) in cases {
        let text = format!("id,submit,duration,gpus\n\nok,0,1,1\n{row}\n");
        let message = fails(&text);
        assert!(message.starts_with("sample: row 4, ") && message.contains(want), "{row}: {message}");
        assert!(message.contains("--on-bad-row skip"), "{message}");
        let skip = ImportOptions { on_bad_row: OnBadRow::Skip, ..ImportOptions::default() };
        let rest = import_bytes("sample", text.as_bytes(), &skip).unwrap();
        assert_eq!((rest.trace.jobs.len(), rest.skipped_total, rest.skipped[0].row), (1, 1, 4));
    }
    let backwards = fails("id,submit,start,end,gpus\na,1,5,4,1\n");
    assert!(backwards.contains("column end: found \"4\""), "{backwards}");
}

#[test]
fn files_that_are_no_traces_are_refused_in_one_line() {
    assert!(fails("") == "sample: it is empty");
    assert!(fails("hello, world\n").contains("\"hello, world\"") && fails("hello\n").contains("philly-csv"));
    assert!(fails("id,submit,duration,gpus\n").contains("no jobs"));
    let missing = import(Path::new("/nonexistent/trace.csv"), &ImportOptions::default()).unwrap_err();
    assert!(matches!(missing, ImportError::Open { .. }), "{missing}");
    let forced = ImportOptions { format: Some(Format::Csv), ..ImportOptions::default() };
    let column = import_bytes("sample", b"a,b\n1,2\n", &forced).unwrap_err().to_string();
    assert!(column.contains("no column for the submit time") && column.contains("a, b"), "{column}");
}

#[test]
fn philly_original_counts_from_first_start_to_last_end() {
    let all = read(
        r#"[
        {"status": "Pass", "vc": "v1", "jobid": "j2", "user": "u", "submitted_time": "2017-10-07 01:11:39", "attempts": [
          {"start_time": "2017-10-07 01:12:09", "end_time": "2017-10-07 01:13:23", "detail": [{"ip": "m1", "gpus": ["gpu0", "gpu1"]}, {"ip": "m2", "gpus": ["gpu0"]}]},
          {"start_time": "2017-10-07 01:13:30", "end_time": "2017-10-07 02:12:09", "detail": []}]},
        {"status": "Killed", "vc": "v1", "jobid": "j1", "submitted_time": "2017-10-07 01:11:09", "attempts": [
          {"start_time": "2017-10-07 01:12:09", "end_time": "2017-10-07 01:12:10", "detail": [{"ip": "m1", "gpus": ["gpu0"]}]}]},
        {"status": "Failed", "vc": "v1", "jobid": "j3", "submitted_time": "2017-10-07 01:11:39", "attempts": []},
        {"status": "Failed", "vc": "v1", "jobid": "j4", "submitted_time": "2017-10-07 01:11:39", "attempts": [
          {"start_time": "2017-10-07 01:12:09", "end_time": null, "detail": [{"ip": "m1", "gpus": ["gpu0"]}]}]}
        ]"#,
    );
    let jobs = &all.trace.jobs;
    assert_eq!((short(&jobs[0]), short(&jobs[1])), (("j1", 0.0, 1.0, 1), ("j2", 30.0, 3600.0, 3)));
    assert_eq!((jobs[0].outcome, jobs[1].recorded_start), (Outcome::Cancelled, Some(Time::from_secs(60))));
    assert_eq!((all.left_out.values().sum::<u64>(), all.trace.epoch_unix_s), (2, Some(1_507_338_669)));
    let derived = read(
        r#"[{"id": "j5", "num_gpus": 8, "submitted_time": "2017-10-07 01:11:39", "attempts": [
          {"start_time": "2017-10-07 01:12:09", "end_time": "2017-10-07 01:13:09"}]}]"#,
    );
    assert_eq!(short(&derived.trace.jobs[0]), ("j5", 0.0, 60.0, 8));
    let none = fails(r#"[{"jobid": "a", "submitted_time": "2017-10-07 01:11:39", "attempts": []}]"#);
    assert!(none.contains("left out: 1 jobs without a recorded start and end"), "{none}");
    let bad = fails("[\n {\"jobid\": \"a\", \"submitted_time\": \"yesterday\", \"attempts\": []}\n]");
    assert!(bad.starts_with("sample: row 2, column submitted_time: found \"yesterday\""), "{bad}");
    let cut = fails("[\n {\"jobid\": \"a\", \"submitted_time\": \"2017-10-07 01:11:39\"},\n");
    assert!(cut.contains("row 3") && cut.contains("EOF"), "{cut}");
}

#[test]
fn philly_merged() {
    let all = read(
        "job_id,submit_s,submit_ts,num_gpus,duration_s,status,vc\n0,0,2017-08-14T23:27:00,1,10,Killed,x\n1,5,2017-08-14T23:27:05,8,20,Pass,\n",
    );
    assert_eq!((all.trace.format.as_str(), all.trace.epoch_unix_s), ("philly-csv", Some(1_502_753_220)));
    assert_eq!((short(&all.trace.jobs[1]), all.trace.jobs[1].tenant), (("1", 5.0, 20.0, 8), 0));
}

#[test]
fn helios_original_keeps_processor_jobs() {
    let all = read(
        "job_id,user,vc,gpu_num,cpu_num,node_num,state,submit_time,start_time,end_time,duration,queue\n\
         7,u,vA,0,4,1,COMPLETED,2020-06-09 18:41:01,2020-06-09 18:41:02,2020-06-09 18:42:02,60,1\n\
         8,u,vA,16,64,2,NODE_FAIL,2020-06-09 18:41:11,2020-06-09 18:41:11,2020-06-09 18:42:11,60,0\n",
    );
    let [cpu, gpu] = &all.trace.jobs[..] else { panic!() };
    assert_eq!((cpu.demand.accelerators, cpu.demand.cpu_milli, cpu.recorded_start), (0, 4000, Some(Time::from_secs(1))));
    assert_eq!((short(gpu), gpu.outcome, gpu.tenant), (("8", 10.0, 60.0, 16), Outcome::Failed, cpu.tenant));
}

#[test]
fn helios_reductions() {
    let safa = read("job_id,arrival_s,service_sec,gpu_count\n363167#0,0.0,172800.0,32\n394948#2,651507.0,5.0,8\n");
    assert_eq!(short(&safa.trace.jobs[1]), ("394948#2", 651_507.0, 5.0, 8));
    let slice = read(
        "# slice\n# license: x, y, z\njob_id,user,tenant,class,submit_time,num_chips,chip_type,num_nodes,duration_s,walltime_limit_s,final_status\n\
         765563,u,v,finetune,5835000000,128,,16,24.0,30.0,CANCELED\n",
    );
    assert_eq!((short(&slice.trace.jobs[0]), slice.trace.format.as_str()), (("765563", 5835.0, 24.0, 128), "fleetsim"));
    assert_eq!(slice.trace.jobs[0].estimate, Some(Span::from_secs(30)));
}

#[test]
fn itp_both_kinds() {
    let raw = read("job_id,submission_time,duration,num_gpu\nx-1,16566,3890,4\n");
    assert_eq!((short(&raw.trace.jobs[0]), raw.trace.format.as_str()), (("x-1", 16_566.0, 3890.0, 4), "itp"));
    let elastic =
        read("job_id,submission_time,num_iteration,model_name,deadline,batch_size,num_gpu,duration\nx,1,9,bert,9,64,4,3\n");
    assert_eq!((short(&elastic.trace.jobs[0]), elastic.trace.labels[1].as_str()), (("x", 1.0, 3.0, 4), "bert"));
}

#[test]
fn pai_simulator_multiplies_members() {
    let all = read(
        "job_id,num_inst,submit_time,num_cpu,num_gpu,gpu_type,duration,user\n1,4,100,6.0,0.25,T4,50,ab\n2,1,100,2,1.5,,0,ab\n",
    );
    let [a, b] = &all.trace.jobs[..] else { panic!() };
    assert_eq!((short(a), a.demand.milli, a.demand.cpu_milli), (("1", 100.0, 50.0, 4), 250, 24_000));
    assert_eq!((short(b), b.demand.milli, a.demand.types), (("2", 100.0, 0.0, 2), 750, TypeSet::ANY));
}

#[test]
fn pai_tasks_join_the_job_table() {
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "pai_job_table.csv", b"j1,i1,u1,Terminated,90.0,200.0\nj2,i2,u2,Failed,nan,1\n");
    let text = b"j1,worker,2.0,Terminated,100.0,160.0,600.0,29.296875,50.0,T4\n\
        j1,ps,1,Failed,101,161,400,10,,CPU\nj2,w,1,Running,5,,100,1,100,T4\nj3,w,,Terminated,5,6,100,1,100,T4\n";
    let all = import(&file(folder.path(), "pai_task_table.csv", text), &ImportOptions::default()).unwrap();
    let [worker, ps] = &all.trace.jobs[..] else { panic!("{:?}", all.trace.jobs) };
    assert_eq!((short(worker), worker.demand.milli, worker.demand.cpu_milli), (("j1/worker", 90.0, 60.0, 2), 500, 12_000));
    assert_eq!((worker.demand.memory_mib, worker.recorded_start), (60_000, Some(Time::from_secs(100))));
    assert_eq!((ps.demand.accelerators, ps.demand.cpu_milli, ps.outcome), (0, 4000, Outcome::Failed));
    assert_eq!((all.trace.tenants[1].as_str(), all.left_out.values().sum::<u64>()), ("u1", 2));
}

#[test]
fn openb_takes_types_from_the_fleet() {
    let folder = tempfile::tempdir().unwrap();
    let nodes =
        b"sn,cpu_milli,memory_mib,gpu,model\nn0,64000,262144,2,P100\nn1,64000,1024,8,V100M32\nn2,64000,1024,8,V100M16\n";
    let machines = Some(file(folder.path(), "nodes.csv", nodes));
    let pods =
        b"name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos,pod_phase,creation_time,deletion_time,scheduled_time\n\
        p0,12000,16384,1,460,V100M16|V100M32,LS,Succeeded,10,110,20\np1,4000,100,0,0,,BE,Pending,12,112,\n";
    let all = import_bytes("pods", pods, &ImportOptions { machines, ..ImportOptions::default() }).unwrap();
    let [gpu, cpu] = &all.trace.jobs[..] else { panic!() };
    assert_eq!(all.trace.types, ["P100", "V100M32", "V100M16"]);
    assert_eq!((short(gpu), gpu.demand.milli, gpu.demand.types), (("p0", 10.0, 90.0, 1), 460, TypeSet(0b110)));
    assert_eq!((gpu.demand.within, gpu.recorded_start, gpu.tier), (Level::Node, Some(Time::from_secs(20)), 0));
    assert_eq!((short(cpu), cpu.demand.cpu_milli, cpu.tier), (("p1", 12.0, 100.0, 0), 4000, 2));
    assert_eq!(all.trace.fleet.as_ref().unwrap().accelerators(), 18);
    let plain = import_bytes("pods", pods, &ImportOptions::default()).unwrap();
    assert_ne!(plain.digest, all.digest, "the node list is part of the digest");
}

#[test]
fn openb_variants_without_times_never_end() {
    let all = read("name,cpu_milli,memory_mib,num_gpu,gpu_milli\nz,12000,16384,1,1000\na,6000,12288,8,1000\n");
    assert!(all.trace.jobs.iter().all(|job| job.submit == Time::ZERO && job.duration == NEVER_ENDS));
    assert_eq!((&*all.trace.jobs[0].id, all.notes.len()), ("z", 1));
}

#[test]
fn lingjun_reduced_and_original() {
    let reduced =
        read("#job id,arrival time (sec),topology,shape,size,duration (sec)\n0,0.0,CLOS,48,48,720.0\n1,60.0,CLOS,8,8,0.0\n");
    assert_eq!((short(&reduced.trace.jobs[0]), reduced.trace.format.as_str()), (("0", 0.0, 720.0, 48), "lingjun"));
    let jobs = b"id,job_name,kind,model,status,priority,gmt_job_submitted,gmt_job_running,gmt_job_finished,gmt_job_stopped\n\
        1,dlc1,PyTorchJob,llama,Succeeded,4,2023/7/15 02:19,2023/7/15 02:21,2023/7/15 02:23,\n\
        2,dlc2,PyTorchJob,llama,Stopped,1,2023/7/15 02:20,2023/7/15 02:21,,2023/7/15 03:21\n\
        3,dlc3,PyTorchJob,llama,Failed,1,2023/7/15 02:20,,,\n";
    let workers = b"id,job_name,replica_type,host_ip,RES\n\
        1,dlc1,master,x,\"{\"\"cpu\"\": \"\"96\"\", \"\"memory\"\": \"\"1600Gi\"\", \"\"nvidia.com/gpu\"\": \"\"8\"\"}\"\n\
        2,dlc1,worker,y,\"{'cpu': '96', 'memory': '1600Gi', 'nvidia.com/gpu': '8'}\"\n3,dlc2,worker,y,\"{'nvidia.com/gpu': '1'}\"\n";
    let alone = import_bytes("job.csv", jobs, &ImportOptions::default()).unwrap_err().to_string();
    assert!(alone.contains("worker.csv") && alone.contains("--with"), "{alone}");
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "worker.csv", workers);
    let all = import(&file(folder.path(), "job.csv", jobs), &ImportOptions::default()).unwrap();
    let [one, two] = &all.trace.jobs[..] else { panic!() };
    assert_eq!((short(one), one.demand.cpu_milli, one.demand.memory_mib), (("dlc1", 0.0, 120.0, 16), 192_000, 3_276_800));
    assert_eq!((short(two), two.outcome, one.priority), (("dlc2", 60.0, 3600.0, 1), Outcome::Cancelled, 4));
}

#[test]
fn gavel_needs_throughputs_unless_durations_are_there() {
    let trace = b"A3C\tpython3 x\t--max-steps\t1\t1000\t6.500000\t1\nLM (batch size 5)\tx\t-n\t1\t200\t0.0\t16\n";
    let alone = import_bytes("t.trace", trace, &ImportOptions::default()).unwrap_err().to_string();
    assert!(alone.contains("--with"), "{alone}");
    let table = br#"{"k80": {}, "v100": {"('A3C', 1)": {"null": 4.0}, "('LM (batch size 5)', 1)": {"null": 1}, "('LM (batch size 5)', 8)": {"null": 8.0}}}"#;
    let folder = tempfile::tempdir().unwrap();
    file(folder.path(), "simulation_throughputs.json", table);
    std::fs::create_dir(folder.path().join("seed0")).unwrap();
    let path = file(folder.path(), "seed0/t.trace", trace);
    let all = import(&path, &ImportOptions::default()).unwrap();
    assert_eq!((short(&all.trace.jobs[0]), short(&all.trace.jobs[1])), (("1", 0.0, 25.0, 16), ("0", 6.5, 250.0, 1)));
    assert!(all.notes.iter().any(|note| note.starts_with("1 jobs are wider")), "{:?}", all.notes);
    let shockwave = read("LM (batch size 10)\tx\tdir\t--steps\t1\t134583\t2\tgns\t1\t-1.000000\t1418\t55\n");
    assert_eq!(short(&shockwave.trace.jobs[0]), ("0", 55.0, 1418.0, 2));
    let nine = "A3C\tx\t--n\t0\t1000\t4\t2.0\t-1\t7\n";
    let options = ImportOptions { with: Some(folder.path().join("simulation_throughputs.json")), ..ImportOptions::default() };
    let nine = import_bytes("t", nine.as_bytes(), &options).unwrap();
    assert_eq!((short(&nine.trace.jobs[0]), nine.trace.jobs[0].priority), (("0", 7.0, 250.0, 4), 2));
}

#[test]
fn pollux_is_refused_without_durations() {
    let text = b"name,time,application,num_replicas,batch_size\ncifar10-0,107,cifar10,6,2048\nncf-1,487.661836,ncf,1,32768\n";
    let alone = import_bytes("w.csv", text, &ImportOptions::default()).unwrap_err().to_string();
    assert!(alone.contains("no durations") && alone.contains("--with"), "{alone}");
    let folder = tempfile::tempdir().unwrap();
    let with = file(folder.path(), "d.csv", b"application,num_replicas,duration\ncifar10,6,500\ncifar10,,900\nncf,,60\n");
    let all = import_bytes("w.csv", text, &ImportOptions { with: Some(with), ..ImportOptions::default() }).unwrap();
    assert_eq!(
        (short(&all.trace.jobs[0]), short(&all.trace.jobs[1])),
        (("cifar10-0", 107.0, 500.0, 6), ("ncf-1", 487.661836, 60.0, 1))
    );
}

#[test]
fn batsim_profiles_give_durations() {
    let text = r#"{"nb_res": 4, "description": "x",
        "jobs": [
          {"id": 1, "subtime": 0.5, "res": 4, "profile": "d", "walltime": 30},
          {"id": "two", "subtime": 1, "res": 1, "profile": "d", "walltime": 5},
          {"id": 3, "subtime": 2, "res": 2, "profile": "par", "walltime": 100},
          {"id": 4, "subtime": 3, "res": 2, "profile": "seq", "walltime": -1}],
        "profiles": {
          "d": {"type": "delay", "delay": 20.25}, "e": {"type": "DelayProfile", "delay": 1, "ret": 1},
          "par": {"type": "parallel", "cpu": [5e6, 0], "com": [0, 0, 0, 0]},
          "seq": {"type": "composed", "repeat": 2, "seq": ["d", "e"]}}}"#;
    let all = read(text);
    let shorts: Vec<_> = all.trace.jobs.iter().map(short).collect();
    assert_eq!(shorts, [("1", 0.5, 20.25, 4), ("two", 1.0, 5.0, 1), ("3", 2.0, 100.0, 2), ("4", 3.0, 42.5, 2)]);
    assert_eq!((all.trace.jobs[1].outcome, all.trace.fleet.unwrap().accelerators()), (Outcome::Failed, 4));
    let bad = fails("{\"jobs\": [\n{\"id\": 1, \"subtime\": 0, \"res\": 1, \"profile\": \"nope\"}], \"profiles\": {}}");
    assert!(bad.starts_with("sample: row 2, column profile: found \"nope\""), "{bad}");
    let cycle = fails(
        "{\"jobs\": [{\"id\": 1, \"subtime\": 0, \"res\": 1, \"profile\": \"a\"}], \"profiles\": {\"a\": {\"type\": \"composed\", \"seq\": [\"a\"]}}}",
    );
    assert!(cycle.contains("does not contain itself"), "{cycle}");
}

#[test]
fn swf_with_header_comments() {
    let all = read(
        "; Version: 2.2\n; Computer: Linux cluster\n; UnixStartTime: 1577836800\n; MaxProcs: 128\n\
         1 0 5 100 4 -1 -1 8 200 -1 1 3 7 2 1 -1 -1 -1\n\
         2 10 -1 50 -1 -1 -1 2 -1 -1 5 -1 7 -1 1 -1 -1 -1\n\
         3 11 -1 -1 -1 -1 -1 2 -1 -1 5 -1 7 -1 1 -1 -1 -1\n",
    );
    let [a, b] = &all.trace.jobs[..] else { panic!() };
    assert_eq!((short(a), short(b)), (("1", 0.0, 100.0, 4), ("2", 10.0, 50.0, 2)));
    assert_eq!(
        (a.estimate, a.recorded_start, b.outcome),
        (Some(Span::from_secs(200)), Some(Time::from_secs(5)), Outcome::Cancelled)
    );
    assert_eq!((all.trace.tenants.join(","), all.trace.epoch_unix_s), (",u3,g7".into(), Some(1_577_836_800)));
    assert_eq!((all.trace.fleet.unwrap().accelerators(), all.left_out.len()), (128, 1));
    assert!(fails("; x\n1 0 5 100 4\n").contains("row 2, column (row)"));
    assert!(fails("; x\n1 -9 5 100 4 -1 -1 8 200 -1 1 3 7 2 1 -1 -1 -1\n").contains("column 2 submit time: found \"-9\""));
}

#[test]
fn slurm_accounting() {
    let all = read(
        "JobID|Submit|Start|End|Elapsed|AllocTRES|ReqTRES|Timelimit|State|User|Account|Partition|QOS|Priority|ReqMem|NNodes\n\
         10|2024-03-01T10:00:00|2024-03-01T10:00:30|2024-03-01T11:00:30|01:00:00|billing=8,cpu=64,gres/gpu:a100=8,gres/gpu=8,mem=512G,node=1||1-00:00:00|COMPLETED|ann|lab|gpu|high|4294901|512G|1\n\
         10.batch|2024-03-01T10:00:00|2024-03-01T10:00:30|2024-03-01T11:00:30|01:00:00|cpu=64||||||||||\n\
         12_3|2024-03-01T10:00:05|2024-03-01T10:00:05|2024-03-01T10:01:05|00:01:00|cpu=4,gres/gpu=1,mem=4000M||UNLIMITED|CANCELLED by 0|bob||gpu||1||1\n\
         13|2024-03-01T10:00:06|Unknown|Unknown|00:00:00|||00:10:00|PENDING|bob|||||4Gc|1\n\
         14|2024-03-01T10:00:06|None|2024-03-01T10:00:09|00:00:00|||00:10:00|CANCELLED|bob||||||\n\
         15|2024-03-01T10:00:07|2024-03-01T10:00:08|2024-03-01T10:00:09|1-00:00:01||cpu=2,gres/gpu:h100=2|30:00|TIMEOUT|bob||||5|4Gc|1\n",
    );
    let [a, b, c] = &all.trace.jobs[..] else { panic!("{:?}", all.trace.jobs) };
    assert_eq!((short(a), a.demand.cpu_milli, a.demand.memory_mib), (("10", 0.0, 3600.0, 8), 64_000, 524_288));
    assert_eq!((a.estimate, a.priority, a.demand.types), (Some(Span::from_secs(86_400)), 4_294_901, TypeSet(1)));
    assert_eq!((short(b), b.outcome, b.estimate), (("12_3", 5.0, 60.0, 1), Outcome::Cancelled, None));
    assert_eq!((short(c), c.demand.types, c.demand.memory_mib), (("15", 7.0, 86_401.0, 2), TypeSet(2), 8192));
    assert_eq!((all.trace.types.join(","), all.left_out.values().sum::<u64>()), ("a100,h100".into(), 3));
    assert_eq!(all.trace.labels[1], "high");
}

#[test]
fn truncated_gzip_says_where_it_breaks_off() {
    let mut text = String::from("id,submit,duration,gpus\n");
    for i in 0..60_000u64 {
        text.push_str(&format!("job{i},{},{},1\n", i * 7 % 1013, i * 31 % 977));
    }
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    let whole = gzip.finish().unwrap();
    let options = ImportOptions::default();
    let read = import_bytes("t.csv.gz", &whole, &options).unwrap();
    assert_eq!(read.trace.jobs.len(), 60_000);
    assert_eq!(read.digest, blake3::hash(text.as_bytes()).to_hex().to_string(), "of the decompressed bytes");
    let error = import_bytes("t.csv.gz", &whole[..whole.len() / 2], &options).unwrap_err();
    let ImportError::Read { row, bytes, .. } = &error else { panic!("{error}") };
    assert!(*row > 5_000 && *bytes > 50_000, "{error}");
    for cut in [3, 11, 40] {
        assert!(import_bytes("t.csv.gz", &whole[..cut], &options).unwrap_err().to_string().starts_with("t.csv.gz: "));
    }
}

fn tar(members: &[(&str, &str)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, text) in members {
        let mut header = tar::Header::new_gnu();
        header.set_size(text.len() as u64);
        header.set_mode(0o644);
        archive.append_data(&mut header, name, text.as_bytes()).unwrap();
    }
    archive.into_inner().unwrap()
}

#[test]
fn archives_merge_by_submit_time_then_member_name() {
    let head = "job_id,submission_time,duration,num_gpu\n";
    let members = [
        ("d/sample.csv", format!("{head}1,7,1,1\n")),
        ("d/c2.csv", format!("{head}1,5,1,2\n2,9,1,1\n")),
        ("LICENSE", "MIT\n".to_string()),
        ("d/c1.csv", format!("{head}3,5,1,1\n1,7,1,1\n4,8,1,1\n")),
    ];
    let bytes = tar(&members.each_ref().map(|(name, text)| (*name, text.as_str())));
    let all = import_bytes("a.tar", &bytes, &ImportOptions::default()).unwrap();
    let ids: Vec<&str> = all.trace.jobs.iter().map(|job| &*job.id).collect();
    assert_eq!(ids, ["c1/3", "c2/1", "c1/1", "c1/4", "c2/2"]);
    assert_eq!(all.trace.tenants, ["", "c1", "c2"]);
    assert_eq!(all.left_out.keys().next().unwrap(), "sample: all its jobs are in other members");
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "a.tar", &bytes);
    let pick = |member: &str| import(Path::new(&format!("{}#{member}", path.display())), &ImportOptions::default());
    assert_eq!(pick("c2.csv").unwrap().trace.jobs[0].id, "1".into());
    assert_eq!(pick("c2.csv").unwrap().digest, blake3::hash(members[1].1.as_bytes()).to_hex().to_string());
    let none = pick("c9.csv").unwrap_err().to_string();
    assert!(none.contains("\"c9.csv\"") && none.contains("d/c1.csv"), "{none}");
    let cut = import_bytes("a.tar", &bytes[..bytes.len() - 2560], &ImportOptions::default());
    assert!(cut.unwrap_err().to_string().starts_with("a.tar"), "an archive that ends inside a member");
}
