//! The UMAaaS function.
fn main() {}
