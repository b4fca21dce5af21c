//! Tests of what an operator sees: the merged families and the three forms in which they are given out.

mod merge;
mod render;
mod strict_parser;
