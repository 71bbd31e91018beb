//! Both ends of both queues, as two processes see them.
#![cfg(not(loom))]

use proptest::prelude::*;
use ring::{Body, Direction, Error, Layout, Receiver, Region, Sender};
use std::sync::Arc;
use std::time::Duration;

const SMALL: Layout = Layout { requests: 4096, responses: 4096, staging: 4096 };

fn pair(layout: Layout) -> (tempfile::TempDir, Arc<Region>, Arc<Region>) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.ring");
    let worker = Arc::new(Region::create(&path, layout, 1).unwrap());
    let proxy = Arc::new(Region::open(&path).unwrap());
    (folder, worker, proxy)
}

fn always() -> bool {
    true
}

fn try_send(sender: &mut Sender, byte: u8) -> bool {
    sender.send_some(&mut &[byte][..], &mut &[byte; 400][..], true).unwrap()
}

#[test]
fn messages_of_all_lengths_arrive_whole_and_in_order() {
    let (_folder, worker, proxy) = pair(SMALL);
    let mut sender = Sender::new(worker, Direction::Requests);
    let mut receiver = Receiver::new(proxy, Direction::Requests, 1 << 20);
    let message = |i: usize| (vec![i as u8; i % 300], vec![(i * 7) as u8; (i * 31) % 5000]);
    let thread = std::thread::spawn(move || {
        for i in 0..20_000 {
            let (head, body) = message(i);
            sender.send(&head, &body, true, &always).unwrap();
        }
    });
    for i in 0..20_000 {
        let got = receiver.recv(&always).unwrap();
        let (head, body) = message(i);
        assert_eq!(got.head, head, "head of message {i}");
        assert_eq!(got.body.to_vec(), body, "body of message {i}");
    }
    thread.join().unwrap();
}

#[test]
fn space_goes_back_in_order_when_loans_end_out_of_order() {
    let (_folder, worker, proxy) = pair(SMALL);
    let mut sender = Sender::new(worker, Direction::Requests);
    let mut receiver = Receiver::new(proxy, Direction::Requests, 1 << 20);
    let mut bodies: Vec<Body> = Vec::new();
    let mut sent = 0;
    while try_send(&mut sender, sent) {
        bodies.push(receiver.try_recv().unwrap().unwrap().body);
        sent += 1;
    }
    assert!(sent >= 8, "{sent} bodies fitted");
    // Not the oldest: no space yet.
    bodies.remove(1);
    assert!(!try_send(&mut sender, 0));
    bodies.remove(0);
    assert!(try_send(&mut sender, 0));
    assert!(bodies.iter().enumerate().all(|(i, body)| body.to_vec() == vec![i as u8 + 2; 400]));
}

#[test]
fn a_new_receiver_goes_on_where_the_old_one_stopped() {
    let (_folder, worker, proxy) = pair(SMALL);
    let mut sender = Sender::new(worker, Direction::Requests);
    let mut first = Receiver::new(proxy.clone(), Direction::Requests, 1 << 20);
    for i in 0..3u8 {
        sender.send(&[i], &[], true, &always).unwrap();
    }
    assert_eq!(first.recv(&always).unwrap().head, [0]);
    // The first frame of a long message has been read, the others have not.
    drop(first);
    let mut second = Receiver::new(proxy, Direction::Requests, 1 << 20);
    assert_eq!(second.recv(&always).unwrap().head, [1]);
    assert_eq!(second.recv(&always).unwrap().head, [2]);
    assert!(second.try_recv().unwrap().is_none());
}

#[test]
fn a_half_received_message_can_be_carried_to_a_new_receiver() {
    let (_folder, worker, proxy) = pair(SMALL);
    let body: Vec<u8> = (0..20_000).map(|i| i as u8).collect();
    let mut sender = Sender::new(worker, Direction::Requests);
    let mut first = Receiver::new(proxy.clone(), Direction::Requests, 1 << 20);
    // The queue fills up and nobody reads: the sender stops in the middle of the message.
    assert!(matches!(sender.send(b"head", &body, true, &|| false), Err(Error::Gone)));
    assert!(first.try_recv().unwrap().is_none());
    let partial = first.partial().cloned().unwrap();
    let sent = partial.body.len();
    assert!(sent > 2000 && sent < body.len());
    drop(first);
    let mut second = Receiver::new(proxy, Direction::Requests, 1 << 20);
    second.set_partial(Some(partial));
    sender.send(b"", &body[sent..sent + 300], true, &always).unwrap();
    let message = second.recv(&always).unwrap();
    assert_eq!((&message.head[..], message.body.to_vec()), (&b"head"[..], body[..sent + 300].to_vec()));
}

#[test]
fn who_waits_for_the_dead_is_told() {
    let (_folder, worker, proxy) = pair(SMALL);
    let mut receiver = Receiver::new(worker.clone(), Direction::Responses, 1 << 20);
    let waiting = worker.clone();
    let thread = std::thread::spawn(move || receiver.recv(&|| waiting.peer_alive()).map(drop));
    std::thread::sleep(Duration::from_millis(150));
    assert!(!thread.is_finished());
    drop(proxy);
    assert!(matches!(thread.join().unwrap(), Err(Error::Gone)));
    let mut sender = Sender::new(worker.clone(), Direction::Requests);
    let gone = (0..10).find_map(|_| sender.send(&[0; 400], &[], true, &|| worker.peer_alive()).err());
    assert!(matches!(gone, None | Some(Error::Gone)));
}

#[test]
fn a_worker_that_shrinks_its_file_ends_only_its_own_connection() {
    let (_folder, worker, proxy) = pair(SMALL);
    let mut sender = Sender::new(worker.clone(), Direction::Requests);
    let mut receiver = Receiver::new(proxy.clone(), Direction::Requests, 1 << 20);
    let mut answers = Sender::new(proxy.clone(), Direction::Responses);
    sender.send(b"one", b"body", true, &always).unwrap();
    let first = receiver.recv(&always).unwrap();
    sender.send(b"two", &[], true, &always).unwrap();
    std::fs::OpenOptions::new().write(true).open(worker.path()).unwrap().set_len(0).unwrap();
    assert!(matches!(receiver.try_recv(), Err(Error::Corrupt { .. })));
    assert_eq!(first.body.to_vec(), [0; 4]);
    // Nobody can read it, but writing it is no crash either.
    answers.send(b"answer", &[], true, &always).unwrap();
}

#[test]
fn a_wait_can_be_interrupted() {
    let (_folder, _worker, proxy) = pair(SMALL);
    let mut receiver = Receiver::new(proxy, Direction::Requests, 1 << 20);
    let interrupt = receiver.interrupt();
    let thread = std::thread::spawn(move || receiver.recv(&always).map(drop));
    std::thread::sleep(Duration::from_millis(20));
    interrupt.raise();
    assert!(matches!(thread.join().unwrap(), Err(Error::Interrupted)));
}

proptest! {
    /// Whatever an enemy writes into the file, reading ends: with messages, with nothing, or with an error.
    #[test]
    fn hostile_bytes_are_messages_or_errors(
        words in prop::collection::vec(prop_oneof![any::<u64>(), 0..64u64, Just(u64::MAX), Just(1 << 63)], 1..64),
        tail in prop_oneof![0..5000u64, any::<u64>()],
    ) {
        let (_folder, worker, proxy) = pair(SMALL);
        let path = worker.path().to_owned();
        let mut file = std::fs::OpenOptions::new().read(true).write(true).open(path).unwrap();
        write_at(&mut file, 4096, &words.iter().flat_map(|w| w.to_le_bytes()).collect::<Vec<u8>>());
        write_at(&mut file, tail_offset(&worker), &tail.to_le_bytes());
        let mut receiver = Receiver::new(proxy, Direction::Requests, 1 << 16);
        let mut messages = 0;
        while let Ok(Some(message)) = receiver.try_recv() {
            messages += message.body.to_vec().len() + 1;
            prop_assert!(messages < 1 << 20);
        }
    }
}

fn write_at(file: &mut std::fs::File, offset: u64, bytes: &[u8]) {
    use std::os::unix::fs::FileExt;
    file.write_all_at(bytes, offset).unwrap();
}

/// Where the request queue's tail lies: the only word that a first message changes to its own frame's size.
fn tail_offset(_region: &Arc<Region>) -> u64 {
    let (_folder, worker, _proxy) = pair(SMALL);
    Sender::new(worker.clone(), Direction::Requests).send(&[0; 72], &[], false, &always).unwrap();
    let bytes = std::fs::read(worker.path()).unwrap();
    let at = bytes[..4096].chunks(8).skip(5).position(|word| word == 80u64.to_le_bytes()).unwrap();
    (at as u64 + 5) * 8
}
