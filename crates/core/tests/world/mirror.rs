//! A subscriber's copy of one topic.

use statestore_core::topic::{Delta, Version};
use statestore_wire::{ItemBatch, Reader, Wire};
use std::collections::BTreeMap;

#[derive(Debug, Default)]
pub(super) struct Mirror {
    version: Option<Version>,
    pub(super) entries: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Mirror {
    /// B-38, B-39. The error is the base that the subscriber wants instead.
    pub(super) fn apply(&mut self, delta: &Delta) -> Result<(), Version> {
        // Who has nothing and claimed otherwise (T-22) does not take a delta either.
        let own = self.version.unwrap_or_default();
        if delta.is_delta && own != delta.from {
            return Err(own);
        }
        if !delta.is_delta {
            self.entries.clear();
        }
        for (key, value, deleted) in items(delta) {
            if deleted {
                assert!(delta.is_delta, "T-6: no tombstones in a full message");
                self.entries.remove(&key);
            } else {
                self.entries.insert(key, value);
            }
        }
        self.version = Some(delta.to);
        Ok(())
    }
}

fn items(delta: &Delta) -> Vec<(Vec<u8>, Vec<u8>, bool)> {
    let mut list = vec![12];
    list.extend_from_slice(&u32::try_from(delta.count).unwrap().to_be_bytes());
    delta
        .runs
        .iter()
        .for_each(|run| list.extend_from_slice(run));
    let batch = ItemBatch::read(&mut Reader::new(&list)).unwrap();
    let items = batch.iter();
    items
        .map(|item| (item.key.to_vec(), item.value.to_vec(), item.deleted))
        .collect()
}
