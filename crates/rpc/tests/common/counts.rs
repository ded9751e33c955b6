//! What a server tells, counted.

use statestore_rpc::{CallTimes, Observer};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicIsize, AtomicUsize, Ordering};

/// Counts, as metrics would.
#[derive(Default)]
pub struct Counts {
    open: AtomicIsize,
    pub total: AtomicUsize,
    pub started: AtomicUsize,
    pub ended: Mutex<BTreeMap<&'static str, Vec<Option<CallTimes>>>>,
}

impl Counts {
    pub fn open(&self) -> isize {
        self.open.load(Ordering::SeqCst)
    }
}

impl Observer for Counts {
    fn connection_opened(&self) {
        self.open.fetch_add(1, Ordering::SeqCst);
        self.total.fetch_add(1, Ordering::SeqCst);
    }
    fn connection_closed(&self) {
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
    fn call_started(&self, _method: &'static str) {
        self.started.fetch_add(1, Ordering::SeqCst);
    }
    fn call_ended(&self, method: &'static str, times: Option<CallTimes>) {
        self.ended
            .lock()
            .unwrap()
            .entry(method)
            .or_default()
            .push(times);
    }
}
