//! The rules of topics, versions and deltas (behaviour.md section 1), one sentence each.

use statestore_core::topic::{Delta, TopicLog, Version};
use statestore_wire::item::ITEM_OVERHEAD;
use statestore_wire::{Item, ItemBatch};

const V0: Version = Version::ZERO;
const ALL: &[u8] = b"";

fn log() -> TopicLog {
    TopicLog::new(42)
}

fn put(log: &mut TopicLog, key: &str, value: &str) -> Version {
    let item = (key.as_bytes(), value.as_bytes(), false);
    *log.write(&ItemBatch::from_items([item])).end()
}

fn delete(log: &mut TopicLog, key: &str, value: &str) -> Version {
    let item = (key.as_bytes(), value.as_bytes(), true);
    *log.write(&ItemBatch::from_items([item])).end()
}

/// `key=value` for an entry, `key-value` for a tombstone.
fn shown(delta: &Delta) -> String {
    let bytes = delta.runs.concat();
    let (mut rest, mut shown) = (&bytes[..], Vec::new());
    while !rest.is_empty() {
        let len = |item: Item<'_>| ITEM_OVERHEAD + item.key.len() + item.value.len();
        let (head, tail) = rest.split_at(len(Item::from_canonical(rest)));
        let item = Item::from_canonical(head);
        let (key, value) = (item.key.escape_ascii(), item.value.escape_ascii());
        shown.push(format!(
            "{key}{}{value}",
            if item.deleted { '-' } else { '=' }
        ));
        rest = tail;
    }
    assert_eq!(delta.count, shown.len());
    assert_eq!(delta.bytes, bytes.len());
    shown.join(" ")
}

fn ends(delta: &Delta) -> (bool, u64, u64) {
    (delta.is_delta, delta.from.0, delta.to.0)
}

// T-2
#[test]
fn each_item_takes_the_next_version_in_list_order_also_unchanged_or_deleted() {
    let mut log = log();
    let items = [
        (&b"a"[..], &b"1"[..], false),
        (b"b", b"1", false),
        (b"a", b"1", false),
    ];
    let written = log.write(&ItemBatch::from_items(items));
    assert_eq!(written, Version(1)..=Version(3));
    assert_eq!(delete(&mut log, "b", ""), Version(4));
    assert!(log.write(&ItemBatch::new()).is_empty());
    assert_eq!(log.counter(), Version(4));
}

// T-2 T-23
#[test]
fn the_counter_goes_on_after_a_clear() {
    let mut log = log();
    put(&mut log, "a", "1");
    log.clear();
    assert_eq!((log.counter(), log.last()), (Version(1), V0));
    assert_eq!(put(&mut log, "a", "2"), Version(2));
}

// T-3 T-6
#[test]
fn a_key_shows_once_where_it_was_written_last() {
    let mut log = log();
    put(&mut log, "a", "1");
    put(&mut log, "b", "1");
    put(&mut log, "a", "2");
    assert_eq!(shown(&log.delta(V0, ALL)), "b=1 a=2");
    assert_eq!(shown(&log.delta(Version(1), ALL)), "b=1 a=2");
    assert_eq!(shown(&log.delta(Version(2), ALL)), "a=2");
    assert!(!log.is_current(Version(1)) && log.is_current(Version(3)));
}

// T-4 T-6
#[test]
fn a_deletion_keeps_its_value_and_shows_in_deltas_only_until_revived() {
    let mut log = log();
    put(&mut log, "a", "1");
    put(&mut log, "b", "1");
    delete(&mut log, "a", "why");
    assert_eq!(shown(&log.delta(V0, ALL)), "b=1");
    assert_eq!(shown(&log.delta(Version(2), ALL)), "a-why");
    put(&mut log, "a", "2");
    assert_eq!(shown(&log.delta(V0, ALL)), "b=1 a=2");
    assert_eq!(shown(&log.delta(Version(2), ALL)), "a=2");
}

// T-5 T-8
#[test]
fn whoever_is_up_to_date_gets_an_empty_delta() {
    let mut log = log();
    let last = put(&mut log, "a", "1");
    let delta = log.delta(last, ALL);
    assert_eq!((ends(&delta), shown(&delta)), ((true, 1, 1), String::new()));
    assert_eq!(ends(&log.delta(V0, ALL)), (false, 0, 1));
}

// T-7
#[test]
fn a_prefix_hides_entries_and_tombstones_but_not_versions() {
    let mut log = log();
    put(&mut log, "1:a", "1");
    put(&mut log, "2:a", "1");
    let at = put(&mut log, "2:b", "1");
    delete(&mut log, "2:a", "");
    assert_eq!(shown(&log.delta(V0, b"1:")), "1:a=1");
    assert_eq!(shown(&log.delta(at, b"2:")), "2:a-");
    let hidden = log.delta(at, b"1:");
    assert_eq!(
        (ends(&hidden), shown(&hidden)),
        ((true, 3, 4), String::new())
    );
}

// T-9
#[test]
fn a_fresh_topic_says_zero_to_zero_whatever_is_claimed() {
    let mut log = log();
    for since in [0, 1, 1000] {
        assert_eq!(ends(&log.delta(Version(since), ALL)), (false, 0, 0));
    }
}

// T-9 W12
#[test]
fn a_topic_whose_last_tombstone_went_does_not_look_fresh() {
    let mut log = log();
    put(&mut log, "a", "1");
    let gone = delete(&mut log, "a", "");
    assert!(!log.collect(gone));
    assert_eq!(log.sizes().tombstones, 0);
    assert_eq!(ends(&log.delta(gone, ALL)), (true, 2, 2));
    assert_eq!(ends(&log.delta(V0, ALL)), (false, 0, 2));
}

// T-12
#[test]
fn sizes_count_each_key_once_and_tombstones_too() {
    let mut log = log();
    put(&mut log, "aa", "12345");
    put(&mut log, "aa", "123");
    put(&mut log, "b", "1");
    delete(&mut log, "b", "xy");
    let sizes = log.sizes();
    assert_eq!((sizes.entries, sizes.tombstones), (1, 1));
    assert_eq!((sizes.key_bytes, sizes.value_bytes), (3, 5));
}

// T-22
#[test]
fn a_version_from_the_future_is_healed_by_a_full_message() {
    let mut log = log();
    put(&mut log, "a", "1");
    let delta = log.delta(Version(99), ALL);
    assert_eq!((ends(&delta), shown(&delta)), ((false, 0, 1), "a=1".into()));
}

// T-23 T-25 W13
#[test]
fn after_a_clear_everybody_gets_the_whole_topic() {
    let mut log = log();
    put(&mut log, "a", "1");
    let before = put(&mut log, "b", "1");
    log.clear();
    assert_eq!(ends(&log.delta(before, ALL)), (false, 0, 0));
    let first = put(&mut log, "b", "2");
    let delta = log.delta(before, ALL);
    assert_eq!((ends(&delta), shown(&delta)), ((false, 0, 3), "b=2".into()));
    put(&mut log, "c", "1");
    assert_eq!(shown(&log.delta(first, ALL)), "c=1");
    assert_eq!(log.sizes().entries, 2);
}

// T-30 T-34 W12
#[test]
fn an_expired_entry_becomes_a_tombstone_without_value() {
    let mut log = log();
    let written = put(&mut log, "a", "1");
    assert_eq!(log.expire(written), Some(Version(2)));
    assert_eq!(shown(&log.delta(written, ALL)), "a-");
    assert_eq!(shown(&log.delta(V0, ALL)), "");
    assert_eq!((log.sizes().key_bytes, log.sizes().value_bytes), (1, 0));
}

// T-30 T-33
#[test]
fn an_entry_that_was_written_again_or_is_deleted_does_not_expire() {
    let mut log = log();
    let first = put(&mut log, "a", "1");
    let second = put(&mut log, "a", "1");
    let deleted = delete(&mut log, "b", "x");
    for version in [first, deleted, V0, Version(99)] {
        assert_eq!(log.expire(version), None);
    }
    assert_eq!(log.expire(second), Some(Version(4)));
    log.clear();
    assert_eq!(log.expire(Version(4)), None);
}

// W12
#[test]
fn a_tombstone_goes_once_all_have_seen_it_and_whoever_has_not_gets_everything() {
    let mut log = log();
    put(&mut log, "a", "1");
    let seen = put(&mut log, "b", "1");
    let first = delete(&mut log, "a", "");
    let second = delete(&mut log, "b", "");
    log.collect(seen);
    assert_eq!((log.sizes().tombstones, log.base()), (2, V0));
    log.collect(first);
    assert_eq!((log.sizes().tombstones, log.base()), (1, first));
    assert_eq!(ends(&log.delta(seen, ALL)), (false, 0, 4));
    assert_eq!(shown(&log.delta(first, ALL)), "b-");
    assert!(log.is_current(second));
}

// Versions travel as i64.
#[test]
fn a_negative_version_is_none() {
    assert_eq!(Version::from_wire(-1), None);
    assert_eq!(Version::from_wire(7), Some(Version(7)));
    assert_eq!(Version(7).to_wire(), 7);
}
