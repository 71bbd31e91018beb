//! S3-compatible object stores.
//!
//! Keys and region come from the variables that others use: `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`,
//! `AWS_REGION`, and `AWS_ENDPOINT_URL` for stores that are not Amazon's. Without keys requests are not signed.

use crate::objects::Objects;
use rusty_s3::actions::{ListObjectsV2, S3Action};
use rusty_s3::{Bucket as Place, Credentials, UrlStyle};
use std::io;
use std::time::Duration;
use ureq::http::Response;
use ureq::{Agent, Body, Error};

/// How long a signed request may be on its way.
const SIGNED: Duration = Duration::from_secs(300);
/// How long to wait for a connection, and for an answer to begin.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often a request is tried while the store does not answer, or says that it is the store's fault.
const TRIES: u32 = 4;
/// The longest object that is read: far more than a chunk or a manifest.
const OBJECT_MAX: u64 = 1 << 34;

/// A part of a bucket.
pub struct Bucket {
    place: Place,
    credentials: Option<Credentials>,
    agent: Agent,
    /// Empty, or ends with `/`.
    prefix: String,
}

fn wrong(problem: impl ToString) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, problem.to_string())
}

impl Bucket {
    /// Opens `BUCKET/PREFIX`. Nothing is asked of the store yet.
    ///
    /// # Errors
    /// The endpoint or the bucket's name make no address.
    pub fn open(rest: &str) -> io::Result<Bucket> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let (name, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if name.is_empty() {
            return Err(wrong("s3:// wants a bucket: s3://BUCKET/PREFIX"));
        }
        let region = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION")).unwrap_or("us-east-1".into());
        let own = variable("AWS_ENDPOINT_URL");
        let style = if own.is_some() { UrlStyle::Path } else { UrlStyle::VirtualHost };
        let endpoint = own.unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        let url = endpoint.parse().map_err(|error| wrong(format!("AWS_ENDPOINT_URL `{endpoint}`: {error}")))?;
        let place =
            Place::new(url, style, name.to_owned(), region).map_err(|error| wrong(format!("bucket `{name}`: {error}")))?;
        let config = Agent::config_builder().timeout_connect(Some(TIMEOUT)).timeout_recv_response(Some(TIMEOUT));
        let prefix = prefix.trim_matches('/');
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        Ok(Bucket { place, credentials: Credentials::from_env(), agent: config.build().into(), prefix })
    }

    fn name(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Asks until the store has answered.
    fn ask(&self, what: &str, request: impl Fn() -> Result<Response<Body>, Error>) -> io::Result<Response<Body>> {
        let mut tries = 1;
        loop {
            let error = match request() {
                Ok(response) => return Ok(response),
                Err(error) => error,
            };
            let final_answer = matches!(error, Error::StatusCode(code) if code < 500 && code != 429);
            if final_answer || tries == TRIES {
                let kind = match error {
                    Error::StatusCode(404) => io::ErrorKind::NotFound,
                    Error::StatusCode(401 | 403) => io::ErrorKind::PermissionDenied,
                    _ => io::ErrorKind::Other,
                };
                let remedy =
                    if kind == io::ErrorKind::PermissionDenied { " (AWS_ACCESS_KEY_ID and its like say who asks)" } else { "" };
                return Err(io::Error::new(kind, format!("s3://{}/{what}: {error}{remedy}", self.place.name())));
            }
            std::thread::sleep(Duration::from_millis(100 << tries));
            tries += 1;
        }
    }
}

impl Objects for Bucket {
    fn put(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let name = self.name(name);
        let action = self.place.put_object(self.credentials.as_ref(), &name);
        self.ask(&name, || self.agent.put(action.sign(SIGNED).as_str()).send(bytes)).map(drop)
    }

    fn get(&self, name: &str) -> io::Result<Vec<u8>> {
        let name = self.name(name);
        let action = self.place.get_object(self.credentials.as_ref(), &name);
        let response = self.ask(&name, || self.agent.get(action.sign(SIGNED).as_str()).call())?;
        let read = response.into_body().into_with_config().limit(OBJECT_MAX).read_to_vec();
        read.map_err(|error| io::Error::other(format!("s3://{}/{name}: {error}", self.place.name())))
    }

    fn list(&self, prefix: &str) -> io::Result<Vec<(String, u64)>> {
        let prefix = self.name(prefix);
        let (mut found, mut next) = (Vec::new(), None::<String>);
        loop {
            let mut action = self.place.list_objects_v2(self.credentials.as_ref());
            action.with_prefix(&*prefix);
            if let Some(token) = &next {
                action.with_continuation_token(&**token);
            }
            let response = self.ask(&prefix, || self.agent.get(action.sign(SIGNED).as_str()).call())?;
            let text = response.into_body().into_with_config().limit(OBJECT_MAX).read_to_string().map_err(io::Error::other)?;
            let page = ListObjectsV2::parse_response(&text).map_err(|error| io::Error::other(format!("{prefix}: {error}")))?;
            found.extend(page.contents.into_iter().map(|object| {
                let name = object.key.strip_prefix(&self.prefix).unwrap_or(&object.key).to_owned();
                (name, object.size.unwrap_or(0))
            }));
            next = page.next_continuation_token;
            if next.is_none() {
                found.sort();
                return Ok(found);
            }
        }
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let name = self.name(name);
        let action = self.place.delete_object(self.credentials.as_ref(), &name);
        match self.ask(&name, || self.agent.delete(action.sign(SIGNED).as_str()).call()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn settle(&self) -> io::Result<()> {
        // What the store has answered for is there.
        Ok(())
    }
}
