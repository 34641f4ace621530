//! A prompt as turns: the system's word, examples as questions with their answers, the question itself. Put together as
//! plain text, or as a conversation for a chat template, by the rules of `ConfigurableTask.fewshot_context` and
//! `build_qa_turn` in lm-evaluation-harness 0.4.13.

use super::context::Context;
use crate::model::{Message, Role};
use crate::tokens::python_space;

/// One turn, and what stands behind it where turns are put together as text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    pub(super) role: Role,
    pub(super) content: String,
    pub(super) delimiter: String,
}

/// How turns become a context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One text.
    Text,
    /// A conversation with all examples in the question's message.
    OneTurn,
    /// A conversation in which examples are turns.
    Turns,
}

/// What stands between the parts of a question.
#[derive(Debug, Clone, Copy)]
pub(super) struct Delimiters<'a> {
    /// Before an answer.
    pub(super) target: &'a str,
    /// Behind an example.
    pub(super) fewshot: &'a str,
}

/// The system's word: the instruction and the description.
pub(super) fn opening(instruction: &str, description: &str, delimiter: &str) -> Option<Turn> {
    let content = joined(instruction, description, delimiter);
    (!content.is_empty()).then(|| Turn { role: Role::System, content, delimiter: String::new() })
}

/// A question with its answer, if it has one: an example. `begun` is what the answer begins with.
pub(super) fn question(text: String, answer: &str, begun: &str, delimiters: Delimiters) -> Vec<Turn> {
    let delimited = match (answer.is_empty(), begun.is_empty()) {
        (false, true) => true,
        (_, false) => !text.is_empty() && !meet_at_space(&text, begun),
        (true, true) => false,
    };
    let delimiter = if delimited { delimiters.target.to_owned() } else { String::new() };
    let mut turns = vec![Turn { role: Role::User, content: text, delimiter }];
    if !answer.is_empty() {
        let content = joined(begun, answer, " ");
        turns.push(Turn { role: Role::Assistant, content, delimiter: delimiters.fewshot.to_owned() });
    } else if !begun.is_empty() {
        turns.push(Turn { role: Role::Assistant, content: begun.to_owned(), delimiter: String::new() });
    }
    turns
}

/// Turns as a context; the last one is the question, or what its answer begins with.
pub(super) fn context(turns: Vec<Turn>, form: Form) -> Context {
    let message = |Turn { role, content, .. }: Turn| Message { role, content };
    match form {
        Form::Text => Context::Text(text(&turns)),
        Form::Turns => Context::Chat(turns.into_iter().map(message).collect()),
        Form::OneTurn => Context::Chat(one_turn(turns).into_iter().map(message).collect()),
    }
}

fn text(turns: &[Turn]) -> String {
    turns.iter().flat_map(|turn| [turn.content.as_str(), &turn.delimiter]).collect()
}

/// All that is neither the system's nor the beginning of the answer in one message, as it would stand in a text.
fn one_turn(mut turns: Vec<Turn>) -> Vec<Turn> {
    let is_system = turns.first().is_some_and(|turn| turn.role == Role::System);
    let mut messages: Vec<Turn> = turns.drain(..usize::from(is_system)).collect();
    let begun = turns.pop_if(|turn| turn.role == Role::Assistant);
    if let Some(last) = turns.last_mut() {
        last.delimiter.clear();
    }
    messages.push(Turn { role: Role::User, content: text(&turns), delimiter: String::new() });
    messages.extend(begun);
    messages
}

/// Two texts with the delimiter between them, unless one is empty or white space meets there already.
fn joined(first: &str, second: &str, delimiter: &str) -> String {
    let bare = first.is_empty() || second.is_empty() || meet_at_space(first, second);
    [first, if bare { "" } else { delimiter }, second].concat()
}

fn meet_at_space(first: &str, second: &str) -> bool {
    first.ends_with(python_space) || second.starts_with(python_space)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USUAL: Delimiters = Delimiters { target: " ", fewshot: "\n\n" };

    fn turns(system: &str, begun: &str) -> Vec<Turn> {
        let example = question("Q: a".into(), "A", begun, USUAL);
        let last = question("Q: b".into(), "", begun, Delimiters { fewshot: "", ..USUAL });
        opening(system, "", "\n\n").into_iter().chain(example).chain(last).collect()
    }

    fn said(context: Context) -> Vec<(Role, String)> {
        match context {
            Context::Text(text) => vec![(Role::User, text)],
            Context::Chat(messages) | Context::Tools { messages, .. } => {
                messages.into_iter().map(|m| (m.role, m.content)).collect()
            }
        }
    }

    #[test]
    fn turns_are_a_text_or_a_conversation() {
        let of = |form, system, begun| said(context(turns(system, begun), form));
        let user = |text: &str| (Role::User, text.to_string());
        let assistant = |text: &str| (Role::Assistant, text.to_string());
        let system = (Role::System, "S".to_string());
        assert_eq!(of(Form::Text, "S", ""), [user("SQ: a A\n\nQ: b")]);
        assert_eq!(of(Form::Text, "", "So:"), [user("Q: a So: A\n\nQ: b So:")]);
        assert_eq!(of(Form::OneTurn, "S", ""), [system.clone(), user("Q: a A\n\nQ: b")]);
        assert_eq!(of(Form::OneTurn, "", "So:"), [user("Q: a So: A\n\nQ: b"), assistant("So:")]);
        assert_eq!(of(Form::Turns, "S", ""), [system, user("Q: a"), assistant("A"), user("Q: b")]);
        assert_eq!(
            of(Form::Turns, "", "So: "),
            [user("Q: a"), assistant("So: A"), user("Q: b"), assistant("So: ")],
            "white space is there already"
        );
    }

    #[test]
    fn a_delimiter_stands_where_neither_side_has_white_space() {
        assert_eq!(joined("a", "b", "\n"), "a\nb");
        assert_eq!(joined("a ", "b", "\n"), "a b");
        assert_eq!(joined("a", "\u{a0}b", "\n"), "a\u{a0}b");
        assert_eq!((joined("", "b", "\n"), joined("a", "", "\n")), ("b".into(), "a".into()));
        let text = |begun| text(&question("q\n".into(), "", begun, USUAL));
        assert_eq!((text("A"), text("")), ("q\nA".to_string(), "q\n".to_string()));
        // an example without an answer is its question alone
        assert_eq!(super::text(&question("q".into(), "", "", USUAL)), "q");
        assert_eq!(super::text(&question(String::new(), "", "A", USUAL)), "A");
    }
}
