//! aarch64: the scalar loops, which the compiler makes vectors of by itself.

pub(crate) use super::scalar::Scalar as Neon;
