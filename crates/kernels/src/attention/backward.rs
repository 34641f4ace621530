//! The gradient of attention. Probabilities are computed again from q and k, block by block, as the forward pass did.

use super::{Attention, Scratch, Seen, SharedBuffer, blocks};
use crate::float;
use crate::gemm::{View, gemm_into};
use crate::pool;
use gemm::Parallelism;
use std::cell::RefCell;
use std::ops::Range;

/// The gradients of one call, in the shapes of q, k and v.
#[derive(Debug)]
pub struct Gradients {
    /// Of the queries.
    pub q: Vec<f32>,
    /// Of the keys.
    pub k: Vec<f32>,
    /// Of the values.
    pub v: Vec<f32>,
}

/// What the backward pass begins with.
#[derive(Clone, Copy, Debug)]
pub struct Upstream<'a> {
    /// The queries.
    pub q: &'a [f32],
    /// What `forward` gave.
    pub out: &'a [f32],
    /// Its gradient.
    pub dout: &'a [f32],
}

#[derive(Clone, Copy)]
struct Sinks {
    q: SharedBuffer,
    k: SharedBuffer,
    v: SharedBuffer,
}

impl Attention<'_> {
    /// Gives the gradients of q, k and v; not of the pasts.
    ///
    /// With p = softmax(s), s = scale q kᵀ:  dv = pᵀ dout,  dp = dout vᵀ,  ds = p (dp - Σ dout·out),
    /// dq = scale ds k,  dk = scale dsᵀ q; a soft-cap multiplies ds by 1 - (capped / cap)². A sink is no different: its value is
    /// 0, and so its part of the sum; its own gradient is not asked for.
    pub fn backward(&self, up: Upstream<'_>, kv_len: usize) -> Gradients {
        let (spans, long) = (&self.spans, self.tokens() * self.heads.q_row());
        assert!([up.q, up.out, up.dout].iter().all(|rows| rows.len() == long), "q, out and dout have one shape");
        assert_eq!(kv_len, self.tokens() * self.heads.kv_row(), "k has a row for each token");
        let mut grads = Gradients { q: vec![0.0; up.q.len()], k: vec![0.0; kv_len], v: vec![0.0; kv_len] };
        let sinks = Sinks {
            q: SharedBuffer(grads.q.as_mut_ptr()),
            k: SharedBuffer(grads.k.as_mut_ptr()),
            v: SharedBuffer(grads.v.as_mut_ptr()),
        };
        // Spans of one tree add to the same keys, so a tree is one task; kv heads are apart anyway.
        let trees = self.trees();
        let tasks: Vec<(&[usize], usize)> =
            trees.iter().flat_map(|tree| (0..self.heads.hkv).map(move |head| (tree.as_slice(), head))).collect();
        let run = |scratch: &mut Scratch, (tree, head): &(&[usize], usize)| {
            for &span in *tree {
                for block in blocks(spans[span].len) {
                    self.block_backward(up, &spans[span], &block, *head, sinks, scratch);
                }
            }
        };
        if self.serial() {
            let mut scratch = Scratch::default();
            tasks.iter().for_each(|task| run(&mut scratch, task));
        } else {
            thread_local! {
                static SCRATCH: RefCell<Scratch> = RefCell::new(Scratch::default());
            }
            pool::parallel(tasks.len(), |task| SCRATCH.with_borrow_mut(|scratch| run(scratch, &tasks[task])));
        }
        grads
    }

    fn trees(&self) -> Vec<Vec<usize>> {
        let mut trees: Vec<Vec<usize>> = Vec::new();
        let mut tree_of = Vec::with_capacity(self.attend.spans.len());
        for (i, span) in self.attend.spans.iter().enumerate() {
            let tree = span.parent.map_or(trees.len(), |parent| tree_of[parent]);
            if tree == trees.len() {
                trees.push(Vec::new());
            }
            trees[tree].push(i);
            tree_of.push(tree);
        }
        trees
    }

    fn block_backward(
        &self,
        up: Upstream,
        seen: &Seen,
        block: &Range<usize>,
        head: usize,
        sinks: Sinks,
        scratch: &mut Scratch,
    ) {
        let (d, q_row, kv_row) = (self.heads.d, self.heads.q_row(), self.heads.kv_row());
        let keys = seen.visible(block, self.attend);
        let pieces = seen.pieces(&keys);
        let mut kept = std::mem::take(&mut scratch.kept);
        let sides = self.sides(&pieces, head, &mut kept);
        let (rows, n) = (block.len(), keys.len());
        scratch.p.resize(rows * n, 0.0);
        scratch.dp.resize(rows * n, 0.0);
        for g in 0..self.heads.group() {
            let at = (seen.start + block.start) * q_row + (head * self.heads.group() + g) * d;
            let (q, dout) = (View::new(&up.q[at..], q_row), View::new(&up.dout[at..], q_row));
            self.products(&up.q[at..], rows, n, &sides, &mut scratch.p);
            if let Some(cap) = self.attend.softcap {
                let slope = |s: &f32| 1.0 - (s * self.attend.scale / cap).tanh().powi(2);
                scratch.slope.clear();
                scratch.slope.extend(scratch.p.iter().map(slope));
            }
            self.normalize(seen, block, &keys, self.sinks(head).get(g).copied(), &mut scratch.p);
            for side in &sides {
                let shape = (rows, d, side.len);
                let dp = scratch.dp.as_mut_ptr().wrapping_add(side.column);
                // SAFETY: dp has rows of n floats, and the side's columns are inside them.
                unsafe { gemm_into(dp, n, shape, 0.0, 1.0, dout, side.v.t(), Parallelism::None) };
                if let Some(token) = side.token {
                    let dv = sinks.v.at(token * kv_row + head * d);
                    let p = View::new(&scratch.p[side.column..], n).t();
                    // SAFETY: this task alone writes this head of this tree's tokens.
                    unsafe { gemm_into(dv, kv_row, (side.len, rows, d), 1.0, 1.0, p, dout, Parallelism::None) };
                }
            }
            self.scores_backward(up, at, n, scratch);
            let mut keep = 0.0;
            for side in &sides {
                let ds = View::new(&scratch.dp[side.column..], n);
                let shape = (rows, side.len, d);
                // SAFETY: as above.
                unsafe { gemm_into(sinks.q.at(at), q_row, shape, keep, 1.0, ds, side.k, Parallelism::None) };
                keep = 1.0;
                if let Some(token) = side.token {
                    let dk = sinks.k.at(token * kv_row + head * d);
                    // SAFETY: as above.
                    unsafe { gemm_into(dk, kv_row, (side.len, rows, d), 1.0, 1.0, ds.t(), q, Parallelism::None) };
                }
            }
        }
        drop(sides);
        scratch.kept = kept;
    }

    /// dp to d(q·k), in place; zero where a key is not seen, because its probability is.
    fn scores_backward(&self, up: Upstream, at: usize, n: usize, scratch: &mut Scratch) {
        let rows = scratch.p.chunks_exact(n).zip(scratch.dp.chunks_exact_mut(n));
        for (row, (p, dp)) in rows.enumerate() {
            let token = at + row * self.heads.q_row();
            let token = token..token + self.heads.d;
            let delta = float::dot(&up.out[token.clone()], &up.dout[token]);
            for (dp, p) in dp.iter_mut().zip(p) {
                *dp = p * (*dp - delta) * self.attend.scale;
            }
        }
        if self.attend.softcap.is_some() {
            scratch.dp.iter_mut().zip(&scratch.slope).for_each(|(dp, slope)| *dp *= slope);
        }
    }
}
