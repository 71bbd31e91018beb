//! The result folder of a run: `report.html` and `summary.json`, and a folder per policy with the run log and tables.

use anyhow::{Context, Result, bail};
use reports::{Analysis, Picture, Summary, summary_json, write_report, write_tables, write_whole};
use std::path::{Path, PathBuf};
use traces::runlog::LogReader;

const SUMMARY: &str = "summary.json";

/// A folder that gets its name when it is complete: an interrupted run leaves nothing that looks like a result.
pub struct ResultFolder {
    path: PathBuf,
    partial: PathBuf,
    finished: bool,
    /// The command that can be gone on with, where snapshots are taken: then what a stopped run leaves is kept.
    command: Option<Vec<String>>,
}

/// What a run leaves in the folder of a policy while it is not over.
const SNAPSHOT: &str = "snapshot";

impl ResultFolder {
    /// Begins `path`; an earlier result of that name is replaced at the end.
    pub fn begin(path: PathBuf) -> Result<ResultFolder> {
        let occupied = path.exists() && !path.join(SUMMARY).exists();
        if occupied && (!path.is_dir() || path.read_dir()?.next().is_some()) {
            bail!("{}: exists and is no result of a run: choose another --out", path.display());
        }
        let partial = partial_of(&path);
        let make = || {
            if partial.exists() {
                std::fs::remove_dir_all(&partial)?;
            }
            std::fs::create_dir_all(&partial)
        };
        make().with_context(|| format!("{}: cannot make the result folder", partial.display()))?;
        Ok(ResultFolder { path, partial, finished: false, command: None })
    }

    /// Takes up the incomplete folder that is to become `path`.
    pub fn reopen(path: PathBuf) -> ResultFolder {
        ResultFolder { partial: partial_of(&path), path, finished: false, command: None }
    }

    /// The same folder, which is kept if the run stops after a snapshot. `command`: the words with which it was started.
    pub fn kept(mut self, command: Vec<String>) -> ResultFolder {
        self.command = Some(command);
        self
    }

    /// The snapshots of all policies.
    fn snapshots(&self) -> Vec<PathBuf> {
        let policies = std::fs::read_dir(&self.partial).into_iter().flatten().flatten();
        policies.map(|entry| entry.path().join(SNAPSHOT)).filter(|path| path.exists()).collect()
    }

    /// The folder for one policy's log and tables.
    pub fn for_policy(&self, policy: &str) -> Result<PathBuf> {
        let folder = self.partial.join(slug(policy));
        std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot make the folder", folder.display()))?;
        Ok(folder)
    }

    /// Where its files are until then.
    pub fn partial(&self) -> &Path {
        &self.partial
    }

    /// Gives the folder its name.
    pub fn finish(mut self) -> Result<PathBuf> {
        let swap = || {
            if self.command.is_some() {
                self.snapshots().into_iter().try_for_each(std::fs::remove_file)?;
                std::fs::remove_file(self.partial.join(super::saved::COMMAND))?;
            }
            if self.path.exists() {
                std::fs::remove_dir_all(&self.path)?;
            }
            std::fs::rename(&self.partial, &self.path)
        };
        swap().with_context(|| format!("{}: cannot put the results in place", self.path.display()))?;
        self.finished = true;
        Ok(self.path.clone())
    }
}

impl Drop for ResultFolder {
    fn drop(&mut self) {
        if !self.finished && (self.command.is_none() || self.snapshots().is_empty()) {
            // Whatever went wrong is being told already; what cannot be removed is named `.partial`.
            let _ = std::fs::remove_dir_all(&self.partial);
        }
    }
}

/// Where results are until they are complete.
pub fn partial_of(path: &Path) -> PathBuf {
    let mut partial = path.to_owned().into_os_string();
    partial.push(".partial");
    PathBuf::from(partial)
}

/// A policy as a folder name: `fifo(skip=true)` becomes `fifo-skip-true`.
pub fn slug(policy: &str) -> String {
    let words = policy.split(|c: char| !c.is_ascii_alphanumeric() && c != '.').filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// Refuses two policies whose results would go into the same folder.
pub fn require_distinct(policies: &[String]) -> Result<()> {
    for (i, policy) in policies.iter().enumerate() {
        if policies[..i].iter().any(|earlier| slug(earlier) == slug(policy)) {
            bail!("policy `{policy}` is given twice");
        }
    }
    Ok(())
}

/// Writes the tables of each policy, and the report and summary of all. Everything is computed from the run logs just written,
/// as it would be from anybody's.
pub fn write(folder: &ResultFolder, policies: &[String], wall_s: &[f64], summaries: &[Summary]) -> Result<()> {
    let mut pictures = Vec::new();
    for ((policy, wall_s), summary) in policies.iter().zip(wall_s).zip(summaries) {
        let own = folder.for_policy(policy)?;
        let analysis = Analysis::read(LogReader::open(&own)?)?;
        write_tables(&own, &analysis)?;
        let mut picture = Picture::of(&analysis, *wall_s);
        picture.summary.bound = summary.bound.clone();
        pictures.push(picture);
    }
    let command = folder.command.clone().map_or_else(command_line, |words| in_a_line(words.into_iter()));
    write_report(&folder.partial, &pictures, &command)?;
    write_file(&folder.partial.join(SUMMARY), &summary_json(summaries))
}

/// The command as it was typed, for the report's reader to type again.
pub fn command_line() -> String {
    in_a_line(std::env::args().skip(1))
}

/// Words as a shell would take them, after the program's name.
fn in_a_line(words: impl Iterator<Item = String>) -> String {
    let quoted = |word: String| {
        let plain = word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./=:,@#".contains(c));
        if plain { word } else { format!("'{}'", word.replace('\'', "'\\''")) }
    };
    std::iter::once("orrery".to_owned()).chain(words.map(quoted)).collect::<Vec<_>>().join(" ")
}

/// BLAKE3 (hex) of a file.
pub fn digest_of(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).with_context(|| format!("{}", path.display()))?;
    Ok(blake3::hash(&bytes).to_hex().to_string())
}

fn write_file(path: &Path, text: &str) -> Result<()> {
    Ok(write_whole(path, |out| out.write_all(text.as_bytes()))?)
}
