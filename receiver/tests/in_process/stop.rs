//! The end: what is queued is handed on in time, and what is not is told.
