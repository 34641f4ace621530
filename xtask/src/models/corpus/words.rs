//! The words that more than one task uses: made-up names, given names, places, days. Only lists and how to draw from them.

use super::random::Random;
use super::split::Split;

/// Given names that training meets often.
pub(super) const COMMON: [&str; 24] = [
    "Anna", "Boris", "Clara", "David", "Elena", "Felix", "Greta", "Hugo", "Irene", "Jonas", "Karin", "Lukas", "Maria",
    "Nils", "Olga", "Peter", "Rosa", "Simon", "Tina", "Victor", "Wanda", "Xaver", "Yara", "Zeno",
];

/// Given names of the same kind that training meets seldom.
pub(super) const RARE: [&str; 24] = [
    "Alma", "Bruno", "Celia", "Dario", "Edith", "Franz", "Gerda", "Hanno", "Ilse", "Julius", "Katja", "Leon", "Mila",
    "Nora", "Oskar", "Paula", "Robin", "Sonja", "Theo", "Ursula", "Vera", "Willi", "Ylva", "Zita",
];

pub(super) const CITIES: [&str; 20] = [
    "Basel", "Bonn", "Bremen", "Cork", "Genoa", "Ghent", "Graz", "Kiel", "Leeds", "Lille", "Linz", "Lyon", "Oslo",
    "Paris", "Porto", "Riga", "Rome", "Turin", "Vienna", "York",
];

pub(super) const DAYS: [&str; 6] = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const FIRST: [&str; 40] = [
    "Al", "Bar", "Bel", "Bran", "Cal", "Cor", "Dar", "Del", "Dor", "El", "Fal", "Fen", "Fer", "Gal", "Gar", "Hal",
    "Hol", "Jar", "Jen", "Kal", "Kel", "Lin", "Lor", "Mar", "Mel", "Mor", "Nar", "Nel", "Nor", "Pel", "Ral", "Ros",
    "Sel", "Sim", "Tal", "Tav", "Til", "Val", "Van", "Wil",
];
const MIDDLE: [&str; 10] = ["a", "be", "da", "do", "i", "li", "mo", "ra", "ta", "vi"];
const LAST: [&str; 40] = [
    "bo", "da", "dan", "den", "dia", "do", "dra", "go", "gan", "ka", "ko", "la", "len", "lia", "lin", "lo", "lan",
    "ma", "mi", "mon", "na", "ne", "nia", "no", "ra", "ren", "ria", "ric", "ro", "ron", "sa", "sen", "so", "ta", "ten",
    "tia", "to", "va", "vin", "vo",
];

/// A made-up name of two or three syllables, one of 17,600; an eighth of them are held out.
pub(super) fn name(random: &mut Random, split: Split) -> String {
    split.draw(random, "name", String::clone, |random| {
        let middle = if random.chance(25) { random.pick(&MIDDLE) } else { "" };
        format!("{}{middle}{}", random.pick(&FIRST), random.pick(&LAST))
    })
}

/// `Something` for `something`.
pub(super) fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|c| c.to_uppercase().chain(chars).collect()).unwrap_or_default()
}
