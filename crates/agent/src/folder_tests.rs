//! Tests of looking at a folder: what counts as a change, and what never does.

#![allow(clippy::unwrap_used)]

use super::*;

fn put(key: &'static str, value: &'static str) -> Change {
    Change {
        key: key.into(),
        value: Some(value.into()),
    }
}

fn gone(key: &'static str) -> Change {
    Change {
        key: key.into(),
        value: None,
    }
}

#[test]
fn the_first_look_finds_all_files_and_the_next_one_only_changes() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("sub")).unwrap();
    fs::write(root.path().join("sub/a"), "1").unwrap();
    fs::write(root.path().join("b"), "2").unwrap();
    let mut folder = Folder::open(root.path()).unwrap();
    assert_eq!(folder.look().changes, [put("b", "2"), put("sub/a", "1")]);
    assert_eq!(folder.look().changes, []);
    fs::write(root.path().join("b"), "22").unwrap();
    fs::remove_file(root.path().join("sub/a")).unwrap();
    assert_eq!(folder.look().changes, [put("b", "22"), gone("sub/a")]);
}

#[test]
fn a_look_at_one_path_tells_only_of_it_and_of_what_is_below() {
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("sub")).unwrap();
    fs::write(root.path().join("sub/a"), "1").unwrap();
    fs::write(root.path().join("sub-b"), "2").unwrap();
    let mut folder = Folder::open(root.path()).unwrap();
    folder.look();
    fs::remove_dir_all(root.path().join("sub")).unwrap();
    fs::remove_file(root.path().join("sub-b")).unwrap();
    assert_eq!(
        folder.look_at([&root.path().join("sub")]).changes,
        [gone("sub/a")]
    );
    assert_eq!(
        folder.look_at([&root.path().join("sub-b")]).changes,
        [gone("sub-b")]
    );
    assert_eq!(folder.look_at([&PathBuf::from("/elsewhere")]).changes, []);
}

#[test]
fn links_are_followed_but_not_into_the_folders_they_are_in() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().unwrap();
    fs::create_dir(root.path().join("sub")).unwrap();
    fs::write(root.path().join("a"), "1").unwrap();
    fs::write(root.path().join("sub/x"), "2").unwrap();
    symlink("a", root.path().join("b")).unwrap();
    symlink("nothing", root.path().join("c")).unwrap();
    symlink("itself", root.path().join("itself")).unwrap();
    symlink("sub", root.path().join("twin")).unwrap();
    // Two circles: followed to any depth, they would make files without number.
    symlink(".", root.path().join("loop")).unwrap();
    symlink("..", root.path().join("sub/up")).unwrap();
    let mut folder = Folder::open(root.path()).unwrap();
    let all = [
        put("a", "1"),
        put("b", "1"),
        put("sub/x", "2"),
        put("twin/x", "2"),
    ];
    assert_eq!(folder.look().changes, all);
    assert_eq!(folder.look_at([&root.path().join("sub")]).changes, []);
    assert_eq!(folder.look_at([&root.path().join("loop")]).changes, []);
    assert_eq!(folder.look_at([&root.path().join("loop/a")]).changes, []);
}

#[test]
fn what_cannot_be_looked_at_any_more_stays_published() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = tempfile::tempdir().unwrap();
    let sub = root.path().join("sub");
    fs::create_dir(&sub).unwrap();
    fs::write(sub.join("a"), "1").unwrap();
    let mut folder = Folder::open(root.path()).unwrap();
    folder.look();
    for mode in [0o000, 0o400] {
        fs::set_permissions(&sub, fs::Permissions::from_mode(mode)).unwrap();
        if fs::metadata(sub.join("a")).is_ok() {
            return; // this user may do anything
        }
        assert_eq!(folder.look().changes, []);
        assert_eq!(folder.look_at([&sub.join("a")]).changes, []);
        assert!(!folder.look().unreadable.is_empty());
    }
    fs::set_permissions(&sub, fs::Permissions::from_mode(0o700)).unwrap();
    assert_eq!(folder.look().changes, []);
}

#[test]
fn a_folder_that_went_away_keeps_its_entries_until_it_is_back() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("folder");
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a"), "1").unwrap();
    fs::write(root.join("b"), "2").unwrap();
    let mut folder = Folder::open(&root).unwrap();
    assert!(!folder.look().is_lost);
    fs::rename(&root, outer.path().join("elsewhere")).unwrap();
    let look = folder.look();
    assert!(look.is_lost && look.changes.is_empty());
    let look = folder.look_at([&root.join("a"), &root]);
    assert!(look.is_lost && look.changes.is_empty());
    fs::create_dir(&root).unwrap();
    fs::write(root.join("a"), "3").unwrap();
    let look = folder.look();
    assert!(!look.is_lost);
    assert_eq!(look.changes, [put("a", "3"), gone("b")]);
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    assert!(Folder::open(Path::new("/nonexistent/folder")).is_err());
}

/// Files whose times say nothing, as if the clock of the file system stood still.
fn stand_still(folder: &mut Folder, name: &str) {
    let facts = fs::metadata(folder.root().join(name)).unwrap();
    let seen = folder.seen.get_mut(Path::new(name)).unwrap();
    seen.fingerprint = Fingerprint::of(&facts);
}

#[test]
fn a_write_within_one_tick_of_the_clock_is_found() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a");
    fs::write(&file, "1").unwrap();
    let mut folder = Folder::open(root.path()).unwrap();
    assert_eq!(folder.look().changes, [put("a", "1")]);
    fs::write(&file, "2").unwrap();
    stand_still(&mut folder, "a");
    assert_eq!(folder.look_at([&file]).changes, [put("a", "2")]);
    assert_eq!(folder.look().changes, []);
}

#[test]
fn a_file_is_not_read_again_once_its_time_is_past() {
    let root = tempfile::tempdir().unwrap();
    let file = root.path().join("a");
    fs::write(&file, "1").unwrap();
    let now = Fingerprint::of(&fs::metadata(&file).unwrap());
    assert!(now.is_young());
    let tick = TICK.as_secs() as i64;
    let then = Fingerprint {
        changed: (now.changed.0 - tick - 1, 0),
        ..now
    };
    assert!(!then.is_young());
    let mut folder = Folder::open(root.path()).unwrap();
    folder.look();
    folder.seen.get_mut(Path::new("a")).unwrap().doubted = None;
    fs::write(&file, "2").unwrap();
    stand_still(&mut folder, "a");
    assert_eq!(folder.look().changes, []);
}
