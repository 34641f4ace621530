//! Plain floats: each weight for itself, only narrower.

pub fn f32(row: &[f32], out: &mut [u8]) {
    for (x, bytes) in row.iter().zip(out.as_chunks_mut().0) {
        *bytes = x.to_le_bytes();
    }
}

pub fn f16(row: &[f32], out: &mut [u8]) {
    for (x, bytes) in row.iter().zip(out.as_chunks_mut().0) {
        *bytes = half::f16::from_f32(*x).to_le_bytes();
    }
}

pub fn bf16(row: &[f32], out: &mut [u8]) {
    for (x, bytes) in row.iter().zip(out.as_chunks_mut().0) {
        *bytes = half::bf16::from_f32(*x).to_le_bytes();
    }
}
