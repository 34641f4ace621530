//! Rotary position embedding (Su et al. 2021, arXiv:2104.09864): pairs of features turn by an angle that grows with the
//! position. The angles come in as tables, one row a token, so this knows no base, no scaling and no position.

use super::for_each_isa;

/// Which two features turn together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pairing {
    /// i and i + rot/2, as transformers stores the weights ("neox").
    Half,
    /// 2i and 2i + 1, as the original Llama code and its GGUF files do.
    Interleaved,
}

for_each_isa! {
    /// Turns one token's heads x (heads, d) by the angles of cos and sin (rot/2) to y; features from rot on stay as they
    /// are.
    pub fn rope(x: &[f32], d: usize, cos: &[f32], sin: &[f32], pairing: Pairing, y: &mut [f32]) {
        for (y, x) in y.chunks_exact_mut(d).zip(x.chunks_exact(d)) {
            turn_head(y, x, cos, sin, pairing);
        }
    }
}

#[inline(always)]
fn turn_head(y: &mut [f32], x: &[f32], cos: &[f32], sin: &[f32], pairing: Pairing) {
    let half = cos.len();
    let (y_turned, y_tail) = y.split_at_mut(2 * half);
    let (x_turned, x_tail) = x.split_at(2 * half);
    y_tail.copy_from_slice(x_tail);
    match pairing {
        Pairing::Half => {
            let (y1, y2) = y_turned.split_at_mut(half);
            let (x1, x2) = x_turned.split_at(half);
            let (x1, x2, sin, y1, y2) = (&x1[..half], &x2[..half], &sin[..half], &mut y1[..half], &mut y2[..half]);
            for i in 0..half {
                y1[i] = x1[i] * cos[i] - x2[i] * sin[i];
                y2[i] = x2[i] * cos[i] + x1[i] * sin[i];
            }
        }
        Pairing::Interleaved => {
            let pairs = y_turned.chunks_exact_mut(2).zip(x_turned.chunks_exact(2));
            for ((y, x), (cos, sin)) in pairs.zip(cos.iter().zip(sin)) {
                y[0] = x[0] * cos - x[1] * sin;
                y[1] = x[1] * cos + x[0] * sin;
            }
        }
    }
}
