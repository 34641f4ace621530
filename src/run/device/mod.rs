//! Devices: the cards that are known here, what a model takes of one, and what was measured here as it would be there.

mod measure;
mod translate;

pub use measure::{kernels, measured, speeds};
pub use translate::translated;

use crate::library::home::Home;
use crate::library::models::{self, ModelFacts};
use anyhow::{Context, Result, bail};
use bantam_core::cache_type::CacheType;
use bantam_core::device::{DeviceCard, Part, Work};
use bantam_core::input;
use bantam_core::meant::meant_words;
use bantam_core::profile::Profile;
use bantam_core::record::{Place, Shape};
use bantam_format::ggml::Type;
use bantam_host::card::Card;
use std::path::{Path, PathBuf};

/// A card's file, at most.
const LONGEST: u64 = 4 << 20;

/// Cards of data sheets that come along.
const SHEETS: [&str; 5] = [
    include_str!("../../../devices/pi4.toml"),
    include_str!("../../../devices/pi5.toml"),
    include_str!("../../../devices/apple-m1.toml"),
    include_str!("../../../devices/apple-m2.toml"),
    include_str!("../../../devices/phone-lpddr5x.toml"),
];

/// The folder of the cards that were measured or added here.
pub fn folder(home: &Home) -> PathBuf {
    home.data().join("devices")
}

/// All cards: those of this home first, then the data sheets whose names are not among them.
///
/// # Errors
/// A file that is no card.
pub fn all(home: &Home) -> Result<Vec<DeviceCard>> {
    let mut cards = Vec::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder(home))
        .map(|entries| entries.flatten().map(|entry| entry.path()).collect())
        .unwrap_or_default();
    files.retain(|file| file.extension().is_some_and(|ending| ending == "toml"));
    files.sort();
    for file in files {
        cards.push(read(&file)?);
    }
    for sheet in SHEETS {
        let card = DeviceCard::parse(sheet).expect("what comes along is tried by a test");
        if cards.iter().all(|known| known.name != card.name) {
            cards.push(card);
        }
    }
    Ok(cards)
}

/// Reads a card's file.
///
/// # Errors
/// One sentence with the file and what is wrong in it.
pub fn read(file: &Path) -> Result<DeviceCard> {
    let text = input::read_to_string(file, LONGEST).with_context(|| file.display().to_string())?;
    DeviceCard::parse(&text).map_err(|why| anyhow::anyhow!("{}: {why}", file.display()))
}

/// Keeps a card; one of its name is replaced.
///
/// # Errors
/// Where the file cannot be written.
pub fn keep(home: &Home, card: &DeviceCard) -> Result<PathBuf> {
    let folder = folder(home);
    std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
    let file = folder.join(format!("{}.toml", card.name));
    bantam_core::disk::write(&file, card.to_toml().as_bytes())
        .with_context(|| format!("{}: cannot be written", file.display()))?;
    Ok(file)
}

/// The card of a name.
///
/// # Errors
/// Where there is none, with those that there are.
pub fn find<'a>(cards: &'a [DeviceCard], name: &str) -> Result<&'a DeviceCard> {
    cards.iter().find(|card| card.name == name).with_context(|| {
        let names: Vec<&str> = cards.iter().map(|card| card.name.as_str()).collect();
        let meant = meant_words(name, names.iter().copied());
        format!(
            "there is no device '{name}'{meant}; there are {} (`bantam devices add CARD.toml` adds one)",
            names.join(", ")
        )
    })
}

/// This machine's own card.
///
/// # Errors
/// Where it was not measured yet.
pub fn here(cards: &[DeviceCard]) -> Result<&DeviceCard> {
    let host = Card::here().id().to_string();
    cards.iter().find(|card| card.host == host).context(
        "this machine has no card yet, from which others are predicted: `bantam bench --device-card here.toml` measures it",
    )
}

/// Tells whether the device that a profile's limits are meant for can be predicted, before anything is measured.
///
/// # Errors
/// Where it is not known, or this machine has no card of its own.
pub fn check(profile: &Profile) -> Result<()> {
    let Some(name) = &profile.constraints.device else { return Ok(()) };
    let cards = all(&Home::find()?)?;
    find(&cards, name).context("constraints.device")?;
    here(&cards).context("constraints.device")?;
    Ok(())
}

/// What a token of a model takes at a shape.
///
/// # Errors
/// Where the model cannot be read, or is an encoder.
pub fn work(place: &Place, kv: CacheType, shape: Shape) -> Result<Work> {
    let facts = match models::inspect(place)? {
        ModelFacts::Decoder(facts) => facts,
        ModelFacts::Encoder(facts) => bail!("{} is an encoder, whose speed elsewhere is not predicted", facts.name),
    };
    let mut parts = Vec::new();
    for (name, share) in &facts.types {
        let kind = Type::from_name(name).or_else(|| Type::from_name(&name.to_uppercase()));
        let each = kind.map_or(2.0, |kind| kind.block_bytes() as f64 / kind.block() as f64);
        parts.push(Part { kind: name.to_uppercase(), bytes: share.bytes as f64, count: share.bytes as f64 / each });
    }
    // a table is read a row at a time, and a token meets only some experts
    let stored: f64 = parts.iter().map(|part| part.count).sum();
    let met = facts.cost.product_parameters as f64 / stored.max(1.0);
    parts.iter_mut().for_each(|part| (part.bytes, part.count) = (part.bytes * met, part.count * met));
    // norms and biases
    parts.retain(|part| part.count > 0.005 * facts.cost.product_parameters as f64);
    let context = (shape.prompt + shape.output / 2) as u64;
    Ok(Work {
        weights: parts,
        cache: facts.cost.seen_cache_bytes(context, models::kv_type(kv)) as f64,
        products: (7 * facts.config.layers.len() + 1) as f64,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cards_that_come_along_are_cards() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = Home::at(folder.path());
        let cards = all(&home).expect("they parse");
        assert_eq!(cards.len(), SHEETS.len());
        assert!(find(&cards, "pi5").is_ok());
        let wrong = find(&cards, "p15").expect_err("there is none").to_string();
        assert!(wrong.contains("there are pi4, pi5"), "{wrong}");
        assert!(here(&cards).is_err());

        let own = DeviceCard { name: "pi5".into(), memory: bantam_core::unit::Bytes(16 << 30), ..cards[1].clone() };
        keep(&home, &own).expect("kept");
        let again = all(&home).expect("they parse");
        assert_eq!((again.len(), find(&again, "pi5").expect("known")), (SHEETS.len(), &own), "one's own goes before");
    }

    #[test]
    fn what_a_bundled_model_takes_is_known() {
        let work = work(&Place::Bundled("bantam-s".into()), CacheType::default(), Shape { prompt: 64, output: 32 })
            .expect("read");
        assert!(work.bytes() > 5e5 && work.cache > 0.0 && work.products > 7.0, "{work:?}");
    }
}
