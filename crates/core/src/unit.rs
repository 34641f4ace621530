//! Units: a number keeps its unit from where it is measured to where it is shown.
//!
//! Newtypes for what bantam measures, how a person reads them, and how a profile writes them ("64 MiB", "50 ms").
//! Bytes are shown in binary units (KiB, MiB, GiB), since memory and files are counted so by the tools beside us.

use serde::{Deserialize, Serialize};
use std::fmt;

/// A size in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Bytes(pub u64);

/// A span of time in seconds.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Seconds(pub f64);

/// Energy in joules.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Joules(pub f64);

/// Power in watts.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Watts(pub f64);

/// What a plain `f64` in a [`Figure`](crate::record::Figure) counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share between 0 and 1, shown as a percentage.
    Fraction,
    /// A plain number (perplexity, a count).
    Number,
    /// Bits per byte of UTF-8 text.
    BitsPerByte,
    /// Bytes, shown in binary units.
    Bytes,
    /// Seconds, shown as µs, ms, s, minutes or hours.
    Seconds,
    /// Tokens a second.
    TokensPerSecond,
    /// Joules, shown as µJ, mJ, J or kJ.
    Joules,
    /// Joules per prompt token or per generated token.
    JoulesPerToken,
    /// Watts.
    Watts,
    /// Watt-hours.
    WattHours,
    /// Hundredths of a currency, which the figure's `how` names.
    Cents,
}

impl Unit {
    /// Gives the symbol that follows a number of this unit; "" for a plain number.
    pub fn symbol(self) -> &'static str {
        match self {
            Unit::Fraction => "%",
            Unit::Number => "",
            Unit::BitsPerByte => "bit/B",
            Unit::Bytes => "B",
            Unit::Seconds => "s",
            Unit::TokensPerSecond => "tok/s",
            Unit::Joules => "J",
            Unit::JoulesPerToken => "J/tok",
            Unit::Watts => "W",
            Unit::WattHours => "Wh",
            Unit::Cents => "ct",
        }
    }

    /// Gives the unit's name in files (`bits_per_byte`).
    pub fn name(self) -> &'static str {
        match self {
            Unit::Fraction => "fraction",
            Unit::Number => "number",
            Unit::BitsPerByte => "bits_per_byte",
            Unit::Bytes => "bytes",
            Unit::Seconds => "seconds",
            Unit::TokensPerSecond => "tokens_per_second",
            Unit::Joules => "joules",
            Unit::JoulesPerToken => "joules_per_token",
            Unit::Watts => "watts",
            Unit::WattHours => "watt_hours",
            Unit::Cents => "cents",
        }
    }

    /// Writes a number of this unit as a person reads it, unit included: `87.5%`, `1.25 MiB`, `3.1 ms`, `412 tok/s`.
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::Fraction => match format!("{:.1}%", value * 100.0) {
                none if none == "-0.0%" => "0.0%".into(),
                shown => shown,
            },
            Unit::Number => significant(value),
            Unit::Bytes => Bytes(value.max(0.0) as u64).to_string(),
            Unit::Seconds => Seconds(value).to_string(),
            Unit::Joules => Joules(value).to_string(),
            Unit::Watts => Watts(value).to_string(),
            Unit::JoulesPerToken => format!("{}/tok", Joules(value)),
            Unit::BitsPerByte => format!("{value:.3} bit/B"),
            Unit::TokensPerSecond | Unit::WattHours | Unit::Cents => {
                format!("{} {}", significant(value), self.symbol())
            }
        }
    }
}
/// Puts a comma before each three digits from the end: "1,234,567".
pub fn grouped(digits: &str) -> String {
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// Writes a number with two to four significant digits, or with all the digits before the point where these are more.
pub fn significant(value: f64) -> String {
    let magnitude = value.abs();
    match magnitude {
        m if !m.is_finite() => value.to_string(),
        m if m >= 100.0 || m == 0.0 => format!("{value:.0}"),
        m if m >= 10.0 => format!("{value:.1}"),
        m if m >= 1.0 => format!("{value:.2}"),
        m if m >= 0.001 => format!("{value:.4}"),
        _ => format!("{value:.2e}"),
    }
}

/// Writes a count with its word: "1 trial", "7 trials".
pub fn counted(n: usize, one: &str) -> String {
    if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") }
}

/// Writes a count as a person reads it: 2.62 M, 1.71 B.
pub fn count(n: u64) -> String {
    let steps = [(1e12, "T"), (1e9, "B"), (1e6, "M")];
    match steps.into_iter().find(|(size, _)| n as f64 >= *size) {
        Some((size, name)) => format!("{:.2} {name}", n as f64 / size),
        None if n >= 1000 => format!("{:.0} k", n as f64 / 1e3),
        None => n.to_string(),
    }
}

/// Reads a count as a person writes it: 2B, 1.7 B, 360M, 500000.
///
/// # Errors
/// One sentence where the text is no number of at least 0, or its unit is none of K, M, B, G and T.
pub fn parse_count(text: &str) -> Result<u64, String> {
    let allowed = || format!("'{text}' is no number of parameters; write a number and K, M, B or T, like 2B or 360M");
    let (number, unit) = split(text).ok_or_else(allowed)?;
    let scale = match unit.to_ascii_lowercase().as_str() {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "b" | "g" => 1e9,
        "t" => 1e12,
        _ => return Err(allowed()),
    };
    Ok((number * scale).round() as u64)
}

fn scaled(f: &mut fmt::Formatter<'_>, value: f64, steps: &[(f64, &str)]) -> fmt::Result {
    let (size, name) = steps
        .iter()
        .copied()
        .find(|(size, _)| value.abs() >= *size)
        .or(steps.last().copied())
        .expect("every unit has at least one step");
    f.pad(&format!("{} {name}", significant(value / size)))
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const KIB: f64 = 1024.0;
        if self.0 < 1024 {
            return f.pad(&format!("{} B", self.0));
        }
        let steps = [(KIB.powi(4), "TiB"), (KIB.powi(3), "GiB"), (KIB.powi(2), "MiB"), (KIB, "KiB")];
        scaled(f, self.0 as f64, &steps)
    }
}

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 >= 120.0 {
            let whole = self.0.round() as u64;
            let (h, m, s) = (whole / 3600, whole / 60 % 60, whole % 60);
            return f.pad(&if h > 0 { format!("{h} h {m:02} min") } else { format!("{m} min {s:02} s") });
        }
        scaled(f, self.0, &[(1.0, "s"), (1e-3, "ms"), (1e-6, "µs")])
    }
}

impl fmt::Display for Joules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0, &[(1e3, "kJ"), (1.0, "J"), (1e-3, "mJ"), (1e-6, "µJ")])
    }
}

impl fmt::Display for Watts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scaled(f, self.0, &[(1e3, "kW"), (1.0, "W"), (1e-3, "mW")])
    }
}

/// Splits "64 MiB" into its number and its unit's name.
fn split(text: &str) -> Option<(f64, &str)> {
    let text = text.trim();
    let at = text.find(|c: char| c.is_ascii_alphabetic() || c == 'µ').unwrap_or(text.len());
    let number: f64 = text[..at].trim().replace('_', "").parse().ok()?;
    (number.is_finite() && number >= 0.0).then_some((number, text[at..].trim()))
}

impl std::str::FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed =
            || format!("'{text}' is no size; write a number and B, KB, MB, GB, KiB, MiB or GiB, like \"64 MiB\"");
        let (number, unit) = split(text).ok_or_else(allowed)?;
        let scale = match unit.to_ascii_lowercase().as_str() {
            "" | "b" => 1.0,
            "kb" => 1e3,
            "mb" => 1e6,
            "gb" => 1e9,
            "tb" => 1e12,
            "k" | "kib" => 1024.0,
            "m" | "mib" => 1048576.0,
            "g" | "gib" => 1073741824.0,
            "t" | "tib" => 1099511627776.0,
            _ => return Err(allowed()),
        };
        Ok(Bytes((number * scale).round() as u64))
    }
}

impl std::str::FromStr for Seconds {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = || format!("'{text}' is no time; write a number and µs, ms, s, min or h, like \"50 ms\"");
        let (number, unit) = split(text).ok_or_else(allowed)?;
        let scale = match unit {
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "" | "s" => 1.0,
            "min" | "m" => 60.0,
            "h" => 3600.0,
            _ => return Err(allowed()),
        };
        Ok(Seconds(number * scale))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_as_people_write_them() {
        assert_eq!("64 MiB".parse(), Ok(Bytes(64 << 20)));
        assert_eq!("1.5GB".parse(), Ok(Bytes(1_500_000_000)));
        assert_eq!("512".parse(), Ok(Bytes(512)));
        assert_eq!("50 ms".parse::<Seconds>().map(|s| s.0), Ok(0.05));
        assert_eq!("2min".parse(), Ok(Seconds(120.0)));
        for wrong in ["", "MiB", "-1 MiB", "4 parsecs", "1e999 s", "NaN"] {
            assert!(wrong.parse::<Bytes>().is_err() && wrong.parse::<Seconds>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn counts_read_as_models_are_named() {
        assert_eq!(
            (parse_count("2B"), parse_count("1.7 b"), parse_count("360M")),
            (Ok(2_000_000_000), Ok(1_700_000_000), Ok(360_000_000))
        );
        assert!(parse_count("small").is_err() && parse_count("2 GiB").is_err());
        assert_eq!(
            [count(134_515_008), count(1_711_376_384), count(4000), count(7)],
            ["134.52 M", "1.71 B", "4 k", "7"]
        );
    }

    #[test]
    fn numbers_are_shown_with_three_digits_and_their_unit() {
        assert_eq!(Bytes(1023).to_string(), "1023 B");
        assert_eq!(Bytes(5_505_024).to_string(), "5.25 MiB");
        assert_eq!(Seconds(0.00312).to_string(), "3.12 ms");
        assert_eq!(Seconds(3725.0).to_string(), "1 h 02 min");
        assert_eq!(Joules(0.0123).to_string(), "12.3 mJ");
        assert_eq!(Unit::Fraction.show(0.875), "87.5%");
        assert_eq!(Unit::TokensPerSecond.show(412.3), "412 tok/s");
        assert_eq!(Unit::JoulesPerToken.show(0.25), "250 mJ/tok");
    }
}
