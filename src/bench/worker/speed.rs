//! A speed trial: the shape's requests timed on the loaded model, with the meters read around each phase.

use super::gauge::{Energy, Pulses, Strained};
use super::{Found, Voice, bytes_per_token};
use crate::bench::meter::Monotonic;
use crate::bench::protocol::{Measure, Reply};
use crate::bench::speed::{Protocol, Timed};
use crate::job::Cancel;
use crate::model::{self, Cache, Model, Span};
use crate::record::{Figure, Provenance, Reading, Shape};
use crate::unit::{Bytes, Unit};
use anyhow::{Result, ensure};

pub fn measure(request: &Measure, shape: Shape, model: &Model, cancel: &Cancel, voice: &Voice) -> Result<Found> {
    let (most, needed) = (model.max_length(), shape.prompt + shape.output);
    ensure!(needed <= most, "{shape} needs {needed} tokens, but the model takes {most}; choose a smaller shape");
    let conditions = &request.trial.conditions;
    let mut energy = Energy::begin(conditions);
    let strained = Strained::begin();
    let pulses = Pulses::start(voice, energy.sampler());
    let clock = Monotonic::new();
    let protocol = Protocol::new(shape, model.config.vocab as u32, conditions, &clock, cancel)?;
    let mut timed = OnModel::new(model, &pulses);
    let mut say = |sample: &_| voice.say(&Reply::Sample(Box::new(Clone::clone(sample))));
    let measured = protocol.measure(&mut timed, &mut energy, request.samples.clone(), &mut say)?;
    let Some(measured) = measured else { anyhow::bail!("cancelled") };
    let strained = strained.end();
    let (energy, doubts) = energy.end(conditions);
    Ok(Found {
        energy,
        ceiling: ceiling(request, shape, model),
        warnings: [measured.doubts(conditions), strained, doubts].concat(),
    })
}

/// The model as something that is timed.
struct OnModel<'a> {
    model: &'a Model,
    caches: [Cache; 1],
    pulses: &'a Pulses,
}

impl<'a> OnModel<'a> {
    fn new(model: &'a Model, pulses: &'a Pulses) -> OnModel<'a> {
        OnModel { model, caches: [Cache::new(&model.config, model.decoder.device())], pulses }
    }

    /// The likeliest token after the last of these, read back, so that the work is done.
    fn next(&mut self, tokens: &[u32]) -> model::Result<u32> {
        let span = Span { len: tokens.len(), parent: None, past: Some(0) };
        let hidden = self.model.decoder.forward(tokens, &[span], &mut self.caches)?;
        let last = hidden.narrow(0, tokens.len() - 1, 1)?;
        let token = self.model.decoder.logits(&last)?.argmax(1)?.to_vec1::<u32>()?[0];
        self.pulses.count(tokens.len());
        Ok(token)
    }
}

impl Timed for OnModel<'_> {
    type Error = model::Error;

    fn prefill(&mut self, prompt: &[u32]) -> model::Result<u32> {
        self.caches[0].truncate(0);
        self.next(prompt)
    }

    fn decode(&mut self, token: u32) -> model::Result<u32> {
        self.next(&[token])
    }
}

/// No decoding is faster than the memory can be read: bandwidth over what a token reads half-way through the output.
fn ceiling(request: &Measure, shape: Shape, model: &Model) -> Reading {
    let bandwidth = match &request.bandwidth {
        Ok(bandwidth) => bandwidth,
        Err(reason) => return Reading::missing(format!("the memory bandwidth is unknown: {reason}")),
    };
    let context = shape.prompt + shape.output / 2;
    let bytes = bytes_per_token(model, context);
    Reading::Known(Figure {
        value: bandwidth / bytes as f64,
        unit: Unit::TokensPerSecond,
        provenance: Provenance::Derived,
        interval: None,
        n: None,
        how: format!(
            "{:.1} GB/s measured here over {} that a token reads (weights, and the cache of {context} tokens); what \
             fits in the processor's own caches may be read faster",
            bandwidth * 1e-9,
            Bytes(bytes as u64)
        ),
    })
}
