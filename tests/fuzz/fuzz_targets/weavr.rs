//! Fuzzes [`tests::properties::weavr`].

#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tests::properties::weavr(input));
