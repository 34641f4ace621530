//! The keys and values of a sequence's earlier tokens as they are kept between passes: as floats, or in fewer bits.
//!
//! Of each head sixteen tokens make a tile. A tile's keys lie number by number, (d, 16): a query's scores with sixteen
//! keys are then sums in sixteen lanes, without a sum across lanes. Its values lie token by token, (16, d), as they are
//! added up. Whatever the type, attention gets a tile as floats, unpacked in first-level cache.

use std::fmt;
use std::ops::Range;

use half::f16;

use crate::float;

/// Tokens of a tile.
pub(crate) const TILE: usize = 16;
/// Numbers that share a scale, in types that have scales.
const GROUP: usize = 32;
/// The least room made at a time, in tokens.
const SMALLEST: usize = 64;

/// How the numbers of keys and values are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum KvType {
    /// As they are computed.
    F32,
    /// In half precision, which is llama.cpp's default too.
    #[default]
    F16,
    /// In eight bits and a scale for each 32 numbers of a head: ggml's Q8_0.
    Q8_0,
    /// In four bits and a scale for each 32 numbers of a head: ggml's Q4_0.
    Q4_0,
}

impl KvType {
    /// All of them.
    pub const ALL: [KvType; 4] = [KvType::F32, KvType::F16, KvType::Q8_0, KvType::Q4_0];

    /// Its name, as llama.cpp's `--cache-type-k` spells it.
    pub fn name(self) -> &'static str {
        match self {
            KvType::F32 => "f32",
            KvType::F16 => "f16",
            KvType::Q8_0 => "q8_0",
            KvType::Q4_0 => "q4_0",
        }
    }

    /// Bytes that `count` heads of `d` numbers take.
    pub fn bytes(self, count: usize, d: usize) -> usize {
        count * self.scales(d) * size_of::<f16>() + count * self.code_bytes(d)
    }

    fn scales(self, d: usize) -> usize {
        match self {
            KvType::F32 | KvType::F16 => 0,
            KvType::Q8_0 | KvType::Q4_0 => d.div_ceil(GROUP),
        }
    }

    fn code_bytes(self, d: usize) -> usize {
        match self {
            KvType::F32 => 4 * d,
            KvType::F16 => 2 * d,
            KvType::Q8_0 => d,
            KvType::Q4_0 => d.div_ceil(2),
        }
    }

    /// Makes rows of heads, each of `d` numbers, what comes back once they are kept, so that a token sees the same numbers
    /// in the pass that it comes with and in every later one.
    pub fn round(self, heads: &mut [f32], d: usize) {
        match self {
            KvType::F32 => {}
            KvType::F16 => float::round_to_halves(heads),
            KvType::Q8_0 | KvType::Q4_0 => {
                for group in heads.chunks_exact_mut(d).flat_map(|head| head.chunks_mut(GROUP)) {
                    let scale = self.scale(group);
                    group.iter_mut().for_each(|x| *x = scale.to_f32() * self.level(*x, scale.to_f32()) as f32);
                }
            }
        }
    }

    /// The scale of a group, as ggml takes it: the largest magnitude is the last level.
    fn scale(self, group: &[f32]) -> f16 {
        let largest = group.iter().copied().fold(0f32, |most, x| if x.abs() > most.abs() { x } else { most });
        float::half_of(match self {
            KvType::Q8_0 => largest.abs() / 127.0,
            _ => largest / -8.0,
        })
    }

    /// The level next to a number.
    fn level(self, x: f32, scale: f32) -> i32 {
        let levels = if self == KvType::Q8_0 { -127..=127 } else { -8..=7 };
        let level = if scale == 0.0 { 0.0 } else { (x / scale).round() };
        (level as i32).clamp(*levels.start(), *levels.end())
    }
}

impl fmt::Display for KvType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The keys and values of one layer and sequence, in room for so many tokens; which of them count, the caller knows.
#[derive(Debug, Clone)]
pub struct KeyValues {
    ty: KvType,
    heads: usize,
    d: usize,
    /// Tokens there is room for, a multiple of `TILE`.
    room: usize,
    keys: Plane,
    values: Plane,
}

/// The keys, or the values: of each head its tiles, one after the other.
#[derive(Debug, Clone)]
enum Plane {
    Floats(Vec<f32>),
    Halves(Vec<f16>),
    Blocks {
        /// (heads, tiles, GROUPs of d, 16)
        scales: Vec<f16>,
        codes: Vec<u8>,
    },
}

/// How the numbers of a tile lie.
#[derive(Clone, Copy)]
enum Order {
    /// (d, 16)
    ByNumber,
    /// (16, d)
    ByToken,
}

impl KeyValues {
    /// Makes room for nothing yet.
    pub fn new(ty: KvType, heads: usize, d: usize) -> KeyValues {
        let (keys, values) = (Plane::of(ty, 0, d), Plane::of(ty, 0, d));
        KeyValues { ty, heads, d, room: 0, keys, values }
    }

    /// How it keeps numbers.
    pub fn kv_type(&self) -> KvType {
        self.ty
    }

    /// How many heads of how many numbers a token has.
    pub fn shape(&self) -> (usize, usize) {
        (self.heads, self.d)
    }

    /// Tokens that there is room for.
    pub fn room(&self) -> usize {
        self.room
    }

    /// Bytes taken, whether filled or not.
    pub fn bytes(&self) -> usize {
        2 * self.ty.bytes(self.heads * self.room, self.d)
    }

    /// Makes room for `needed` tokens; the first `len` stay.
    pub fn reserve(&mut self, len: usize, needed: usize) {
        if needed <= self.room {
            return;
        }
        // a quarter more at a time: doubled, a long sequence would have room for as much again that it never needs
        let room = needed.max(self.room + (self.room / 4).max(SMALLEST)).next_multiple_of(TILE);
        let (before, after, kept) = (self.room / TILE, room / TILE, len.div_ceil(TILE));
        for plane in [&mut self.keys, &mut self.values] {
            let grown = Plane::of(self.ty, self.heads * after, self.d);
            let old = std::mem::replace(plane, grown);
            for head in 0..self.heads {
                plane.copy(head * after, &old, head * before, kept, self.d);
            }
        }
        self.room = room;
    }

    /// Writes keys and values, (tokens, heads, d) each, from token `at` on.
    ///
    /// # Panics
    /// Where there is no room for them: `reserve` comes first.
    pub fn write(&mut self, at: usize, k: &[f32], v: &[f32]) {
        let row = self.heads * self.d;
        assert!(k.len() == v.len() && k.len().is_multiple_of(row.max(1)), "keys and values come in whole rows");
        assert!(at + k.len() / row.max(1) <= self.room, "reserve comes before write");
        let (ty, d, tiles) = (self.ty, self.d, self.room / TILE);
        for (plane, rows, order) in [(&mut self.keys, k, Order::ByNumber), (&mut self.values, v, Order::ByToken)] {
            for (i, heads) in rows.chunks_exact(row).enumerate() {
                let (tile, lane) = ((at + i) / TILE, (at + i) % TILE);
                for (head, numbers) in heads.chunks_exact(d).enumerate() {
                    plane.put(ty, head * tiles + tile, lane, numbers, order);
                }
            }
        }
    }

    /// Copies the first `len` tokens of another, which may keep them in another type.
    ///
    /// # Panics
    /// Where heads differ, or there is no room.
    pub fn copy_from(&mut self, other: &KeyValues, len: usize) {
        assert!(self.shape() == other.shape() && len <= self.room.min(other.room), "there is room for such heads");
        if self.ty == other.ty {
            let (own, theirs) = (self.room / TILE, other.room / TILE);
            for (plane, from) in [(&mut self.keys, &other.keys), (&mut self.values, &other.values)] {
                for head in 0..self.heads {
                    plane.copy(head * own, from, head * theirs, len.div_ceil(TILE), self.d);
                }
            }
            return;
        }
        let (keys, values) = other.rows(len);
        self.write(0, &keys, &values);
    }

    /// Gives the first `len` tokens' keys and values, (len, heads, d) each.
    pub fn rows(&self, len: usize) -> (Vec<f32>, Vec<f32>) {
        let (heads, d, tiles) = (self.heads, self.d, len.div_ceil(TILE));
        let (mut keys, mut values) = (vec![0.0; len * heads * d], vec![0.0; len * heads * d]);
        let (mut of_keys, mut of_values) = (Vec::new(), Vec::new());
        for head in 0..heads {
            self.key_tiles(head, 0..tiles, &mut of_keys);
            self.value_tiles(head, 0..tiles, &mut of_values);
            for token in 0..len {
                let at = (token * heads + head) * d;
                (0..d).for_each(|j| keys[at + j] = of_keys[j * tiles * TILE + token]);
                values[at..at + d].copy_from_slice(&of_values[token * d..][..d]);
            }
        }
        (keys, values)
    }

    /// Unpacks the keys of a tile, (d, 16).
    pub(crate) fn key_tile(&self, head: usize, tile: usize, out: &mut [f32]) {
        self.keys.tile(self.ty, head * (self.room / TILE) + tile, self.d, Order::ByNumber, out);
    }

    /// Unpacks the values of a tile, (16, d).
    pub(crate) fn value_tile(&self, head: usize, tile: usize, out: &mut [f32]) {
        self.values.tile(self.ty, head * (self.room / TILE) + tile, self.d, Order::ByToken, out);
    }

    /// Unpacks the keys of some tiles beside each other, (d, 16 · tiles).
    pub(crate) fn key_tiles(&self, head: usize, tiles: Range<usize>, out: &mut Vec<f32>) {
        let width = tiles.len() * TILE;
        out.resize(self.d * width, 0.0);
        let mut unpacked = vec![0.0; self.d * TILE];
        for (i, tile) in tiles.enumerate() {
            self.key_tile(head, tile, &mut unpacked);
            for (row, numbers) in out.chunks_exact_mut(width).zip(unpacked.as_chunks::<TILE>().0) {
                row[i * TILE..][..TILE].copy_from_slice(numbers);
            }
        }
    }

    /// Unpacks the values of some tiles below each other, (16 · tiles, d).
    pub(crate) fn value_tiles(&self, head: usize, tiles: Range<usize>, out: &mut Vec<f32>) {
        out.resize(tiles.len() * TILE * self.d, 0.0);
        for (tile, own) in tiles.zip(out.chunks_exact_mut(TILE * self.d)) {
            self.value_tile(head, tile, own);
        }
    }
}

/// Cuts a run of tokens by tiles: of each the tile, which of its lanes, and where its first token stands in the run.
pub(crate) fn for_tiles(tokens: Range<usize>, mut each: impl FnMut(usize, Range<usize>, usize)) {
    let mut at = tokens.start;
    while at < tokens.end {
        let (tile, from) = (at / TILE, at % TILE);
        let to = TILE.min(from + tokens.end - at);
        each(tile, from..to, at - tokens.start);
        at += to - from;
    }
}

impl Plane {
    /// Zeros of so many tiles.
    fn of(ty: KvType, tiles: usize, d: usize) -> Plane {
        let numbers = tiles * TILE * d;
        match ty {
            KvType::F32 => Plane::Floats(vec![0.0; numbers]),
            KvType::F16 => Plane::Halves(vec![f16::ZERO; numbers]),
            KvType::Q8_0 | KvType::Q4_0 => Plane::Blocks {
                scales: vec![f16::ZERO; tiles * TILE * ty.scales(d)],
                codes: vec![0; tiles * TILE * ty.code_bytes(d)],
            },
        }
    }

    /// Copies `count` tiles of another plane of this type.
    fn copy(&mut self, to: usize, other: &Plane, from: usize, count: usize, d: usize) {
        fn tiles<T: Copy>(own: &mut [T], other: &[T], (to, from, count, size): (usize, usize, usize, usize)) {
            own[to * size..][..count * size].copy_from_slice(&other[from * size..][..count * size]);
        }
        match (self, other) {
            (Plane::Floats(own), Plane::Floats(other)) => tiles(own, other, (to, from, count, TILE * d)),
            (Plane::Halves(own), Plane::Halves(other)) => tiles(own, other, (to, from, count, TILE * d)),
            (Plane::Blocks { scales, codes }, Plane::Blocks { scales: other, codes: bytes }) => {
                let groups = d.div_ceil(GROUP);
                tiles(scales, other, (to, from, count, TILE * groups));
                // eight bits or four: of the codes there are as many for each scale
                let size = codes.len() / (scales.len() / (TILE * groups)).max(1);
                tiles(codes, bytes, (to, from, count, size));
            }
            _ => unreachable!("planes of one type"),
        }
    }

    /// Keeps a token's numbers of one head.
    fn put(&mut self, ty: KvType, tile: usize, lane: usize, numbers: &[f32], order: Order) {
        let d = numbers.len();
        let place = |j: usize, width: usize| match order {
            Order::ByNumber => j * TILE + lane,
            Order::ByToken => lane * width + j,
        };
        match self {
            Plane::Floats(all) => {
                let tile = &mut all[tile * TILE * d..][..TILE * d];
                numbers.iter().enumerate().for_each(|(j, x)| tile[place(j, d)] = *x);
            }
            Plane::Halves(all) => {
                let tile = &mut all[tile * TILE * d..][..TILE * d];
                match order {
                    Order::ByToken => float::halves_of(numbers, &mut tile[lane * d..][..d]),
                    Order::ByNumber => {
                        let rows = tile.as_chunks_mut::<TILE>().0;
                        for (numbers, rows) in numbers.chunks(TILE).zip(rows.chunks_mut(TILE)) {
                            let mut halves = [f16::ZERO; TILE];
                            float::halves_of(numbers, &mut halves[..numbers.len()]);
                            rows.iter_mut().zip(halves).for_each(|(row, half)| row[lane] = half);
                        }
                    }
                }
            }
            Plane::Blocks { scales, codes } => {
                let (groups, width) = (ty.scales(d), ty.code_bytes(d));
                let scales = &mut scales[tile * TILE * groups..][..TILE * groups];
                let codes = &mut codes[tile * TILE * width..][..TILE * width];
                if ty == KvType::Q4_0 {
                    (0..width).for_each(|byte| codes[place(byte, width)] = 0);
                }
                for (group, numbers) in numbers.chunks(GROUP).enumerate() {
                    let scale = ty.scale(numbers);
                    scales[place(group, groups)] = scale;
                    for (i, x) in numbers.iter().enumerate() {
                        let (level, j) = (ty.level(*x, scale.to_f32()), group * GROUP + i);
                        match ty {
                            KvType::Q8_0 => codes[place(j, width)] = level as i8 as u8,
                            _ => codes[place(j / 2, width)] |= ((level + 8) as u8) << (4 * (j % 2)),
                        }
                    }
                }
            }
        }
    }

    /// Unpacks a tile in its order.
    fn tile(&self, ty: KvType, tile: usize, d: usize, order: Order, out: &mut [f32]) {
        let out = &mut out[..TILE * d];
        match self {
            Plane::Floats(all) => out.copy_from_slice(&all[tile * TILE * d..][..TILE * d]),
            Plane::Halves(all) => {
                let (own, rest) = all[tile * TILE * d..].split_at(TILE * d);
                // the next tile is on its way while this one is multiplied
                float::ask_for(&rest[..rest.len().min(TILE * d)]);
                float::floats_of(own, out);
            }
            Plane::Blocks { scales, codes } => {
                let (groups, width) = (ty.scales(d), ty.code_bytes(d));
                let scales = &scales[tile * TILE * groups..][..TILE * groups];
                let codes = &codes[tile * TILE * width..][..TILE * width];
                match (ty, order) {
                    (KvType::Q8_0, Order::ByNumber) => by_number::<1>(codes, scales, out),
                    (KvType::Q8_0, Order::ByToken) => by_token::<1>(codes, scales, d, out),
                    (_, Order::ByNumber) => by_number::<2>(codes, scales, out),
                    (_, Order::ByToken) => by_token::<2>(codes, scales, d, out),
                }
            }
        }
    }
}

/// The number of a byte's `part`th code, without its scale; a byte has one code, or `CODES` = 2.
#[inline(always)]
fn code<const CODES: usize>(byte: u8, part: usize) -> f32 {
    match CODES {
        1 => f32::from(byte as i8),
        _ => f32::from(((byte >> (4 * part)) & 15) as i8 - 8),
    }
}

/// (d / CODES, 16) of bytes to (d, 16) of numbers, the scales of each 32 being sixteen too.
fn by_number<const CODES: usize>(codes: &[u8], scales: &[f16], out: &mut [f32]) {
    let mut factors = [0f32; TILE];
    for (j, row) in out.as_chunks_mut::<TILE>().0.iter_mut().enumerate() {
        if j % GROUP == 0 {
            float::floats_of(&scales[j / GROUP * TILE..][..TILE], &mut factors);
        }
        let codes = &codes[j / CODES * TILE..][..TILE];
        for ((x, byte), factor) in row.iter_mut().zip(codes).zip(&factors) {
            *x = factor * code::<CODES>(*byte, j % CODES);
        }
    }
}

/// (16, d / CODES) of bytes to (16, d) of numbers.
fn by_token<const CODES: usize>(codes: &[u8], scales: &[f16], d: usize, out: &mut [f32]) {
    let (width, groups) = (d.div_ceil(CODES), d.div_ceil(GROUP));
    for (lane, row) in out.chunks_exact_mut(d).enumerate() {
        let (codes, scales) = (&codes[lane * width..][..width], &scales[lane * groups..][..groups]);
        for (group, numbers) in row.chunks_mut(GROUP).enumerate() {
            let (factor, codes) = (scales[group].to_f32(), &codes[group * GROUP / CODES..]);
            for (pair, byte) in numbers.chunks_mut(CODES).zip(codes) {
                pair.iter_mut().enumerate().for_each(|(part, x)| *x = factor * code::<CODES>(*byte, part));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(count: usize, seed: u32) -> Vec<f32> {
        let mut state = seed;
        let next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        std::iter::repeat_with(next).take(count).collect()
    }

    /// Tokens written in pieces, over several growths, come back as `round` says.
    #[test]
    fn what_is_kept_comes_back_rounded() {
        for ty in KvType::ALL {
            for (heads, d) in [(3, 64), (1, 100), (2, 17), (2, 128)] {
                let (tokens, row) = (151, heads * d);
                let (mut k, mut v) = (noise(tokens * row, 1), noise(tokens * row, 2));
                let mut kept = KeyValues::new(ty, heads, d);
                for (at, len) in [(0, 7), (7, 60), (67, 1), (68, 83)] {
                    kept.reserve(at, at + len);
                    kept.write(at, &k[at * row..][..len * row], &v[at * row..][..len * row]);
                }
                ty.round(&mut k, d);
                ty.round(&mut v, d);
                assert_eq!(kept.rows(tokens), (k.clone(), v.clone()), "{ty} {heads} {d}");
                let (once, _) = (k.clone(), ty.round(&mut k, d));
                assert_eq!(once, k, "{ty}: rounding twice is rounding once");
                let mut copy = KeyValues::new(ty, heads, d);
                copy.reserve(0, 99);
                copy.copy_from(&kept, 99);
                assert_eq!(copy.rows(99).1, v[..99 * row], "{ty}");
            }
        }
    }

    #[test]
    fn fewer_bits_lose_more_and_take_less() {
        let x = noise(64 * 64, 3);
        let lost = |ty: KvType| {
            let mut y = x.clone();
            ty.round(&mut y, 64);
            x.iter().zip(&y).map(|(x, y)| (x - y).powi(2)).sum::<f32>()
        };
        let all = KvType::ALL.map(lost);
        assert!(all[0] == 0.0 && all.is_sorted(), "{all:?}");
        assert!(all[3] < 0.01 * x.iter().map(|x| x * x).sum::<f32>(), "{all:?}");
        assert_eq!(KvType::ALL.map(|ty| ty.bytes(2, 64)), [512, 256, 136, 72]);
    }

    #[test]
    fn what_half_precision_cannot_hold_stays_a_number() {
        let mut x = [1e6, -1e6, f32::INFINITY, 1e-9];
        KvType::F16.round(&mut x, 4);
        assert_eq!(x, [65504.0, -65504.0, 65504.0, 0.0]);
    }
}
