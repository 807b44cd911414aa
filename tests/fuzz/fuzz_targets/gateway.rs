//! Fuzzes [`tests::properties::gateway`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::properties::gateway(input));
