//! What commands say to a proxy: a line of JSON each way, over its socket.

use crate::turns::{Sharing, Switching};
use serde::{Deserialize, Serialize};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// An order to a proxy.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Order {
    /// Serve every ring that appears in this job's folder.
    Attach {
        /// The folder.
        job: PathBuf,
        /// What the device is meant to be, in words: the proxy of another one that has its name somewhere else refuses.
        model: String,
        /// The command that waits for the job: when it ends without having detached the job, that ends.
        keeper: u32,
    },
    /// Stop serving the job, and free all that it holds.
    Detach(PathBuf),
    /// Write the device state of a job whose processes stand still, its rings among it.
    Save {
        /// The job's folder.
        job: PathBuf,
        /// Where to: a folder of its own.
        to: PathBuf,
        /// Where contents go.
        chunks: PathBuf,
    },
    /// Make a job's device state again and serve its rings.
    Load {
        /// The job's folder, with its rings back in place.
        job: PathBuf,
        /// Where it was saved.
        from: PathBuf,
        /// Where contents are.
        chunks: PathBuf,
        /// What it was on, in words: another device refuses.
        model: Option<String>,
        /// As for one that begins.
        keeper: u32,
    },
    /// Look for the processes of a job's rings again: they were made anew.
    Rewatch(PathBuf),
    /// Say what is served.
    Status,
    /// End.
    Stop,
}

/// A proxy's answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What went wrong; the order was not carried out.
    pub error: Option<String>,
    /// Jobs that are served.
    pub jobs: Vec<String>,
    /// Workers that are served.
    pub workers: usize,
    /// Bytes of device memory in a checkpoint.
    pub bytes: u64,
    /// Bytes of them that the store did not have.
    pub new_bytes: u64,
    /// Seconds that finishing the device's work took.
    pub drain_s: f64,
    /// Seconds that saving or loading took.
    pub state_s: f64,
    /// What the device is, in words.
    #[serde(default)]
    pub model: Option<String>,
    /// How workers share the device.
    #[serde(default)]
    pub sharing: Sharing,
    /// What taking turns came to, where they do.
    #[serde(default)]
    pub switching: Option<Switching>,
}

/// Gives an order to the proxy behind a socket.
///
/// # Errors
/// There is no proxy, it died meanwhile, or it says that it could not.
pub fn give(socket: &Path, order: &Order) -> io::Result<Report> {
    let mut stream = UnixStream::connect(socket)?;
    let mut line = serde_json::to_vec(order)?;
    line.push(b'\n');
    stream.write_all(&line)?;
    let mut answer = String::new();
    BufReader::new(stream).read_line(&mut answer)?;
    if answer.is_empty() {
        return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the proxy is gone"));
    }
    let report: Report = serde_json::from_str(&answer)?;
    match report.error {
        Some(problem) => Err(io::Error::other(problem)),
        None => Ok(report),
    }
}
