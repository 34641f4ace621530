//! A kind of task that only tests know: does the model write a text backwards? It shows what a new kind takes: this file,
//! and its place in the list of kinds.

use super::{Kind, Requests, Scored};
use crate::ask::Preparation;
use crate::data::Doc;
use crate::error::Error;
use crate::front::Section;
use crate::metric::{self, GeneratedText, Scorer};
use crate::model::{Generated, LanguageModel};
use crate::prompt::TextKey;
use crate::settings::TaskSettings;
use anyhow::Result;
use bantam_core::metric::Metric;
use serde::Serialize;

#[derive(Debug, Serialize)]
pub(crate) struct Reverse;

impl Kind for Reverse {
    const NAME: &'static str = "reverse";
    const KEYS: &'static [&'static str] = &["generation_kwargs"];
    const METRICS: &'static [Metric] = &[Metric::ExactMatch];

    /// The text.
    type Request = String;
    type Prepared = ();
    type Answer = Generated;

    fn scored_by(scorer: &Scorer) -> bool {
        scorer.of_generated.is_some()
    }

    fn parse(section: &Section) -> Result<(Reverse, Requests<Reverse>), Error> {
        let text = TextKey::needed(&section.raw.doc_to_text, "doc_to_text", section.data, section.key)?;
        let request = |doc: &Doc| text.of(doc).map(Some);
        Ok((Reverse, section.data.docs.iter().map(request).collect::<Result<_, Error>>()?))
    }

    fn prepare(&self, _: &mut Preparation) -> Result<Option<()>> {
        Ok(Some(()))
    }

    fn size(&self, request: &String, _: &TaskSettings) -> usize {
        2 * request.len()
    }

    fn ask(
        &self,
        _: &(),
        requests: &[&String],
        settings: &TaskSettings,
        model: &mut dyn LanguageModel,
    ) -> Result<Vec<Generated>> {
        let texts: Vec<&str> = requests.iter().map(|text| text.as_str()).collect();
        model.generate(&texts, &settings.generation)
    }

    fn score(&self, _: &(), request: &String, generated: Generated, settings: &TaskSettings) -> Result<Scored> {
        let targets = [request.chars().rev().collect::<String>()];
        let item = GeneratedText {
            text: &generated.text,
            raw: &generated.text,
            cut: false,
            targets: &targets,
            ignoring: &settings.exact_match,
            passed: None,
        };
        Ok(Scored {
            scores: metric::scores(&settings.metrics, |scorer| Some(scorer.of_generated?(&item))),
            target: targets.first().cloned(),
            tokens: generated.tokens,
            answer: Some(generated.text),
            ..Scored::default()
        })
    }
}

mod tests {
    use crate::{Continuations, Generated, GenerationSettings, LanguageModel, Loglikelihood, Rolling, StopReason};
    use anyhow::{Result, bail};
    use bantam_core::cancel::Cancel;
    use std::collections::BTreeSet;

    /// Says a word backwards where it is short.
    struct Reverser;

    impl LanguageModel for Reverser {
        fn loglikelihood(&mut self, _: &[Continuations]) -> Result<Vec<Vec<Loglikelihood>>> {
            bail!("it only writes")
        }

        fn loglikelihood_rolling(&mut self, _: &[&str]) -> Result<Vec<Rolling>> {
            bail!("it only writes")
        }

        fn generate(&mut self, prompts: &[&str], _: &GenerationSettings) -> Result<Vec<Generated>> {
            let say = |text: &&str| Generated {
                text: if text.len() < 4 { text.chars().rev().collect() } else { text.to_string() },
                tokens: 2,
                truncated: false,
                stopped: StopReason::EndOfText,
                thought: None,
                likelihood: None,
            };
            Ok(prompts.iter().map(say).collect())
        }
    }

    fn load(keys: &str) -> Result<crate::Task, String> {
        let dir = tempfile::tempdir().expect("temp dir");
        let suite = dir.path().join("s.toml");
        let task = "[[task]]\ntask = 't'\ndata = 'd.jsonl'\noutput_type = 'reverse'\n";
        std::fs::write(&suite, format!("{task}{keys}")).expect("writes");
        std::fs::write(dir.path().join("d.jsonl"), "{\"w\": \"abc\"}\n{\"w\": \"abcd\"}\n").expect("writes");
        let suite = crate::load(suite.to_str().expect("a UTF-8 path")).map_err(|e| e.to_string())?;
        Ok(suite.tasks.into_iter().next().expect("one task"))
    }

    #[test]
    fn a_kind_of_one_file_is_read_asked_and_scored() {
        let task = load("doc_to_text = 'w'\ngeneration_kwargs = { max_gen_toks = 8 }").expect("valid");
        assert_eq!((task.output_type(), task.items().len()), ("reverse", 2));
        let mut items = Vec::new();
        let report = crate::ask(&task, &mut Reverser, &BTreeSet::new(), &Cancel::new(), &mut |item| items.push(item));
        assert_eq!(report.expect("answered").items, 2);
        let said = items.iter().map(|item| (item.answer.as_deref().expect("written"), item.scores[0].value));
        assert_eq!(said.collect::<Vec<_>>(), [("cba", 1.0), ("abcd", 0.0)]);
    }

    #[test]
    fn its_keys_are_checked_as_those_of_any_other() {
        let refused = load("doc_to_text = 'w'\ndoc_to_pair = 'w'").expect_err("a key of others");
        assert!(
            refused.contains("task 't': doc_to_pair: means nothing for output_type reverse; remove it"),
            "{refused}"
        );
        let refused = load("").expect_err("nothing to read");
        assert!(refused.contains("task 't': has no doc_to_text; write a template"), "{refused}");
        let refused = load("doc_to_text = 'w'\nmetric_list = [{ metric = 'acc' }]").expect_err("another metric");
        assert!(refused.contains("'acc' is no metric here; allowed for reverse is exact_match"), "{refused}");
    }
}
