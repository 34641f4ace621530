//! Amounts: how much of something a step takes, as a count or as a share.

use anyhow::{Result, ensure};
use serde::{Deserialize, Serialize};
use std::fmt;

/// `4`, `"30%"` or `0.3`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Typed", into = "Typed")]
pub enum Amount {
    /// So many.
    Count(usize),
    /// So many of a hundred, above 0 and below 100.
    Percent(f64),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "an amount is a whole number like 4, or a percentage like \"30%\"")]
enum Typed {
    Count(i64),
    Fraction(f64),
    Text(String),
}

impl TryFrom<Typed> for Amount {
    type Error = String;

    fn try_from(typed: Typed) -> Result<Amount, String> {
        let percent = |percent: f64, typed: &dyn fmt::Display| match percent > 0.0 && percent < 100.0 {
            true => Ok(Amount::Percent(percent)),
            false => {
                Err(format!("{typed} is no amount; allowed is a whole number from 1 on, or above 0% and below 100%"))
            }
        };
        match typed {
            Typed::Count(count) if count > 0 => Ok(Amount::Count(usize::try_from(count).unwrap_or(usize::MAX))),
            Typed::Count(count) => percent(0.0, &count),
            // 30% and not 30.000000000000004%
            Typed::Fraction(share) => percent((share * 1e8).round() / 1e6, &share),
            Typed::Text(text) => {
                let number = text.trim().strip_suffix('%').and_then(|number| number.trim().parse().ok());
                percent(number.unwrap_or(f64::NAN), &format!("'{text}'"))
            }
        }
    }
}

impl From<Amount> for Typed {
    fn from(amount: Amount) -> Typed {
        match amount {
            Amount::Count(count) => Typed::Count(count as i64),
            Amount::Percent(_) => Typed::Text(amount.to_string()),
        }
    }
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            Amount::Count(count) => write!(f, "{count}"),
            Amount::Percent(percent) => write!(f, "{percent}%"),
        }
    }
}

impl Amount {
    /// How many that is of `total`, of which some have to stay. `what` names them, in the plural.
    ///
    /// # Errors
    /// Where it is none of them, or none would stay.
    pub fn of(self, total: usize, what: &str) -> Result<usize> {
        let count = match self {
            Amount::Count(count) => count,
            Amount::Percent(percent) => (total as f64 * percent / 100.0).round() as usize,
        };
        ensure!(count < total, "{self} of {total} {what} leaves nothing; allowed are 1 to {}", total.saturating_sub(1));
        ensure!(
            count > 0,
            "{self} of {total} {what} is less than one; the smallest amount here is {:.1}%",
            100.0 / total as f64
        );
        Ok(count)
    }

    /// The share that it is of `total`.
    pub fn share(self, total: usize) -> f64 {
        match self {
            Amount::Count(count) => count as f64 / total.max(1) as f64,
            Amount::Percent(percent) => percent / 100.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(typed: &str) -> Result<Amount, String> {
        #[derive(Deserialize)]
        struct Whole {
            x: Amount,
        }
        toml::from_str::<Whole>(&format!("x = {typed}")).map(|whole| whole.x).map_err(|e| e.message().to_owned())
    }

    #[test]
    fn amounts_are_counts_or_shares() {
        assert_eq!(read("4"), Ok(Amount::Count(4)));
        for typed in ["'30%'", "0.3", "' 30.0 %'"] {
            assert_eq!(read(typed), Ok(Amount::Percent(30.0)), "{typed}");
        }
        for typed in ["0", "-1", "'0%'", "'100%'", "1.5", "'30'", "nan", "true"] {
            assert!(read(typed).is_err(), "{typed}");
        }
        assert_eq!(Amount::Percent(30.0).of(9, "heads").expect("some"), 3);
        let said = |amount: Amount, of| amount.of(of, "layers").expect_err("refused").to_string();
        assert_eq!(said(Amount::Count(4), 4), "4 of 4 layers leaves nothing; allowed are 1 to 3");
        assert_eq!(
            said(Amount::Percent(10.0), 4),
            "10% of 4 layers is less than one; the smallest amount here is 25.0%"
        );
    }
}
