//! A job's place in a store that others use, too: `jobs/NAME/NUMBER.json` is a checkpoint, `jobs/NAME/latest` names the last
//! complete one, and the chunks are everybody's.

use crate::checkpoint::Manifest;
use crate::hold::Hold;
use crate::objects::Objects;
use crate::store::Store;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

/// Where jobs are.
const JOBS: &str = "jobs/";
/// Names the last complete checkpoint of a job.
const LATEST: &str = "latest";

fn place(job: &str, file: &str) -> String {
    format!("{JOBS}{job}/{file}")
}

fn invalid(problem: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, problem)
}

/// The number of a job's last checkpoint.
pub(crate) fn latest(objects: &dyn Objects, job: &str) -> io::Result<u64> {
    let text = objects.get(&place(job, LATEST))?;
    String::from_utf8_lossy(&text).trim().parse().map_err(|_| invalid(format!("`{}` names no checkpoint", place(job, LATEST))))
}

/// A job's last checkpoint; that of the store's only job, where none is named.
///
/// # Errors
/// There is none, or there are several, or it cannot be read.
pub(crate) fn last(objects: &dyn Objects, job: Option<&str>) -> io::Result<Manifest> {
    let all = jobs(objects)?;
    let names: Vec<&str> = all.iter().filter(|(_, files)| files.contains(LATEST)).map(|(name, _)| name.as_str()).collect();
    let missing = |what: String| Err(io::Error::new(io::ErrorKind::NotFound, what));
    let job = match (job, &names[..]) {
        (None, []) => return missing("no complete checkpoint".into()),
        (None, [only]) => only,
        (None, several) => return missing(format!("checkpoints of several jobs; name one with --job: {}", several.join(", "))),
        (Some(job), all) if !all.contains(&job) => {
            return missing(format!("no complete checkpoint of a job `{job}`; there are: {}", all.join(", ")));
        }
        (Some(job), _) => job,
    };
    read(objects, job, latest(objects, job)?)
}

fn read(objects: &dyn Objects, job: &str, number: u64) -> io::Result<Manifest> {
    let name = place(job, &format!("{number}.json"));
    serde_json::from_slice(&objects.get(&name)?).map_err(|error| invalid(format!("{name}: {error}")))
}

/// Jobs and their files.
fn jobs(objects: &dyn Objects) -> io::Result<BTreeMap<String, BTreeSet<String>>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, _) in objects.list(JOBS)? {
        if let Some((job, file)) = name.strip_prefix(JOBS).and_then(|rest| rest.split_once('/')) {
            found.entry(job.to_owned()).or_default().insert(file.to_owned());
        }
    }
    Ok(found)
}

/// Makes a manifest its job's last. Everything that it names was put while `hold` was held.
///
/// # Errors
/// The store cannot be written, or was not held to the end; then the previous checkpoint is still the last.
pub(crate) fn commit(objects: &dyn Objects, hold: &Hold, manifest: &Manifest) -> io::Result<()> {
    let job = &manifest.job.name;
    let number = latest(objects, job).map_or(1, |number| number + 1);
    objects.put(&place(job, &format!("{number}.json")), &serde_json::to_vec(manifest)?)?;
    // After the manifest was put: whoever takes this for dead from now on finds the manifest and keeps its chunks.
    hold.check()?;
    objects.settle()?;
    objects.put(&place(job, LATEST), number.to_string().as_bytes())?;
    objects.settle()
}

/// Removes what no job's last checkpoint needs, unless somebody writes or reads one: then a later one does it.
///
/// # Errors
/// The store cannot be read or written, or a manifest is not understood; what it needs is not known then.
pub(crate) fn collect(objects: &Arc<dyn Objects>) -> io::Result<()> {
    let Some(hold) = Hold::own(objects)? else { return Ok(()) };
    objects.tidy();
    let (mut kept, mut old) = (BTreeSet::new(), Vec::new());
    for (job, mut files) in jobs(&**objects)? {
        if files.remove(LATEST) {
            let number = latest(&**objects, &job)?;
            kept.extend(read(&**objects, &job, number)?.chunks());
            files.remove(&format!("{number}.json"));
        }
        old.extend(files.iter().map(|file| place(&job, file)));
    }
    old.iter().try_for_each(|name| objects.remove(name))?;
    Store::within(objects.clone())?.keep_only(&kept, &|| hold.check())
}
