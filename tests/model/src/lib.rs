//! Tests only: see `tests/outbound.rs`.
