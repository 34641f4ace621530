//! What an encoder answers: class scores of its head, and embeddings. It has no words for the likelihood of a text.

use super::role;
use anyhow::{Result, bail};
use bantam_eval::{
    Classified, Continuations, EmbedSettings, Embedded, Generated, GenerationSettings, LanguageModel, Loglikelihood,
    Rolling, TextPair,
};
use bantam_model as model;
use bantam_model::encoder::{Encoder, Input, Role};

/// An encoder in this process, as a task asks it.
pub struct LocalEncoder<'a> {
    encoder: &'a Encoder,
}

impl<'a> LocalEncoder<'a> {
    /// Wraps a loaded encoder.
    pub fn new(encoder: &'a Encoder) -> LocalEncoder<'a> {
        LocalEncoder { encoder }
    }

    /// Why the question cannot be answered, and which can.
    fn cannot<T>(&self, what: &str) -> Result<T> {
        let name = self.encoder.config.class;
        match self.encoder.labels() {
            Some(_) => bail!(
                "{name} is an encoder and {what}; ask it by output_type classification, similarity, retrieval or \
                 embedding_classification"
            ),
            None => bail!(
                "{name} is an encoder without a classification head and {what}; ask it by output_type similarity, \
                 retrieval or embedding_classification"
            ),
        }
    }
}

impl LanguageModel for LocalEncoder<'_> {
    fn loglikelihood(&mut self, _: &[Continuations]) -> Result<Vec<Vec<Loglikelihood>>> {
        self.cannot("does not say how likely a text is")
    }

    fn loglikelihood_rolling(&mut self, _: &[&str]) -> Result<Vec<Rolling>> {
        self.cannot("does not say how likely a text is")
    }

    fn generate(&mut self, _: &[&str], _: &GenerationSettings) -> Result<Vec<Generated>> {
        self.cannot("does not generate text")
    }

    fn classes(&self) -> Option<Vec<String>> {
        self.encoder.labels().map(<[String]>::to_vec)
    }

    fn classify(&mut self, texts: &[TextPair]) -> Result<Vec<Classified>> {
        let read = |texts: &TextPair| self.encoder.read(texts.text, texts.pair, Role::Plain);
        let inputs: Vec<Input> = texts.iter().map(read).collect::<model::Result<_>>()?;
        let classified = |(input, scores): (&Input, Vec<f32>)| Classified {
            probabilities: self.encoder.probabilities(&scores),
            tokens: input.tokens.len(),
            truncated: input.truncated,
        };
        Ok(inputs.iter().zip(self.encoder.scores(&inputs)?).map(classified).collect())
    }

    fn embed(&mut self, texts: &[&str], settings: EmbedSettings) -> Result<Vec<Embedded>> {
        let read = |text: &&str| self.encoder.read(text, None, role(settings.role));
        let inputs: Vec<Input> = texts.iter().map(read).collect::<model::Result<_>>()?;
        let vectors = self.encoder.embed(&inputs)?;
        let embedded = |(input, vector): (&Input, Vec<f32>)| Embedded {
            vector,
            tokens: input.tokens.len(),
            truncated: input.truncated,
        };
        Ok(inputs.iter().zip(vectors).map(embedded).collect())
    }
}
