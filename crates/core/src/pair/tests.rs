//! Two servers and their voters on one clock, step by step: each rule of ha.md that a few steps
//! can show. Interleavings in masses are the model checker's and the simulation's.
