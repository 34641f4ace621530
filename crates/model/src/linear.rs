//! A matrix that activations are multiplied by, whatever form its weights are in: dense (f32, f16, bf16) or one of
//! ggml's quantized blocks, with columns in another order where blocks ask for it, and with a
//! low-rank adapter where there is one. The graph, and all that measures or changes it, sees only this. It can show its
//! inputs to an observer, for whoever calibrates.

use std::fmt;
use std::sync::Arc;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};

use super::arithmetic::{self, Arithmetic};
use super::checkpoint::finite;
use super::checkpoint::gguf::type_of;
use super::error::Result;
use super::frozen;
use super::matmul::{self, Blocks, Side};

/// y = x Wᵀ + b, with W (out, inp).
#[derive(Debug, Clone)]
pub struct Linear {
    weight: Weight,
    columns: Option<Columns>,
    adapter: Option<Arc<LowRank>>,
    bias: Option<Tensor>,
    observer: Option<Arc<Watch>>,
    arithmetic: Arithmetic,
}

/// Sees what a graph's matrices are multiplied by.
pub trait InputObserver: Send + Sync {
    /// Sees the input `x`, (rows, inp) f32, of a matrix by its checkpoint name, before it is multiplied. An embedding's
    /// rows are looked up, not multiplied, and so not shown; a head that is the embedding has the embedding's name.
    ///
    /// # Errors
    /// Whatever stops it, which stops the pass.
    fn see(&self, matrix: &str, x: &Tensor) -> Result<()>;
}

/// Who looks at a matrix's inputs, and what the matrix is called.
struct Watch {
    name: String,
    observer: Arc<dyn InputObserver>,
}

/// A matrix's weights in the form they are stored in.
#[derive(Debug, Clone)]
pub enum Weight {
    /// (out, inp), contiguous; f32, f16 or bf16.
    Dense(Tensor),
    /// (out, inp) in blocks that the kernels multiply, on the CPU.
    Blocks(Arc<Blocks>),
    /// (out, inp) in blocks that candle multiplies, on other devices.
    Quantized(Arc<QTensor>),
}

/// Columns that stand in another order than the inputs they are for.
#[derive(Debug, Clone)]
struct Columns {
    /// The input of each stored column, (inp) u32.
    input_of: Tensor,
    /// The stored column of each input, (inp) u32.
    column_of: Tensor,
}

/// What an adapter adds to a matrix: W' = m ⊙ (W + s b a), with m one number for each row, or none. Its tensors may be
/// the variables of a training run.
#[derive(Debug, Clone)]
pub struct LowRank {
    /// (r, inp) f32
    pub a: Tensor,
    /// (out, r) f32
    pub b: Tensor,
    /// What b a is multiplied by.
    pub scale: f64,
    /// DoRA's magnitudes.
    pub magnitude: Option<Magnitude>,
}

/// The lengths that DoRA gives the rows of a matrix (Liu et al. 2024, arXiv:2402.09353).
#[derive(Debug, Clone)]
pub struct Magnitude {
    /// The length that each row gets, (out) f32.
    pub length: Tensor,
    /// The norm of each row of W + s b a, (out) f32; a constant to the gradient, as in section 4.3 of the paper.
    pub norm: Tensor,
}

impl Magnitude {
    /// What each row is multiplied by, (out).
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn factor(&self) -> Result<Tensor> {
        Ok((&self.length / self.norm.detach())?)
    }
}

impl Linear {
    /// From a contiguous (out, inp) tensor.
    pub fn dense(weight: Tensor) -> Self {
        Self::new(Weight::Dense(weight))
    }

    /// From blocks on the CPU.
    pub fn blocks(weight: Arc<Blocks>) -> Self {
        Self::new(Weight::Blocks(weight))
    }

    /// From blocks on another device.
    pub fn quantized(weight: Arc<QTensor>) -> Self {
        Self::new(Weight::Quantized(weight))
    }

    fn new(weight: Weight) -> Self {
        Self { weight, columns: None, adapter: None, bias: None, observer: None, arithmetic: Arithmetic::Fast }
    }

    /// Adds a bias of (out).
    pub fn with_bias(self, bias: Tensor) -> Self {
        Self { bias: Some(bias), ..self }
    }

    /// Says that the stored columns are those of the inputs `order`, a permutation. Inputs are brought in that order
    /// before they are multiplied.
    ///
    /// # Errors
    /// When the device has no room for the order.
    pub fn with_columns_in(self, order: &[u32]) -> Result<Self> {
        let mut inverse = vec![0u32; order.len()];
        for (column, &input) in order.iter().enumerate() {
            inverse[input as usize] = column as u32;
        }
        let device = self.weight.device();
        let columns = Columns { input_of: Tensor::new(order, &device)?, column_of: Tensor::new(inverse, &device)? };
        Ok(Self { columns: Some(columns), ..self })
    }

    /// Adds an adapter of the same (out, inp), in place of any that it has.
    pub fn with_adapter(self, adapter: LowRank) -> Self {
        Self { adapter: Some(Arc::new(adapter)), ..self }
    }

    /// Shows its inputs to an observer from now on, as those of the matrix `name`.
    pub fn with_observer(self, name: &str, observer: Arc<dyn InputObserver>) -> Self {
        Self { observer: Some(Arc::new(Watch { name: name.to_owned(), observer })), ..self }
    }

    /// Multiplies in this way from now on.
    pub fn with_arithmetic(self, arithmetic: Arithmetic) -> Self {
        Self { arithmetic, ..self }
    }

    /// Gives the weights as they are stored, without adapter; columns may stand in another order, see `dequantized`.
    pub fn weight(&self) -> &Weight {
        &self.weight
    }

    /// The bias, (out).
    pub fn bias(&self) -> Option<&Tensor> {
        self.bias.as_ref()
    }

    /// The adapter, where there is one.
    pub fn adapter(&self) -> Option<&LowRank> {
        self.adapter.as_deref()
    }

    /// Multiplies: x (T, inp) to (T, out), f32. Differentiable in x on the CPU, in the adapter, and in a weight that is an
    /// f32 variable.
    ///
    /// # Errors
    /// When the shapes do not fit, memory is short, or the observer stops it.
    pub fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.show(x)?;
        self.multiply(x)
    }

    /// Shows an input to the observer, where there is one.
    fn show(&self, x: &Tensor) -> Result<()> {
        match &self.observer {
            None => Ok(()),
            Some(watch) => watch.observer.see(&watch.name, x),
        }
    }

    fn multiply(&self, x: &Tensor) -> Result<Tensor> {
        let y = match &self.columns {
            None => self.product(x)?,
            Some(columns) => self.product(&x.index_select(&columns.input_of, 1)?)?,
        };
        self.complete(x, y)
    }

    /// x, with columns in the order of the weights, times Wᵀ.
    fn product(&self, x: &Tensor) -> Result<Tensor> {
        if x.track_op() && !self.weight.learns() && x.device().is_cpu() {
            return frozen::product(x, &self.weight, self.arithmetic);
        }
        let slow = match self.arithmetic {
            Arithmetic::Fast => None,
            other => arithmetic::product(x, &self.weight, other)?,
        };
        slow.map_or_else(|| self.weight.product(x), Ok)
    }

    /// What stands beside the weights added to their product with x.
    fn complete(&self, x: &Tensor, mut y: Tensor) -> Result<Tensor> {
        if let Some(adapter) = self.adapter.as_deref() {
            y = (y + adapter.product(x)?)?;
            if let Some(magnitude) = &adapter.magnitude {
                y = y.broadcast_mul(&magnitude.factor()?)?;
            }
        }
        match &self.bias {
            Some(bias) => Ok(y.broadcast_add(bias)?),
            None => Ok(y),
        }
    }

    /// Looks up the rows of W at `ids`, (n, inp) f32: W read as an embedding table. Every id must be below `out`.
    ///
    /// # Errors
    /// When an id is not below `out`.
    pub fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        let rows = self.columns_by_input(self.weight.rows(ids)?)?;
        let Some(LowRank { a, b, scale, magnitude }) = self.adapter.as_deref() else { return Ok(rows) };
        let ids = Tensor::new(ids, b.device())?;
        let rows = (rows + scaled(b.index_select(&ids, 0)?.matmul(a)?, *scale)?)?;
        match magnitude {
            None => Ok(rows),
            Some(magnitude) => Ok(rows.broadcast_mul(&magnitude.factor()?.index_select(&ids, 0)?.unsqueeze(1)?)?),
        }
    }

    /// Widens W to f32, (out, inp), with what the adapter adds.
    ///
    /// # Errors
    /// When memory is short.
    pub fn dequantized(&self) -> Result<Tensor> {
        let weight = self.columns_by_input(self.weight.dequantized()?)?;
        match self.adapter.as_deref() {
            None => Ok(weight),
            Some(adapter) => adapter.merged(&weight),
        }
    }

    fn columns_by_input(&self, rows: Tensor) -> Result<Tensor> {
        match &self.columns {
            None => Ok(rows),
            Some(columns) => Ok(rows.index_select(&columns.column_of, 1)?),
        }
    }

    /// Whether all its weights are finite numbers; of blocks, whether the scales are.
    ///
    /// # Errors
    /// When memory is short.
    pub fn is_finite(&self) -> Result<bool> {
        Ok(match &self.weight {
            Weight::Blocks(blocks) => blocks.is_finite(),
            weight => {
                let numbers = weight.dequantized()?.flatten_all()?.to_vec1::<f32>()?;
                finite::damaged_number(&numbers).is_none()
            }
        })
    }

    /// Bytes its weights take in memory, as they are stored.
    pub fn bytes(&self) -> usize {
        let columns = self.columns.as_ref().map_or(0, |c| bytes_of(&c.input_of) + bytes_of(&c.column_of));
        let adapter = self.adapter.as_deref().map_or(0, LowRank::bytes);
        self.weight.bytes() + columns + adapter + self.bias.as_ref().map_or(0, bytes_of)
    }

    /// The form of its weights, in ggml's words.
    pub fn format(&self) -> &'static str {
        self.weight.format()
    }

    /// The device that its weights are on.
    pub fn device(&self) -> Device {
        self.weight.device()
    }

    /// The weights, where the kernels multiply them in one pass with others.
    fn side(&self, x: &Tensor) -> Option<Side<'_>> {
        match &self.weight {
            _ if self.columns.is_some() || !x.device().is_cpu() || self.arithmetic != Arithmetic::Fast => None,
            // whose gradient would end here
            _ if x.track_op() => None,
            Weight::Blocks(w) => Some(Side::Blocks(w)),
            Weight::Dense(w) if !w.track_op() => Some(Side::Dense(w)),
            _ => None,
        }
    }
}

impl Weight {
    /// Whether it is a variable, or made of some.
    fn learns(&self) -> bool {
        matches!(self, Self::Dense(w) if w.track_op())
    }

    /// x, with columns in the order of the weights, times Wᵀ.
    fn product(&self, x: &Tensor) -> Result<Tensor> {
        match self {
            Self::Dense(w) => matmul::dense(x, w),
            Self::Blocks(w) => matmul::blocks(x, w),
            Self::Quantized(w) => Ok(x.contiguous()?.apply_op1_no_bwd(w.as_ref())?),
        }
    }

    /// Some rows next to each other, widened to f32.
    pub(crate) fn slab(&self, first: usize, rows: usize) -> Result<Tensor> {
        match self {
            Self::Dense(w) => Ok(w.narrow(0, first, rows)?.to_dtype(DType::F32)?.contiguous()?),
            _ => self.rows(&(first as u32..(first + rows) as u32).collect::<Vec<_>>()),
        }
    }

    fn rows(&self, ids: &[u32]) -> Result<Tensor> {
        let tensor = |ids| Tensor::new(ids, &self.device());
        Ok(match self {
            Self::Dense(w) => w.index_select(&tensor(ids)?, 0)?.to_dtype(DType::F32)?,
            Self::Quantized(w) => w.embedding(&tensor(ids)?)?,
            Self::Blocks(w) => w.rows(&ids.iter().map(|&id| id as usize).collect::<Vec<_>>())?,
        })
    }

    pub(crate) fn dequantized(&self) -> Result<Tensor> {
        Ok(match self {
            Self::Dense(w) => w.to_dtype(DType::F32)?,
            Self::Quantized(w) => w.dequantize(&self.device())?,
            Self::Blocks(w) => w.dequantized()?,
        })
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Dense(w) => bytes_of(w),
            Self::Quantized(w) => w.storage_size_in_bytes(),
            Self::Blocks(w) => w.size(),
        }
    }

    fn format(&self) -> &'static str {
        let dtype = match self {
            Self::Dense(w) => match w.dtype() {
                DType::F16 => GgmlDType::F16,
                DType::BF16 => GgmlDType::BF16,
                _ => GgmlDType::F32,
            },
            Self::Quantized(w) => w.dtype(),
            Self::Blocks(w) => return w.ggml_type().name(),
        };
        type_of(dtype).map_or("unknown", |ty| ty.name())
    }

    fn device(&self) -> Device {
        match self {
            Self::Dense(w) => w.device().clone(),
            Self::Quantized(w) => w.device(),
            Self::Blocks(_) => Device::Cpu,
        }
    }
}

impl LowRank {
    /// x (T, inp) times (s b a)ᵀ, (T, out). The scale comes where there are the fewest numbers.
    fn product(&self, x: &Tensor) -> Result<Tensor> {
        matmul::dense(&scaled(matmul::dense(x, &self.a)?, self.scale)?, &self.b)
    }

    /// Merges the adapter into an f32 W (out, inp): m ⊙ (W + s b a).
    ///
    /// # Errors
    /// When the shapes do not fit.
    pub fn merged(&self, weight: &Tensor) -> Result<Tensor> {
        let sum = (weight + scaled(self.b.matmul(&self.a)?, self.scale)?)?;
        match &self.magnitude {
            None => Ok(sum),
            Some(magnitude) => Ok(sum.broadcast_mul(&magnitude.factor()?.unsqueeze(1)?)?),
        }
    }

    fn bytes(&self) -> usize {
        let magnitude = self.magnitude.as_ref().map_or(0, |m| bytes_of(&m.length) + bytes_of(&m.norm));
        bytes_of(&self.a) + bytes_of(&self.b) + magnitude
    }
}

impl fmt::Debug for Watch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watch").field("name", &self.name).finish_non_exhaustive()
    }
}

/// x times a factor, which may be 1.
fn scaled(x: Tensor, factor: f64) -> Result<Tensor> {
    if factor == 1.0 { Ok(x) } else { Ok((x * factor)?) }
}

fn bytes_of(tensor: &Tensor) -> usize {
    tensor.elem_count() * tensor.dtype().size_in_bytes()
}

/// Multiplies one input by several matrices: q, k and v, or gate and up. One pass over the input where the weights
/// allow.
///
/// # Errors
/// As `Linear::forward`.
pub fn forward_all<const N: usize>(linears: [&Linear; N], x: &Tensor) -> Result<[Tensor; N]> {
    linears.iter().try_for_each(|linear| linear.show(x))?;
    let sides: Vec<Side> = linears.iter().filter_map(|linear| linear.side(x)).collect();
    if let Ok(sides) = <[Side; N]>::try_from(sides) {
        let ys = matmul::together(x, sides)?;
        let ys = linears.into_iter().zip(ys).map(|(linear, y)| linear.complete(x, y)).collect::<Result<Vec<_>>>()?;
        return Ok(ys.try_into().expect("one output for each of the N linears"));
    }
    let ys = linears.into_iter().map(|linear| linear.multiply(x)).collect::<Result<Vec<_>>>()?;
    Ok(ys.try_into().expect("one output for each of the N linears"))
}
