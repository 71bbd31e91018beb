//! JSON documents read as a stream, with the line on which each element begins.

use super::error::{Bad, ImportError, shorten_to};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, SeqAccess, Visitor};
use serde_json::Value;
use std::cell::Cell;
use std::fmt;
use std::io::{BufRead, Read};
use std::marker::PhantomData;

/// A string; numbers and booleans are taken as text too, since sources differ in what they quote.
#[derive(Clone, Debug)]
pub(crate) struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Text, D::Error> {
        match Value::deserialize(from)? {
            Value::String(text) => Ok(Text(text)),
            Value::Number(number) => Ok(Text(number.to_string())),
            Value::Bool(yes) => Ok(Text(yes.to_string())),
            Value::Null => Ok(Text(String::new())),
            other => Err(D::Error::custom(format!("a text or number, not {other}"))),
        }
    }
}

/// Counts line ends. The parser above asks for a byte at a time, so the count is that of the parser's own position.
pub(crate) struct Counted<'r, 'c> {
    reader: Box<dyn BufRead + 'r>,
    line: &'c Cell<u64>,
    bytes: &'c Cell<u64>,
}

impl Read for Counted<'_, '_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.reader.read(buffer)?;
        let ends = buffer[..got].iter().filter(|b| **b == b'\n').count();
        self.line.set(self.line.get() + ends as u64);
        self.bytes.set(self.bytes.get() + got as u64);
        Ok(got)
    }
}

/// An array's elements, each handed over with its line as soon as it is read.
pub(crate) struct Elements<'c, T, F> {
    pub line: &'c Cell<u64>,
    pub take: F,
    /// Where an error of `take` waits until the parser has unwound.
    pub stopped: &'c Cell<Option<ImportError>>,
    pub of: PhantomData<T>,
}

struct At<'c, T>(&'c Cell<u64>, PhantomData<T>);

impl<'de, T: Deserialize<'de>> DeserializeSeed<'de> for At<'_, T> {
    type Value = (u64, T);
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(u64, T), D::Error> {
        let line = self.0.get();
        T::deserialize(from).map(|value| (line, value))
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(u64, T) -> Result<(), ImportError>> Visitor<'de> for Elements<'_, T, F> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }
    fn visit_seq<A: SeqAccess<'de>>(mut self, mut elements: A) -> Result<(), A::Error> {
        while let Some((line, value)) = elements.next_element_seed(At(self.line, PhantomData))? {
            if let Err(error) = (self.take)(line, value) {
                self.stopped.set(Some(error));
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(u64, T) -> Result<(), ImportError>> DeserializeSeed<'de> for Elements<'_, T, F> {
    type Value = ();
    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<(), D::Error> {
        from.deserialize_seq(self)
    }
}

/// Hands over the elements of a document that is one array.
pub(crate) fn each_element<T: for<'de> Deserialize<'de>>(
    file: &str,
    reader: Box<dyn BufRead + '_>,
    expected: &'static str,
    mut take: impl FnMut(u64, Result<T, Bad>) -> Result<(), ImportError>,
) -> Result<(), ImportError> {
    document(file, reader, expected, |parser, line, stopped| {
        let take = |line, value: Value| take(line, typed(value));
        Elements { line, take, stopped, of: PhantomData }.deserialize(parser)
    })
}

/// A value as what it should be, or a bad row: one odd element does not spoil the document.
pub(crate) fn typed<T: for<'de> Deserialize<'de>>(value: Value) -> Result<T, Bad> {
    let shown = value.to_string();
    T::deserialize(value).map_err(|error| {
        let why = shorten_to(error.to_string().as_bytes(), 200);
        Bad::new("(element)", shown.as_bytes(), format!("the keys of a job ({why})"))
    })
}

/// The parser that `document` hands out.
pub(crate) type Parser<'r, 'c> = serde_json::Deserializer<serde_json::de::IoRead<Counted<'r, 'c>>>;

/// Runs `parse` over the whole document and turns its failure into a place in the file.
pub(crate) fn document<'r>(
    file: &str,
    reader: Box<dyn BufRead + 'r>,
    expected: &'static str,
    parse: impl FnOnce(&mut Parser<'r, '_>, &Cell<u64>, &Cell<Option<ImportError>>) -> serde_json::Result<()>,
) -> Result<(), ImportError> {
    let (line, bytes, stopped) = (Cell::new(1), Cell::new(0), Cell::new(None));
    let done = {
        let mut parser = serde_json::Deserializer::from_reader(Counted { reader, line: &line, bytes: &bytes });
        parse(&mut parser, &line, &stopped).and_then(|()| parser.end())
    };
    if let Some(error) = stopped.take() {
        return Err(error);
    }
    done.map_err(|error| {
        let (file, row) = (file.to_string(), error.line() as u64);
        if error.is_io() {
            return ImportError::read(&file, row, bytes.get(), error.into());
        }
        ImportError::Document { file, row, message: shorten_to(error.to_string().as_bytes(), 200), expected }
    })
}
