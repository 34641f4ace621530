//! Recipes in short, as they are typed: `prune:heads=30% > quantize:q4_k_m`, steps apart by `>`, each `KIND:FIRST,KEY=VALUE,KEY`.
//! What stands in brackets or quotes is not cut. A list in brackets is a range, and gives a recipe for each of its
//! values, with several ranges for each combination; only where the setting is a list itself it is that.

use crate::transform::KINDS;
use crate::transform::settings::no_step;
use anyhow::{Result, bail, ensure};

/// The most recipes that ranges may come to.
pub(crate) const MOST: usize = 256;

/// A step as typed, cut at its settings.
struct TypedStep<'t> {
    kind: &'t str,
    settings: Vec<Setting<'t>>,
}

/// `KEY=VALUE`, or one of the two.
struct Setting<'t> {
    key: Option<&'t str>,
    value: &'t str,
}

/// The recipes that a typed one means: itself, or one for each combination of its ranges.
pub(crate) fn ranged(typed: &str) -> Result<Vec<String>> {
    let steps = cut(typed, '>')?.into_iter().map(TypedStep::read).collect::<Result<Vec<_>>>()?;
    let mut made = vec![String::new()];
    let mut is_ranged = false;
    for (place, step) in steps.iter().enumerate() {
        let before = if place == 0 { "" } else { " > " };
        append(&mut made, &[format!("{before}{}", step.kind)])?;
        for (place, setting) in step.settings.iter().enumerate() {
            let before = if place == 0 { ":" } else { "," };
            let key = setting.key.map_or_else(String::new, |key| format!("{key}="));
            let values = step.range_of(setting, place)?;
            is_ranged |= values.is_some();
            let values = values.unwrap_or_else(|| vec![setting.value]);
            append(&mut made, &values.iter().map(|value| format!("{before}{key}{value}")).collect::<Vec<_>>())?;
        }
    }
    Ok(if is_ranged { made } else { vec![typed.to_owned()] })
}

/// Each of the texts with each of the endings.
fn append(texts: &mut Vec<String>, endings: &[String]) -> Result<()> {
    ensure!(texts.len() * endings.len() <= MOST, "its ranges come to more than {MOST} recipes; name fewer values");
    *texts = texts.iter().flat_map(|text| endings.iter().map(move |ending| format!("{text}{ending}"))).collect();
    Ok(())
}

/// The steps of a typed recipe as the tables that a recipe's file has of them.
pub(crate) fn tables(typed: &str) -> Result<Vec<toml::Value>> {
    cut(typed, '>')?.into_iter().map(|step| TypedStep::read(step)?.table()).collect()
}

impl<'t> TypedStep<'t> {
    fn read(typed: &'t str) -> Result<TypedStep<'t>> {
        let (kind, settings) = typed.split_once(':').unwrap_or((typed, ""));
        ensure!(KINDS.iter().any(|known| known.name == kind.trim()), no_step(kind.trim()));
        let setting = |typed: &'t str| match typed.split_once('=').filter(|(key, _)| !key.contains(['[', '"', '\''])) {
            Some((key, value)) => Setting { key: Some(key.trim()), value: value.trim() },
            None => Setting { key: None, value: typed },
        };
        let settings = cut(settings, ',')?.into_iter().map(str::trim).filter(|one| !one.is_empty());
        Ok(TypedStep { kind: kind.trim(), settings: settings.map(setting).collect() })
    }

    /// What a setting without a `=` in this place sets: the kind's first setting, or itself to true.
    fn key<'k>(&self, setting: &Setting<'k>, place: usize) -> &'k str {
        let first = || KINDS.iter().find(|kind| kind.name == self.kind).map_or("", |kind| kind.first);
        setting.key.unwrap_or_else(|| if place == 0 { first() } else { setting.value })
    }

    /// The values of a range; None where the setting has one value.
    fn range_of<'s>(&self, setting: &Setting<'s>, place: usize) -> Result<Option<Vec<&'s str>>> {
        let Some(inside) = listed(setting.value) else { return Ok(None) };
        let values: Vec<&str> = cut(inside, ',')?.into_iter().map(str::trim).filter(|one| !one.is_empty()).collect();
        let key = self.key(setting, place);
        if is_list(self.kind, key) && !values.iter().any(|value| value.starts_with('[')) {
            return Ok(None);
        }
        ensure!(!values.is_empty(), "{key} has an empty range");
        Ok(Some(values))
    }

    fn table(&self) -> Result<toml::Value> {
        let mut table = toml::Table::new();
        for (place, setting) in self.settings.iter().enumerate() {
            let is_flag = setting.key.is_none() && place > 0;
            let value = if is_flag { true.into() } else { value_of(setting.value)? };
            let key = self.key(setting, place);
            if table.insert(key.to_owned(), value).is_some() {
                bail!("{key} is given twice");
            }
        }
        Ok(toml::Table::from_iter([(self.kind.to_owned(), table.into())]).into())
    }
}

/// Whether a setting of a kind of step is a list, and no range where it is given one.
pub(crate) fn is_list(kind: &str, key: &str) -> bool {
    KINDS.iter().any(|known| known.name == kind && known.lists.contains(&key))
}

/// What stands between brackets.
fn listed(typed: &str) -> Option<&str> {
    typed.strip_prefix('[')?.strip_suffix(']')
}

/// Cuts at a letter where it stands neither in brackets nor in quotes.
fn cut(typed: &str, at: char) -> Result<Vec<&str>> {
    let (mut parts, mut begin, mut depth, mut quote) = (Vec::new(), 0, 0usize, None);
    for (place, letter) in typed.char_indices() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => {}
            (None, '"' | '\'') => quote = Some(letter),
            (None, '[') => depth += 1,
            (None, ']') => {
                ensure!(depth > 0, "a bracket is closed that was not opened: {typed}");
                depth -= 1;
            }
            (None, _) if letter == at && depth == 0 => {
                parts.push(&typed[begin..place]);
                begin = place + letter.len_utf8();
            }
            _ => {}
        }
    }
    ensure!(quote.is_none() && depth == 0, "a bracket or a quote is not closed: {typed}");
    parts.push(&typed[begin..]);
    Ok(parts)
}

fn value_of(typed: &str) -> Result<toml::Value> {
    let quoted =
        |quote: char| typed.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote)).map(toml::Value::from);
    if let Some(text) = quoted('"').or_else(|| quoted('\'')) {
        return Ok(text);
    }
    if let Some(inside) = listed(typed) {
        let values = cut(inside, ',')?.into_iter().map(str::trim).filter(|one| !one.is_empty());
        return Ok(values.map(value_of).collect::<Result<Vec<_>>>()?.into());
    }
    let number = || Some(typed.parse::<i64>().ok()?.into());
    let fraction = || Some(typed.parse::<f64>().ok().filter(|x| x.is_finite())?.into());
    Ok(match typed {
        "true" => true.into(),
        "false" => false.into(),
        _ => number().or_else(fraction).unwrap_or_else(|| typed.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_give_a_recipe_for_each_combination() {
        let all = ranged("drop_layer:[0,1] > scale:x,by=[1.5, 2] > quantize:q4_k_m").expect("ranges");
        assert_eq!(
            all,
            [
                "drop_layer:0 > scale:x,by=1.5 > quantize:q4_k_m",
                "drop_layer:0 > scale:x,by=2 > quantize:q4_k_m",
                "drop_layer:1 > scale:x,by=1.5 > quantize:q4_k_m",
                "drop_layer:1 > scale:x,by=2 > quantize:q4_k_m",
            ]
        );
        assert_eq!(ranged("quantize:q8_0 ").expect("itself"), ["quantize:q8_0 "]);
        let many = (0..300).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
        let said = ranged(&format!("drop_layer:[{many}]")).expect_err("too many").to_string();
        assert!(said.contains("more than 256"), "{said}");
    }

    #[test]
    fn quotes_and_brackets_are_not_cut() {
        let table = tables("scale:x=\"one, > two\",y='[3'").expect("tables").remove(0);
        assert_eq!(table["scale"]["x"].as_str(), Some("one, > two"));
        assert_eq!(table["scale"]["y"].as_str(), Some("[3"));
        for wrong in ["scale:x=[1", "scale:x=1]", "scale:x=\"1"] {
            assert!(tables(wrong).is_err(), "{wrong}");
        }
    }
}
