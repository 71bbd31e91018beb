//! Tables as Parquet.

use super::{Column, Data, FramesError, content_error, io_error, write_whole};
use polars::prelude::{self as pl, NamedFrom, ParquetReader, ParquetWriter, SerReader};
use std::io::{self, Cursor};
use std::path::Path;

/// Writes columns.
pub(super) fn write(path: &Path, columns: &[Column]) -> Result<(), FramesError> {
    let frame = columns.iter().map(|column| {
        let name = pl::PlSmallStr::from_str(&column.name);
        pl::Column::from(match &column.data {
            Data::F64(values) => pl::Series::new(name, values),
            Data::I64(values) => pl::Series::new(name, values),
            Data::U64(values) => pl::Series::new(name, values),
            Data::Str(values) => pl::Series::new(name, values),
            Data::Bool(values) => pl::Series::new(name, values),
        })
    });
    let mut frame = pl::DataFrame::new_infer_height(frame.collect()).map_err(|e| content_error(path, e))?;
    write_frame(path, &mut frame, None)
}

/// Writes a frame, with notes on the file where there are some.
pub(super) fn write_frame(path: &Path, frame: &mut pl::DataFrame, notes: Option<(String, String)>) -> Result<(), FramesError> {
    let notes = notes.map(|note| polars::io::parquet::write::KeyValueMetadata::from_static(vec![note]));
    let fill = |out: &mut dyn io::Write| {
        let writer = ParquetWriter::new(out).with_key_value_metadata(notes);
        writer.finish(frame).map(drop).map_err(io::Error::other)
    };
    write_whole(path, fill).map_err(|source| io_error(path, source))
}

/// Reads columns of the five kinds; narrower numbers are widened.
pub(super) fn read(path: &Path, content: Vec<u8>) -> Result<Vec<Column>, FramesError> {
    let failed = |error: pl::PolarsError| content_error(path, error);
    let frame = ParquetReader::new(Cursor::new(content)).finish().map_err(failed)?;
    frame.columns().iter().map(|column| read_column(path, column).map_err(|e| content_error(path, e))).collect()
}

fn read_column(path: &Path, column: &pl::Column) -> Result<Column, FramesError> {
    let failed = |error: pl::PolarsError| content_error(path, error);
    let kind = column.dtype().clone();
    let unsigned = matches!(kind, pl::DataType::UInt8 | pl::DataType::UInt16 | pl::DataType::UInt32 | pl::DataType::UInt64);
    let missing = || content_error(path, format!("column {:?} has missing values", column.name()));
    let data = if kind == pl::DataType::Boolean {
        Data::Bool(column.bool().map_err(failed)?.iter().collect::<Option<_>>().ok_or_else(missing)?)
    } else if kind == pl::DataType::String {
        let values = column.str().map_err(failed)?;
        Data::Str(values.iter().map(|v| v.unwrap_or("").to_string()).collect())
    } else if unsigned {
        let wide = column.cast(&pl::DataType::UInt64).map_err(failed)?;
        Data::U64(wide.u64().map_err(failed)?.iter().collect::<Option<_>>().ok_or_else(missing)?)
    } else if kind.is_integer() {
        let wide = column.cast(&pl::DataType::Int64).map_err(failed)?;
        Data::I64(wide.i64().map_err(failed)?.iter().collect::<Option<_>>().ok_or_else(missing)?)
    } else if kind.is_float() {
        let wide = column.cast(&pl::DataType::Float64).map_err(failed)?;
        Data::F64(wide.f64().map_err(failed)?.iter().map(|v| v.unwrap_or(f64::NAN)).collect())
    } else {
        return Err(content_error(path, format!("column {:?} is of kind {kind}, which no table here has", column.name())));
    };
    Ok(Column { name: column.name().to_string(), data })
}
