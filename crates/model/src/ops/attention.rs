//! Attention as one operation with a gradient: the arithmetic is the kernels'.

use super::{composed, tensors};
use std::sync::Arc;

use bantam_kernels::attention::{self, Attention, Heads, Upstream};
pub use bantam_kernels::attention::{Attend, Span};
use bantam_kernels::kv::KeyValues;
use candle_core::{CpuStorage, CustomOp3, Layout, Result, Shape, Tensor, bail};

/// Keys and values of earlier tokens, rotated already, of which `len` count.
#[derive(Clone, Debug)]
pub enum Past {
    /// In memory, as the kernels keep them.
    Host {
        /// The keys and values.
        kv: Arc<KeyValues>,
        /// Tokens that count.
        len: usize,
    },
    /// On another device.
    Device {
        /// The keys, (capacity, kv heads, d), contiguous.
        k: Tensor,
        /// The values, in the same shape.
        v: Tensor,
        /// Rows that count.
        len: usize,
    },
}

impl Past {
    fn on_host(&self) -> Result<attention::Past<'_>> {
        match self {
            Past::Host { kv, len } => Ok(attention::Past { kv, len: *len }),
            Past::Device { .. } => bail!("attention: the cache must be on the CPU as the queries are"),
        }
    }

    /// Refuses one of other heads.
    fn check(&self, hkv: usize, d: usize) -> Result<()> {
        let (shape, room, len) = match self {
            Past::Host { kv, len } => (kv.shape(), kv.room(), *len),
            Past::Device { k, v, len } => {
                let (rows, heads, size) = k.dims3()?;
                if v.dims() != k.dims() {
                    bail!("attention: a past has keys {:?} and values {:?}", k.dims(), v.dims());
                }
                ((heads, size), rows, *len)
            }
        };
        if shape != (hkv, d) || len > room {
            bail!("attention: a past of {len} in {room} tokens, {shape:?} each, does not fit {:?}", (hkv, d));
        }
        Ok(())
    }
}

/// Refuses spans that do not add up to the batch or refer to what is not before them.
fn check(attend: &Attend, tokens: usize, pasts: &[Past]) -> Result<()> {
    let total: usize = attend.spans.iter().map(|s| s.len).sum();
    if total != tokens {
        bail!("attention: the spans hold {total} tokens, the batch {tokens}");
    }
    for (i, span) in attend.spans.iter().enumerate() {
        if span.parent.is_some_and(|p| p >= i) {
            bail!("attention: the parent of span {i} must come before it");
        }
        if span.past.is_some_and(|p| p >= pasts.len()) || (span.past.is_some() && span.parent.is_some()) {
            bail!("attention: span {i} has a past that is not there or stands beside a parent");
        }
    }
    Ok(())
}

/// Attends with q (T, h, d) over k, v (T, hkv, d), h a multiple of hkv; gives (T, h, d). Differentiable in q, k and v,
/// not
/// in the pasts.
///
/// # Errors
/// Where the spans do not add up to T or refer forward, or a past has another shape.
pub fn attention(q: &Tensor, k: &Tensor, v: &Tensor, pasts: &[Past], attend: &Attend) -> Result<Tensor> {
    let ((tokens, h, d), (_, hkv, _)) = (q.dims3()?, k.dims3()?);
    if k.dims() != v.dims() || k.dims() != [tokens, hkv, d] || hkv == 0 || !h.is_multiple_of(hkv) {
        bail!("attention: q {:?}, k {:?} and v {:?} do not go together", q.dims(), k.dims(), v.dims());
    }
    check(attend, tokens, pasts)?;
    if attend.sinks.as_ref().is_some_and(|sinks| sinks.len() != h) {
        bail!("attention: there must be a sink for each of {h} heads");
    }
    pasts.iter().try_for_each(|past| past.check(hkv, d))?;
    if !q.device().is_cpu() {
        return composed::attention(q, k, v, pasts, attend);
    }
    let op = Operation { pasts: pasts.to_vec(), attend: attend.clone(), heads: Heads { h, hkv, d } };
    q.contiguous()?.apply_op3(&k.contiguous()?, &v.contiguous()?, op)
}

struct Operation {
    pasts: Vec<Past>,
    attend: Attend,
    heads: Heads,
}

impl Operation {
    /// Hands `run` the attention over these keys and values and the cached pasts.
    fn with<R>(&self, k: &[f32], v: &[f32], run: impl FnOnce(&Attention) -> R) -> Result<R> {
        let pasts = self.pasts.iter().map(Past::on_host).collect::<Result<Vec<_>>>()?;
        Ok(run(&Attention::new(&self.attend, self.heads, k, v, &pasts)))
    }
}

impl CustomOp3 for Operation {
    fn name(&self) -> &'static str {
        "attention"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        ql: &Layout,
        k: &CpuStorage,
        kl: &Layout,
        v: &CpuStorage,
        vl: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let name = self.name();
        let q = tensors::floats(q, ql, name)?;
        let (k, v) = (tensors::floats(k, kl, name)?, tensors::floats(v, vl, name)?);
        let out = self.with(k, v, |attention| attention.forward(q))?;
        Ok((CpuStorage::F32(out), ql.shape().clone()))
    }

    fn bwd(
        &self,
        q: &Tensor,
        k: &Tensor,
        v: &Tensor,
        out: &Tensor,
        dout: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grads = tensors::with_floats([q, k, v, out, dout], self.name(), |[q, k, v, out, dout]| {
            self.with(k, v, |attention| attention.backward(Upstream { q, out, dout }, k.len()))
        })?;
        let device = q.device();
        Ok((
            Some(Tensor::from_vec(grads.q, q.shape(), device)?),
            Some(Tensor::from_vec(grads.k, k.shape(), device)?),
            Some(Tensor::from_vec(grads.v, v.shape(), device)?),
        ))
    }
}
