//! Two connections and a list of things to do with them. See the function of this name in the library.

#![cfg_attr(fuzzing, no_main)]

fuzz::target!(fuzz::pair);
