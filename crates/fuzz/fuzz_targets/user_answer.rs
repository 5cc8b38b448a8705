#![no_main]
libfuzzer_sys::fuzz_target!(|data: &[u8]| fuzz::targets::user_answer::target(data));
