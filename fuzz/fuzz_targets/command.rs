//! The body of a command frame. See the function of this name in the library.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::command);
