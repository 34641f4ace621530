//! Tables as items: CSV with a head line, and Parquet. Only the columns are read that the suite names; a table of the
//! hub may have others that are large. Numbers are numbers and lists are lists, as JSON lines would have them.

use super::Doc;
use crate::error::Error;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, List, Map, Row};
use parquet::schema::types::Type;
use serde_json::{Map as Fields, Number, Value as Json};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// The rows of a CSV file. A column is a column of numbers where every cell is one; an empty cell is null.
pub(super) fn csv(path: &Path, delimiter: u8, named: &dyn Fn(&str) -> bool) -> Result<Vec<Doc>, Error> {
    let file: Arc<str> = path.display().to_string().into();
    let opened = File::open(path).map_err(|source| Error::Unreadable { file: file.to_string(), source })?;
    let broken = |e: csv::Error| {
        let line = e.position().map_or(1, |at| at.line() as usize);
        let why = e.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        Error::Malformed { file: file.to_string(), line, message: format!("is no table with a head line: {why}") }
    };
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter).from_reader(opened);
    let heads = reader.headers().map_err(broken)?.clone();
    let rows = reader.records().collect::<Result<Vec<_>, _>>().map_err(broken)?;
    let columns: Vec<(usize, &str)> =
        heads.iter().enumerate().filter(|(_, name)| named(name.trim_start_matches('\u{feff}'))).collect();
    let types: Vec<ColumnType> =
        columns.iter().map(|(at, _)| ColumnType::of(rows.iter().map(|row| &row[*at]))).collect();
    let doc = |(row, number): (&csv::StringRecord, usize)| {
        let cells = columns
            .iter()
            .zip(&types)
            .map(|((at, name), of)| (name.trim_start_matches('\u{feff}').to_owned(), of.read(&row[*at])));
        // the head is the first line
        let line = row.position().map_or(number + 1, |at| at.line() as usize);
        Doc::new(&file, line, cells.collect())
    };
    Ok(rows.iter().zip(1..).map(doc).collect())
}

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ColumnType {
    Whole,
    Real,
    Text,
}

impl ColumnType {
    fn of<'a>(cells: impl Iterator<Item = &'a str> + Clone) -> ColumnType {
        let mut filled = cells.filter(|cell| !cell.is_empty());
        // 007 and +1 are names, not numbers
        let whole = |cell: &str| cell.parse::<i64>().is_ok_and(|n| n.to_string() == cell);
        let padded = |cell: &str| cell.len() > 1 && cell.starts_with('0') && cell.as_bytes()[1].is_ascii_digit();
        let real =
            |cell: &str| cell.parse::<f64>().is_ok_and(f64::is_finite) && !cell.starts_with('+') && !padded(cell);
        match (filled.clone().next(), filled.clone().all(whole), filled.all(real)) {
            (None, ..) => ColumnType::Text,
            (_, true, _) => ColumnType::Whole,
            (_, _, true) => ColumnType::Real,
            _ => ColumnType::Text,
        }
    }

    fn read(self, cell: &str) -> Json {
        match (self, cell) {
            (_, "") => Json::Null,
            (ColumnType::Whole, cell) => cell.parse::<i64>().map_or(Json::Null, Json::from),
            (ColumnType::Real, cell) => cell.parse::<f64>().map_or(Json::Null, real),
            (ColumnType::Text, cell) => Json::from(cell),
        }
    }
}

/// The rows of a Parquet file.
pub(super) fn parquet(path: &Path, named: &dyn Fn(&str) -> bool) -> Result<Vec<Doc>, Error> {
    let file: Arc<str> = path.display().to_string().into();
    let opened = File::open(path).map_err(|source| Error::Unreadable { file: file.to_string(), source })?;
    let broken = |why: String| {
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        Error::Malformed {
            file: file.to_string(),
            line: 1,
            message: format!("is no Parquet file that can be read: {why}"),
        }
    };
    // the library trusts some lengths in a file that is damaged
    let read = catch_unwind(AssertUnwindSafe(|| rows(opened, &file, named)));
    read.unwrap_or_else(|_| Err("it is damaged".into())).map_err(broken)
}

fn rows(opened: File, file: &Arc<str>, named: &dyn Fn(&str) -> bool) -> Result<Vec<Doc>, String> {
    let reader = SerializedFileReader::new(opened).map_err(|e| e.to_string())?;
    let schema = reader.metadata().file_metadata().schema();
    let columns: Vec<Arc<Type>> = schema.get_fields().iter().filter(|field| named(field.name())).cloned().collect();
    if columns.is_empty() {
        let there: Vec<&str> = schema.get_fields().iter().map(|field| field.name()).collect();
        return Err(format!("the suite names none of its columns, which are {}", there.join(", ")));
    }
    let projected = Type::group_type_builder(schema.name()).with_fields(columns).build().map_err(|e| e.to_string())?;
    let rows = reader.get_row_iter(Some(projected)).map_err(|e| e.to_string())?;
    let doc = |(row, number): (Result<Row, _>, usize)| match row {
        Ok(row) => Ok(Doc::new(file, number, object(&row))),
        Err(e) => Err(format!("row {number}: {}", parquet::errors::ParquetError::to_string(&e))),
    };
    rows.zip(1..).map(doc).collect()
}

fn object(row: &Row) -> Fields<String, Json> {
    row.get_column_iter().map(|(name, field)| (name.clone(), json(field))).collect()
}

fn list(list: &List) -> Json {
    list.elements().iter().map(json).collect()
}

/// A map with text for keys is an object; another a list of pairs.
fn map(map: &Map) -> Json {
    let pairs = map.entries();
    let key = |key: &Field| if let Field::Str(text) = key { Some(text.clone()) } else { None };
    let named: Option<Fields<String, Json>> = pairs.iter().map(|(k, v)| Some((key(k)?, json(v)))).collect();
    named.map_or_else(|| pairs.iter().map(|(k, v)| Json::from(vec![json(k), json(v)])).collect(), Json::Object)
}

fn json(field: &Field) -> Json {
    match field {
        Field::Null => Json::Null,
        Field::Bool(b) => Json::from(*b),
        Field::Byte(n) => Json::from(*n),
        Field::Short(n) => Json::from(*n),
        Field::Int(n) | Field::Date(n) | Field::TimeMillis(n) => Json::from(*n),
        Field::Long(n) | Field::TimeMicros(n) | Field::TimestampMillis(n) | Field::TimestampMicros(n) => Json::from(*n),
        Field::UByte(n) => Json::from(*n),
        Field::UShort(n) => Json::from(*n),
        Field::UInt(n) => Json::from(*n),
        Field::ULong(n) => Json::from(*n),
        Field::Float16(n) => real(f64::from(*n)),
        Field::Float(n) => real(f64::from(*n)),
        Field::Double(n) => real(*n),
        Field::Str(text) => Json::from(text.as_str()),
        // text that its writer did not mark as such
        Field::Bytes(bytes) => Json::from(String::from_utf8_lossy(bytes.data())),
        Field::Decimal(_) => Json::from(field.to_string()),
        Field::Group(row) => Json::Object(object(row)),
        Field::ListInternal(of) => list(of),
        Field::MapInternal(of) => map(of),
    }
}

/// JSON has no infinities: they are missing.
fn real(number: f64) -> Json {
    Number::from_f64(number).map_or(Json::Null, Json::Number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
    use parquet::file::properties::WriterProperties;
    use parquet::file::writer::SerializedFileWriter;
    use parquet::schema::parser::parse_message_type;

    fn everything(_: &str) -> bool {
        true
    }

    fn written(name: &str, bytes: &[u8]) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join(name);
        std::fs::write(&path, bytes).expect("writes");
        (dir, path)
    }

    #[test]
    fn a_column_of_a_csv_is_numbers_or_text_and_lines_are_remembered() {
        let (_dir, path) =
            written("d.csv", "\u{feff}question,answer,code,x\n\"2 + 2,\n please\",4,007,1.5\n3 - 3,0,12,\n".as_bytes());
        let docs = csv(&path, b',', &|name| name != "x").expect("a table");
        let first = Json::Object(docs[0].fields.clone());
        assert_eq!(first, serde_json::json!({ "question": "2 + 2,\n please", "answer": 4, "code": "007" }));
        assert_eq!(docs.iter().map(|d| d.line).collect::<Vec<_>>(), [2, 4]);
        let docs = csv(&path, b',', &everything).expect("a table");
        assert_eq!((&docs[0].fields["x"], &docs[1].fields["x"]), (&Json::from(1.5), &Json::Null));
        let (_dir, path) = written("d.csv", b"a,b\n1,2\n3\n");
        let refused = csv(&path, b',', &everything).expect_err("ragged").to_string();
        assert!(refused.contains("d.csv:3: is no table") && !refused.contains('\n'), "{refused}");
    }

    /// A table as the hub's are: text, a number, a struct of lists.
    fn table() -> Vec<u8> {
        let schema = "message schema { optional binary question (STRING); optional int64 label; optional group choices { \
                      optional group text (LIST) { repeated group list { optional binary element (STRING); } } } }";
        let schema = Arc::new(parse_message_type(schema).expect("a schema"));
        let mut writer =
            SerializedFileWriter::new(Vec::new(), schema, Arc::new(WriterProperties::new())).expect("opens");
        let mut group = writer.next_row_group().expect("a group");
        let text = |texts: &[&str]| texts.iter().map(|t| ByteArray::from(*t)).collect::<Vec<_>>();
        let mut column = group.next_column().expect("works").expect("question");
        column.typed::<ByteArrayType>().write_batch(&text(&["one?", "two?"]), Some(&[1, 1]), None).expect("writes");
        column.close().expect("closes");
        let mut column = group.next_column().expect("works").expect("label");
        column.typed::<Int64Type>().write_batch(&[1], Some(&[1, 0]), None).expect("writes");
        column.close().expect("closes");
        let mut column = group.next_column().expect("works").expect("choices");
        let levels: (&[i16], &[i16]) = (&[4, 4, 4], &[0, 1, 0]);
        column
            .typed::<ByteArrayType>()
            .write_batch(&text(&["a", "b", "c"]), Some(levels.0), Some(levels.1))
            .expect("writes");
        column.close().expect("closes");
        group.close().expect("closes");
        writer.into_inner().expect("ends")
    }

    #[test]
    fn parquet_rows_are_items_with_lists_and_nulls() {
        let (_dir, path) = written("d.parquet", &table());
        let docs = parquet(&path, &everything).expect("a table");
        let rows: Vec<Json> = docs.iter().map(|d| Json::Object(d.fields.clone())).collect();
        assert_eq!(rows[0], serde_json::json!({ "question": "one?", "label": 1, "choices": { "text": ["a", "b"] } }));
        assert_eq!(rows[1], serde_json::json!({ "question": "two?", "label": null, "choices": { "text": ["c"] } }));
        let projected = parquet(&path, &|name| name == "label").expect("a table");
        assert_eq!(projected[0].names(), "label");
        let none = parquet(&path, &|_| false).expect_err("nothing is named").to_string();
        assert!(none.contains("columns, which are question, label, choices"), "{none}");
    }

    #[test]
    fn a_damaged_parquet_file_is_a_sentence() {
        let whole = table();
        for damaged in [&whole[..whole.len() / 2], &b"PAR1"[..], &[], b"nonsense"] {
            let (_dir, path) = written("d.parquet", damaged);
            let refused = parquet(&path, &everything).expect_err("damaged").to_string();
            assert!(refused.contains("d.parquet:1: is no Parquet file") && !refused.contains('\n'), "{refused}");
        }
        for at in 0..whole.len() {
            let mut flipped = whole.clone();
            flipped[at] ^= 0x55;
            let (_dir, path) = written("d.parquet", &flipped);
            // right, wrong or refused, but no panic
            let _ = parquet(&path, &everything);
        }
    }
}
