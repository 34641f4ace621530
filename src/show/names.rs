//! Short names: what many have in common is dropped, and what is still too long is cut in its middle, so that no two that
//! differ are shown alike.

use super::cells::middle;
use super::text::ending;
use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::rc::Rc;
use unicode_width::UnicodeWidthStr;

/// So many names are remembered from one picture to the next: thousands take longer than a picture may.
const MANY: usize = 200;

thread_local! {
    /// The lists of many names that were made short last, by a hash of them and the width.
    static KNOWN: RefCell<VecDeque<(u64, Rc<Vec<String>>)>> = const { RefCell::new(VecDeque::new()) };
}

/// Gives for each of these names one that fits the width, in the same order. The same names are the same again.
pub fn short(names: &[&str], width: usize) -> Rc<Vec<String>> {
    if names.len() < MANY {
        return Rc::new(made_short(names, width));
    }
    let mut hasher = DefaultHasher::new();
    (names, width).hash(&mut hasher);
    let key = hasher.finish();
    KNOWN.with_borrow_mut(|known| {
        if let Some((_, short)) = known.iter().find(|(of, _)| *of == key) {
            return short.clone();
        }
        let short = Rc::new(made_short(names, width));
        known.push_back((key, short.clone()));
        if known.len() > 8 {
            known.pop_front();
        }
        short
    })
}

fn made_short(names: &[&str], width: usize) -> Vec<String> {
    let distinct: BTreeSet<&str> = names.iter().copied().collect();
    let distinct: Vec<&str> = distinct.into_iter().collect();
    let short: HashMap<&str, String> = distinct.iter().copied().zip(shortened(&distinct, width)).collect();
    names.iter().map(|name| short[name].clone()).collect()
}

/// Names that are all different, made short by the gentlest way that leaves them so.
fn shortened(names: &[&str], width: usize) -> Vec<String> {
    let fit = |names: &[String]| names.iter().all(|name| name.width() <= width);
    let whole: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    if fit(&whole) {
        return whole;
    }
    // an owner that all have in common says nothing
    let bare = dropped(names, |c| c == '/', Ends::Front, "");
    if fit(&bare) {
        return bare;
    }
    // of a path the file tells which model it is, not the folders
    let stems: Vec<String> = names.iter().map(|name| stem(name).to_owned()).collect();
    if are_distinct(&stems) && fit(&stems) {
        return stems;
    }
    let bare = if are_distinct(&stems) { stems } else { bare };
    let bare: Vec<&str> = bare.iter().map(String::as_str).collect();
    let differing = dropped(&bare, is_seam, Ends::Both, "…");
    let ways: [Vec<String>; 6] = [
        dropped(&bare, is_seam, Ends::Back, "…"),
        dropped(&bare, is_seam, Ends::Front, "…"),
        differing.clone(),
        bare.iter().map(|name| middle(name, width)).collect(),
        differing.iter().map(|name| middle(name, width)).collect(),
        differing.iter().map(|name| ending(name, width)).collect(),
    ];
    let found = ways.iter().find(|names| fit(names) && are_distinct(names));
    found.cloned().unwrap_or_else(|| numbered(names, width))
}

fn are_distinct(names: &[String]) -> bool {
    names.iter().collect::<HashSet<_>>().len() == names.len()
}

/// The file of a path, or a repository without its owner; a GGUF file is told by what stands before the ending.
fn stem(name: &str) -> &str {
    let last = name.trim_end_matches('/').rsplit('/').next().unwrap_or(name);
    last.strip_suffix(".gguf").filter(|stem| !stem.is_empty()).unwrap_or(last)
}

/// Nothing but numbers tells them apart at this width.
fn numbered(names: &[&str], width: usize) -> Vec<String> {
    let number = |(n, name): (usize, &&str)| {
        let number = format!("#{}", n + 1);
        middle(name, width.saturating_sub(number.width())) + &number
    };
    names.iter().enumerate().map(number).collect()
}

fn is_seam(c: char) -> bool {
    matches!(c, '/' | '-' | '_' | ' ')
}

/// Which ends of names are dropped.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ends {
    Front,
    Back,
    Both,
}

/// Names without what all begin with, or end with, up to a seam; `mark` stands in its place.
fn dropped(names: &[&str], seam: impl Fn(char) -> bool, ends: Ends, mark: &str) -> Vec<String> {
    let Some(first) = names.first().filter(|_| names.len() > 1) else {
        return names.iter().map(|name| (*name).to_owned()).collect();
    };
    let begin = |n: &usize| names.iter().all(|name| name.len() > *n && name.starts_with(&first[..*n]));
    let seams = first.char_indices().filter(|(_, c)| seam(*c)).map(|(at, c)| at + c.len_utf8());
    let start = if ends == Ends::Back { 0 } else { seams.filter(begin).max().unwrap_or(0) };
    let end = |at: &usize| {
        let tail = &first[*at..];
        names.iter().all(|name| name.len() - start > tail.len() && name[start..].ends_with(tail))
    };
    let seams = first.char_indices().filter(|(at, c)| seam(*c) && *at > start).map(|(at, _)| at);
    let tail = if ends == Ends::Front { 0 } else { seams.filter(end).min().map_or(0, |at| first.len() - at) };
    let marked = |lost: usize| if lost > 0 { mark } else { "" };
    let one = |name: &&str| format!("{}{}{}", marked(start), &name[start..name.len() - tail], marked(tail));
    names.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_fits_stays_and_a_common_owner_goes_first() {
        let names = ["Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-1.5B-Instruct"];
        assert_eq!(*short(&names, 26), names);
        assert_eq!(*short(&names, 21), ["Qwen2.5-0.5B-Instruct", "Qwen2.5-1.5B-Instruct"]);
        assert_eq!(*short(&names, 14), ["Qwen2.5-0.5B…", "Qwen2.5-1.5B…"]);
        assert_eq!(*short(&names, 11), ["…0.5B…", "…1.5B…"]);
        assert_eq!(*short(&names[..1], 11), ["Qwen2…truct"]);
        assert_eq!(*short(&[names[0], names[0]], 11), ["Qwen2…truct"; 2], "one name is one name");
    }

    #[test]
    fn of_a_path_the_file_stays() {
        let names = ["/work/tmp/real/SmolLM2-135M-Instruct.Q4_1.gguf", "/work/tmp/real/gemma-3-270m.Q4_K_M.gguf"];
        assert_eq!(*short(&names, 26), ["SmolLM2-135M-Instruct.Q4_1", "gemma-3-270m.Q4_K_M"]);
        assert_eq!(*short(&names[..1], 26), ["SmolLM2-135M-Instruct.Q4_1"], "one alone, too");
        let same = ["/a/very/long/way/model.gguf", "/b/another/way/model.gguf"];
        let short = short(&same, 14);
        assert_ne!(short[0], short[1], "the folder tells where the files are called alike");
    }

    #[test]
    fn names_that_differ_in_their_middle_are_told_apart() {
        let names = ["a-very-long-name-of-a-model-A-and-more", "a-very-long-name-of-a-model-B-and-more", "x"];
        let short = short(&names, 9);
        assert_ne!(short[0], short[1]);
    }

    proptest! {
        #[test]
        fn no_two_that_differ_are_shown_alike(names in prop::collection::vec("[ab/-]{1,30}", 1..8), width in 6usize..20) {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            let short = short(&names, width);
            for (i, a) in names.iter().enumerate() {
                prop_assert!(short[i].width() <= width, "{} in {width}", short[i]);
                for (j, b) in names.iter().enumerate() {
                    prop_assert_eq!(a == b, short[i] == short[j], "{} and {}", a, b);
                }
            }
        }
    }
}
