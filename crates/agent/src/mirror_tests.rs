//! Tests of the mirror: what is in the folder afterwards, and what outside it never changes.

#![allow(clippy::unwrap_used)]

use super::*;
use std::collections::BTreeMap;

fn open(folder: &Path, topic: &str) -> Result<Mirror, MirrorError> {
    Mirror::open(&MirrorTopic {
        topic: topic.to_owned(),
        prefix: None,
        folder: folder.to_owned(),
    })
}

fn content(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut open = vec![folder.to_owned()];
    while let Some(next) = open.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if is_real_folder(&path) {
                open.push(path);
            } else {
                let name = path
                    .strip_prefix(folder)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_owned();
                found.insert(name, fs::read(&path).unwrap());
            }
        }
    }
    found.remove(MARKER);
    found
}

fn names(folder: &Path) -> Vec<String> {
    content(folder).into_keys().collect()
}

#[test]
fn puts_deletes_and_replacements_end_with_exactly_the_entries() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = open(folder.path(), "t").unwrap();
    mirror.put(b"a/b", b"1").unwrap();
    mirror.put(b"c", b"2").unwrap();
    mirror.put(b"c", b"3").unwrap();
    mirror.delete(b"a/b").unwrap();
    mirror.delete(b"never").unwrap();
    assert_eq!(
        content(folder.path()),
        BTreeMap::from([("c".to_owned(), b"3".to_vec())])
    );
    assert!(
        !folder.path().join("a").exists(),
        "an empty folder goes with its last file"
    );

    let entries: [(&[u8], &[u8]); 2] = [(b"x/y", b"4"), (b"c", b"3")];
    mirror.replace(entries.into_iter()).unwrap();
    assert_eq!(names(folder.path()), ["c", "x/y"]);
}

#[test]
fn a_key_that_is_also_the_folder_of_another_stands_beside_it_in_either_order() {
    for keys in [[&b"a"[..], b"a/b"], [b"a/b", b"a"]] {
        let folder = tempfile::tempdir().unwrap();
        let mirror = open(folder.path(), "t").unwrap();
        keys.iter().for_each(|key| mirror.put(key, key).unwrap());
        assert_eq!(names(folder.path()), ["a%.", "a/b"]);
        mirror.put(b"a", b"new").unwrap();
        assert_eq!(content(folder.path())["a%."], b"new");
        mirror.delete(b"a").unwrap();
        assert_eq!(names(folder.path()), ["a/b"]);
    }
}

#[test]
fn a_key_that_is_also_a_folder_survives_a_replacement_and_returns_to_its_plain_name() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = open(folder.path(), "t").unwrap();
    let both: [(&[u8], &[u8]); 2] = [(b"a", b"1"), (b"a/b", b"2")];
    for _ in 0..2 {
        mirror.replace(both.into_iter()).unwrap();
        assert_eq!(names(folder.path()), ["a%.", "a/b"]);
    }
    mirror.delete(b"a/b").unwrap();
    let alone = BTreeMap::from([("a".to_owned(), b"1".to_vec())]);
    assert_eq!(content(folder.path()), alone);
    mirror.replace(both.into_iter()).unwrap();
    mirror.replace(both[..1].iter().copied()).unwrap();
    assert_eq!(content(folder.path()), alone);
}

#[test]
fn what_cannot_be_written_leaves_the_old_file_and_the_others_are_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = open(folder.path(), "t").unwrap();
    let old: [(&[u8], &[u8]); 2] = [(b"a", b"1"), (b"b", b"1")];
    mirror.replace(old.into_iter()).unwrap();
    // A folder where the scratch file should be: nothing can be written.
    fs::create_dir(folder.path().join(SCRATCH)).unwrap();
    let new: [(&[u8], &[u8]); 2] = [(b"a", b"2"), (b"b", b"1")];
    let error = mirror.replace(new.into_iter()).unwrap_err();
    assert!(error.to_string().contains("cannot write"), "{error}");
    assert_eq!(content(folder.path())["a"], b"1");
}

#[test]
fn a_folder_has_one_mirror_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let first = open(folder.path(), "t").unwrap();
    let error = open(folder.path(), "t").unwrap_err();
    assert!(matches!(error, MirrorError::InUse { .. }), "{error}");
    drop(first);
    assert!(open(folder.path(), "t").is_ok());
}

#[test]
fn hostile_keys_stay_inside() {
    let outer = tempfile::tempdir().unwrap();
    fs::write(outer.path().join("victim"), b"safe").unwrap();
    let folder = outer.path().join("mirror");
    let mirror = open(&folder, "t").unwrap();
    for key in [
        &b"../victim"[..],
        b"/victim",
        b"..",
        b"",
        b"\0",
        b"a/../../victim",
    ] {
        mirror.put(key, b"evil").unwrap();
    }
    mirror.put(MARKER.as_bytes(), b"evil").unwrap();
    mirror.delete(b"../victim").unwrap();
    mirror.replace(std::iter::empty()).unwrap();
    assert_eq!(fs::read(outer.path().join("victim")).unwrap(), b"safe");
    assert_eq!(fs::read(folder.join(MARKER)).unwrap(), b"t");
    assert!(names(&folder).is_empty());
}

#[test]
fn links_inside_the_folder_are_not_followed() {
    let outer = tempfile::tempdir().unwrap();
    let outside = outer.path().join("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("file"), b"safe").unwrap();
    let folder = outer.path().join("mirror");
    let mirror = open(&folder, "t").unwrap();
    std::os::unix::fs::symlink(&outside, folder.join("link")).unwrap();
    mirror.put(b"link/file", b"evil").unwrap();
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"safe");
    mirror.replace(std::iter::empty()).unwrap();
    assert_eq!(fs::read(outside.join("file")).unwrap(), b"safe");
}

#[test]
fn a_folder_with_other_files_or_of_another_topic_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("precious"), b"").unwrap();
    assert!(matches!(
        open(folder.path(), "t"),
        Err(MirrorError::NotOurs { .. })
    ));
    let other = tempfile::tempdir().unwrap();
    open(other.path(), "t").unwrap();
    assert!(
        open(other.path(), "t").is_ok(),
        "the same topic may come back"
    );
    assert!(matches!(
        open(other.path(), "u"),
        Err(MirrorError::NotOurs { .. })
    ));
}

#[test]
fn a_key_too_long_for_a_file_is_named_and_the_others_are_in_place() {
    let folder = tempfile::tempdir().unwrap();
    let mirror = open(folder.path(), "t").unwrap();
    let long = vec![b'k'; 5_000];
    let entries: [(&[u8], &[u8]); 2] = [(&long, b"1"), (b"short", b"2")];
    let error = mirror.replace(entries.into_iter()).unwrap_err();
    assert!(error.to_string().contains("5000 bytes"), "{error}");
    assert_eq!(names(folder.path()), ["short"]);
}
