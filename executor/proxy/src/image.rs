//! A session as a checkpoint has it.

use crate::backend::{Backend, DeviceError, Memory, PastEvent};
use crate::session::Session;
use crate::store::{Digest, Store, Stored};
use crate::turns::Seat;
use ring::{Partial, Region};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};
use wire::{Call, Id, Request};

/// How long the device's work may take to end.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// Everything of a session that is not in its ring's file.
#[derive(Debug, Serialize, Deserialize)]
pub struct Image {
    /// The ring file's name.
    pub ring: String,
    /// The beginning of a message that was being received.
    partial: Option<(Vec<u8>, Vec<u8>)>,
    /// Answers that did not fit into the ring.
    unsent: Vec<(Vec<u8>, Vec<u8>)>,
    /// Reads that are complete and of which the worker has not been told.
    reads: Vec<u64>,
    /// The requests that make the objects again.
    objects: Vec<(Request, Vec<u8>)>,
    memory: Vec<Contents>,
    events: Vec<(Id, i32, Vec<u64>)>,
    /// Messages that wait for the program.
    held: Vec<(Call, Vec<u8>)>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Contents {
    id: Id,
    len: u64,
    piece: u64,
    chunks: Vec<Digest>,
}

/// Why a session could not be saved or made again.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The store.
    #[error("checkpoint: {0}")]
    Io(#[from] io::Error),
    /// The device.
    #[error("checkpoint: {0}")]
    Device(#[from] DeviceError),
    /// The ring.
    #[error("checkpoint: {0}")]
    Ring(#[from] ring::Error),
    /// Its work does not end.
    #[error("checkpoint: work on the device does not end while the program stands still; try again")]
    Busy,
    /// An object cannot be made on this device.
    #[error("checkpoint: the device refuses to make an object again: error {code} for {request:?}")]
    Refused {
        /// OpenCL's error code.
        code: i32,
        /// What was asked.
        request: Box<Request>,
    },
}

/// What saving cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cost {
    /// Device memory.
    pub stored: Stored,
    /// Seconds to finish the device's work.
    pub drain_s: f64,
    /// Seconds to save.
    pub save_s: f64,
}

impl Image {
    /// All chunks that it refers to.
    pub fn chunks(&self) -> impl Iterator<Item = &Digest> {
        self.memory.iter().flat_map(|contents| &contents.chunks)
    }
}

impl Session {
    /// Finishes the device's work and saves everything, the ring's file among it. The worker must stand still. The session can
    /// go on afterwards.
    ///
    /// # Errors
    /// The device is lost, or the store cannot be written.
    pub fn save(&mut self, store: &Store, ring_to: &Path) -> Result<(Image, Cost), ImageError> {
        let began = Instant::now();
        if !self.backend.drain(PATIENCE)? {
            return Err(ImageError::Busy);
        }
        let drain_s = began.elapsed().as_secs_f64();
        let mut stored = Stored::default();
        let mut memory = Vec::new();
        for object in self.memory() {
            memory.push(self.save_contents(object, store, &mut stored)?);
        }
        let events = self.backend.past_events().into_iter().map(|event| (event.id, event.status, event.times)).collect();
        let (partial, unsent) = self.in_flight();
        copy_sparse(self.region.path(), ring_to)?;
        let image = Image {
            ring: self.region.path().file_name().unwrap_or_default().to_string_lossy().into_owned(),
            partial: partial.map(|partial| (partial.head, partial.body)),
            unsent,
            reads: self.untold_reads(),
            objects: self.journal.replay(),
            memory,
            events,
            held: self.held.messages().to_vec(),
        };
        Ok((image, Cost { stored, drain_s, save_s: began.elapsed().as_secs_f64() - drain_s }))
    }

    /// All memory that has contents: on the device, and on the host while it is another worker's turn.
    fn memory(&self) -> Vec<Memory> {
        let mut all = self.backend.memory();
        all.extend(self.away.iter().flatten().copied());
        all.sort_by_key(|memory| memory.id);
        all
    }

    fn save_contents(&mut self, object: Memory, store: &Store, stored: &mut Stored) -> Result<Contents, ImageError> {
        let mut chunks = Vec::new();
        let piece = object.piece.max(1);
        let away = self.away.iter().flatten().any(|memory| memory.id == object.id);
        if let Some(copy) = self.copies.get(&object.id).filter(|_| away) {
            for part in copy.bytes.chunks(piece as usize) {
                chunks.push(store.put(part, stored)?);
            }
        } else {
            let mut buffer = Vec::new();
            for offset in (0..object.len).step_by(piece as usize) {
                buffer.resize(piece.min(object.len - offset) as usize, 0);
                self.backend.read(object.id, offset, &mut buffer)?;
                chunks.push(store.put(&buffer, stored)?);
            }
        }
        Ok(Contents { id: object.id, len: object.len, piece: object.piece, chunks })
    }

    /// Makes a session again. The ring's file is back in its place. Where workers take turns it must be `seat`'s.
    ///
    /// # Errors
    /// The device refuses, or something of the checkpoint is missing or damaged.
    pub fn load(
        image: Image,
        store: &Store,
        region: Region,
        backend: Box<dyn Backend>,
        seat: Option<Seat>,
    ) -> Result<Session, ImageError> {
        let partial = image.partial.map(|(head, body)| Partial { head, body });
        let mut session = Session::resume(region, backend, partial, image.unsent, image.reads).seated(seat);
        let (releases, objects): (Vec<_>, Vec<_>) =
            image.objects.into_iter().partition(|(request, _)| matches!(request, Request::Release { .. }));
        session.replay_all(objects)?;
        for contents in image.memory {
            let offsets = (0..contents.len).step_by(contents.piece.max(1) as usize);
            for (offset, digest) in offsets.zip(&contents.chunks) {
                session.backend.write(contents.id, offset, &store.get(digest)?)?;
            }
        }
        let events = image.events.into_iter().map(|(id, status, times)| (Request::PastEvent { id, status, times }, Vec::new()));
        session.replay_all(events)?;
        session.replay_all(releases)?;
        for (call, body) in image.held {
            session.held.hold(call, body);
        }
        Ok(session)
    }

    fn replay_all(&mut self, requests: impl IntoIterator<Item = (Request, Vec<u8>)>) -> Result<(), ImageError> {
        for (request, body) in requests {
            let code = self.replay(&request, body);
            // A program that did not build before does not build now.
            if code != 0 && !matches!(request, Request::Build { .. } | Request::Compile { .. }) {
                return Err(ImageError::Refused { code, request: Box::new(request) });
            }
        }
        Ok(())
    }
}

/// The images of a saved job's sessions.
///
/// # Errors
/// They are missing or damaged.
pub fn read_images(folder: &Path) -> io::Result<Vec<Image>> {
    let mut images = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|ending| ending == "image") {
            let damaged = |error| io::Error::new(io::ErrorKind::InvalidData, format!("{}: {error}", path.display()));
            images.push(postcard::from_bytes(&std::fs::read(&path)?).map_err(damaged)?);
        }
    }
    Ok(images)
}

/// The event of a command that is over, as it goes into an image.
impl From<PastEvent> for Request {
    fn from(event: PastEvent) -> Request {
        Request::PastEvent { id: event.id, status: event.status, times: event.times }
    }
}

/// Copies a file without its holes.
pub(crate) fn copy_sparse(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{SeekFrom, seek};
    let (source, target) = (File::open(from)?, File::create(to)?);
    // The mode too: a restored process expects its file as it was.
    target.set_permissions(source.metadata()?.permissions())?;
    let len = source.metadata()?.len();
    target.set_len(len)?;
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0;
    // Past the last data the kernel says that there is none.
    while let Ok(start) = seek(&source, SeekFrom::Data(at)) {
        let end = seek(&source, SeekFrom::Hole(start))?;
        at = start;
        while at < end {
            let count = buffer.len().min((end - at) as usize);
            source.read_exact_at(&mut buffer[..count], at)?;
            target.write_all_at(&buffer[..count], at)?;
            at += count as u64;
        }
    }
    Ok(())
}
