//! The path of a delivery.
