//! Tests only: see `tests/outbound.rs` and `tests/inbound.rs`.
