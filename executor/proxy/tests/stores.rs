//! What every store of checkpoints must do: a folder always; an S3 server of moto's where it is installed, in builds that know
//! object stores.

use proxy::objects::{self, Objects};
use proxy::store::{Store, Stored};
use std::collections::BTreeSet;
use std::io::ErrorKind;
use std::sync::Arc;

/// Names and longer objects than a page of a listing or a buffer holds.
fn conforms(objects: Arc<dyn Objects>) {
    assert_eq!(objects.get("latest").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(objects.list("").unwrap(), []);
    objects.remove("latest").unwrap();
    let long: Vec<u8> = (0..5_000_000u32).map(|i| (i ^ i >> 8) as u8).collect();
    objects.put("latest", b"1").unwrap();
    objects.put("latest", b"2").unwrap();
    objects.put("a/b/long", &long).unwrap();
    objects.put("a/empty", b"").unwrap();
    objects.settle().unwrap();
    assert_eq!(objects.get("latest").unwrap(), b"2");
    assert_eq!(objects.get("a/b/long").unwrap(), long);
    assert_eq!(objects.get("a/empty").unwrap(), b"");
    assert_eq!(objects.list("a/").unwrap(), [("a/b/long".to_owned(), 5_000_000), ("a/empty".to_owned(), 0)]);
    objects.remove("a/b/long").unwrap();
    assert_eq!(objects.get("a/b/long").unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(objects.list("").unwrap().len(), 2);

    let store = Store::within(objects.clone()).unwrap();
    let mut count = Stored::default();
    let digests: Vec<_> = (0..1200u32).map(|i| store.put(&i.to_le_bytes(), &mut count).unwrap()).collect();
    assert_eq!(count, Stored { bytes: 4800, new_bytes: 4800 });
    // Who opens it later knows what is there, more than a page of a listing.
    let store = Store::within(objects.clone()).unwrap();
    assert_eq!(store.put(&7u32.to_le_bytes(), &mut count).unwrap(), digests[7]);
    assert_eq!(count.new_bytes, 4800);
    let kept: BTreeSet<_> = digests[..3].iter().copied().collect();
    store.keep_only(&kept, &|| Ok(())).unwrap();
    assert_eq!(store.get(&digests[2]).unwrap(), 2u32.to_le_bytes());
    assert_eq!(store.get(&digests[3]).unwrap_err().kind(), ErrorKind::NotFound);
    assert_eq!(objects.get("latest").unwrap(), b"2", "chunks only");
}

#[test]
fn a_folder_is_a_store() {
    let folder = tempfile::tempdir().unwrap();
    conforms(objects::open(folder.path().to_str().unwrap()).unwrap().into());
    let other = folder.path().join("other");
    conforms(objects::open(&format!("file://{}", other.display())).unwrap().into());
}

#[test]
fn a_place_of_no_known_kind_is_named() {
    let refused = |place: &str| objects::open(place).err().unwrap().to_string();
    assert!(refused("gopher://x/y").contains("no store of the kind `gopher://`; there are: a folder"));
    if !cfg!(feature = "object-store") {
        assert!(refused("s3://bucket/x").contains("--features object-store"));
    }
}

#[cfg(feature = "object-store")]
mod s3 {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::path::PathBuf;
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    struct Server {
        child: Child,
        port: u16,
    }

    impl Drop for Server {
        fn drop(&mut self) {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }

    impl Server {
        fn start() -> Option<Server> {
            let folder = std::env::var_os("ORRERY_TEST_VENV").map(PathBuf::from).unwrap_or_default();
            let program = folder.join("bin/moto_server");
            if !program.exists() {
                println!("SKIPPED: moto_server not found (pip install 'moto[server]' in ORRERY_TEST_VENV, see .ci/run)");
                return None;
            }
            let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
            let mut command = Command::new(program);
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
            let server = Server { child: command.spawn().unwrap(), port };
            let began = Instant::now();
            while TcpStream::connect(("127.0.0.1", port)).is_err() {
                assert!(began.elapsed() < Duration::from_secs(60), "the server did not start");
                std::thread::sleep(Duration::from_millis(50));
            }
            Some(server)
        }

        fn make_bucket(&self, name: &str) {
            let mut stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
            write!(stream, "PUT /{name} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
                .unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        }
    }

    #[test]
    #[allow(unsafe_code, reason = "variables are set before any other thread of this test reads them")]
    fn a_bucket_is_a_store() {
        let Some(server) = Server::start() else { return };
        server.make_bucket("checkpoints");
        for (name, value) in [
            ("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", server.port)),
            ("AWS_ACCESS_KEY_ID", "key".into()),
            ("AWS_SECRET_ACCESS_KEY", "secret".into()),
        ] {
            // SAFETY: the other tests of this binary read no variables.
            unsafe { std::env::set_var(name, value) };
        }
        conforms(objects::open("s3://checkpoints").unwrap().into());
        conforms(objects::open("s3://checkpoints/of/a job").unwrap().into());
        let missing = objects::open("s3://no-such-bucket/x").unwrap().list("").unwrap_err().to_string();
        assert!(missing.contains("s3://no-such-bucket/x/: "), "{missing}");
        drop(server);
        let gone = objects::open("s3://checkpoints").unwrap().put("a", b"b").unwrap_err().to_string();
        assert!(gone.starts_with("s3://checkpoints/a: "), "{gone}");
    }
}
