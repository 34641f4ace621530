//! Tensors out of the map: rows that the kernels read as they lie stay there. Others are copied a few megabytes at a time
//! into memory of the type that computes with them, and the mapped pages given back at once, so that loading holds each
//! weight once and not twice.

use std::borrow::Cow;

use bytemuck::{Pod, Zeroable, cast_slice_mut};
use candle_core::Device;
use candle_core::quantized::{GgmlDType, QStorage};
use half::vec::HalfBitsVecExt;
use half::{bf16, f16};

use bantam_format::bytes::SharedBytes;
use bantam_format::gguf::{Gguf, TensorInfo};

/// Bytes copied before their pages are given back.
const CHUNK: usize = 4 << 20;

/// Rows of a tensor, on their way out of the map.
pub(super) struct TensorRows<'a> {
    gguf: &'a Gguf,
    info: &'a TensorInfo,
    /// Bytes of a row.
    width: usize,
    /// The first row, and how many.
    first: usize,
    count: usize,
    /// Row i of these becomes row `order[i]`.
    order: Option<Vec<usize>>,
}

impl<'a> TensorRows<'a> {
    /// The rows that hold `elements` after the first `before`; `None` where these are no whole rows of the tensor.
    pub(super) fn new(
        gguf: &'a Gguf,
        info: &'a TensorInfo,
        before: usize,
        elements: usize,
        order: Option<Vec<usize>>,
    ) -> Option<Self> {
        let (rows, width) = info.rows();
        let columns = info.elements().checked_div(rows)?;
        let whole = before.is_multiple_of(columns) && elements.is_multiple_of(columns);
        let (first, count) = (before / columns, elements / columns);
        let fits =
            whole && first.checked_add(count)? <= rows && order.as_ref().is_none_or(|order| order.len() == count);
        fits.then_some(Self { gguf, info, width, first, count, order })
    }

    pub(super) fn f32s(&self) -> Vec<f32> {
        self.take()
    }

    pub(super) fn f16s(&self) -> Vec<f16> {
        self.take::<u16>().reinterpret_into()
    }

    pub(super) fn bf16s(&self) -> Vec<bf16> {
        self.take::<u16>().reinterpret_into()
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        self.take()
    }

    /// The bytes where they lie, if that is in order.
    pub(super) fn shared(&self) -> Option<SharedBytes> {
        let bytes = self.first * self.width..(self.first + self.count) * self.width;
        self.order.is_none().then(|| self.gguf.share(self.info, bytes))
    }

    /// As blocks on a device of candle's.
    pub(super) fn blocks(&self, dtype: GgmlDType, device: &Device) -> candle_core::Result<QStorage> {
        QStorage::from_data(Cow::Owned(self.bytes()), device, dtype)
    }

    fn take<T: Pod + Zeroable>(&self) -> Vec<T> {
        let mut values = vec![T::zeroed(); self.count * self.width / size_of::<T>()];
        self.copy(cast_slice_mut(&mut values));
        values
    }

    /// Writes every byte of `to`, which is as long as the rows.
    fn copy(&self, to: &mut [u8]) {
        let width = self.width;
        assert_eq!(to.len(), self.count * width, "the room is as large as the rows");
        if width == 0 {
            return;
        }
        let stored = &self.gguf.data(self.info)[self.first * width..][..to.len()];
        let step = (CHUNK / width).max(1);
        for first in (0..self.count).step_by(step) {
            let rows = first..(first + step).min(self.count);
            match &self.order {
                None => {
                    let bytes = rows.start * width..rows.end * width;
                    to[bytes.clone()].copy_from_slice(&stored[bytes]);
                }
                Some(order) => rows.clone().for_each(|row| {
                    let at = order[row] * width;
                    to[at..at + width].copy_from_slice(&stored[row * width..(row + 1) * width]);
                }),
            }
            self.gguf.release(self.info, (self.first + rows.start) * width..(self.first + rows.end) * width);
        }
    }
}
