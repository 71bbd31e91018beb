//! Opening: gzip, zstd and tar are seen through, and every decompressed byte goes through the digest.

use super::error::ImportError;
use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, Read};
use std::path::Path;

/// Bytes looked at to tell what a content is.
const HEAD_BYTES: u64 = 64 << 10;
const BUFFER_BYTES: usize = 256 << 10;

/// A decompressed stream of which the beginning is known.
pub(crate) struct Opened<'a> {
    pub head: Vec<u8>,
    rest: Box<dyn Read + 'a>,
}

impl<'a> Opened<'a> {
    /// Sees through compression, also nested.
    pub(crate) fn new(reader: Box<dyn Read + 'a>) -> io::Result<Opened<'a>> {
        let mut reader = reader;
        // Nesting deeper than this is an attack, not a trace.
        for _ in 0..4 {
            let mut magic = Vec::with_capacity(4);
            reader.by_ref().take(4).read_to_end(&mut magic)?;
            let compressed = BufReader::with_capacity(BUFFER_BYTES, Cursor::new(magic.clone()).chain(reader));
            if magic.starts_with(&[0x1f, 0x8b]) {
                reader = Box::new(flate2::bufread::MultiGzDecoder::new(compressed));
            } else if magic == [0x28, 0xb5, 0x2f, 0xfd] {
                reader = Box::new(zstd::Decoder::with_buffer(compressed)?);
            } else {
                reader = Box::new(compressed);
                break;
            }
        }
        let mut head = Vec::new();
        // An error here comes again, with its place, when the content is read.
        let error = reader.by_ref().take(HEAD_BYTES).read_to_end(&mut head).err();
        let rest: Box<dyn Read + 'a> = match error {
            Some(error) => Box::new(Broken(Some(error))),
            None => reader,
        };
        Ok(Opened { head, rest })
    }

    pub(crate) fn is_tar(&self) -> bool {
        self.head.get(257..262) == Some(b"ustar")
    }

    pub(crate) fn into_read(self) -> Box<dyn Read + 'a> {
        Box::new(Cursor::new(self.head).chain(self.rest))
    }

    /// The content, each byte of which goes through `digest`.
    pub(crate) fn digested<'d>(self, digest: &'d RefCell<blake3::Hasher>) -> Box<dyn BufRead + 'd>
    where
        'a: 'd,
    {
        let reader = Digested { reader: self.into_read(), digest };
        Box::new(BufReader::with_capacity(BUFFER_BYTES, reader))
    }
}

/// Fails once, then is at its end.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

struct Digested<'a, 'd> {
    reader: Box<dyn Read + 'a>,
    digest: &'d RefCell<blake3::Hasher>,
}

impl Read for Digested<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(buffer)?;
        self.digest.borrow_mut().update(&buffer[..got]);
        Ok(got)
    }
}

/// Reports an archive member that ends before its length, which the tar reader would take for its end.
pub(crate) struct Whole<R> {
    pub reader: R,
    pub left: u64,
}

impl<R: Read> Read for Whole<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let got = self.reader.read(buffer)?;
        if got == 0 && self.left > 0 && !buffer.is_empty() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the archive ends inside this member"));
        }
        self.left = self.left.saturating_sub(got as u64);
        Ok(got)
    }
}

/// Splits `archive.tar.gz#member` where no file has the whole name.
pub(crate) fn selector(path: &Path) -> (String, Option<String>) {
    let whole = path.to_string_lossy().into_owned();
    match whole.rsplit_once('#') {
        Some((file, member)) if !path.exists() && !file.is_empty() => (file.into(), Some(member.into())),
        _ => (whole, None),
    }
}

pub(crate) fn open(file: &str) -> Result<Box<dyn Read>, ImportError> {
    let failed = |source| ImportError::Open { file: file.into(), source };
    let opened = File::open(file).map_err(failed)?;
    if opened.metadata().map_err(failed)?.is_dir() {
        return Err(failed(io::Error::new(io::ErrorKind::IsADirectory, "it is a directory")));
    }
    Ok(Box::new(opened))
}
