//! Measurements: criterion benches in `benches/`, whole-command programs in `src/bin/`. Nothing here asserts a time.
