//! A turn of a speed trial: the shape's requests timed on the loaded model, with the meters read around each phase.

use super::meters::{ActivityWatch, Energy, Pulses};
use super::{Measured, Replies};
use crate::library::models::{self, Loaded};
use crate::run::protocol::{Measure, Reply};
use crate::run::session::now;
use anyhow::{Context, Result, ensure};
use bantam_core::cache_type::CacheType;
use bantam_core::cancel::Cancel;
use bantam_core::record::{Figure, Provenance, Reading, Shape, Turn, Warning, WarningKind};
use bantam_core::unit::{Bytes, Unit};
use bantam_host::card::{Roots, memory};
use bantam_host::meter::{Clock, Monotonic};
use bantam_host::speed::{self, Timed, Turns};
use bantam_model::encoder::{Encoder, Input};
use bantam_model::{self as model, Cache, Model, Span};

/// Takes a turn and says its repeats at the end, when it is known what disturbed it. `energy` is there in a process that
/// has taken one before.
pub(super) fn measure(
    request: &Measure,
    shape: Shape,
    model: &Loaded,
    energy: &mut Option<Energy>,
    cancel: &Cancel,
    replies: &Replies,
) -> Result<Measured> {
    let (vocab, output) = match model {
        Loaded::Decoder(model) => {
            let (most, needed) = (model.max_length(), shape.prompt + shape.output);
            ensure!(
                needed <= most,
                "{shape} needs {needed} tokens, but the model takes {most}; choose a smaller shape"
            );
            (model.config.vocab, shape.output)
        }
        // an encoder reads and decodes nothing
        Loaded::Encoder(encoder) => (encoder.config.vocab, 0),
    };
    let conditions = &request.trial.conditions;
    let warm = energy.is_some();
    let energy = energy.get_or_insert_with(|| Energy::find(conditions));
    energy.begin_turn(conditions);
    let activity = ActivityWatch::begin();
    let pulses = Pulses::start(replies, energy.sampler());
    let clock = Monotonic::new();
    let epoch = now() - clock.now().as_secs_f64();
    let turns = Turns::new(Shape { output, ..shape }, vocab as u32, conditions, &clock, cancel);
    let made = turns.turn(&mut OnModel::new(model, &pulses)?, energy, request.samples.len(), warm)?;
    let Some(mut made) = made else { anyhow::bail!("cancelled") };
    let (disturbed, strained) = activity.end();
    drop(pulses);
    let (energy, drift) = energy.end_turn(conditions, &mut made);
    let turn = Turn {
        round: request.round.context("a speed shape is measured in rounds, and this request names none")?,
        started: 0.0,
        worker: std::process::id(),
        peak: memory::own_peak(&Roots::default()).value().map(|bytes| Bytes(bytes as u64)),
        disturbed,
    };
    for sample in speed::sign(made, &turn, epoch) {
        replies.say(&Reply::Sample(Box::new(sample)));
    }
    Ok(Measured {
        energy,
        ceiling: match model {
            Loaded::Decoder(model) => ceiling(request, shape, model),
            Loaded::Encoder(_) => Reading::missing("an encoder decodes nothing"),
        },
        warnings: [strained, drift, in_pieces(model, shape)].concat(),
    })
}

/// A prompt longer than an encoder takes is read as several texts, as its users would do it.
fn in_pieces(model: &Loaded, shape: Shape) -> Vec<Warning> {
    let Loaded::Encoder(encoder) = model else { return Vec::new() };
    let most = encoder.max_length();
    let pieces = shape.prompt.div_ceil(most);
    let text = format!(
        "the encoder takes {most} tokens, so the {} of {shape} were read as {pieces} texts, which is faster than one text \
         of that length would be; choose a prompt of at most {most} to compare it with others at one length",
        shape.prompt
    );
    if pieces > 1 { vec![Warning { kind: WarningKind::Truncated, text }] } else { Vec::new() }
}

/// The model as something that is timed.
struct OnModel<'a> {
    model: Timing<'a>,
    pulses: &'a Pulses,
}

enum Timing<'a> {
    Decoder(&'a Model, [Cache; 1]),
    Encoder(&'a Encoder),
}

impl<'a> OnModel<'a> {
    fn new(model: &'a Loaded, pulses: &'a Pulses) -> model::Result<OnModel<'a>> {
        let model = match model {
            Loaded::Decoder(model) => Timing::Decoder(model, [model.cache()?]),
            Loaded::Encoder(encoder) => Timing::Encoder(encoder),
        };
        Ok(OnModel { model, pulses })
    }

    /// The likeliest token after the last of these, read back, so that the work is done. An encoder's work is the
    /// vector, and there is no token after it.
    fn next(&mut self, tokens: &[u32]) -> model::Result<u32> {
        let token = match &mut self.model {
            Timing::Decoder(model, caches) => {
                let span = Span { len: tokens.len(), parent: None, past: Some(0) };
                let hidden = model.decoder.forward(tokens, &[span], caches)?;
                let last = hidden.narrow(0, tokens.len() - 1, 1)?;
                model.decoder.logits(&last)?.argmax(1)?.to_vec1::<u32>()?[0]
            }
            Timing::Encoder(encoder) => {
                let text =
                    |tokens: &[u32]| Input { tokens: tokens.to_vec(), types: vec![0; tokens.len()], truncated: false };
                let texts: Vec<Input> = tokens.chunks(encoder.max_length()).map(text).collect();
                encoder.embed(&texts)?;
                0
            }
        };
        self.pulses.count(tokens.len());
        Ok(token)
    }
}

impl Timed for OnModel<'_> {
    type Error = model::Error;

    fn prefill(&mut self, prompt: &[u32]) -> model::Result<u32> {
        if let Timing::Decoder(_, [cache]) = &mut self.model {
            cache.truncate(0);
        }
        self.next(prompt)
    }

    fn decode(&mut self, token: u32) -> model::Result<u32> {
        self.next(&[token])
    }
}

/// Weights and cache entries that a decoded token reads.
fn bytes_per_token(model: &Model, kept: CacheType, context: usize) -> usize {
    // of the embedding one row is read; a tied head is listed as the head, too
    let weights = model.decoder.linears().into_iter().filter(|(name, _)| !name.contains("embed_tokens"));
    let cache = model.config.kept_bytes(models::kv_type(kept)) * context;
    let states = model.config.state_numbers() * size_of::<f32>();
    weights.map(|(_, linear)| linear.bytes()).sum::<usize>() + cache + states
}

/// No decoding is faster than the memory can be read: bandwidth over what a token reads half-way through the output.
fn ceiling(request: &Measure, shape: Shape, model: &Model) -> Reading {
    let bandwidth = match &request.bandwidth {
        Ok(bandwidth) => bandwidth,
        Err(reason) => return Reading::missing(format!("the memory bandwidth is unknown: {reason}")),
    };
    let context = shape.prompt + shape.output / 2;
    let bytes = bytes_per_token(model, request.trial.variant.kv, context);
    Reading::Known(Figure {
        value: bandwidth / bytes as f64,
        unit: Unit::TokensPerSecond,
        provenance: Provenance::Derived,
        interval: None,
        no_interval: None,
        n: None,
        how: format!(
            "{:.1} GB/s measured here over {} that a token reads (weights, and the cache of {context} tokens); what \
             fits in the processor's own caches may be read faster",
            bandwidth * 1e-9,
            Bytes(bytes as u64)
        ),
    })
}
