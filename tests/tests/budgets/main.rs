//! What the work may cost at most, in figures that a busy machine does not change: instructions, calls of the system,
//! allocations, memory and wakes, and never time.
//!
//! Reading order: [`work`] (a run of the program that does the work, counted), and the budgets: [`traffic`] (what a message costs), [`memory`] (what is held), [`idle`] (what nothing costs).
//!
//! Each budget stands beside what was measured when it was set, and leaves 10 to 15 % for other compilers, processors
//! and kernels. Work that comes to cost more breaks it: make it cheaper again, or say in the change why it is worth more
//! and set the budget anew. Work that comes to cost less is a reason to lower it. All figures are printed:
//! `cargo test -p tests --test budgets -- --nocapture`.

mod work;
mod traffic;
mod memory;
mod idle;
