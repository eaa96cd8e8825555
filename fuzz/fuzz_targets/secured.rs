//! Somebody between a client and a server of PLAIN or CURVE. See the function of this name in the library.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::secured);
