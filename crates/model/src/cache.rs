//! The keys and values of one sequence, and the states of the layers that keep one instead, kept between forward passes. Capacity is made ahead and doubles, so a token
//! costs one small copy. It is written by `Decoder::forward`, and remembers the tokens: under some rope scalings a
//! sequence that grows has to be computed again from them, and so has one with states that was cut. It knows no text.

use std::sync::Arc;

use bantam_kernels::kv::{KeyValues, KvType};
use candle_core::{DType, Device, Tensor};

use super::config::{Config, LayerHeads};
use super::error::Result;
use super::ops::{self, Past};
use super::recurrent::State;

/// The least room made for a sequence on a device, in tokens.
const SMALLEST: usize = 64;

/// The keys and values of one sequence, for every layer.
#[derive(Debug, Clone)]
pub struct Cache {
    layers: Vec<LayerRows>,
    /// Of each layer, where it keeps one.
    states: Vec<Option<LayerState>>,
    tokens: Vec<u32>,
    /// `Config::rope_regime` of the length its keys were turned for.
    rope_regime: usize,
    frozen: bool,
    /// It has lost its last tokens, and its states are still those of all.
    cut: bool,
}

/// Keys and values of one layer, of which those of the first `Cache::len` tokens count.
#[derive(Debug, Clone)]
enum LayerRows {
    /// In memory. Shared while attention reads them, never while they are written.
    Host(Arc<KeyValues>),
    /// On another device, (capacity, kv_heads, head_dim) each, always in f32.
    Device { k: Tensor, v: Tensor },
    /// Of a layer without attention, or of attention that reads another layer's.
    None,
}

/// The state of one layer.
#[derive(Debug, Clone, Default)]
struct LayerState {
    /// That after all tokens, none before the first.
    held: Option<State>,
    /// The one that a pass under way has left.
    next: Option<State>,
}

impl Cache {
    /// Makes an empty cache for a model of this config, on the device that its decoder runs on; there, and not in memory,
    /// it keeps f32 whatever is asked.
    ///
    /// # Errors
    /// When a device has no memory.
    pub fn new(config: &Config, device: &Device, ty: KvType) -> Result<Self> {
        let layer = |layer: &super::config::Layer| {
            let LayerHeads { kv_heads, head_dim } = config.heads_of(layer);
            match device.is_cpu() {
                _ if !layer.mixer.attends() || layer.keys_of.is_some() => Ok(LayerRows::None),
                true => Ok(LayerRows::Host(Arc::new(KeyValues::new(ty, kv_heads, head_dim)))),
                false => {
                    let none = Tensor::zeros((0, kv_heads, head_dim), DType::F32, device)?;
                    Ok(LayerRows::Device { k: none.clone(), v: none })
                }
            }
        };
        Ok(Self {
            layers: config.layers.iter().map(layer).collect::<Result<_>>()?,
            states: config.layers.iter().map(|layer| layer.mixer.keeps_state().then(LayerState::default)).collect(),
            tokens: Vec::new(),
            rope_regime: 0,
            frozen: false,
            cut: false,
        })
    }

    /// How it keeps numbers.
    pub(super) fn kv_type(&self) -> KvType {
        let of_rows = |layer: &LayerRows| match layer {
            LayerRows::Host(kv) => Some(kv.kv_type()),
            _ => None,
        };
        self.layers.iter().find_map(of_rows).unwrap_or(KvType::F32)
    }

    /// How many tokens it holds.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether it holds no token yet.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty()
    }

    /// The tokens it holds keys and values of.
    pub(super) fn tokens(&self) -> &[u32] {
        &self.tokens
    }

    /// `Config::rope_regime` of the length its keys were turned for.
    pub(super) fn rope_regime(&self) -> usize {
        self.rope_regime
    }

    /// Makes spans read it from now on without being added to it, so that many of them may share it.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// Makes the span that names it be added to it again, as when it was new.
    pub fn thaw(&mut self) {
        self.frozen = false;
    }

    /// Whether it has to be computed again from its tokens, since its states are those of a longer sequence.
    pub(super) fn is_cut(&self) -> bool {
        self.cut
    }

    /// Whether spans read it without being added to it.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Makes it the beginning of another sequence with room for `more` tokens: a copy of what `head` holds, in place of
    /// what it held.
    pub(super) fn begin_with(&mut self, head: &Cache, more: usize) -> Result<()> {
        self.truncate(0);
        self.reserve(head.len() + more)?;
        for (own, other) in self.layers.iter_mut().zip(&head.layers) {
            match (own, other) {
                (LayerRows::Host(own), LayerRows::Host(other)) => Arc::make_mut(own).copy_from(other, head.len()),
                (LayerRows::Device { k, v }, LayerRows::Device { k: keys, v: values }) => {
                    k.slice_set(&keys.narrow(0, 0, head.len())?, 0, 0)?;
                    v.slice_set(&values.narrow(0, 0, head.len())?, 0, 0)?;
                }
                (LayerRows::None, LayerRows::None) => {}
                _ => unreachable!("a model's caches are all on its device"),
            }
        }
        self.states.clone_from(&head.states);
        self.states.iter_mut().flatten().for_each(|state| state.next = None);
        self.tokens.extend(&head.tokens);
        (self.rope_regime, self.cut) = (head.rope_regime, head.cut);
        Ok(())
    }

    /// Forgets all but the first `len` tokens; the capacity stays.
    pub fn truncate(&mut self, len: usize) {
        let shorter = len < self.len();
        self.tokens.truncate(len);
        let mut states = self.states.iter_mut().flatten().peekable();
        // before the first token there is no state, and after it one cannot be taken back
        self.cut = len > 0 && (self.cut || shorter) && states.peek().is_some();
        if len == 0 {
            states.for_each(|state| *state = LayerState::default());
        }
    }

    /// Bytes allocated so far, whether filled or not.
    pub fn bytes(&self) -> usize {
        let size = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
        let bytes = |layer: &LayerRows| match layer {
            LayerRows::Host(kv) => kv.bytes(),
            LayerRows::Device { k, v } => size(k) + size(v),
            LayerRows::None => 0,
        };
        let states = self.states.iter().flatten().filter_map(|state| state.held.as_ref());
        self.layers.iter().map(bytes).sum::<usize>() + states.map(State::bytes).sum::<usize>()
    }

    /// Makes room for `more` tokens after the present ones.
    pub(super) fn reserve(&mut self, more: usize) -> Result<()> {
        let (len, needed) = (self.len(), self.len() + more);
        for layer in &mut self.layers {
            match layer {
                LayerRows::Host(kv) if kv.room() < needed => Arc::make_mut(kv).reserve(len, needed),
                LayerRows::Device { k, v } if k.dims()[0] < needed => {
                    (*k, *v) = (grown(k, len, needed)?, grown(v, len, needed)?)
                }
                _ => {}
            }
        }
        Ok(())
    }

    /// What attention reads. Call `reserve` first.
    pub(super) fn past(&self, layer: usize) -> Past {
        match &self.layers[layer] {
            LayerRows::Host(kv) => Past::Host { kv: kv.clone(), len: self.len() },
            LayerRows::Device { k, v } => Past::Device { k: k.clone(), v: v.clone(), len: self.len() },
            LayerRows::None => unreachable!("attention has keys and values"),
        }
    }

    /// The state of a layer after all tokens; none before the first.
    pub(super) fn state(&self, layer: usize) -> Option<State> {
        self.states[layer].as_ref()?.held.clone()
    }

    /// Takes the state that a pass leaves in a layer. It counts only after `advance`.
    pub(super) fn keep(&mut self, layer: usize, state: State) {
        if let Some(kept) = &mut self.states[layer] {
            kept.next = Some(state);
        }
    }

    /// Writes a layer's new keys and values, (tokens, kv_heads, head_dim), behind the present ones. They count only
    /// after `advance`, so a pass that fails half-way leaves the cache as it was.
    pub(super) fn write(&mut self, layer: usize, k: &Tensor, v: &Tensor) -> Result<()> {
        let len = self.len();
        match &mut self.layers[layer] {
            LayerRows::Host(kv) => {
                let kv = Arc::make_mut(kv);
                ops::with_floats([k, v], "the cache", |[k, v]| {
                    kv.write(len, k, v);
                    Ok(())
                })?;
            }
            LayerRows::Device { k: keys, v: values } => {
                keys.slice_set(k, 0, len)?;
                values.slice_set(v, 0, len)?;
            }
            LayerRows::None => unreachable!("attention has keys and values"),
        }
        Ok(())
    }

    /// The tokens of what was written, and `Config::rope_regime` of the length their keys were turned for.
    pub(super) fn advance(&mut self, tokens: &[u32], rope_regime: usize) {
        self.tokens.extend(tokens);
        self.rope_regime = rope_regime;
        for state in self.states.iter_mut().flatten() {
            if let Some(next) = state.next.take() {
                state.held = Some(next);
            }
        }
    }
}

/// A device's rows with room for `needed` tokens, of which the first `len` stay.
fn grown(old: &Tensor, len: usize, needed: usize) -> Result<Tensor> {
    let (capacity, heads, d) = old.dims3()?;
    let room = Tensor::zeros((needed.max(2 * capacity).max(SMALLEST), heads, d), old.dtype(), old.device())?;
    if len > 0 {
        room.slice_set(&old.narrow(0, 0, len)?, 0, 0)?;
    }
    Ok(room)
}
