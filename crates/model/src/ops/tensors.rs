//! The floats of tensors as slices, which is what the kernels work on.

use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Result, Storage, Tensor, bail};

/// The floats of a contiguous CPU tensor, inside a custom op.
pub(crate) fn floats<'a>(storage: &'a CpuStorage, layout: &Layout, op: &'static str) -> Result<&'a [f32]> {
    let Some((start, end)) = layout.contiguous_offsets() else {
        bail!("{op}: the input must be contiguous, its strides are {:?}", layout.stride());
    };
    match storage {
        CpuStorage::F32(data) => Ok(&data[start..end]),
        other => bail!("{op}: the input must be f32, it is {:?}", candle_core::backend::BackendStorage::dtype(other)),
    }
}

/// Hands `read` the floats of CPU tensors outside a custom op (made contiguous where they are not).
pub(crate) fn with_floats<const N: usize, R>(
    tensors: [&Tensor; N],
    op: &'static str,
    read: impl FnOnce([&[f32]; N]) -> Result<R>,
) -> Result<R> {
    // arrays: a decode step comes here hundreds of times
    let mut contiguous = tensors.map(|_| None);
    for (own, tensor) in contiguous.iter_mut().zip(tensors) {
        *own = Some(tensor.contiguous()?);
    }
    let contiguous = contiguous.each_ref().map(|tensor| tensor.as_ref().expect("made just now"));
    let guards = contiguous.map(|t| t.storage_and_layout());
    let mut all = [&[] as &[f32]; N];
    for (data, (storage, layout)) in all.iter_mut().zip(&guards) {
        let Storage::Cpu(storage) = &**storage else {
            bail!("{op}: all inputs must be on the CPU");
        };
        *data = floats(storage, layout, op)?;
    }
    read(all)
}

/// Whether what is computed of both may stand in the memory of the first: plain floats on the CPU, in order, and nobody
/// asks for a gradient.
pub(crate) fn may_overwrite(first: &Tensor, second: &Tensor) -> bool {
    let plain = |t: &Tensor| t.device().is_cpu() && t.dtype() == DType::F32 && t.is_contiguous() && !t.track_op();
    plain(first) && plain(second)
}

/// Overwrites the floats of one tensor by what comes of those of another.
pub(crate) struct InPlace<F> {
    pub(crate) name: &'static str,
    pub(crate) apply: F,
}

impl<F: Fn(&mut [f32], &[f32])> InplaceOp2 for InPlace<F> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn cpu_fwd(&self, s1: &mut CpuStorage, l1: &Layout, s2: &CpuStorage, l2: &Layout) -> Result<()> {
        let from = floats(s2, l2, self.name)?;
        let (CpuStorage::F32(to), Some((start, end))) = (s1, l1.contiguous_offsets()) else {
            bail!("{}: what is overwritten must be contiguous and f32", self.name);
        };
        (self.apply)(&mut to[start..end], from);
        Ok(())
    }
}
