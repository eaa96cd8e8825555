//! The first octets of a stream. See the function of this name in the library.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::greeting);
