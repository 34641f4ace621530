//! The keys and values of one sequence, kept between forward passes. Capacity is made ahead and doubles, so a token
//! costs one small copy. It is written by `Decoder::forward`, and remembers the tokens: under some rope scalings a
//! sequence that grows has to be computed again from them. It knows no text.

use candle_core::{DType, Device, Tensor};

use super::config::Config;
use super::error::Result;
use super::ops::Past;

/// The least room made for a sequence, in tokens.
const SMALLEST: usize = 64;

/// The keys and values of one sequence, for every layer.
#[derive(Debug, Clone)]
pub struct Cache {
    layers: Vec<Option<LayerRows>>,
    tokens: Vec<u32>,
    /// `Config::rope_regime` of the length its keys were turned for.
    rope_regime: usize,
    frozen: bool,
    kv_heads: usize,
    head_dim: usize,
    device: Device,
}

/// Keys and values of one layer: (capacity, kv_heads, head_dim) each, of which the first `Cache::len` are filled.
#[derive(Debug, Clone)]
struct LayerRows {
    k: Tensor,
    v: Tensor,
}

impl Cache {
    /// Bytes of each number it keeps.
    pub const BYTES_PER_NUMBER: u64 = size_of::<f32>() as u64;

    /// Makes an empty cache for a model of this config, on the device that its decoder runs on.
    pub fn new(config: &Config, device: &Device) -> Self {
        Self {
            layers: vec![None; config.layers.len()],
            tokens: Vec::new(),
            rope_regime: 0,
            frozen: false,
            kv_heads: config.kv_heads,
            head_dim: config.head_dim,
            device: device.clone(),
        }
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

    /// Whether spans read it without being added to it.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// Makes it the beginning of another sequence with room for `more` tokens: a copy of what `head` holds, in place of
    /// what it held.
    pub(super) fn begin_with(&mut self, head: &Cache, more: usize) -> Result<()> {
        self.truncate(0);
        self.reserve(head.len() + more)?;
        for (own, other) in self.layers.iter().flatten().zip(head.layers.iter().flatten()) {
            own.k.slice_set(&other.k.narrow(0, 0, head.len())?, 0, 0)?;
            own.v.slice_set(&other.v.narrow(0, 0, head.len())?, 0, 0)?;
        }
        self.advance(&head.tokens, head.rope_regime);
        Ok(())
    }

    /// Forgets all but the first `len` tokens; the capacity stays.
    pub fn truncate(&mut self, len: usize) {
        self.tokens.truncate(len);
    }

    /// Bytes allocated so far, whether filled or not.
    pub fn bytes(&self) -> usize {
        let size = |t: &Tensor| t.elem_count() * t.dtype().size_in_bytes();
        self.layers.iter().flatten().map(|rows| size(&rows.k) + size(&rows.v)).sum()
    }

    /// Makes room for `more` tokens after the present ones.
    pub(super) fn reserve(&mut self, more: usize) -> Result<()> {
        let (len, needed) = (self.len(), self.len() + more);
        for layer in &mut self.layers {
            let capacity = layer.as_ref().map_or(0, |rows| rows.k.dims()[0]);
            if layer.is_some() && capacity >= needed {
                continue;
            }
            let shape = (needed.max(2 * capacity).max(SMALLEST), self.kv_heads, self.head_dim);
            let grown = |old: Option<&Tensor>| -> Result<Tensor> {
                let room = Tensor::zeros(shape, DType::F32, &self.device)?;
                if let Some(old) = old.filter(|_| len > 0) {
                    room.slice_set(&old.narrow(0, 0, len)?, 0, 0)?;
                }
                Ok(room)
            };
            let old = layer.as_ref();
            *layer = Some(LayerRows { k: grown(old.map(|rows| &rows.k))?, v: grown(old.map(|rows| &rows.v))? });
        }
        Ok(())
    }

    /// What attention reads. Call `reserve` first.
    pub(super) fn past(&self, layer: usize) -> Past {
        let rows = self.rows(layer);
        Past { k: rows.k.clone(), v: rows.v.clone(), len: self.len() }
    }

    /// Writes a layer's new keys and values, (tokens, kv_heads, head_dim), behind the present ones. They count only
    /// after `advance`, so a pass that fails half-way leaves the cache as it was.
    pub(super) fn write(&self, layer: usize, k: &Tensor, v: &Tensor) -> Result<()> {
        let rows = self.rows(layer);
        rows.k.slice_set(k, 0, self.len())?;
        rows.v.slice_set(v, 0, self.len())?;
        Ok(())
    }

    /// The tokens of what was written, and `Config::rope_regime` of the length their keys were turned for.
    pub(super) fn advance(&mut self, tokens: &[u32], rope_regime: usize) {
        self.tokens.extend(tokens);
        self.rope_regime = rope_regime;
    }

    fn rows(&self, layer: usize) -> &LayerRows {
        self.layers[layer].as_ref().expect("forward reserves room in every layer before it reads or writes one")
    }
}
