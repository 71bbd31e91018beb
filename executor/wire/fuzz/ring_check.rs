// Shared by the fuzz target `ring` and by the tests that run its seeds.

use ring::{Direction, Layout, Receiver, Region, Sender};
use std::os::unix::fs::FileExt;
use std::sync::{Arc, OnceLock};

/// Bytes of the queue.
const QUEUE: usize = 4096;
/// Where the queue of requests begins in the file.
const START: u64 = 4096;

fn region(folder: &std::path::Path) -> Arc<Region> {
    let layout = Layout { requests: QUEUE as u64, responses: QUEUE as u64, staging: QUEUE as u64 };
    let path = folder.join("a.ring");
    let _ = std::fs::remove_file(&path);
    Arc::new(Region::create(&path, layout, 1).expect("a ring in a folder of its own"))
}

/// Where the tail of that queue lies: the only word that a first message changes to its own frame's size.
fn tail_offset(folder: &std::path::Path) -> u64 {
    static OFFSET: OnceLock<u64> = OnceLock::new();
    *OFFSET.get_or_init(|| {
        let worker = region(folder);
        Sender::new(worker.clone(), Direction::Requests).send(&[0; 72], &[], false, &|| true).expect("there is room");
        let bytes = std::fs::read(worker.path()).expect("it was just made");
        let at = bytes[..START as usize].chunks(8).skip(5).position(|word| word == 80u64.to_le_bytes());
        (at.expect("the tail has moved") as u64 + 5) * 8
    })
}

/// What an enemy may have written: eight bytes of tail, then the queue from its start. Reading ends, with messages that are calls
/// or are none, or with an error. Says how many were calls.
pub fn check(bytes: &[u8]) -> usize {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let tail_at = tail_offset(folder.path());
    let worker = region(folder.path());
    let file = std::fs::OpenOptions::new().write(true).open(worker.path()).expect("it was just made");
    let (tail, queue) = bytes.split_at(bytes.len().min(8));
    file.write_all_at(&queue[..queue.len().min(QUEUE)], START).expect("memory");
    file.write_all_at(tail, tail_at).expect("memory");
    let proxy = Arc::new(Region::open(worker.path()).expect("the header is as it was"));
    let mut receiver = Receiver::new(proxy, Direction::Requests, 1 << 16);
    let (mut calls, mut read) = (0, 0);
    while let Ok(Some(message)) = receiver.try_recv() {
        read += message.head.len() + message.body.to_vec().len() + 1;
        assert!(read < 1 << 20, "reading does not end");
        if let Ok(call) = wire::decode::<wire::Call>(&message.head) {
            let _ = (call.request.effect(), call.request.memory());
            calls += 1;
        }
    }
    calls
}

/// What lies in a ring after these messages were sent, as [`check`] takes it.
pub fn sent(messages: &[(Vec<u8>, Vec<u8>)]) -> Vec<u8> {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in memory");
    let tail_at = tail_offset(folder.path()) as usize;
    let worker = region(folder.path());
    let mut sender = Sender::new(worker.clone(), Direction::Requests);
    for (head, body) in messages {
        sender.send(head, body, false, &|| true).expect("there is room");
    }
    let bytes = std::fs::read(worker.path()).expect("it was just made");
    let tail = &bytes[tail_at..tail_at + 8];
    let used = u64::from_le_bytes(tail.try_into().expect("eight bytes")) as usize;
    [tail, &bytes[START as usize..START as usize + used]].concat()
}
