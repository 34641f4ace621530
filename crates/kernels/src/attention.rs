//! Attention over ragged spans, causal or both ways: softmax(scale · q kᵀ) v, with grouped heads read where they stand.
//!
//! A batch is a row of spans, and a span may continue an earlier one: the choices of a question are children of its
//! context, so the context is computed once and nothing is padded or copied. What a query sees:
//!
//! ```text
//! [ cached past of the root ][ root ][ .. ][ parent ][ own span up to and with itself ]     positions 0, 1, 2, ..
//! ```
//!
//! An encoder's query sees all of its own span, what comes after it too (`causal: false`).
//!
//! Few queries (decoding) go key by key through dot products, each key read once for all heads that share it; many
//! (prefill, training) go in blocks of queries through gemm. The backward pass computes the probabilities again
//! rather than keeping them (as FlashAttention does: Dao et al. 2022, arXiv:2205.14135).

use crate::float;
use crate::gemm::{View, gemm_into};
use crate::pool;
use gemm::Parallelism;
use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

/// A run of new tokens of one sequence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// How many tokens; they stand one after the other, after those of the spans before.
    pub len: usize,
    /// The span this one continues: the index of an earlier one of the same batch.
    pub parent: Option<usize>,
    /// The cached keys and values this one continues: an index into the pasts. Only where there is no parent.
    pub past: Option<usize>,
}

/// Cached keys and values of a sequence's earlier tokens, rotated already: (capacity, kv heads, d), of which `len` rows
/// count.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// Keys.
    pub k: &'a [f32],
    /// Values.
    pub v: &'a [f32],
    /// Rows that count.
    pub len: usize,
}

/// How the queries of a batch attend.
#[derive(Clone, Debug)]
pub struct Attend {
    /// The runs of tokens that the batch is made of.
    pub spans: Arc<[Span]>,
    /// A query sees its own span up to and with itself; else all of it.
    pub causal: bool,
    /// What the scores are multiplied by; mostly 1/sqrt(d).
    pub scale: f32,
    /// A query at position i sees key j only when i - window < j. Only where attention is causal.
    pub window: Option<usize>,
    /// Scores become cap · tanh(score / cap) (Gemma 2).
    pub softcap: Option<f32>,
}

impl Attend {
    /// The first token of every span.
    pub fn starts(&self) -> Vec<usize> {
        self.spans
            .iter()
            .scan(0, |at, span| {
                let start = *at;
                *at += span.len;
                Some(start)
            })
            .collect()
    }

    /// The spans from the root to `span`, itself included.
    pub fn chain(&self, span: usize) -> Vec<usize> {
        let mut chain = vec![span];
        while let Some(parent) = self.spans[chain[chain.len() - 1]].parent {
            chain.push(parent);
        }
        chain.reverse();
        chain
    }
}

/// Queries a block of the gemm path holds: its scores against a few hundred keys stay in the second-level cache.
const BLOCK: usize = 64;
/// From this many queries on, gemm wins over dot products.
const GEMM_FROM: usize = 8;
/// Below this many multiplications the work stays on one thread.
const SERIAL_BELOW: usize = 1 << 15;

/// How many heads there are, and how long they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heads {
    /// Of queries; a multiple of `hkv`.
    pub h: usize,
    /// Of keys and values.
    pub hkv: usize,
    /// Numbers in a head.
    pub d: usize,
}

impl Heads {
    fn group(&self) -> usize {
        self.h / self.hkv
    }
    fn q_row(&self) -> usize {
        self.h * self.d
    }
    fn kv_row(&self) -> usize {
        self.hkv * self.d
    }
}

/// Attention of one batch, forward and backward, over slices: q (T, h, d), k and v (T, hkv, d).
#[derive(Debug)]
pub struct Attention<'a> {
    attend: &'a Attend,
    heads: Heads,
    spans: Vec<Seen<'a>>,
}

/// A stretch of keys and values in memory that stand one after the other in position.
#[derive(Clone, Debug)]
struct KeyRun<'a> {
    k: &'a [f32],
    v: &'a [f32],
    len: usize,
    /// The first token of the batch it is, or none for a cached past: where its gradient goes.
    token: Option<usize>,
}

/// One span with all that it sees.
#[derive(Debug)]
struct Seen<'a> {
    start: usize,
    len: usize,
    /// How many keys come before its own.
    before: usize,
    /// Oldest first; the last is the span itself.
    runs: Vec<KeyRun<'a>>,
}

/// A part of one run that a block of queries needs: rows of the run, and where they stand among the block's keys.
struct Piece<'a, 'b> {
    run: &'b KeyRun<'a>,
    rows: Range<usize>,
    column: usize,
}

impl<'a> Seen<'a> {
    /// The positions of the keys that queries `block` (rows of this span) may see at all.
    fn visible(&self, block: &Range<usize>, attend: &Attend) -> Range<usize> {
        if !attend.causal {
            return 0..self.before + self.len;
        }
        let first = self.before + block.start;
        attend.window.map_or(0, |w| (first + 1).saturating_sub(w))..self.before + block.end
    }

    /// The pieces of runs that make up the key positions `keys`.
    fn pieces(&self, keys: &Range<usize>) -> Vec<Piece<'a, '_>> {
        let mut pieces = Vec::with_capacity(self.runs.len());
        let mut position = 0;
        for run in &self.runs {
            let (from, to) = (keys.start.max(position), keys.end.min(position + run.len));
            if from < to {
                pieces.push(Piece { run, rows: from - position..to - position, column: from - keys.start });
            }
            position += run.len;
        }
        pieces
    }
}

/// The columns of a score row that query `i` (a position) sees, when the row begins at key position `keys.start`.
fn columns(i: usize, keys: &Range<usize>, attend: &Attend) -> Range<usize> {
    if !attend.causal {
        return 0..keys.len();
    }
    let from = attend.window.map_or(0, |w| (i + 1).saturating_sub(w)).max(keys.start);
    from - keys.start..i + 1 - keys.start
}

/// A float buffer that several tasks write, each its own elements.
#[derive(Clone, Copy)]
struct SharedBuffer(*mut f32);
// SAFETY: every use below writes rows of one span and the columns of one kv head, and a task owns both.
unsafe impl Send for SharedBuffer {}
unsafe impl Sync for SharedBuffer {}

impl SharedBuffer {
    fn at(&self, offset: usize) -> *mut f32 {
        self.0.wrapping_add(offset)
    }

    /// # Safety
    /// The `len` floats at `offset` must be inside the buffer and no other task may touch them meanwhile.
    #[allow(clippy::mut_from_ref)]
    unsafe fn slice(&self, offset: usize, len: usize) -> &mut [f32] {
        // SAFETY: the caller's promise.
        unsafe { std::slice::from_raw_parts_mut(self.at(offset), len) }
    }
}

impl<'a> Attention<'a> {
    /// Lays out what each span sees.
    ///
    /// # Panics
    /// Where the spans do not add up to the rows of k and v, refer to what does not come before them, or a past is
    /// shorter than it says: whoever makes a batch checks it.
    pub fn new(attend: &'a Attend, heads: Heads, k: &'a [f32], v: &'a [f32], pasts: &[Past<'a>]) -> Self {
        let (starts, row) = (attend.starts(), heads.kv_row());
        let tokens: usize = attend.spans.iter().map(|span| span.len).sum();
        assert!(k.len() == tokens * row && v.len() == k.len(), "the spans add up to the rows of k and v");
        assert!(heads.hkv > 0 && heads.h.is_multiple_of(heads.hkv), "query heads share key heads evenly");
        assert!(pasts.iter().all(|p| p.len * row <= p.k.len().min(p.v.len())), "a past has the rows that it says");
        let backward = |(i, span): (usize, &Span)| span.parent.is_none_or(|parent| parent < i);
        assert!(attend.spans.iter().enumerate().all(backward), "spans refer backward");
        let seen = |i: usize| {
            let chain = attend.chain(i);
            let past = attend.spans[chain[0]].past.map(|p| pasts[p]);
            let past = past.map(|Past { k, v, len }| KeyRun { k, v, len, token: None });
            let own = chain.iter().map(|&link| {
                let (from, len) = (starts[link], attend.spans[link].len);
                let range = from * row..(from + len) * row;
                KeyRun { k: &k[range.clone()], v: &v[range], len, token: Some(from) }
            });
            let runs: Vec<KeyRun> = past.into_iter().chain(own).collect();
            let keys: usize = runs.iter().map(|r| r.len).sum();
            Seen { start: starts[i], len: attend.spans[i].len, before: keys - attend.spans[i].len, runs }
        };
        Self { attend, heads, spans: (0..attend.spans.len()).map(seen).collect() }
    }

    fn tokens(&self) -> usize {
        self.spans.iter().map(|span| span.len).sum()
    }

    fn serial(&self) -> bool {
        let pairs: usize = self.spans.iter().map(|s| s.len * (s.before + s.len)).sum();
        pool::threads() == 1 || pairs * self.heads.q_row() < SERIAL_BELOW
    }

    /// Gives what each query attends to, (T, h, d).
    pub fn forward(&self, q: &[f32]) -> Vec<f32> {
        assert_eq!(q.len(), self.tokens() * self.heads.q_row(), "q has a row for each token");
        let mut out = vec![0f32; q.len()];
        let shared = SharedBuffer(out.as_mut_ptr());
        let tasks: Vec<(&Seen, Range<usize>, usize)> = self
            .spans
            .iter()
            .flat_map(|seen| {
                blocks(seen.len).flat_map(move |block| (0..self.heads.hkv).map(move |head| (seen, block.clone(), head)))
            })
            .collect();
        let run = |scores: &mut Vec<f32>, (seen, block, head): &(&Seen, Range<usize>, usize)| {
            if block.len() < GEMM_FROM {
                self.few(q, seen, block, *head, scores, shared);
            } else {
                self.many(q, seen, block, *head, scores, shared);
            }
        };
        if self.serial() {
            let mut scores = Vec::new();
            tasks.iter().for_each(|task| run(&mut scores, task));
        } else {
            thread_local! {
                static SCORES: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
            }
            pool::parallel(tasks.len(), |task| SCORES.with_borrow_mut(|scores| run(scores, &tasks[task])));
        }
        out
    }

    /// Dot products, query by query: each key is read once for the heads that share it.
    fn few(&self, q: &[f32], seen: &Seen, block: &Range<usize>, head: usize, scores: &mut Vec<f32>, out: SharedBuffer) {
        let Heads { d, .. } = self.heads;
        let (group, kv_row) = (self.heads.group(), self.heads.kv_row());
        for i in block.clone() {
            let keys = self.visible_to(seen, i);
            let n = keys.len();
            scores.resize(group * n, 0.0);
            let at = (seen.start + i) * self.heads.q_row() + head * group * d;
            let queries = &q[at..at + group * d];
            let pieces = seen.pieces(&keys);
            for piece in &pieces {
                let keys = &piece.run.k[piece.rows.start * kv_row + head * d..];
                float::scores(queries, d, keys, kv_row, piece.rows.len(), scores, n, piece.column);
            }
            for row in scores.chunks_exact_mut(n) {
                self.softmax(row);
            }
            // SAFETY: this task alone writes these heads of this token.
            let out = unsafe { out.slice(at, group * d) };
            for piece in &pieces {
                let values = &piece.run.v[piece.rows.start * kv_row + head * d..];
                float::attend_values(out, d, values, kv_row, piece.rows.len(), scores, n, piece.column);
            }
        }
    }

    /// A block of queries at once through gemm, head by head.
    fn many(
        &self,
        q: &[f32],
        seen: &Seen,
        block: &Range<usize>,
        head: usize,
        scores: &mut Vec<f32>,
        out: SharedBuffer,
    ) {
        let Heads { d, .. } = self.heads;
        let keys = seen.visible(block, self.attend);
        let pieces = seen.pieces(&keys);
        let (rows, n) = (block.len(), keys.len());
        scores.resize(rows * n, 0.0);
        for g in 0..self.heads.group() {
            let at = (seen.start + block.start) * self.heads.q_row() + (head * self.heads.group() + g) * d;
            self.products(&q[at..], rows, n, &pieces, head, scores);
            self.normalize(seen, block, &keys, scores);
            let mut keep = 0.0;
            for piece in &pieces {
                let p = View::new(&scores[piece.column..], n);
                // SAFETY: this task alone writes this head of these tokens.
                unsafe {
                    let shape = (rows, piece.rows.len(), d);
                    let v = self.rows_of(piece.run.v, piece, head);
                    gemm_into(out.at(at), self.heads.q_row(), shape, keep, 1.0, p, v, Parallelism::None);
                }
                keep = 1.0;
            }
        }
    }

    /// scores (rows, n) = the raw products q kᵀ of a block of queries of one head.
    fn products(&self, q: &[f32], rows: usize, n: usize, pieces: &[Piece], head: usize, scores: &mut [f32]) {
        assert_eq!(scores.len(), rows * n, "the score buffer must have the block's shape");
        for piece in pieces {
            let q = View::new(q, self.heads.q_row());
            let k = self.rows_of(piece.run.k, piece, head).t();
            let shape = (rows, self.heads.d, piece.rows.len());
            let dst = scores.as_mut_ptr().wrapping_add(piece.column);
            // SAFETY: scores has rows of n floats, and the piece's columns are inside them.
            unsafe { gemm_into(dst, n, shape, 0.0, 1.0, q, k, Parallelism::None) };
        }
    }

    /// Raw products to probabilities, zero where a key is not seen.
    fn normalize(&self, seen: &Seen, block: &Range<usize>, keys: &Range<usize>, scores: &mut [f32]) {
        for (row, i) in scores.chunks_exact_mut(keys.len()).zip(block.clone()) {
            let columns = columns(seen.before + i, keys, self.attend);
            row[..columns.start].fill(0.0);
            row[columns.end..].fill(0.0);
            self.softmax(&mut row[columns]);
        }
    }

    fn visible_to(&self, seen: &Seen, i: usize) -> Range<usize> {
        seen.visible(&(i..i + 1), self.attend)
    }

    /// The rows of a piece, one head of them.
    fn rows_of<'d>(&self, data: &'d [f32], piece: &Piece, head: usize) -> View<'d> {
        let row = self.heads.kv_row();
        View::new(&data[piece.rows.start * row + head * self.heads.d..], row)
    }

    /// Raw products q·k to probabilities, in place.
    fn softmax(&self, row: &mut [f32]) {
        float::softmax(row, self.attend.scale, self.attend.softcap);
    }
}

fn blocks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(BLOCK).map(move |i| i..(i + BLOCK).min(len))
}

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

#[derive(Default)]
struct Scratch {
    p: Vec<f32>,
    dp: Vec<f32>,
    slope: Vec<f32>,
}

impl Attention<'_> {
    /// Gives the gradients of q, k and v; not of the pasts.
    ///
    /// With p = softmax(s), s = scale q kᵀ:  dv = pᵀ dout,  dp = dout vᵀ,  ds = p (dp - Σ dout·out),
    /// dq = scale ds k,  dk = scale dsᵀ q; a soft-cap multiplies ds by 1 - (capped / cap)².
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
        let (rows, n) = (block.len(), keys.len());
        scratch.p.resize(rows * n, 0.0);
        scratch.dp.resize(rows * n, 0.0);
        for g in 0..self.heads.group() {
            let at = (seen.start + block.start) * q_row + (head * self.heads.group() + g) * d;
            let (q, dout) = (View::new(&up.q[at..], q_row), View::new(&up.dout[at..], q_row));
            self.products(&up.q[at..], rows, n, &pieces, head, &mut scratch.p);
            if let Some(cap) = self.attend.softcap {
                let slope = |s: &f32| 1.0 - (s * self.attend.scale / cap).tanh().powi(2);
                scratch.slope.clear();
                scratch.slope.extend(scratch.p.iter().map(slope));
            }
            self.normalize(seen, block, &keys, &mut scratch.p);
            for piece in &pieces {
                let v = self.rows_of(piece.run.v, piece, head).t();
                let shape = (rows, d, piece.rows.len());
                let dp = scratch.dp.as_mut_ptr().wrapping_add(piece.column);
                // SAFETY: dp has rows of n floats, and the piece's columns are inside them.
                unsafe { gemm_into(dp, n, shape, 0.0, 1.0, dout, v, Parallelism::None) };
                if let Some(token) = piece.run.token {
                    let dv = sinks.v.at((token + piece.rows.start) * kv_row + head * d);
                    let p = View::new(&scratch.p[piece.column..], n).t();
                    // SAFETY: this task alone writes this head of this tree's tokens.
                    unsafe { gemm_into(dv, kv_row, (piece.rows.len(), rows, d), 1.0, 1.0, p, dout, Parallelism::None) };
                }
            }
            self.scores_backward(up, at, n, scratch);
            let mut keep = 0.0;
            for piece in &pieces {
                let ds = View::new(&scratch.dp[piece.column..], n);
                let k = self.rows_of(piece.run.k, piece, head);
                let shape = (rows, piece.rows.len(), d);
                // SAFETY: as above.
                unsafe { gemm_into(sinks.q.at(at), q_row, shape, keep, 1.0, ds, k, Parallelism::None) };
                keep = 1.0;
                if let Some(token) = piece.run.token {
                    let dk = sinks.k.at((token + piece.rows.start) * kv_row + head * d);
                    // SAFETY: as above.
                    unsafe {
                        gemm_into(dk, kv_row, (piece.rows.len(), rows, d), 1.0, 1.0, ds.t(), q, Parallelism::None)
                    };
                }
            }
        }
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
