//! The XOR test algorithm (TS 34.108 clause 8.1.2).
