//! A configuration file of the oslo dialect. See the function of this name in the library.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::ini);
