//! Tensors out of the map: their rows are copied a few megabytes at a time into memory of the type that computes with
//! them, and the mapped pages given back at once, so that loading holds each weight once and not twice.

use std::mem::MaybeUninit;

use candle_core::quantized::k_quants::{
    BlockQ2K, BlockQ3K, BlockQ4_0, BlockQ4_1, BlockQ4K, BlockQ5_0, BlockQ5_1, BlockQ5K, BlockQ6K, BlockQ8_0,
};
use candle_core::quantized::{GgmlDType, QStorage, QuantizedType};
use half::{bf16, f16};

use bantam_format::gguf::{Gguf, TensorInfo};

/// Bytes copied before their pages are given back.
const CHUNK: usize = 4 << 20;

/// Rows of a tensor, on their way out of the map.
pub struct Rows<'a> {
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

/// Types whose values are any bytes of their size.
///
/// # Safety
/// Every pattern of bits must be a value, and there must be no padding.
unsafe trait Plain {}

macro_rules! plain {
    ($($kind:ty),*) => { $(
        // SAFETY: a number, or a repr(C) struct of numbers whose size candle asserts to be the sum of its parts.
        unsafe impl Plain for $kind {}
    )* };
}

plain!(u8, f32, f16, bf16, BlockQ4_0, BlockQ4_1, BlockQ5_0, BlockQ5_1, BlockQ8_0);
plain!(BlockQ2K, BlockQ3K, BlockQ4K, BlockQ5K, BlockQ6K);

impl<'a> Rows<'a> {
    /// The rows that hold `elements` after the first `before`; `None` where these are no whole rows of the tensor.
    pub fn new(
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

    pub fn f32s(&self) -> Vec<f32> {
        self.take()
    }

    pub fn f16s(&self) -> Vec<f16> {
        self.take()
    }

    pub fn bf16s(&self) -> Vec<bf16> {
        self.take()
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.take()
    }

    /// As blocks on the CPU.
    pub fn blocks(&self, dtype: GgmlDType) -> candle_core::Result<QStorage> {
        let blocks: Box<dyn QuantizedType> = match dtype {
            GgmlDType::F32 => Box::new(self.take::<f32>()),
            GgmlDType::F16 => Box::new(self.take::<f16>()),
            GgmlDType::BF16 => Box::new(self.take::<bf16>()),
            GgmlDType::Q4_0 => Box::new(self.take::<BlockQ4_0>()),
            GgmlDType::Q4_1 => Box::new(self.take::<BlockQ4_1>()),
            GgmlDType::Q5_0 => Box::new(self.take::<BlockQ5_0>()),
            GgmlDType::Q5_1 => Box::new(self.take::<BlockQ5_1>()),
            GgmlDType::Q8_0 => Box::new(self.take::<BlockQ8_0>()),
            GgmlDType::Q2K => Box::new(self.take::<BlockQ2K>()),
            GgmlDType::Q3K => Box::new(self.take::<BlockQ3K>()),
            GgmlDType::Q4K => Box::new(self.take::<BlockQ4K>()),
            GgmlDType::Q5K => Box::new(self.take::<BlockQ5K>()),
            GgmlDType::Q6K => Box::new(self.take::<BlockQ6K>()),
            other => candle_core::bail!("no weights are stored as {other:?}"),
        };
        Ok(QStorage::Cpu(blocks))
    }

    fn take<T: Plain>(&self) -> Vec<T> {
        let bytes = self.count * self.width;
        let len = bytes / size_of::<T>();
        let mut values: Vec<T> = Vec::with_capacity(len);
        let room = &mut values.spare_capacity_mut()[..len];
        // SAFETY: the same memory as bytes: as many as `len` values have, none of them read, at an alignment of 1.
        let room = unsafe { std::slice::from_raw_parts_mut(room.as_mut_ptr().cast(), len * size_of::<T>()) };
        self.copy(room);
        // SAFETY: `copy` writes every byte, and every pattern of bytes is a T.
        unsafe { values.set_len(len) };
        values
    }

    /// Writes every byte of `to`, which is as long as the rows.
    fn copy(&self, to: &mut [MaybeUninit<u8>]) {
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
                    to[bytes.clone()].write_copy_of_slice(&stored[bytes]);
                }
                Some(order) => rows.clone().for_each(|row| {
                    let at = order[row] * width;
                    to[at..at + width].write_copy_of_slice(&stored[row * width..(row + 1) * width]);
                }),
            }
            self.gguf.release(self.info, (self.first + rows.start) * width..(self.first + rows.end) * width);
        }
    }
}
