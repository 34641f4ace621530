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
//! Few queries (decoding) go tile by tile of keys (`kv`), each read once for all heads that share it, and parts of a long
//! past go to several threads, whose sums are put together afterwards (flash decoding: Dao et al. 2023); many (prefill,
//! training) go in blocks of queries through gemm. The backward pass computes the probabilities again rather than keeping
//! them (as FlashAttention does: Dao et al. 2022, arXiv:2205.14135).

mod backward;

pub use backward::{Gradients, Upstream};

use crate::float;
use crate::gemm::{View, gemm_into};
use crate::kv::{KeyValues, TILE, for_tiles};
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

/// Cached keys and values of a sequence's earlier tokens, rotated already.
#[derive(Clone, Copy, Debug)]
pub struct Past<'a> {
    /// The keys and values.
    pub kv: &'a KeyValues,
    /// Tokens that count.
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
    /// A query at position i sees key j only when i - window < j, and j < i + window where it sees what follows.
    pub window: Option<usize>,
    /// Scores become cap · tanh(score / cap) (Gemma 2).
    pub softcap: Option<f32>,
    /// A score for each head of queries that takes its share and gives no value, so that a head may attend to nothing
    /// (gpt-oss; Xiao et al. 2023, arXiv:2309.17453, learn such sinks as tokens).
    pub sinks: Option<Arc<[f32]>>,
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
/// Keys that a query's head takes at once; parts of so many may go to different threads. Results depend on it, not on how
/// many threads there are.
const PART: usize = 8 * TILE;
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
    source: Source<'a>,
    len: usize,
}

/// Where keys and values are.
#[derive(Clone, Copy, Debug)]
enum Source<'a> {
    /// Of this batch, (.., kv heads, d), beginning with this token: where their gradient goes.
    Batch { k: &'a [f32], v: &'a [f32], token: usize },
    /// Kept from earlier passes.
    Past(&'a KeyValues),
}

impl Source<'_> {
    fn token(&self) -> Option<usize> {
        match self {
            Source::Batch { token, .. } => Some(*token),
            Source::Past(_) => None,
        }
    }
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

/// A piece as gemm reads it, one head of it.
struct KeySide<'a> {
    /// (len, d)
    k: View<'a>,
    /// (len, d)
    v: View<'a>,
    len: usize,
    column: usize,
    /// Its first token in the batch, if it is of the batch.
    token: Option<usize>,
}

/// What one thread does at once: some queries of a span, for the heads that share a kv head.
struct Task<'s, 'a> {
    seen: &'s Seen<'a>,
    head: usize,
    block: Range<usize>,
    /// The keys, by position: all that the block sees, or a part of them.
    keys: Range<usize>,
    /// Where the sums of the first of the block's queries go, and of each next one so many further on; straight into the
    /// output where there is one part of keys.
    sums: Option<(usize, usize)>,
}

/// Parts of keys whose sums are put together: from the first on so many, to what stands in the output at `at`.
struct Merge {
    at: usize,
    first: usize,
    count: usize,
}

impl<'a> Seen<'a> {
    /// The positions of the keys that queries `block` (rows of this span) may see at all.
    fn visible(&self, block: &Range<usize>, attend: &Attend) -> Range<usize> {
        let (first, end, all) = (self.before + block.start, self.before + block.end, self.before + self.len);
        let from = attend.window.map_or(0, |w| (first + 1).saturating_sub(w));
        match attend.causal {
            true => from..end,
            false => from..attend.window.map_or(all, |w| (end - 1).saturating_add(w).min(all)),
        }
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
    let from = attend.window.map_or(0, |w| (i + 1).saturating_sub(w)).max(keys.start);
    let to = match (attend.causal, attend.window) {
        (true, _) => i + 1,
        (false, Some(w)) => i.saturating_add(w).min(keys.end),
        (false, None) => keys.end,
    };
    from - keys.start..to - keys.start
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
        let fits = |p: &Past| p.len <= p.kv.room() && p.kv.shape() == (heads.hkv, heads.d);
        assert!(pasts.iter().all(fits), "a past has the rows that it says");
        let backward = |(i, span): (usize, &Span)| span.parent.is_none_or(|parent| parent < i);
        assert!(attend.spans.iter().enumerate().all(backward), "spans refer backward");
        let sinks = attend.sinks.as_ref().is_none_or(|sinks| sinks.len() == heads.h);
        assert!(sinks, "there is a sink for each head of queries");
        let seen = |i: usize| {
            let chain = attend.chain(i);
            let past = attend.spans[chain[0]].past.map(|p| pasts[p]);
            let past = past.map(|Past { kv, len }| KeyRun { source: Source::Past(kv), len });
            let own = chain.iter().map(|&link| {
                let (from, len) = (starts[link], attend.spans[link].len);
                let range = from * row..(from + len) * row;
                KeyRun { source: Source::Batch { k: &k[range.clone()], v: &v[range], token: from }, len }
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
        let (tasks, merges) = self.tasks();
        let mut sums = vec![0f32; merges.iter().map(|merge| merge.count).sum::<usize>() * self.sums_len()];
        let (shared, shared_sums) = (SharedBuffer(out.as_mut_ptr()), SharedBuffer(sums.as_mut_ptr()));
        let run = |scratch: &mut Scratch, task: &Task| match task.block.len() < GEMM_FROM {
            true => self.few(q, task, scratch, [shared, shared_sums]),
            false => self.many(q, task, scratch, shared),
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
        let (d, group, len) = (self.heads.d, self.heads.group(), self.sums_len());
        for Merge { at, first, count } in merges {
            let sinks = self.sinks(at % self.heads.q_row() / (group * d));
            let parts = &sums[first * len..(first + count) * len];
            float::merge_parts(parts, group, d, sinks, &mut out[at..at + group * d]);
        }
        out
    }

    /// The sinks of the heads that share a kv head; none where there are none.
    fn sinks(&self, head: usize) -> &[f32] {
        let group = self.heads.group();
        self.attend.sinks.as_deref().map_or(&[], |sinks| &sinks[head * group..(head + 1) * group])
    }

    /// What there is to do, piece by piece, and what is to be put together afterwards.
    fn tasks(&self) -> (Vec<Task<'_, 'a>>, Vec<Merge>) {
        let (mut tasks, mut merges, mut sums) = (Vec::new(), Vec::new(), 0);
        for (seen, block) in self.spans.iter().flat_map(|seen| blocks(seen.len).map(move |block| (seen, block))) {
            let keys = seen.visible(&block, self.attend);
            let parts = keys.start / PART..keys.end.div_ceil(PART);
            for head in 0..self.heads.hkv {
                if block.len() >= GEMM_FROM || parts.len() == 1 {
                    tasks.push(Task { seen, head, block: block.clone(), keys: keys.clone(), sums: None });
                    continue;
                }
                for part in parts.clone() {
                    let keys = keys.start.max(part * PART)..keys.end.min((part + 1) * PART);
                    let own = Some((sums + part - parts.start, parts.len()));
                    tasks.push(Task { seen, head, block: block.clone(), keys, sums: own });
                }
                for query in block.clone() {
                    merges.push(Merge { at: self.place(seen, query, head), first: sums, count: parts.len() });
                    sums += parts.len();
                }
            }
        }
        (tasks, merges)
    }

    /// Floats that a part of keys gives for a query: of each head of the group the largest score, the sum of exponentials,
    /// and the output before it is divided by that.
    fn sums_len(&self) -> usize {
        self.heads.group() * (2 + self.heads.d)
    }

    /// Where the group of one kv head begins in the row of a query.
    fn place(&self, seen: &Seen, query: usize, head: usize) -> usize {
        (seen.start + query) * self.heads.q_row() + head * self.heads.group() * self.heads.d
    }

    /// A few queries over some of their keys, tile by tile: each key is read once for all of them. A key's score is summed
    /// in the same order whether it is of this batch or of a past, and so are the values.
    fn few(&self, q: &[f32], task: &Task, scratch: &mut Scratch, [out, sums]: [SharedBuffer; 2]) {
        let (d, group, n) = (self.heads.d, self.heads.group(), task.keys.len());
        let pieces = task.seen.pieces(&task.keys);
        scratch.p.resize(task.block.len() * group * n, 0.0);
        pieces.iter().for_each(|piece| self.piece_scores(q, task, piece, scratch));
        for (nth, query) in task.block.clone().enumerate() {
            let (visible, first) = (task.seen.visible(&(query..query + 1), self.attend), task.keys.start);
            let from = visible.start.max(first);
            let columns = from - first..visible.end.min(task.keys.end).max(from) - first;
            let at = self.place(task.seen, query, task.head);
            // the largest scores, then the sums; a part that this query sees nothing of weighs nothing
            let mut own = std::mem::take(&mut scratch.own);
            own.clear();
            own.resize(group, f32::NEG_INFINITY);
            own.resize(2 * group, 0.0);
            for g in (0..group).filter(|_| !columns.is_empty()) {
                let row = &mut scratch.p[(nth * group + g) * n..][..n][columns.clone()];
                (own[g], own[group + g]) = float::exponentials(row, self.attend.scale, self.attend.softcap);
            }
            match task.sums {
                None => {
                    // SAFETY: this task alone writes these heads of this token.
                    let out = unsafe { out.slice(at, group * d) };
                    pieces.iter().for_each(|piece| self.piece_values(out, task, piece, (nth, &columns), scratch));
                    let sinks = self.sinks(task.head);
                    for (g, out) in out.chunks_exact_mut(d).enumerate() {
                        let sink = sinks.get(g).map_or(0.0, |sink| float::exp(sink - own[g]));
                        let share = 1.0 / (own[group + g] + sink);
                        out.iter_mut().for_each(|x| *x *= share);
                    }
                }
                Some((first, parts)) => {
                    // SAFETY: this task alone writes the sums of this part.
                    let sums = unsafe { sums.slice((first + nth * parts) * self.sums_len(), self.sums_len()) };
                    sums[..2 * group].copy_from_slice(&own);
                    let out = &mut sums[2 * group..];
                    pieces.iter().for_each(|piece| self.piece_values(out, task, piece, (nth, &columns), scratch));
                }
            }
            scratch.own = own;
        }
    }

    /// The raw products of the block's queries with a piece's keys, into the piece's columns of (queries · group, n).
    fn piece_scores(&self, q: &[f32], task: &Task, piece: &Piece, scratch: &mut Scratch) {
        let (d, group, n) = (self.heads.d, self.heads.group(), task.keys.len());
        scratch.tile.resize(TILE * (d + group), 0.0);
        let (tile, sums) = scratch.tile.split_at_mut(TILE * d);
        let mut multiply = |tile: &[f32], lanes: Range<usize>, first: usize| {
            for (nth, query) in task.block.clone().enumerate() {
                let at = self.place(task.seen, query, task.head);
                float::tile_scores(&q[at..at + group * d], d, tile, sums);
                let rows = scratch.p[nth * group * n..].chunks_exact_mut(n);
                for (row, sums) in rows.zip(sums.as_chunks::<TILE>().0) {
                    row[piece.column + first..][..lanes.len()].copy_from_slice(&sums[lanes.clone()]);
                }
            }
        };
        match piece.run.source {
            Source::Past(kv) => for_tiles(piece.rows.clone(), |number, lanes, first| {
                kv.key_tile(task.head, number, tile);
                multiply(tile, lanes, first);
            }),
            Source::Batch { k, .. } => {
                let row = self.heads.kv_row();
                let keys = &k[piece.rows.start * row + task.head * d..];
                for first in (0..piece.rows.len()).step_by(TILE) {
                    let lanes = 0..TILE.min(piece.rows.len() - first);
                    for lane in lanes.clone() {
                        let key = &keys[(first + lane) * row..][..d];
                        tile.as_chunks_mut::<TILE>().0.iter_mut().zip(key).for_each(|(to, x)| to[lane] = *x);
                    }
                    multiply(tile, lanes, first);
                }
            }
        }
    }

    /// Adds a piece's values to out (group, d) by the exponentials of the block's `nth` query in the columns that it sees.
    fn piece_values(
        &self,
        out: &mut [f32],
        task: &Task,
        piece: &Piece,
        (nth, columns): (usize, &Range<usize>),
        scratch: &mut Scratch,
    ) {
        let (d, n, row) = (self.heads.d, task.keys.len(), self.heads.kv_row());
        let (from, to) = (columns.start.max(piece.column), columns.end.min(piece.column + piece.rows.len()));
        if from >= to {
            return;
        }
        let rows = piece.rows.start + from - piece.column..piece.rows.start + to - piece.column;
        let shares = &scratch.p[nth * self.heads.group() * n..];
        match piece.run.source {
            Source::Batch { v, .. } => {
                let values = &v[rows.start * row + task.head * d..];
                float::attend_values(out, d, values, row, rows.len(), shares, n, from);
            }
            Source::Past(kv) => for_tiles(rows, |number, lanes, first| {
                kv.value_tile(task.head, number, &mut scratch.tile);
                let values = &scratch.tile[lanes.start * d..];
                float::attend_values(out, d, values, d, lanes.len(), shares, n, from + first);
            }),
        }
    }

    /// A block of queries at once through gemm, head by head.
    fn many(&self, q: &[f32], task: &Task, scratch: &mut Scratch, out: SharedBuffer) {
        let Scratch { p: scores, kept, .. } = scratch;
        let (d, Task { seen, head, block, keys, .. }) = (self.heads.d, task);
        let pieces = seen.pieces(keys);
        let sides = self.sides(&pieces, *head, kept);
        let (rows, n) = (block.len(), keys.len());
        scores.resize(rows * n, 0.0);
        for g in 0..self.heads.group() {
            let at = self.place(seen, block.start, *head) + g * d;
            self.products(&q[at..], rows, n, &sides, scores);
            self.normalize(seen, block, keys, self.sinks(*head).get(g).copied(), scores);
            let mut keep = 0.0;
            for side in &sides {
                let p = View::new(&scores[side.column..], n);
                // SAFETY: this task alone writes this head of these tokens.
                unsafe {
                    let shape = (rows, side.len, d);
                    gemm_into(out.at(at), self.heads.q_row(), shape, keep, 1.0, p, side.v, Parallelism::None);
                }
                keep = 1.0;
            }
        }
    }

    /// scores (rows, n) = the raw products q kᵀ of a block of queries of one head.
    fn products(&self, q: &[f32], rows: usize, n: usize, sides: &[KeySide], scores: &mut [f32]) {
        assert_eq!(scores.len(), rows * n, "the score buffer must have the block's shape");
        for side in sides {
            let q = View::new(q, self.heads.q_row());
            let shape = (rows, self.heads.d, side.len);
            let dst = scores.as_mut_ptr().wrapping_add(side.column);
            // SAFETY: scores has rows of n floats, and the side's columns are inside them.
            unsafe { gemm_into(dst, n, shape, 0.0, 1.0, q, side.k.t(), Parallelism::None) };
        }
    }

    /// The keys and values of pieces for gemm: of the batch where they lie, of a past (the first piece, if it is one)
    /// unpacked into `kept`.
    fn sides<'x>(&self, pieces: &[Piece<'x, '_>], head: usize, kept: &'x mut Kept) -> Vec<KeySide<'x>> {
        let (d, row) = (self.heads.d, self.heads.kv_row());
        if let Some((Source::Past(kv), rows)) = pieces.first().map(|piece| (piece.run.source, &piece.rows)) {
            kv.key_tiles(head, rows.start / TILE..rows.end.div_ceil(TILE), &mut kept.k);
            kv.value_tiles(head, rows.start / TILE..rows.end.div_ceil(TILE), &mut kept.v);
        }
        let kept = &*kept;
        let side = |piece: &Piece<'x, '_>| {
            let (from, len) = (piece.rows.start, piece.rows.len());
            let (k, v) = match piece.run.source {
                Source::Batch { k, v, .. } => {
                    let first = from * row + head * d;
                    (View::new(&k[first..], row), View::new(&v[first..], row))
                }
                Source::Past(_) => {
                    let width = kept.k.len() / d;
                    (View::new(&kept.k[from % TILE..], width).t(), View::new(&kept.v[from % TILE * d..], d))
                }
            };
            KeySide { k, v, len, column: piece.column, token: piece.run.source.token().map(|token| token + from) }
        };
        pieces.iter().map(side).collect()
    }

    /// Raw products to probabilities, zero where a key is not seen.
    fn normalize(&self, seen: &Seen, block: &Range<usize>, keys: &Range<usize>, sink: Option<f32>, scores: &mut [f32]) {
        for (row, i) in scores.chunks_exact_mut(keys.len()).zip(block.clone()) {
            let columns = columns(seen.before + i, keys, self.attend);
            row[..columns.start].fill(0.0);
            row[columns.end..].fill(0.0);
            float::softmax_beside(&mut row[columns], self.attend.scale, self.attend.softcap, sink);
        }
    }
}

fn blocks(len: usize) -> impl Iterator<Item = Range<usize>> {
    (0..len).step_by(BLOCK).map(move |i| i..(i + BLOCK).min(len))
}

/// What one thread needs for its task.
#[derive(Default)]
struct Scratch {
    /// Scores, then shares.
    p: Vec<f32>,
    dp: Vec<f32>,
    slope: Vec<f32>,
    /// Of each head of a group the largest score, then the sum of exponentials.
    own: Vec<f32>,
    tile: Vec<f32>,
    kept: Kept,
}

/// A past of one head, unpacked for gemm.
#[derive(Default)]
struct Kept {
    /// (d, tokens)
    k: Vec<f32>,
    /// (tokens, d)
    v: Vec<f32>,
}
