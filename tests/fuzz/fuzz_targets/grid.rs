//! Fuzzes [`tests::properties::grid`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::properties::grid(input));
