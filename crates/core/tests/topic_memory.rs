//! What a topic costs: memory follows the live items, whatever was written before (P2, W12), and
//! the work to keep it so follows what is written (P10).

use statestore_core::topic::{Looks, TopicLog, Version};
use statestore_wire::ItemBatch;

/// Sizes are scaled down: 8 MiB of entries of about 1 KB.
const ENTRIES: usize = 8 << 10;
const VALUE: usize = 1000;
/// Holes that are allowed beside an eighth, and half a segment's unused capacity.
const FIXED: usize = 512 << 10;

fn batch(keys: impl Iterator<Item = usize>, value: &[u8], deleted: bool) -> ItemBatch {
    let keys: Vec<_> = keys.map(|k| format!("table:{k:08}").into_bytes()).collect();
    ItemBatch::from_items(keys.iter().map(|k| (&k[..], value, deleted)))
}

fn write(log: &mut TopicLog, keys: impl Iterator<Item = usize>) -> usize {
    let batch = batch(keys, &[7; VALUE], false);
    log.write(&batch);
    batch.byte_len()
}

/// A fixed sequence that looks like chance.
fn scattered(i: usize) -> usize {
    let mixed = (i as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) as usize
}

fn within_limit(log: &TopicLog, when: &str) {
    let sizes = log.sizes();
    let live = sizes.key_bytes + sizes.value_bytes;
    let limit = live + live * 3 / 10 + FIXED;
    assert!(
        sizes.memory_bytes <= limit,
        "{when}: {} bytes of memory for {live} live bytes",
        sizes.memory_bytes
    );
}

/// Ten rewritings of the whole topic: `order` names the entry that is written as the i-th.
fn rewritten_ten_times(at_once: usize, order: impl Fn(usize) -> usize) {
    let mut log = TopicLog::new(1);
    for from in (0..ENTRIES).step_by(at_once) {
        write(&mut log, from..(from + at_once).min(ENTRIES));
    }
    within_limit(&log, "loaded");
    let mut written = 0;
    for round in 0..10 {
        for from in (0..ENTRIES).step_by(at_once) {
            let part = from..(from + at_once).min(ENTRIES);
            written += write(&mut log, part.map(|i| order(round * ENTRIES + i) % ENTRIES));
            within_limit(&log, "in between");
        }
    }
    let copied = log.sizes().rewritten_bytes;
    assert!(
        copied <= 9 * written as u64,
        "{copied} bytes copied for {written} written"
    );
}

// W12 P2 P10
#[test]
fn ten_rewritings_in_order_leave_no_more_than_thirty_percent_beside_the_entries() {
    rewritten_ten_times(1, |i| i);
    rewritten_ten_times(100, |i| i);
    rewritten_ten_times(ENTRIES, |i| i);
}

// W12 P2 P10
#[test]
fn ten_rewritings_in_any_order_leave_no_more_than_thirty_percent_beside_the_entries() {
    rewritten_ten_times(1, scattered);
    rewritten_ten_times(700, scattered);
}

// W12 P2 P10: the worst case for whoever waits until half of a segment is dead.
#[test]
fn rewriting_every_nth_entry_leaves_no_more_than_thirty_percent_beside_the_entries() {
    rewritten_ten_times(1, |i| i * 2 % ENTRIES);
    rewritten_ten_times(1, |i| i * 7);
    rewritten_ten_times(64, |i| i * 9 % ENTRIES);
    rewritten_ten_times(3000, |i| i * 3);
}

// W12
#[test]
fn a_million_writes_and_deletions_of_few_keys_leave_little_behind() {
    let mut log = TopicLog::new(2);
    for i in 0..1_000_000 {
        let value = &[1; 64][..i % 64];
        log.write(&batch(core::iter::once(i % 50), value, i % 3 == 0));
        if i % 1000 == 0 {
            log.collect(log.last());
        }
    }
    log.collect(log.last());
    assert!(log.sizes().memory_bytes < 1 << 20, "{:?}", log.sizes());
    assert_eq!(log.counter(), Version(1_000_000));
}

// W12: keys that come once and go, as queries do.
#[test]
fn entries_that_come_and_go_leave_nothing_when_all_have_seen_it() {
    let mut log = TopicLog::new(3);
    for i in 0..200_000 {
        let written = log.write(&batch(core::iter::once(i), b"value", false));
        assert!(log.expire(*written.start()).is_some());
        log.collect(log.last());
    }
    let sizes = log.sizes();
    assert_eq!(
        (sizes.entries, sizes.tombstones, sizes.key_bytes),
        (0, 0, 0)
    );
    assert!(sizes.memory_bytes < 1 << 20, "{sizes:?}");
    assert_eq!(log.last(), Version(400_000), "T-9: not a fresh statestored");
}

// W12: nobody collects, because a subscriber hangs.
#[test]
fn tombstones_that_somebody_has_not_seen_stay_bounded_and_cost_him_a_full_message() {
    let mut log = TopicLog::new(4);
    for i in 0..200_000 {
        let written = log.write(&batch(core::iter::once(i), b"value", false));
        log.expire(*written.start());
    }
    assert!(log.sizes().memory_bytes < 4 << 20, "{:?}", log.sizes());
    assert!(
        log.sizes().tombstones > 1000,
        "some stay for those who are nearly up to date"
    );
    assert!(!log.delta(Version(1), b"").is_delta);
    assert!(log.delta(log.base(), b"").is_delta);
}

// P2: memory follows the topic down as well.
#[test]
fn deleting_most_of_a_topic_gives_its_memory_back() {
    let mut log = TopicLog::new(5);
    write(&mut log, 0..ENTRIES);
    let keys = (0..ENTRIES).filter(|k| k % 64 != 0);
    log.write(&batch(keys, b"", true));
    while log.collect(log.last()) {}
    let sizes = log.sizes();
    assert_eq!((sizes.entries, sizes.tombstones), (ENTRIES / 64, 0));
    assert!(sizes.memory_bytes < 1 << 20, "{sizes:?}");
    let runs = log.delta(Version::ZERO, b"").runs.len();
    assert!(runs <= 8, "few rows, few slices: {runs}");
}

// W16: a cache must not become a second topic.
#[test]
fn deltas_asked_for_from_everywhere_do_not_pile_up() {
    let mut log = TopicLog::new(6);
    for from in (0..ENTRIES).step_by(100) {
        write(&mut log, from..from + 100);
    }
    write(&mut log, (0..ENTRIES).step_by(2));
    (0..ENTRIES as u64)
        .step_by(7)
        .for_each(|since| drop(log.delta(Version(since), b"table:0")));
    let sizes = log.sizes();
    assert!(
        sizes.memory_bytes < sizes.value_bytes * 13 / 10 + (8 << 20) + FIXED,
        "{sizes:?}"
    );
}

// P2: what is put together for somebody keeps what is rewritten meanwhile, and says so.
#[test]
fn a_delta_that_is_begun_counts_what_it_pins_and_lets_it_go_when_it_is_given_up() {
    let mut log = TopicLog::new(1);
    write(&mut log, 0..ENTRIES);
    // Holes, so that its segments have to be looked through.
    write(&mut log, (0..ENTRIES).step_by(100));
    let half = || Looks {
        left: ENTRIES / 2,
        few: 1,
    };
    assert_eq!(
        log.delta_within(Version::ZERO, b"", &mut half(), true),
        None
    );
    write(&mut log, 0..ENTRIES);
    write(&mut log, 0..ENTRIES);
    let begun = log.sizes().memory_bytes;
    log.give_up();
    let given_up = log.sizes().memory_bytes;
    assert!(begun > given_up + ENTRIES / 4 * VALUE, "{begun} {given_up}");
    within_limit(&log, "given up");
}
