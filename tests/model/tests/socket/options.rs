//! Who is told what became of numbered messages: nobody here.

use std::ops::Range;

#[derive(Debug)]
pub(crate) struct Settler;

impl Settler {
    pub(crate) fn settle(&self, _: Range<u64>) {}
}
