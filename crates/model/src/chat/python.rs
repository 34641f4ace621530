//! What templates may ask of values as Python's: methods beyond minijinja's own, tests that count texts and tables as
//! Jinja2 does, numbers as `repr` writes them, and the clock.

use minijinja::value::{Tuple, ValueKind, from_args};
use minijinja::{Environment, Error, ErrorKind, State, Value};
use minijinja_contrib::pycompat;
use time::OffsetDateTime;

/// Calls a method of Python's that minijinja does not know.
pub(super) fn method(state: &mut State, value: &Value, name: &str, args: &[Value]) -> Result<Value, Error> {
    match (value.as_str(), value.kind()) {
        (Some(text), _) => match string_method(text, name, args) {
            Some(result) => result,
            None => pycompat::unknown_method_callback(state, value, name, args),
        },
        (None, ValueKind::Seq) if name == "index" => {
            let (what,): (&Value,) = from_args(args)?;
            let at = value.try_iter()?.position(|item| item == *what);
            at.map(Value::from).ok_or_else(|| invalid(format!("{what} is not in the list")))
        }
        (None, ValueKind::Seq | ValueKind::Map) if CHANGES.contains(&name) => {
            Err(invalid(format!("templates may not change what they are given (.{name})")))
        }
        _ => pycompat::unknown_method_callback(state, value, name, args),
    }
}

/// Methods that transformers' sandbox forbids.
const CHANGES: [&str; 10] =
    ["append", "extend", "insert", "pop", "remove", "reverse", "sort", "clear", "update", "setdefault"];

fn string_method(text: &str, name: &str, args: &[Value]) -> Option<Result<Value, Error>> {
    let one = || from_args::<(&str,)>(args).map(|(part,)| part);
    let parts = |found: Option<(String, &str, String)>, otherwise: [&str; 3]| {
        let (a, b, c) = match found {
            Some((a, b, c)) => (Value::from(a), Value::from(b), Value::from(c)),
            None => (otherwise[0].into(), otherwise[1].into(), otherwise[2].into()),
        };
        Value::from(Tuple::from([a, b, c]))
    };
    Some(match name {
        "removeprefix" => one().map(|prefix| text.strip_prefix(prefix).unwrap_or(text).into()),
        "removesuffix" => one().map(|suffix| text.strip_suffix(suffix).unwrap_or(text).into()),
        "partition" => {
            one().map(|at| parts(text.split_once(at).map(|(a, b)| (a.to_owned(), at, b.to_owned())), [text, "", ""]))
        }
        "rpartition" => {
            one().map(|at| parts(text.rsplit_once(at).map(|(a, b)| (a.to_owned(), at, b.to_owned())), ["", "", text]))
        }
        "rsplit" => rsplit(text, args),
        "index" => one().and_then(|part| match text.find(part) {
            Some(at) => Ok(text[..at].chars().count().into()),
            None => Err(invalid("substring not found")),
        }),
        "casefold" => from_args::<()>(args).map(|()| text.to_lowercase().into()),
        "swapcase" => from_args::<()>(args).map(|()| {
            let swap = |c: char| -> String {
                if c.is_uppercase() { c.to_lowercase().collect() } else { c.to_uppercase().collect() }
            };
            text.chars().map(swap).collect::<String>().into()
        }),
        "zfill" => width(args).map(|width| {
            let missing = width.saturating_sub(text.chars().count());
            let (sign, digits) = text.split_at(usize::from(text.starts_with(['+', '-'])));
            format!("{sign}{}{digits}", "0".repeat(missing)).into()
        }),
        "ljust" | "rjust" | "center" => padded(text, name, args),
        _ => return None,
    })
}

/// `rsplit(sep, maxsplit)`.
fn rsplit(text: &str, args: &[Value]) -> Result<Value, Error> {
    let (separator, most): (Option<&str>, Option<i64>) = from_args(args)?;
    let most = most.and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let mut parts: Vec<Value> = match separator {
        Some("") => return Err(invalid("empty separator")),
        Some(separator) => text.rsplitn(most.saturating_add(1), separator).map(Value::from).collect(),
        None => {
            let mut rest = text.trim();
            let mut parts = Vec::new();
            while !rest.is_empty() {
                let (before, word) = match rest.rsplit_once(char::is_whitespace).filter(|_| parts.len() < most) {
                    Some((before, word)) => (before.trim_end(), word),
                    None => ("", rest),
                };
                parts.push(Value::from(word));
                rest = before;
            }
            parts
        }
    };
    parts.reverse();
    Ok(parts.into())
}

/// The widest that a text is filled up to.
const WIDEST: usize = 10_000;

fn width(args: &[Value]) -> Result<usize, Error> {
    checked_width(from_args::<(i64,)>(args)?.0)
}

fn checked_width(width: i64) -> Result<usize, Error> {
    match usize::try_from(width).unwrap_or(0) {
        width @ ..=WIDEST => Ok(width),
        _ => Err(invalid(format!("a width of {width}, allowed are up to {WIDEST}"))),
    }
}

fn padded(text: &str, name: &str, args: &[Value]) -> Result<Value, Error> {
    let (width, fill): (i64, Option<&str>) = from_args(args)?;
    let fill = fill.unwrap_or(" ");
    if fill.chars().count() != 1 {
        return Err(invalid("the fill character must be exactly one character long"));
    }
    let missing = checked_width(width)?.saturating_sub(text.chars().count());
    let before = match name {
        "ljust" => 0,
        "rjust" => missing,
        // CPython's str.center puts the odd one before where the width is odd
        _ => missing / 2 + (missing & width.unsigned_abs() as usize & 1),
    };
    Ok(format!("{}{text}{}", fill.repeat(before), fill.repeat(missing - before)).into())
}

/// Gives a value's number where it is a float and no integer.
pub(super) fn float_of(value: &Value) -> Option<f64> {
    let is_float = value.kind() == ValueKind::Number && !value.is_integer();
    f64::try_from(value.clone()).ok().filter(|_| is_float)
}

/// Tests and filters of Jinja2's own. In Python texts and tables have a length and items, and True is a number.
pub(super) fn extend(environment: &mut Environment<'static>) {
    use ValueKind::{Bool, Iterable, Map, Number, Seq, String};
    environment.add_test("sequence", |value: &Value| matches!(value.kind(), Seq | String | Map));
    environment.add_test("iterable", |value: &Value| matches!(value.kind(), Seq | String | Map | Iterable));
    environment.add_test("number", |value: &Value| matches!(value.kind(), Number | Bool));
    environment.add_filter("string", |value: &Value| float_of(value).map_or_else(|| value.to_string(), float));
    environment.add_filter("wordcount", |text: &str| text.split_whitespace().count());
    environment.add_test("callable", |value: &Value| value.as_object().is_some() && value.kind() == ValueKind::Plain);
}

/// Writes a float as `repr` does: 1.0, 1e-05, 1e+16.
pub(super) fn float(x: f64) -> String {
    if !x.is_finite() {
        return if x.is_nan() {
            "NaN"
        } else if x > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        }
        .into();
    }
    let size = x.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{x:e}");
        let (digits, exponent) = text.split_once('e').expect("an exponent is always written");
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{x:?}")
}

/// The time here, in the given format.
pub(super) fn strftime_now(format: &str) -> Result<String, Error> {
    let parts = time::format_description::parse_strftime_owned(format).map_err(|e| invalid(e.to_string()))?;
    here(OffsetDateTime::now_utc()).format(&parts).map_err(|e| invalid(e.to_string()))
}

/// That moment by the clock on this wall, where the system tells its time zone; else in UTC.
fn here(now: OffsetDateTime) -> OffsetDateTime {
    let zone = tz::TimeZone::local().ok();
    let offset = zone.and_then(|zone| Some(zone.find_local_time_type(now.unix_timestamp()).ok()?.ut_offset()));
    let offset = offset.and_then(|seconds| time::UtcOffset::from_whole_seconds(seconds).ok());
    offset.map_or(now, |offset| now.to_offset(offset))
}

fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::InvalidOperation, what)
}
