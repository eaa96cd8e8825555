//! Whether an executable is static: it names no interpreter and no shared library, so it starts on a bare kernel.

use object::Endianness;
use object::elf::{DT_NEEDED, FileHeader64, PT_INTERP};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

/// What ties an executable to its host, or makes it none of ours.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ElfError {
    #[error("it asks for the interpreter {0}")]
    Interpreter(String),
    #[error("it needs {0} shared libraries")]
    Libraries(usize),
    #[error("it is no 64-bit ELF executable: {0}")]
    Malformed(#[from] object::read::Error),
}

/// Checks the program headers of a 64-bit ELF file given as its bytes.
pub(crate) fn check_static(data: &[u8]) -> Result<(), ElfError> {
    let header = FileHeader64::<Endianness>::parse(data)?;
    let endian = header.endian()?;
    for segment in header.program_headers(endian, data)? {
        if segment.p_type(endian) == PT_INTERP {
            let path = segment.interpreter(endian, data)?.unwrap_or_default();
            return Err(ElfError::Interpreter(String::from_utf8_lossy(path).into_owned()));
        }
        // A static executable may have a dynamic section all the same: it relocates itself by it.
        let entries = segment.dynamic(endian, data)?.unwrap_or_default();
        let libraries = entries.iter().filter(|entry| entry.tag(endian) == DT_NEEDED).count();
        if libraries > 0 {
            return Err(ElfError::Libraries(libraries));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_program_names_its_interpreter() {
        let data = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        let ElfError::Interpreter(path) = check_static(&data).unwrap_err() else { panic!("another error") };
        assert!(path.contains("ld-linux"), "{path}");
    }

    #[test]
    fn a_shared_library_needs_others() {
        let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
        let libgcc = maps.split_whitespace().find(|word| word.contains("/libgcc_s")).unwrap();
        let data = std::fs::read(libgcc).unwrap();
        assert_eq!(check_static(&data), Err(ElfError::Libraries(1)));
    }

    #[test]
    fn bytes_that_are_no_executable_are_refused() {
        assert!(matches!(check_static(b"#!/bin/sh\n"), Err(ElfError::Malformed(_))));
        assert!(matches!(check_static(b""), Err(ElfError::Malformed(_))));
    }
}
