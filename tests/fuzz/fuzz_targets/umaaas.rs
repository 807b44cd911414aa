//! Fuzzes [`tests::properties::umaaas`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::properties::umaaas(input));
