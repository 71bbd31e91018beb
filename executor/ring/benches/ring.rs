//! What the ring costs, between two threads that map the file as two processes would:
//! `cargo bench -p orrery-ring`. Times in nanoseconds; bulk speed as a ratio to memcpy in the same run.

use ring::{Direction, Layout, Receiver, Region, Sender};
use std::sync::Arc;
use std::time::Instant;

const MESSAGES: usize = 200_000;
const BULK: usize = 1 << 20;
const BULK_TIMES: usize = 2000;

fn main() {
    let folder = tempfile::tempdir_in("/dev/shm").expect("a folder in /dev/shm");
    let path = folder.path().join("bench.ring");
    let layout = Layout { staging: 1 << 20, ..Layout::default() };
    let worker = Arc::new(Region::create(&path, layout, 1).expect("a ring"));
    let proxy = Arc::new(Region::open(&path).expect("the same ring"));
    let copy = memcpy_seconds();
    let server = std::thread::spawn(move || serve(proxy));
    let mut client =
        (Sender::new(worker.clone(), Direction::Requests), Receiver::new(worker, Direction::Responses, 1 << 20), Vec::new());
    round_trips(&mut client);
    enqueues(&mut client);
    bulk(&mut client, copy);
    client.0.send(b"end", &[], true, &|| true).expect("the server runs");
    server.join().expect("the server ends");
}

type Client = (Sender, Receiver, Vec<u64>);

/// Answers messages that begin with `?`; takes bodies out as a device would.
fn serve(proxy: Arc<Region>) {
    let mut receiver = Receiver::new(proxy.clone(), Direction::Requests, 1 << 30);
    let mut sender = Sender::new(proxy, Direction::Responses);
    let mut device = vec![0u8; BULK];
    loop {
        let message = receiver.recv(&|| true).expect("a message");
        // SAFETY: the body is valid for its length while it lives, and is at most as long as `device`.
        unsafe { std::ptr::copy_nonoverlapping(message.body.as_ptr(), device.as_mut_ptr(), message.body.len().min(BULK)) };
        match message.head.first() {
            Some(b'?') => sender.send(b"!", &[], true, &|| true).expect("space"),
            Some(b'e') => return,
            _ => {}
        }
    }
}

fn round_trips(client: &mut Client) {
    client.2.clear();
    for _ in 0..MESSAGES {
        let start = Instant::now();
        client.0.send(&[b'?'; 64], &[], true, &|| true).expect("space");
        client.1.recv(&|| true).expect("an answer");
        client.2.push(start.elapsed().as_nanos() as u64);
    }
    print("round trip", &mut client.2);
}

fn enqueues(client: &mut Client) {
    client.2.clear();
    for _ in 0..MESSAGES {
        let start = Instant::now();
        client.0.send(&[b'.'; 64], &[], true, &|| true).expect("space");
        client.2.push(start.elapsed().as_nanos() as u64);
    }
    print("enqueue", &mut client.2);
}

fn bulk(client: &mut Client, copy: f64) {
    let source = vec![1u8; BULK];
    let start = Instant::now();
    for _ in 0..BULK_TIMES {
        for piece in source.chunks(256 << 10) {
            client.0.send(b".", piece, true, &|| true).expect("space");
        }
    }
    client.0.send(b"?", &[], true, &|| true).expect("space");
    client.1.recv(&|| true).expect("an answer");
    let seconds = start.elapsed().as_secs_f64();
    let speed = |seconds: f64| (BULK * BULK_TIMES) as f64 / seconds / 1e9;
    println!("bulk: {:.1} GB/s, memcpy {:.1} GB/s, ratio {:.2}", speed(seconds), speed(copy), copy / seconds);
}

fn memcpy_seconds() -> f64 {
    let (source, mut target) = (vec![1u8; BULK], vec![0u8; BULK]);
    let start = Instant::now();
    for _ in 0..BULK_TIMES {
        target.copy_from_slice(std::hint::black_box(&source));
        std::hint::black_box(&mut target);
    }
    start.elapsed().as_secs_f64()
}

fn print(what: &str, times: &mut [u64]) {
    times.sort_unstable();
    let at = |q: f64| times[(times.len() as f64 * q) as usize];
    println!("{what}: p50 {} ns, p90 {} ns, p99 {} ns", at(0.5), at(0.9), at(0.99));
}
