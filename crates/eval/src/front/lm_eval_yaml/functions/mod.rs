//! The Python functions that task files name, written anew in Rust and found by the file that they stand in. A file is known
//! by what is in it, wherever it was copied to; or by its path, and then it is said where it is not the one of
//! lm-evaluation-harness 0.4.13.

mod docs;
mod texts;

use texts::{bbq_right, bbq_said, bbq_sides, drop_right, instructions, mc2_right, truthful_right};

use crate::data::Fields;
use crate::filter::Custom;
use bantam_core::input;
use bantam_core::record::Id;
use serde_json::Value as Json;
use std::path::Path;

/// Makes another line of a line, or none: a line that is left out.
pub(super) type ProcessDoc = fn(Fields) -> Result<Option<Fields>, String>;
/// Gives a text, a number or a list for a line.
pub(super) type DocTo = fn(&Fields) -> Result<Json, String>;

/// What the answers to a line are worth, where a task scores them itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Results {
    /// The share that the right answers have of the likelihood of all (TruthfulQA).
    Mc2,
    /// Words and bytes are those of the text as it was before it was made readable.
    Wikitext,
    /// Exact match and F1 of spans (DROP).
    Drop,
    /// What the answer has in common with true answers and with false ones (TruthfulQA).
    Truthful,
    /// Whether the stereotyped sentence is the likelier one, and by how much (CrowS-Pairs).
    CrowsPairs,
    /// Which choice is right, and whether it is the stereotyped one (BBQ).
    Bbq,
    /// The same of a written answer: which choice it names (BBQ).
    BbqText,
    /// Which of the request's instructions the answer follows (IFEval).
    Instructions,
    /// ROUGE of words without their endings (CNN/DailyMail).
    Stems,
}

impl Results {
    /// What such a task's scorer takes for the right answer of a line, where that is not what its file says.
    pub(super) fn right(self) -> Option<DocTo> {
        match self {
            Results::Mc2 => Some(mc2_right),
            Results::Drop => Some(drop_right),
            Results::Truthful => Some(truthful_right),
            Results::Bbq => Some(bbq_right),
            Results::Instructions => Some(instructions),
            Results::Wikitext | Results::CrowsPairs | Results::Stems | Results::BbqText => None,
        }
    }

    /// What such a task's scorer knows of a line beside the right answer.
    pub(super) fn beside(self) -> Option<DocTo> {
        match self {
            Results::Bbq => Some(bbq_sides),
            Results::BbqText => Some(bbq_said),
            _ => None,
        }
    }
}

/// A function by the file that it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Function {
    /// As the task's file names it.
    pub(super) named: String,
    /// `hellaswag/utils` and `process_docs`; None where bantam knows no such file.
    known: Option<(&'static str, String)>,
    /// The file is not that of lm-evaluation-harness 0.4.13.
    pub(super) differs: bool,
}

/// The files whose functions bantam has, each with the beginning of its SHA-256 in lm-evaluation-harness 0.4.13.
const MODULES: [(&str, &str); 16] = [
    ("hellaswag/utils", "07d23b60b28f2a4f"),
    ("winogrande/preprocess_winogrande", "e55327629264a98f"),
    ("super_glue/copa/utils", "0be98a907db647a5"),
    ("race/preprocess_race", "15778ab69ca3b96c"),
    ("wikitext/preprocess_wikitext", "a44020374b172159"),
    ("truthfulqa/utils", "d3c827d1e2cd442a"),
    ("crows_pairs/utils", "5b1e3c31880a82a9"),
    ("drop/utils", "a5782ee7d2e53796"),
    ("mmlu_pro/utils", "d47eae06ecf1e953"),
    ("bbq/utils", "eab60fb9adef4949"),
    ("bbh/cot_zeroshot/utils", "ecc017c5c3c0a037"),
    ("bbh/zeroshot/utils", "ecc017c5c3c0a037"),
    ("ifeval/utils", "1ab8f14808c826f9"),
    ("humaneval/utils", "5f77adbf75b4342a"),
    ("mbpp/utils", "eecfcc264a63801d"),
    ("cnn_dailymail/utils", "1adc068517a4d399"),
];

impl Function {
    /// The function that a file names as `utils.process_docs`.
    pub(super) fn of(named: &str, file: &Path) -> Function {
        let (module, name) = named.rsplit_once('.').unwrap_or(("", named));
        let path = file.parent().unwrap_or(Path::new("")).join(format!("{}.py", module.replace('.', "/")));
        let digest = std::fs::read(&path).ok().map(|bytes| Id::of_bytes(&bytes).0);
        let path = path.with_extension("");
        let by_path = MODULES.iter().find(|(module, _)| path.ends_with(module));
        let by_digest = MODULES.iter().find(|(_, known)| digest.as_deref() == Some(known));
        // one file stands in two folders
        let same = by_path.filter(|(_, known)| digest.as_deref() == Some(known)).or(by_digest);
        Function {
            named: named.to_owned(),
            known: same.or(by_path).map(|(module, _)| (*module, name.to_owned())),
            differs: same.is_none(),
        }
    }

    fn key(&self) -> Option<(&'static str, &str)> {
        self.known.as_ref().map(|(module, name)| (*module, name.as_str()))
    }

    pub(super) fn process_docs(&self) -> Option<ProcessDoc> {
        let (module, name) = self.key()?;
        docs::ALL.iter().find(|known| known.0 == module && known.1 == name).map(|known| known.2)
    }

    pub(super) fn doc_to(&self) -> Option<DocTo> {
        let (module, name) = self.key()?;
        texts::ALL.iter().find(|known| known.0 == module && known.1 == name).map(|known| known.2)
    }

    pub(super) fn results(&self) -> Option<Results> {
        match self.key()? {
            ("truthfulqa/utils", "process_results_mc2") => Some(Results::Mc2),
            ("wikitext/preprocess_wikitext", "process_results") => Some(Results::Wikitext),
            ("crows_pairs/utils", "process_results") => Some(Results::CrowsPairs),
            ("drop/utils", "process_results") => Some(Results::Drop),
            ("truthfulqa/utils", "process_results_gen") => Some(Results::Truthful),
            ("bbq/utils", "process_results_multiple_choice") => Some(Results::Bbq),
            ("bbq/utils", "process_results_generate_until") => Some(Results::BbqText),
            ("ifeval/utils", "process_results") => Some(Results::Instructions),
            ("cnn_dailymail/utils", "process_results") => Some(Results::Stems),
            _ => None,
        }
    }

    pub(super) fn filter(&self) -> Option<Custom> {
        match self.key()? {
            ("humaneval/utils", "build_predictions") => Some(Custom::Completed),
            ("humaneval/utils", "build_predictions_instruct") => Some(Custom::CompletedWithin),
            ("mbpp/utils", "build_predictions") => Some(Custom::CodeBlock),
            ("bbh/cot_zeroshot/utils" | "bbh/zeroshot/utils", name) => match name {
                "MultiChoiceRegexFilter" => Some(Custom::MultiChoice),
                "MapRegexFilter" => Some(Custom::MapRegex),
                "WordSortFilter" => Some(Custom::WordSort),
                _ => None,
            },
            _ => None,
        }
    }
}

impl Function {
    /// Whether it is a metric that runs programs: of several k that the file names, or of one.
    pub(super) fn runs_code(&self) -> Option<bool> {
        match self.key()? {
            ("humaneval/utils", "pass_at_k") => Some(true),
            ("mbpp/utils", "pass_at_1") => Some(false),
            _ => None,
        }
    }

    /// The examples that a function of Python's gives as a list that is written out in it: what stands behind its `return`, read and
    /// not run; None where it is no such function.
    pub(super) fn written_out(&self, file: &Path) -> Option<Vec<Json>> {
        let ("mbpp/utils", "list_fewshot_samples") = self.key()? else { return None };
        let (module, name) = self.named.rsplit_once('.')?;
        let path = file.parent()?.join(format!("{}.py", module.replace('.', "/")));
        let text = String::from_utf8(input::read(&path, input::WRITTEN_BY_HAND).ok()?).ok()?;
        let (_, behind) = text.split_once(&format!("def {name}():"))?;
        let body = behind.split_once("\ndef ").map_or(behind, |(body, _)| body);
        let (_, list) = body.split_once("return")?;
        crate::python::literal(list.trim())?.as_array().cloned()
    }
}

/// A field that is text.
fn text<'a>(doc: &'a Fields, name: &str) -> Result<&'a str, String> {
    field(doc, name)?.as_str().ok_or_else(|| format!("field '{name}' is no text"))
}

fn field<'a>(doc: &'a Fields, name: &str) -> Result<&'a Json, String> {
    doc.get(name).ok_or_else(|| format!("field '{name}' is missing"))
}

/// A field that is a list of texts.
fn texts_of(value: &Json, name: &str) -> Result<Vec<String>, String> {
    let list = value.as_array().and_then(|list| list.iter().map(|item| item.as_str().map(str::to_owned)).collect());
    list.ok_or_else(|| format!("field '{name}' is no list of texts"))
}

/// `int(value)`
fn whole(value: &Json, name: &str) -> Result<i64, String> {
    let whole = value.as_i64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    whole.ok_or_else(|| format!("field '{name}' is no whole number"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(value: Json) -> Fields {
        value.as_object().cloned().expect("an object")
    }

    fn doc_to(module: &str, name: &str, doc: Json) -> Json {
        let known = texts::ALL.iter().find(|known| known.0 == module && known.1 == name).expect(name);
        (known.2)(&fields(doc)).expect("a line as it should be")
    }

    fn processed(module: &str, name: &str, doc: Json) -> Option<Json> {
        let known = docs::ALL.iter().find(|known| known.0 == module && known.1 == name).expect(name);
        (known.2)(fields(doc)).expect("a line as it should be").map(Json::Object)
    }

    #[test]
    fn a_file_is_known_by_its_path_or_by_what_is_in_it() {
        let dir = tempfile::tempdir().expect("temp dir");
        let of = |path: &str, named: &str| Function::of(named, &dir.path().join(path));
        let known = of("hellaswag/hellaswag.yaml", "utils.process_docs");
        assert!(known.process_docs().is_some() && known.differs, "the file is not there");
        assert!(of("mine/a.yaml", "utils.process_docs").process_docs().is_none());
        assert!(of("super_glue/copa/default.yaml", "utils.doc_to_text").doc_to().is_some());
        assert!(of("hellaswag/hellaswag.yaml", "utils.other").process_docs().is_none());
        let digests: std::collections::BTreeSet<&str> = MODULES.iter().map(|(_, digest)| *digest).collect();
        assert_eq!(digests.len() + 1, MODULES.len(), "the two of bbh are one file");
        std::fs::create_dir(dir.path().join("mbpp")).expect("a folder");
        let python = "import evaluate\n\ndef list_fewshot_samples():\n    return [\n        {\"text\": \"a\", \"is_fewshot\": True},\n    ]\n\n\ndef b():\n    return 1\n";
        std::fs::write(dir.path().join("mbpp/utils.py"), python).expect("written");
        let samples = of("mbpp/mbpp.yaml", "utils.list_fewshot_samples");
        let samples = samples.written_out(&dir.path().join("mbpp/mbpp.yaml")).expect("a list");
        assert_eq!(samples, [json!({ "text": "a", "is_fewshot": true })]);
    }

    /// What the functions of 0.4.13 gave for these lines.
    #[test]
    fn lines_become_what_they_became_in_lm_eval() {
        let doc = json!({ "activity_label": "Roof", "ctx_a": "A man is  [x] up.", "ctx_b": "he Starts", "label": "2",
            "endings": [" goes. [title] Then", "[substeps]stops  now"] });
        let made = processed("hellaswag/utils", "process_docs", doc).expect("kept");
        assert_eq!((&made["query"], &made["gold"]), (&json!("Roof: A man is  up. He starts"), &json!(2)));
        assert_eq!(made["choices"], json!(["goes.. Then", "stops now"]));

        let doc =
            json!({ "sentence": "Ann saw Bob since _ was near.", "option1": "Ann", "option2": "Bob", "answer": "2" });
        let winogrande = |name| doc_to("winogrande/preprocess_winogrande", name, doc.clone());
        assert_eq!(winogrande("doc_to_text"), json!(1));
        assert_eq!(winogrande("doc_to_target"), json!("was near."));
        assert_eq!(winogrande("doc_to_choice"), json!(["Ann saw Bob since Ann", "Ann saw Bob since Bob"]));

        let doc = json!({ "premise": "It rained. ", "question": "effect", "choice1": "It dried.", "choice2": "It was wet.", "label": 1 });
        let copa = |name| doc_to("super_glue/copa/utils", name, doc.clone());
        assert_eq!((copa("doc_to_text"), copa("doc_to_target")), (json!("It rained therefore"), json!(" it was wet.")));
        assert_eq!(copa("doc_to_choice"), json!([" it dried.", " it was wet."]));

        let problems = "[{'question': 'Who  _  .', 'answer': 'B', 'options': ['a', 'b', 'c', 'd']}, {'question': \"Why?\", 'answer': 'A', \
                        'options': ['e', 'f', 'g', 'h']}, {'question': 'So', 'answer': 'D', 'options': ['i', 'j', 'k', 'l']}]";
        let doc = json!({ "article": "Text.", "problems": problems });
        let race = |name| doc_to("race/preprocess_race", name, doc.clone());
        assert_eq!(race("doc_to_text"), json!("Article: Text.\n\nWho b\nQuestion: Why?\nAnswer: e\nSo"));
        assert_eq!((race("doc_to_target"), race("doc_to_choice")), (json!(3), json!(["i", "j", "k", "l"])));

        let doc = json!({ "page": " = A = \n The dogs ' 1 @,@ 000 , ( x ) \" y z \" . N = = b = = \n it 's" });
        let text = doc_to("wikitext/preprocess_wikitext", "wikitext_detokenizer", doc);
        assert_eq!(text, json!(" = A =\nThe dogs'1,000, (x) \"y z\". 1 == b ==\nit's"));

        let doc = json!({ "category": "math", "question": "1+1?", "options": ["2 ", "3"], "cot_content": "A: Let's think step by step. Two." });
        assert!(processed("mmlu_pro/utils", "process_math", doc.clone()).is_some());
        assert!(processed("mmlu_pro/utils", "process_law", doc.clone()).is_none());
        let pro = |name| doc_to("mmlu_pro/utils", name, doc.clone());
        assert_eq!(
            pro("doc_to_text"),
            json!("Question:\n1+1?\nOptions:\nA. 2\nB. 3\nAnswer: Let's think step by step.")
        );
        assert_eq!(pro("fewshot_to_target"), json!("Two."));
    }
}
