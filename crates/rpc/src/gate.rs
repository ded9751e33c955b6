//! [`Gate`]: whether something may still be sent, asked at the last moment.
//!
//! A call may wait for a connection, for its second try, or for a peer that reads slowly; what
//! was right when it was made may be wrong when its bytes leave. So whoever calls may stand a
//! gate in the way, and it is asked right before every piece that goes to the system, the first
//! one included. Without a gate nothing is asked.
//!
//! Deliberately absent: what is right; the gate is the caller's.

use std::fmt;
use std::sync::Arc;

type Ask = dyn Fn() -> Result<(), String> + Send + Sync;

/// Lets bytes through, or says why not. Must be quick, and may be asked on any thread.
#[derive(Clone, Default)]
pub struct Gate(Option<Arc<Ask>>);

impl Gate {
    /// A gate that asks; an error is why nothing may be sent any more.
    pub fn new(ask: impl Fn() -> Result<(), String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(ask)))
    }

    /// Asks.
    pub(crate) fn pass(&self) -> Result<(), String> {
        self.0.as_ref().map_or(Ok(()), |ask| ask())
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() {
            "Gate"
        } else {
            "Gate(open)"
        })
    }
}
