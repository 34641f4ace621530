//! Tables as items: CSV with a head line, and Parquet. Only the columns are read that the suite names; a table of the
//! hub may have others that are large. Numbers are numbers and lists are lists, as JSON lines would have them.

use super::quotes::Quotes;
use super::{Doc, Fields, LINE, Source, encoding, open};
use crate::error::Error;
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, List, Map, Row};
use parquet::schema::types::Type;
use serde_json::{Number, Value as Json};
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

/// The rows of a CSV file. A column is a column of numbers where every cell is one; an empty cell is null. `names` are those of
/// the columns where the first line is a row like the others.
pub(super) fn csv(
    path: &Path,
    delimiter: u8,
    names: Option<&[String]>,
    named: &dyn Fn(&str) -> bool,
) -> Result<Vec<Doc>, Error> {
    let file = path.display().to_string();
    let (heads, rows) = cells(path, delimiter, names, named)?;
    let columns: Vec<(usize, &String)> = heads.iter().enumerate().filter(|(_, name)| named(name)).collect();
    let cells = |column: usize| rows.iter().map(move |(_, cells)| cells[column].as_str());
    let types: Vec<ColumnType> = (0..columns.len()).map(|column| ColumnType::of(cells(column))).collect();
    let source = Arc::new(Source { file, columns: Some(heads.clone()) });
    let doc = |(line, cells): &(usize, Vec<String>)| {
        let typed = cells.iter().zip(&types).map(|(cell, of)| of.read(cell));
        Doc::new(&source, *line, columns.iter().map(|(_, name)| (*name).clone()).zip(typed).collect())
    };
    Ok(rows.iter().map(doc).collect())
}

/// The names of all columns, and each row's line with its cells of those columns that are named.
type Cells = (Vec<String>, Vec<(usize, Vec<String>)>);

fn cells(path: &Path, delimiter: u8, names: Option<&[String]>, named: &dyn Fn(&str) -> bool) -> Result<Cells, Error> {
    let file = Source::of(path.display().to_string());
    let quotes = Quotes::of(open(path)?, delimiter, LINE);
    let mut reader =
        csv::ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(quotes);
    let mut record = csv::ByteRecord::new();
    let mut heads: Option<Vec<String>> = names.map(<[String]>::to_vec);
    let mut rows = Vec::new();
    loop {
        let read = reader.read_byte_record(&mut record);
        if let Some(line) = reader.get_ref().open().filter(|_| read.is_err() || reader.is_done()) {
            return Err(file.broken(
                line,
                "begins a quote that is not closed; close it, or write \"\" for a quote that is meant".into(),
            ));
        }
        if let Some((from, to)) = reader.get_ref().stray() {
            let what =
                format!("begins a quote that ends on line {to} only, with more text behind it; is it left open?");
            return Err(file.broken(from, what));
        }
        let line = record.position().map_or(1, |at| at.line() as usize);
        match read {
            Err(e) => {
                let why = e.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
                return Err(file.broken(line, format!("is no table with a head line: {why}")));
            }
            Ok(false) => break,
            Ok(true) => {}
        }
        if record.as_slice().len() as u64 > LINE {
            return Err(file.broken(line, format!("is a row of more than {} MiB; is a quote left open?", LINE >> 20)));
        }
        let row = csv::StringRecord::from_byte_record(record.clone()).map_err(|e| {
            let (field, valid) = (e.utf8_error().field(), e.utf8_error().valid_up_to());
            let before: usize = record.iter().take(field).map(lines).sum();
            let line = line + before + lines(&record[field][..valid]);
            file.broken(line, encoding::not_utf8(&record[field], valid))
        })?;
        match &heads {
            None => heads = Some(checked(heads_of(&row), delimiter, named, &file)?),
            Some(heads) if row.len() != heads.len() => return Err(file.broken(line, ragged(&row, line, heads.len()))),
            Some(heads) => {
                let wanted = heads.iter().zip(&row).filter(|(name, _)| named(name));
                rows.push((line, wanted.map(|(_, cell)| cell.to_owned()).collect()));
            }
        }
    }
    Ok((heads.unwrap_or_default(), rows))
}

/// Refuses names of columns that would be mistaken: one that is there twice, and a whole line that stands as one name
/// since its columns are parted by something else.
fn checked(
    heads: Vec<String>,
    delimiter: u8,
    named: &dyn Fn(&str) -> bool,
    file: &Source,
) -> Result<Vec<String>, Error> {
    let twice = heads.iter().enumerate().find(|(at, name)| named(name) && heads[..*at].contains(name));
    if let Some((_, name)) = twice {
        return Err(file.broken(1, format!("has two columns '{name}', and the suite names it; rename one")));
    }
    let [one] = &heads[..] else { return Ok(heads) };
    let others = [(';', "a semicolon"), ('\t', "a tab"), (',', "a comma"), ('|', "a bar")];
    let other = others.into_iter().find(|(other, _)| *other != char::from(delimiter) && one.contains(*other));
    match other.filter(|_| !named(one)) {
        None => Ok(heads),
        Some((other, word)) => {
            let (parts, ends) = if delimiter == b'\t' { ("a tab", ".tsv") } else { ("a comma", ".csv") };
            let rename = match other {
                '\t' => ", or name it .tsv",
                ',' => ", or name it .csv",
                _ => "",
            };
            Err(file.broken(
                1,
                format!("has one column only, '{one}': {word} seems to part its columns, and in a {ends} file {parts} does; save it so{rename}"),
            ))
        }
    }
}

/// The sentence's end about a row of another number of cells than there are columns.
fn ragged(row: &csv::StringRecord, line: usize, columns: usize) -> String {
    let before = |cell: usize| row.iter().take(cell).map(|cell| lines(cell.as_bytes())).sum::<usize>();
    let cells = if row.len() == 1 { "1 cell".to_owned() } else { format!("{} cells", row.len()) };
    let said = format!("is no row of this table: it has {cells}, and the head line {columns}");
    match row.iter().position(|cell| cell.contains('\n')) {
        None => format!("{said}; put a cell that holds the delimiter in quotes"),
        Some(cell) => format!(
            "{said}; a quote that begins on line {} ends on line {} only: is it left open?",
            line + before(cell),
            line + before(cell + 1)
        ),
    }
}

/// How many lines end in it.
fn lines(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == b'\n').count()
}

/// The names of the columns; one without a name is called as pandas calls it.
fn heads_of(row: &csv::StringRecord) -> Vec<String> {
    let name = |(at, name): (usize, &str)| match name.trim_start_matches('\u{feff}') {
        "" => format!("Unnamed: {at}"),
        name => name.to_owned(),
    };
    row.iter().enumerate().map(name).collect()
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
        let whole = |cell: &str| whole(cell).is_some_and(|n| n.to_string() == cell);
        let padded = |cell: &str| cell.len() > 1 && cell.starts_with('0') && cell.as_bytes()[1].is_ascii_digit();
        // a long number of an order or a parcel is a name, too: as a real number it would lose its last digits
        let kept = |cell: &str| cell.contains(|c: char| !c.is_ascii_digit() && c != '-') || cell.len() <= EXACT_DIGITS;
        let real = |cell: &str| {
            cell.parse::<f64>().is_ok_and(f64::is_finite) && !cell.starts_with('+') && !padded(cell) && kept(cell)
        };
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
            (ColumnType::Whole, cell) => whole(cell).map_or(Json::Null, Json::Number),
            (ColumnType::Real, cell) => cell.parse::<f64>().map_or(Json::Null, real),
            (ColumnType::Text, cell) => Json::from(cell),
        }
    }
}

/// Digits of a whole number that a real one keeps, whatever they are.
const EXACT_DIGITS: usize = 15;

/// A whole number that JSON's numbers here can be.
fn whole(cell: &str) -> Option<Number> {
    cell.parse::<i64>().map(Number::from).or_else(|_| cell.parse::<u64>().map(Number::from)).ok()
}

/// The rows of a Parquet file.
pub(super) fn parquet(path: &Path, named: &dyn Fn(&str) -> bool) -> Result<Vec<Doc>, Error> {
    let file = path.display().to_string();
    let opened = open(path)?;
    let broken = |why: String| {
        let why = why.split_whitespace().collect::<Vec<_>>().join(" ");
        Source::of(&file).broken(1, format!("is no Parquet file that can be read: {why}"))
    };
    // the library trusts some lengths in a file that is damaged
    let read = catch_unwind(AssertUnwindSafe(|| rows(opened, &file, named)));
    read.unwrap_or_else(|_| Err("it is damaged".into())).map_err(broken)
}

fn rows(opened: File, file: &str, named: &dyn Fn(&str) -> bool) -> Result<Vec<Doc>, String> {
    let reader = SerializedFileReader::new(opened).map_err(|e| e.to_string())?;
    let schema = reader.metadata().file_metadata().schema();
    let columns: Vec<Arc<Type>> = schema.get_fields().iter().filter(|field| named(field.name())).cloned().collect();
    let there: Vec<String> = schema.get_fields().iter().map(|field| field.name().to_owned()).collect();
    if columns.is_empty() {
        return Err(format!("the suite names none of its columns, which are {}", there.join(", ")));
    }
    let projected = Type::group_type_builder(schema.name()).with_fields(columns).build().map_err(|e| e.to_string())?;
    let rows = reader.get_row_iter(Some(projected)).map_err(|e| e.to_string())?;
    let source = Arc::new(Source { file: file.into(), columns: Some(there) });
    let doc = |(row, number): (Result<Row, _>, usize)| match row {
        Ok(row) => Ok(Doc::new(&source, number, object(&row))),
        Err(e) => Err(format!("row {number}: {}", parquet::errors::ParquetError::to_string(&e))),
    };
    rows.zip(1..).map(doc).collect()
}

fn object(row: &Row) -> Fields {
    row.get_column_iter().map(|(name, field)| (name.clone(), json(field))).collect()
}

fn list(list: &List) -> Json {
    list.elements().iter().map(json).collect()
}

/// A map with text for keys is an object; another a list of pairs.
fn map(map: &Map) -> Json {
    let pairs = map.entries();
    let key = |key: &Field| if let Field::Str(text) = key { Some(text.clone()) } else { None };
    let named: Option<Fields> = pairs.iter().map(|(k, v)| Some((key(k)?, json(v)))).collect();
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
    use parquet::basic::Compression;
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
        let docs = csv(&path, b',', None, &|name| name != "x").expect("a table");
        let first = Json::Object((*docs[0].fields).clone());
        assert_eq!(first, serde_json::json!({ "question": "2 + 2,\n please", "answer": 4, "code": "007" }));
        assert_eq!(docs.iter().map(|d| d.line).collect::<Vec<_>>(), [2, 4]);
        let docs = csv(&path, b',', None, &everything).expect("a table");
        assert_eq!((&docs[0].fields["x"], &docs[1].fields["x"]), (&Json::from(1.5), &Json::Null));
        let (_dir, path) = written("d.csv", b"a,b\n1,2\n3\n");
        let refused = csv(&path, b',', None, &everything).expect_err("ragged").to_string();
        assert!(refused.ends_with(
            "d.csv:3: is no row of this table: it has 1 cell, and the head line 2; put a cell that holds the delimiter in quotes"
        ), "{refused}");
    }

    fn refused(name: &str, bytes: &[u8]) -> String {
        let (_dir, path) = written(name, bytes);
        let delimiter = if name.ends_with(".tsv") { b'\t' } else { b',' };
        let named = |name: &str| ["question", "answer"].contains(&name);
        let said = csv(&path, delimiter, None, &named).expect_err("must refuse").to_string();
        said[said.rfind(name).expect("names the file")..].to_owned()
    }

    #[test]
    fn an_open_quote_is_told_with_the_line_it_begins_on() {
        let to_the_end = refused("d.csv", b"question,answer\n1,2\n3,\"4\n5,6\n7,8\n");
        assert!(to_the_end.starts_with("d.csv:3: begins a quote that is not closed;"), "{to_the_end}");
        let to_another = refused("d.csv", b"question,answer\n1,2\n3,\"4\n5,6\n7,\"8\"\n9,1\n");
        assert!(to_another.starts_with("d.csv:3: begins a quote that ends on line 5 only"), "{to_another}");
        let fewer = refused("d.csv", b"question,answer\n\"1,2\n3\"\n");
        assert!(fewer.contains("d.csv:2: is no row") && fewer.contains("on line 2 ends on line 3 only"), "{fewer}");
        let head = refused("d.csv", b"question,\"answer\n1,2\n");
        assert!(head.starts_with("d.csv:1: begins a quote"), "{head}");
        let (_dir, path) = written("d.csv", b"question,answer\n1,\"2\n3\"\n");
        assert_eq!(csv(&path, b',', None, &everything).expect("closed at the end").len(), 1);
    }

    #[test]
    fn another_delimiter_and_another_encoding_are_named() {
        let semicolon = refused("d.csv", b"question;answer\n1;2\n");
        assert!(
            semicolon.contains("d.csv:1: has one column only, 'question;answer': a semicolon seems"),
            "{semicolon}"
        );
        let tab = refused("d.csv", b"question\tanswer\n1\t2,5\n");
        assert!(tab.contains("a tab seems to part") && tab.ends_with("or name it .tsv"), "{tab}");
        let comma = refused("d.tsv", b"question,answer\n1,2\n");
        assert!(comma.contains("a comma seems to part") && comma.ends_with("or name it .csv"), "{comma}");
        let latin = refused("d.csv", b"question,answer\n\"a\nb\",caf\xe9\n");
        assert!(latin.starts_with("d.csv:3: is not UTF-8 text, it looks like Latin-1"), "{latin}");
        let head = refused("d.csv", b"qu\xeastion,answer\n1,2\n");
        assert!(head.starts_with("d.csv:1: is not UTF-8 text, it looks like Latin-1"), "{head}");
        let wide = refused("d.csv", b"\xff\xfeq\0u\0,\0a\0\n\0");
        assert!(wide.starts_with("d.csv:1: is not UTF-8 text, it looks like UTF-16"), "{wide}");
    }

    #[test]
    fn long_numbers_keep_their_digits() {
        let cells = |text: &str| {
            let (_dir, path) = written("d.csv", format!("track\n{text}\n").as_bytes());
            csv(&path, b',', None, &everything)
                .expect("a table")
                .iter()
                .map(|d| d.fields["track"].clone())
                .collect::<Vec<_>>()
        };
        let [parcel, other] = ["9400110200881234567890", "9400110200881234567891"];
        assert_eq!(cells(&format!("{parcel}\n{other}")), [parcel, other]);
        assert_eq!(cells("18446744073709551615\n1"), [Json::from(u64::MAX), Json::from(1)]);
        assert_eq!(cells(&format!("{parcel}\n1.5")), [parcel, "1.5"], "one cell that would lose digits is enough");
        assert_eq!(cells("-9223372036854775808\n2"), [Json::from(i64::MIN), Json::from(2)]);
        assert_eq!(cells("1234\n1.5"), [Json::from(1234.0), Json::from(1.5)]);
    }

    #[test]
    fn columns_that_nothing_names_are_told_where_one_is_missed() {
        let (_dir, path) = written("d.csv", b"Question,Answer,,Score\n2+2,4,x,1\n");
        let docs = csv(&path, b',', None, &|name| name == "Question").expect("a table");
        assert!(docs[0].lacks("question").ends_with("its fields are Question, Answer, Unnamed: 2, Score"));
        let (_dir, path) = written("d.csv", b"a,b,a\n1,2,3\n");
        let refused = csv(&path, b',', None, &|name| name == "a").expect_err("which of the two?").to_string();
        assert!(refused.contains("two columns 'a'"), "{refused}");
        assert_eq!(csv(&path, b',', None, &|name| name == "b").expect("not named").len(), 1);
    }

    #[test]
    fn columns_may_be_named_beside_the_file() {
        let (_dir, path) = written("d.csv", b"2+2;4\n3+3;6\n");
        let names = ["question", "answer"].map(String::from);
        let docs = csv(&path, b';', Some(&names), &everything).expect("a table");
        assert_eq!(docs.len(), 2);
        assert_eq!((&docs[0].fields["question"], &docs[0].fields["answer"]), (&Json::from("2+2"), &Json::from(4)));
        let fewer = csv(&path, b';', Some(&names[..1]), &everything).expect_err("two cells").to_string();
        assert!(fewer.contains("d.csv:1: is no row of this table: it has 2 cells, and the head line 1"), "{fewer}");
    }

    /// A table as the hub's are: text, a number, a struct of lists.
    fn table() -> Vec<u8> {
        compressed(Compression::UNCOMPRESSED)
    }

    fn compressed(codec: Compression) -> Vec<u8> {
        let schema = "message schema { optional binary question (STRING); optional int64 label; optional group choices { \
                      optional group text (LIST) { repeated group list { optional binary element (STRING); } } } }";
        let schema = Arc::new(parse_message_type(schema).expect("a schema"));
        let properties = WriterProperties::builder().set_compression(codec).build();
        let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).expect("opens");
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
        let rows: Vec<Json> = docs.iter().map(|d| Json::Object((*d.fields).clone())).collect();
        assert_eq!(rows[0], serde_json::json!({ "question": "one?", "label": 1, "choices": { "text": ["a", "b"] } }));
        assert_eq!(rows[1], serde_json::json!({ "question": "two?", "label": null, "choices": { "text": ["c"] } }));
        let projected = parquet(&path, &|name| name == "label").expect("a table");
        assert_eq!(projected[0].fields.keys().collect::<Vec<_>>(), ["label"]);
        assert_eq!(projected[0].names(), "question, label, choices");
        let none = parquet(&path, &|_| false).expect_err("nothing is named").to_string();
        assert!(none.contains("columns, which are question, label, choices"), "{none}");
    }

    #[test]
    fn parquet_is_read_however_it_is_compressed() {
        let plain: Vec<Fields> = docs_of(&table());
        for codec in [Compression::SNAPPY, Compression::GZIP(Default::default()), Compression::ZSTD(Default::default())]
        {
            assert_eq!(docs_of(&compressed(codec)), plain, "{codec:?}");
        }
    }

    /// Files of pyarrow's (xtask/goldens/tables.py), with pages of both versions.
    #[test]
    fn files_of_other_writers_are_read_in_every_codec() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/data");
        let rows = std::fs::read_to_string(folder.join("rows.json")).expect("a golden file");
        let rows: Vec<Fields> = serde_json::from_str(&rows).expect("rows");
        for codec in ["zstd", "gzip", "snappy", "none"] {
            for version in ["v1", "v2"] {
                let path = folder.join(format!("{codec}-{version}.parquet"));
                let docs = parquet(&path, &everything).expect("a table");
                let read: Vec<&Fields> = docs.iter().map(|doc| doc.fields.as_ref()).collect();
                assert_eq!(read, rows.iter().collect::<Vec<_>>(), "{codec} {version}");
            }
        }
    }

    fn docs_of(bytes: &[u8]) -> Vec<Fields> {
        let (_dir, path) = written("d.parquet", bytes);
        parquet(&path, &everything).expect("a table").iter().map(|doc| (*doc.fields).clone()).collect()
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
