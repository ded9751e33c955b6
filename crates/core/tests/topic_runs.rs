//! In what pieces a delta leaves: memory is shared where pieces are long, and short pieces are
//! put together (W16).

use statestore_core::topic::{TopicLog, Version};
use statestore_wire::ItemBatch;
use std::sync::Arc;

const SEGMENT: usize = 256 << 10;

fn batch(keys: impl Iterator<Item = usize>, value: &[u8]) -> ItemBatch {
    let keys: Vec<_> = keys.map(|k| format!("key {k:08}").into_bytes()).collect();
    ItemBatch::from_items(keys.iter().map(|k| (&k[..], value, false)))
}

// W16
#[test]
fn long_chunks_of_a_batch_are_not_copied_in_nor_out() {
    let mut log = TopicLog::new(0);
    let batch = batch(0..1_000, &[1; 1000]);
    let long = &batch.chunks()[..3];
    // In parts as they come in steps: each of them ends with a chunk.
    log.write_part(&batch, 0..long[0].items().end);
    log.write_part(&batch, long[1].items().start..1_000);
    let delta = log.delta(Version::ZERO, b"");
    assert_eq!(delta.bytes, batch.byte_len());
    for (run, chunk) in delta.runs.iter().zip(long) {
        assert_eq!(run.as_ptr(), chunk.bytes().as_ptr());
    }
}

// W16
#[test]
fn an_item_longer_than_a_segment_is_shared_also_from_a_mixed_batch() {
    let mut log = TopicLog::new(0);
    let long = vec![1; 20 * SEGMENT];
    let items = [
        (&b"a"[..], &b"1"[..], false),
        (b"b", &long, false),
        (b"c", b"1", false),
    ];
    log.write(&ItemBatch::from_items(items));
    let (first, second) = (log.delta(Version::ZERO, b""), log.delta(Version(1), b""));
    assert_eq!((first.runs.len(), second.runs.len()), (3, 2));
    assert_eq!(first.runs[1].as_ptr(), second.runs[0].as_ptr());
    assert_eq!(second.count, 2);
}

// W16
#[test]
fn small_writes_leave_as_few_long_slices() {
    let mut log = TopicLog::new(0);
    let written: usize = (0..20)
        .map(|i| {
            let batch = batch(i * 100..(i + 1) * 100, &[1; 1000]);
            log.write(&batch);
            batch.byte_len()
        })
        .sum();
    let delta = log.delta(Version::ZERO, b"");
    assert_eq!(delta.bytes, written);
    assert!(
        delta.runs.len() <= written / SEGMENT + 2,
        "{} slices",
        delta.runs.len()
    );
}

// W16: one slice per 1 KB item would cost a quarter of the speed.
#[test]
fn scattered_small_rows_are_put_together() {
    let mut log = TopicLog::new(0);
    log.write(&batch(0..2000, &[1; 1000]));
    log.write(&batch((0..200).step_by(2), b"2"));
    let prefix = b"key 000000";
    let some = log.delta(Version::ZERO, prefix);
    assert_eq!((some.count, some.runs.len()), (100, 1));
    let rest = log.delta(Version(2000), b"");
    assert_eq!((rest.count, rest.runs.len()), (100, 1));
}

// P2: past some MiB of copies, slices are the lesser evil.
#[test]
fn a_long_delta_of_scattered_rows_is_not_a_second_topic() {
    let mut log = TopicLog::new(0);
    for from in (0..20_000).step_by(500) {
        let keys: Vec<_> = (from..from + 500)
            .map(|k| format!("{}:{k:06}", k % 2))
            .collect();
        let items = keys.iter().map(|k| (k.as_bytes(), &[1; 1000][..], false));
        log.write(&ItemBatch::from_items(items));
    }
    let before = log.sizes().memory_bytes;
    let delta = log.delta(Version::ZERO, b"1:");
    assert_eq!(delta.count, 10_000);
    let own = log.sizes().memory_bytes - before;
    assert!(own <= 5 << 20, "{own} bytes for {} of items", delta.bytes);
}

// W16
#[test]
fn subscribers_at_the_same_version_share_one_delta_until_something_changes() {
    let mut log = TopicLog::new(0);
    log.write(&batch(0..10, b"1"));
    for (since, prefix) in [(0, &b""[..]), (3, b""), (3, b"key 0")] {
        let first = log.delta(Version(since), prefix);
        let second = log.delta(Version(since), prefix);
        assert!(Arc::ptr_eq(&first.runs, &second.runs));
    }
    let before = log.delta(Version(3), b"");
    log.write(&batch(0..1, b"2"));
    assert_ne!(before, log.delta(Version(3), b""));
    assert_eq!(before.count, 7, "what was handed out stays as it was");
}

#[test]
fn a_batch_may_enter_in_parts() {
    let whole = batch(0..1000, &[1; 500]);
    let (mut at_once, mut in_parts) = (TopicLog::new(0), TopicLog::new(0));
    at_once.write(&whole);
    for from in (0..1000).step_by(250) {
        let written = in_parts.write_part(&whole, from..from + 250);
        assert_eq!(
            written,
            Version(from as u64 + 1)..=Version(from as u64 + 250)
        );
    }
    let (a, b) = (
        at_once.delta(Version::ZERO, b""),
        in_parts.delta(Version::ZERO, b""),
    );
    assert_eq!(a.runs.concat(), b.runs.concat());
}

// W16, T-7: where a prefix hides every other small item, subscribers share one copy while any is
// being sent it, instead of holding a slice each for every item; then it is gone.
#[test]
fn small_items_between_hidden_ones_are_copied_once_for_all_and_not_kept() {
    let mut log = TopicLog::new(0);
    let count = 200_000;
    let keys: Vec<_> = (0..count)
        .map(|i| format!("{}:{i:08}", 1 + i % 2))
        .collect();
    let items = keys.iter().map(|key| (key.as_bytes(), &[7; 80][..], false));
    log.write(&ItemBatch::from_items(items));
    let one = log.delta(Version::ZERO, b"1:");
    assert_eq!((one.count, one.bytes), (count / 2, count / 2 * 109));
    assert!(
        one.runs.len() <= one.bytes / (1 << 20) + 2,
        "{} runs",
        one.runs.len()
    );
    let other = log.delta(Version::ZERO, b"1:");
    assert!(Arc::ptr_eq(&one.runs, &other.runs));
    let lent = Arc::downgrade(&one.runs);
    drop((one, other));
    assert!(
        lent.upgrade().is_none(),
        "more than the topic may keep for later"
    );
    assert_eq!(log.delta(Version::ZERO, b"1:").count, count / 2);
}
