//! The property list of READY. See the function of this name in the library.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::metadata);
