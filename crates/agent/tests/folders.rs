//! Folders to topics to folders: every change arrives, nothing leaves its folder.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Agent, Statestored, await_equal, eventually, statestored, tree, write};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder, an agent that publishes it, one that mirrors it.
struct Pair {
    source: PathBuf,
    mirror: PathBuf,
    _publisher: Agent,
    mirroring: Agent,
    statestored: Statestored,
    _folders: TempDir,
}

impl Pair {
    fn start(prepare: impl FnOnce(&Path)) -> Self {
        let folders = TempDir::new().unwrap();
        let (source, mirror) = (folders.path().join("source"), folders.path().join("mirror"));
        fs::create_dir(&source).unwrap();
        prepare(&source);
        let statestored = statestored(&[]);
        let publish = format!("--publish_dir=t:{}", source.display());
        let publisher = Agent::start(&statestored, &["--subscriber_id=publisher", &publish]);
        let keep = format!("--mirror=t:{}", mirror.display());
        let mirroring = Agent::start(&statestored, &["--subscriber_id=mirror", &keep]);
        Self {
            source,
            mirror,
            _publisher: publisher,
            mirroring,
            statestored,
            _folders: folders,
        }
    }

    fn await_equal(&self) {
        await_equal(&self.source, &self.mirror);
    }
}

// T-2, T-4
#[test]
fn a_mirror_follows_every_change_of_a_folder_byte_for_byte() {
    let pair = Pair::start(|source| {
        write(&source.join("plain"), "1");
        write(&source.join("deep/er/file"), [0xff, 0, b'\n']);
        write(&source.join("empty"), "");
        write(&source.join("größe %/..."), "names");
    });
    let source = &pair.source;
    pair.await_equal_but_escaped();
    let steps: [&dyn Fn(); 8] = [
        &|| write(&source.join("plain"), "changed"),
        &|| write(&source.join("new/folder/file"), "2"),
        &|| fs::rename(source.join("deep"), source.join("renamed")).unwrap(),
        &|| fs::remove_dir_all(source.join("new")).unwrap(),
        // Atomically, as editors do.
        &|| {
            write(&source.join("scratch"), "replaced");
            fs::rename(source.join("scratch"), source.join("plain")).unwrap();
        },
        // A file becomes a folder, and the other way round.
        &|| {
            fs::remove_file(source.join("empty")).unwrap();
            write(&source.join("empty/not"), "3");
        },
        &|| {
            fs::remove_dir_all(source.join("empty")).unwrap();
            write(&source.join("empty"), "4");
        },
        &|| fs::remove_dir_all(source.join("renamed")).unwrap(),
    ];
    for step in steps {
        step();
        pair.await_equal_but_escaped();
    }
    let topic = pair.statestored.topic("t").unwrap();
    assert_eq!(topic["topic_id"], "t");
}

impl Pair {
    /// `%` is written as `%25` in a mirror; nothing else differs.
    fn await_equal_but_escaped(&self) {
        let escaped = |name: &Path| PathBuf::from(name.to_str().unwrap().replace('%', "%25"));
        eventually("the mirror", || {
            let source = tree(&self.source).into_iter();
            let wanted = source.map(|(name, bytes)| (escaped(&name), bytes));
            (wanted.collect::<std::collections::BTreeMap<_, _>>() == tree(&self.mirror))
                .then_some(())
        });
    }
}

#[test]
fn a_link_shows_what_it_leads_to_although_nobody_announces_that() {
    let pair = Pair::start(|source| {
        write(&source.join("file"), "1");
        write(&source.with_file_name("outside/sub/file"), "1");
        symlink("file", source.join("link")).unwrap();
        symlink("../outside", source.join("folder")).unwrap();
    });
    pair.await_equal();
    write(&pair.source.join("file"), "2");
    write(&pair.source.with_file_name("outside/sub/file"), "2");
    pair.await_equal();
}

#[test]
fn ten_thousand_files_arrive_and_go() {
    let pair = Pair::start(|source| {
        for n in 0..10_000 {
            write(
                &source.join(format!("{}/{n}", n % 100)),
                format!("value {n}"),
            );
        }
    });
    pair.await_equal();
    assert_eq!(tree(&pair.mirror).len(), 10_000);
    for n in (0..10_000).filter(|n| n % 100 < 50) {
        fs::remove_file(pair.source.join(format!("{}/{n}", n % 100))).unwrap();
    }
    pair.await_equal();
    assert_eq!(tree(&pair.mirror).len(), 5_000);
}

#[test]
fn a_published_folder_may_go_away_and_come_back() {
    let pair = Pair::start(|source| write(&source.join("a"), "1"));
    pair.await_equal();
    let elsewhere = pair.source.with_file_name("elsewhere");
    fs::rename(&pair.source, &elsewhere).unwrap();
    eventually("a warning", || {
        let log = pair._publisher.log();
        log.contains("Cannot publish").then_some(())
    });
    assert_eq!(
        tree(&pair.mirror),
        tree(&elsewhere),
        "what is not there is not removed"
    );
    fs::create_dir(&pair.source).unwrap();
    write(&pair.source.join("b"), "2");
    pair.await_equal();
    // Watched again: found by an announcement or by a look, but found.
    write(&pair.source.join("c"), "3");
    pair.await_equal();
}

#[test]
fn a_mirror_that_could_not_be_written_is_written_again_without_another_change() {
    let pair = Pair::start(|source| write(&source.join("a"), "1"));
    pair.await_equal();
    // Nothing can be written where this stands.
    write(&pair.mirror.join(".statestore-scratch/in/the/way"), "");
    write(&pair.source.join("a"), "2");
    pair.mirroring.await_log("is written again in");
    pair.await_equal();
    // The whole folder is gone; the next change shows it.
    fs::remove_dir_all(&pair.mirror).unwrap();
    write(&pair.source.join("b"), "3");
    pair.await_equal();
    let mut mirroring = pair.mirroring;
    assert!(mirroring.child.try_wait().unwrap().is_none());
    assert_eq!(mirroring.get("/healthz").0, 200);
}

#[test]
fn hostile_keys_never_leave_the_mirror() {
    let statestored = statestored(&[]);
    let folders = TempDir::new().unwrap();
    write(&folders.path().join("victim"), "safe");
    let keys = [
        "../victim",
        "../../victim",
        "a/../../../victim",
        "..",
        ".",
        "",
        "/",
        "//a",
        ".statestore-mirror",
        ".statestore-scratch",
        "a\nb",
        "%2E%2E/victim",
        &"k".repeat(300),
    ];
    let absolute = folders.path().join("victim").display().to_string();
    let keys: Vec<&str> = keys.into_iter().chain([absolute.as_str()]).collect();
    let publish: Vec<String> = keys
        .iter()
        .map(|key| format!("--publish=t:{key}=evil {key}"))
        .chain(["--publish=t:good=1".to_owned()])
        .collect();
    let mut flags = vec!["--subscriber_id=evil"];
    flags.extend(publish.iter().map(String::as_str));
    let _evil = Agent::start(&statestored, &flags);
    let folder = folders.path().join("deep/mirror");
    let mirror = format!("--mirror=t:{}", folder.display());
    let agent = Agent::start(&statestored, &["--subscriber_id=mirror", &mirror]);
    // All but the one that is too long for a file name, which is told.
    eventually("all entries", || {
        (tree(&folder).len() == keys.len()).then_some(())
    });
    agent.await_log("the key of 300 bytes");
    assert_eq!(fs::read(folders.path().join("victim")).unwrap(), b"safe");
    let outside = tree(folders.path()).into_keys();
    let outside: Vec<_> = outside
        .filter(|name| !name.starts_with("deep/mirror"))
        .collect();
    assert_eq!(outside, [PathBuf::from("victim")]);
    assert_eq!(fs::read(folder.join(".statestore-mirror")).unwrap(), b"t");
    assert_eq!(fs::read(folder.join("good")).unwrap(), b"1");
}

// T-7
#[test]
fn a_prefix_chooses_entries_and_two_mirrors_of_one_topic_have_their_own() {
    let statestored = statestored(&[]);
    let folders = TempDir::new().unwrap();
    let at = |name: &str| folders.path().join(name);
    let flags = [
        "--subscriber_id=publisher",
        "--publish=t:1:a=x",
        "--publish=t:1:b=y",
        "--publish=t:2:a=z",
    ];
    let _publisher = Agent::start(&statestored, &flags);
    let ones = format!("--mirror=t:1::{}", at("ones").display());
    let twos = format!("--mirror=t:2::{}", at("twos").display());
    let flags = ["--subscriber_id=mirror", &ones, &twos, "--follow=t:1:b"];
    let agent = Agent::start(&statestored, &flags);
    let names = |folder: &str| tree(&at(folder)).into_keys().collect::<Vec<_>>();
    let paths = |names: &[&str]| names.iter().map(PathBuf::from).collect::<Vec<_>>();
    eventually("both mirrors", || {
        let ones = names("ones") == paths(&["1:a", "1:b"]);
        (ones && names("twos") == paths(&["2:a"])).then_some(())
    });
    eventually("the followed entry", || {
        let content = agent.content("t");
        (content.len() == 1 && content["1:b"] == "y").then_some(())
    });
}

#[test]
fn a_folder_is_kept_by_one_process_and_taken_over_when_that_is_gone() {
    let statestored = statestored(&[]);
    let folder = TempDir::new().unwrap();
    write(&folder.path().join("m/stale"), "");
    fs::write(folder.path().join("m/.statestore-mirror"), "t").unwrap();
    let mirror = format!("--mirror=t:{}/m", folder.path().display());
    let first = Agent::start(&statestored, &["--subscriber_id=a", &mirror]);
    let flags = ["--subscriber_id=b", &mirror];
    let (code, _, stderr) = common::run_to_end(Some(statestored.rpc), &flags);
    assert!(code == 1 && stderr.contains("another mirror"), "{stderr}");
    drop(first);
    let _second = Agent::start(
        &statestored,
        &["--subscriber_id=b", &mirror, "--publish=t:k=v"],
    );
    eventually("only what is in the topic", || {
        let names: Vec<_> = tree(&folder.path().join("m")).into_keys().collect();
        (names == [PathBuf::from("k")]).then_some(())
    });
}
