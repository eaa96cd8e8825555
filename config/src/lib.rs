//! Configuration as OpenStack services have it: the INI dialect and option rules of
//! `oslo.config`, so that programs of this project read the files that nova and cinder read.
//!
//! A program declares its options as [`Opt`] constants, gathers its sources in a [`Config`]
//! (files in order, environment, flags), and asks for values. Each value comes with its
//! [`Origin`]; each error names the file and line, the option, and what would be right.
//!
//! ```no_run
//! use std::path::Path;
//! use oslo_config::{Config, Declaration, Opt, config_files, default_files, load};
//!
//! const DEBUG: Opt<bool> = Opt::new("debug", "log more").or("false");
//! const DECLARED: &[Declaration] = &[*DEBUG.declaration()];
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let mut config = Config::new(DECLARED);
//! let home = std::env::var_os("HOME");
//! let defaults = default_files("oslo", "demo", home.as_deref().map(Path::new));
//! for file in config_files(&[], defaults)? {
//!     config.push(load(&file)?);
//! }
//! config.set_environment(std::env::vars_os());
//! let debug = config.require(&DEBUG)?;
//! println!("debug = {} ({})", debug.value, debug.origin);
//! # Ok(())
//! # }
//! ```
//!
//! Options in a file that nobody declared are none of our business and pass in silence: the
//! files belong to other programs as well. The dialect itself is described in the module that
//! parses it and held to cases captured from the original library.
//!
//! The files in reading order, lowest first, each using only those before it: `origin`, `option`,
//! `error`, `ini`, `load`, `interpolation`, `sources`, `config`.
//!
//! Not here: writing files, watching them, subcommands, and the command line.

mod origin;
mod option;
mod error;
mod ini;
mod load;
mod interpolation;
mod sources;
mod config;

pub use config::Config;
pub use error::{ValueError, ValueFault};
pub use ini::{Assignment, Fault, File, ParseError, parse};
pub use load::{LoadError, Source, config_files, default_files, load};
pub use option::{Declaration, Malformed, MultiStr, Opt, OptType};
pub use origin::{Origin, Setting};
