//! Questions with choices, put with a letter for each; and which letter an answer names.

use bantam_endpoint::Message;

/// Labels of choices: letters, or the choices themselves where they are labels already.
pub(super) struct Letters {
    labels: Vec<String>,
    /// The choices, where they are to be listed.
    listed: Option<Vec<String>>,
}

/// Letters of a choice that is a label itself.
const SHORT: usize = 2;

impl Letters {
    pub(super) fn of(choices: &[String]) -> Letters {
        let bare: Vec<String> = choices.iter().map(|choice| choice.trim().to_owned()).collect();
        let is_label =
            |text: &String| !text.is_empty() && text.len() <= SHORT && text.chars().all(char::is_alphanumeric);
        if bare.iter().all(is_label) {
            return Letters { labels: bare, listed: None };
        }
        let label = |n: usize| match u8::try_from(n) {
            Ok(n @ 0..26) => char::from(b'A' + n).to_string(),
            _ => (n + 1).to_string(),
        };
        Letters { labels: (0..bare.len()).map(label).collect(), listed: Some(bare) }
    }

    /// The question with its choices, behind a text.
    pub(super) fn asked(&self, context: &str) -> String {
        let context = context.trim_end();
        let list: Vec<String> = match &self.listed {
            Some(choices) => {
                self.labels.iter().zip(choices).map(|(label, choice)| format!("{label}. {choice}")).collect()
            }
            None => Vec::new(),
        };
        let what = match (list.is_empty(), context.is_empty()) {
            (true, _) => String::new(),
            (false, true) => format!("Which of these is right?\n{}\n", list.join("\n")),
            (false, false) => {
                format!("\n\nWhich of these is right, or goes on from the text above?\n{}\n", list.join("\n"))
            }
        };
        let (last, others) = self.labels.split_last().expect("a question has choices");
        let between = if list.is_empty() { "\n\n" } else { "" };
        format!("{context}{what}{between}Answer with {} or {last} alone.", others.join(", "))
    }

    /// The same as the end of a conversation; what the model's answer was to begin with is left out.
    pub(super) fn within(&self, mut messages: Vec<Message>) -> Vec<Message> {
        if messages.last().is_some_and(|last| last.role == "assistant") {
            messages.pop();
        }
        match messages.last_mut() {
            Some(last) if last.role == "user" => last.content = self.asked(&last.content),
            _ => messages.push(Message { role: "user".into(), content: self.asked("") }),
        }
        messages
    }

    /// The choice whose label this token is.
    pub(super) fn label(&self, token: &str) -> Option<usize> {
        let token = token.trim_matches(|c: char| c.is_whitespace() || matches!(c, '▁' | 'Ġ' | '(' | '.' | ':'));
        self.labels.iter().position(|label| label == token)
    }

    /// The choice that an answer names; None where it names none or several.
    pub(super) fn named(&self, answer: &str) -> Option<usize> {
        let bare = |text: &str| text.trim_matches(|c: char| !c.is_alphanumeric()).to_owned();
        let whole = bare(answer);
        if let Some(found) = self.same(&whole) {
            return Some(found);
        }
        if let Some(found) = self
            .listed
            .as_ref()
            .and_then(|choices| only(choices.iter().map(|c| bare(c).to_lowercase() == whole.to_lowercase())))
        {
            return Some(found);
        }
        // "B. Paris", "B) because"; a letter that is followed by a word may be one
        let first = answer.trim_start_matches(|c: char| !c.is_alphanumeric());
        let (word, rest) = first.split_at(first.find(|c: char| !c.is_alphanumeric()).unwrap_or(first.len()));
        let is_label = rest.starts_with(['.', ')', ':', ',', '\n', '*', ']']) || rest.trim().is_empty();
        if let Some(found) = self.same(word).filter(|_| is_label) {
            return Some(found);
        }
        // "The answer is B"
        let lower = answer.to_ascii_lowercase();
        let behind = ["answer is", "answer:", "answer is:"]
            .iter()
            .filter_map(|words| Some(lower.rfind(words)? + words.len()))
            .max();
        if let Some(at) = behind.filter(|&at| answer.is_char_boundary(at)) {
            let rest = answer[at..].trim_start_matches(|c: char| !c.is_alphanumeric());
            let word = &rest[..rest.find(|c: char| !c.is_alphanumeric()).unwrap_or(rest.len())];
            if let Some(found) = self.same(word) {
                return Some(found);
            }
        }
        // the only choice whose words it says
        let choices = self.listed.as_ref()?;
        only(choices.iter().map(|choice| choice.len() > SHORT && lower.contains(&choice.to_ascii_lowercase())))
    }

    fn same(&self, word: &str) -> Option<usize> {
        let exact = self.labels.iter().position(|label| label == word);
        exact.or_else(|| only(self.labels.iter().map(|label| label.eq_ignore_ascii_case(word))))
    }
}

/// The place of the only one that is so.
fn only(all: impl Iterator<Item = bool>) -> Option<usize> {
    let mut found = all.enumerate().filter(|(_, is)| *is).map(|(place, _)| place);
    found.next().filter(|_| found.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn letters(choices: &[&str]) -> Letters {
        Letters::of(&choices.iter().map(|choice| choice.to_string()).collect::<Vec<_>>())
    }

    #[test]
    fn choices_are_listed_unless_they_are_labels() {
        assert_eq!(
            letters(&[" Paris", " Rome"]).asked("The capital of France is "),
            "The capital of France is\n\nWhich of these is right, or goes on from the text above?\nA. Paris\nB. Rome\n\
             Answer with A or B alone."
        );
        assert_eq!(letters(&[" A", " B", " C"]).asked("Q\nAnswer:"), "Q\nAnswer:\n\nAnswer with A, B or C alone.");
        assert!(letters(&["One.", "Two."]).asked("").starts_with("Which of these is right?\nA. One."));
        let message = |role: &str, content: &str| Message { role: role.into(), content: content.into() };
        let within = letters(&["x1x", "y2y"]).within(vec![message("user", "Q"), message("assistant", "So:")]);
        assert_eq!(within.len(), 1);
        assert!(within[0].content.starts_with("Q\n\nWhich of these") && within[0].content.ends_with("A or B alone."));
    }

    #[test]
    fn an_answer_names_one_choice_or_none() {
        let letters = letters(&[" Paris", " Rome", " the city of Bern"]);
        for (answer, choice) in [
            ("B", Some(1)),
            (" b.", Some(1)),
            ("**B**", Some(1)),
            ("B. Rome", Some(1)),
            ("(C) Bern", Some(2)),
            ("The answer is B.", Some(1)),
            ("I think the answer is: **A**, since", Some(0)),
            ("rome", Some(1)),
            ("It is Paris, of course", Some(0)),
            ("A good question", None),
            ("Paris or Rome", None),
            ("D", None),
            ("", None),
        ] {
            assert_eq!(letters.named(answer), choice, "{answer}");
        }
        assert_eq!(letters.label(" B"), Some(1));
        assert_eq!(letters.label("▁A"), Some(0));
        assert_eq!(letters.label("b"), None, "an article or a word's beginning");
    }
}
