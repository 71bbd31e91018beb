//! A worker without a program, for tests of what is behind a ring.
#![allow(dead_code, reason = "each of the tests uses a part of it")]

use proxy::store::Store;
use proxy::turns::Seat;
use proxy::{After, Backend, Image, Remote, Session};
use ring::{Direction, Layout, Receiver, Region, Sender};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use wire::{Answer, Call, Request};

/// A worker without a program: says what it is told to.
pub struct Worker {
    folder: tempfile::TempDir,
    pub region: Arc<Region>,
    pub sender: Sender,
    receiver: Receiver,
    pub number: u64,
    /// Tickets that were told to be complete.
    pub reads: Vec<u64>,
    remote: Remote,
    pub thread: JoinHandle<Result<(), ring::Error>>,
}

fn serve(session: Session) -> (Remote, JoinHandle<Result<(), ring::Error>>) {
    let (give, take) = mpsc::channel();
    let thread = std::thread::spawn(move || session.serve(|remote| drop(give.send(remote))));
    (take.recv().unwrap(), thread)
}

impl Worker {
    pub fn new(backend: Box<dyn Backend>) -> Worker {
        Worker::seated(backend, None)
    }

    pub fn seated(backend: Box<dyn Backend>, seat: Option<Seat>) -> Worker {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.ring");
        let layout = Layout { requests: 1 << 16, responses: 1 << 16, staging: 1 << 16 };
        let region = Arc::new(Region::create(&path, layout, std::process::id()).unwrap());
        let (remote, thread) = serve(Session::new(Region::open(&path).unwrap(), backend).seated(seat));
        assert!(region.wait_attached(Duration::from_secs(10)));
        let sender = Sender::new(region.clone(), Direction::Requests);
        let receiver = Receiver::new(region.clone(), Direction::Responses, 1 << 30);
        Worker { folder, region, sender, receiver, number: 0, reads: Vec::new(), remote, thread }
    }

    pub fn send(&mut self, number: u64, request: Request, body: &[u8]) {
        let mut head = Vec::new();
        wire::encode(&Call { number, request }, &mut head);
        let region = self.region.clone();
        self.sender.send(&head, body, true, &|| region.peer_alive()).unwrap();
    }

    pub fn post(&mut self, request: Request, body: &[u8]) {
        self.send(0, request, body);
    }

    pub fn begin(&mut self, request: Request, body: &[u8]) -> u64 {
        self.number += 1;
        self.send(self.number, request, body);
        self.number
    }

    pub fn answer(&mut self, number: u64) -> (i32, Vec<u8>) {
        loop {
            let region = self.region.clone();
            let message = self.receiver.recv(&|| region.peer_alive()).unwrap();
            let answer: Answer = wire::decode(&message.head).unwrap();
            self.reads.extend(answer.reads);
            if answer.number == number {
                return (answer.code, message.body.into_vec());
            }
        }
    }

    pub fn call(&mut self, request: Request, body: &[u8]) -> i32 {
        let number = self.begin(request, body);
        self.answer(number).0
    }

    pub fn done(&mut self, request: Request, body: &[u8]) {
        let asked = format!("{request:?}");
        assert_eq!(self.call(request, body), 0, "{asked}");
    }

    #[allow(unsafe_code, reason = "the staging area is shared memory")]
    pub fn staged(&self, offset: usize, len: u64) -> Vec<f32> {
        // SAFETY: the range lies in the staging area, and the read into it is complete.
        let bytes = unsafe { std::slice::from_raw_parts(self.region.staging().add(offset), len as usize) };
        bytes.chunks_exact(4).map(|bytes| f32::from_ne_bytes(bytes.try_into().unwrap())).collect()
    }

    pub fn end(self) -> Result<(), ring::Error> {
        self.remote.run(Box::new(|_| After::End));
        self.thread.join().unwrap()
    }

    /// Saves the session, ends it, and has a new one go on in its place.
    pub fn move_to(mut self, backend: Box<dyn Backend>) -> Worker {
        let (ring, chunks): (PathBuf, PathBuf) = (self.folder.path().join("saved"), self.folder.path().join("chunks"));
        let (give, take) = mpsc::channel();
        let (to, store) = (ring.clone(), Store::open(&chunks).unwrap());
        self.remote.run(Box::new(move |session| {
            let (image, _) = session.save(&store, &to).unwrap();
            // As it goes through a file.
            let bytes = postcard::to_stdvec(&image).unwrap();
            give.send(bytes).unwrap();
            After::End
        }));
        let bytes = take.recv().unwrap();
        self.thread.join().unwrap().unwrap();
        let image: Image = postcard::from_bytes(&bytes).unwrap();
        let region = Region::open(self.region.path()).unwrap();
        let (remote, thread) = serve(Session::load(image, &Store::open(&chunks).unwrap(), region, backend, None).unwrap());
        self.remote = remote;
        self.thread = thread;
        self
    }
}
