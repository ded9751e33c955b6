//! Agents as the daemons of a cluster: who they are, who leads, and what survives a restart.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Agent, Statestored, await_equal, eventually, free_port, statestored, tree, write};
use rustix::process::Signal;
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// What a statestored is to know of a daemon.
struct Daemon {
    role: &'static str,
    id: &'static str,
    kind: &'static str,
    /// All, and those with priority.
    topics: (i64, i64),
    wants_catalogd: bool,
}

impl Daemon {
    fn check(&self, statestored: &Statestored) {
        let role = format!("--role={}", self.role);
        let flags = [
            role.as_str(),
            "--enable_catalogd_ha",
            "--cluster_membership_topic_id=X",
            "--krpc_port=27001",
            "--catalog_service_port=26001",
        ];
        let mut agent = Agent::start(statestored, &flags);
        let find = |rows: &Value| {
            let mut rows = rows.as_array().into_iter().flatten();
            rows.find(|row| row["id"] == self.id).cloned()
        };
        let page = statestored.json("/subscribers")["subscribers"].clone();
        let row = find(&page).unwrap_or_else(|| panic!("{}: {page}", self.role));
        assert_eq!(row["num_topics"], self.topics.0, "{}", self.role);
        assert_eq!(row["num_priority_topics"], self.topics.1, "{}", self.role);
        // Shows only those who want to hear of catalogds.
        let page = statestored.json("/catalog_ha_info")["notified_subscribers"].clone();
        let told = find(&page);
        assert_eq!(told.is_some(), self.wants_catalogd, "{}: {page}", self.role);
        assert!(
            told.is_none_or(|row| row["subscriber_type"] == self.kind),
            "{page}"
        );
        agent.signal(Signal::KILL);
        agent.wait();
        eventually("its end", || {
            statestored.subscribers().is_empty().then_some(())
        });
    }
}

// wire.md section 9
#[test]
fn every_role_registers_as_impalas_daemon_does() {
    let statestored = statestored(&["--enable_catalogd_ha"]);
    let daemon = |role, id, kind, topics, wants_catalogd| Daemon {
        role,
        id,
        kind,
        topics,
        wants_catalogd,
    };
    let impalad = "X-impalad@localhost:27001";
    let both = "COORDINATOR AND EXECUTOR";
    for daemon in [
        daemon(
            "catalogd",
            "catalog-server@localhost:26001",
            "CATALOGD",
            (1, 0),
            true,
        ),
        daemon("coordinator", impalad, "COORDINATOR", (3, 2), true),
        daemon("executor", impalad, "EXECUTOR", (2, 2), false),
        daemon("coordinator_executor", impalad, both, (3, 2), true),
        daemon(
            "admissiond",
            "X-admissiond@localhost:27001",
            "ADMISSIOND",
            (2, 2),
            false,
        ),
    ] {
        daemon.check(&statestored);
    }
}

// T-30, F-4
#[test]
fn members_know_each_other_and_learn_who_died() {
    let statestored = statestored(&[]);
    let start = |role: &str, port: u16| {
        let (role, port) = (format!("--role={role}"), format!("--krpc_port={port}"));
        Agent::start(&statestored, &[&role, &port, "--follow=impala-membership"])
    };
    let coordinator = start("coordinator", 27001);
    let mut executor = start("executor", 27002);
    let _admissiond = start("admissiond", 27003);
    let ids = [
        "admissiond@localhost:27003",
        "impalad@localhost:27001",
        "impalad@localhost:27002",
    ];
    let members = || coordinator.content("impala-membership");
    eventually("all three", || members().keys().eq(ids).then_some(()));
    let about: Value = serde_json::from_str(&members()[ids[2]]).unwrap();
    assert_eq!(
        (&about["role"], &about["krpc_port"]),
        (&json!("executor"), &json!(27002))
    );
    assert_eq!(about["pid"], executor.child.id());
    executor.signal(Signal::KILL);
    executor.wait();
    eventually("two of them", || {
        members().keys().eq(&ids[..2]).then_some(())
    });
}

/// A statestored that can be killed and started again at its port.
struct Restartable {
    flags: Vec<String>,
    running: Statestored,
}

impl Restartable {
    fn start(flags: &[&str]) -> Self {
        let port = format!("--state_store_port={}", free_port());
        let flags: Vec<_> = flags.iter().copied().chain([&*port]).collect();
        Self {
            running: statestored(&flags),
            flags: flags.into_iter().map(str::to_owned).collect(),
        }
    }

    fn get(&self) -> &Statestored {
        &self.running
    }

    fn restart(&mut self) {
        self.running.signal(Signal::KILL);
        self.running.wait();
        let flags: Vec<_> = self.flags.iter().map(String::as_str).collect();
        self.running = statestored(&flags);
    }
}

// T-9, B-10, B-13
#[test]
fn after_a_restart_of_the_statestored_everything_is_there_again() {
    let mut statestored = Restartable::start(&[]);
    let folders = TempDir::new().unwrap();
    let (source, mirror) = (folders.path().join("source"), folders.path().join("mirror"));
    for n in 0..500 {
        write(&source.join(format!("{}/{n}", n % 7)), n.to_string());
    }
    let publish = format!("--publish_dir=catalog-update:{}", source.display());
    let catalogd = ["--role=catalogd", &publish, "--publish=other:k=v"];
    let catalogd = Agent::start(statestored.get(), &catalogd);
    let keep = format!("--mirror=catalog-update::{}", mirror.display());
    let flags = ["--role=coordinator", &keep, "--follow=impala-membership"];
    let coordinator = Agent::start(statestored.get(), &flags);
    await_equal(&source, &mirror);
    let id = || catalogd.metric("statestore-subscriber.statestore-id");
    let before = id();
    statestored.restart();
    // While publishers are away, nothing is taken away (B-40); but what is gone goes.
    fs::remove_file(source.join("0/0")).unwrap();
    write(&source.join("new"), "after");
    eventually("a new registration", || (id() != before).then_some(()));
    assert!(tree(&mirror).len() >= 499);
    await_equal(&source, &mirror);
    assert_eq!(
        statestored.get().topic("catalog-update").unwrap()["num_entries"],
        500
    );
    eventually("the other topic", || {
        (statestored.get().topic("other")?["num_entries"] == 1).then_some(())
    });
    let member = |agent: &Agent| agent.content("impala-membership").len();
    eventually("the member", || (member(&coordinator) == 1).then_some(()));
    let snapshots = coordinator.lines();
    let snapshots = snapshots.iter().filter(|line| line["snapshot"] == true);
    assert!(
        snapshots.count() >= 2,
        "the second statestored's content is told from the first's"
    );
    for agent in [&catalogd, &coordinator] {
        let metric = |name: &str| agent.metric(&format!("statestore-subscriber.{name}"));
        // More than once where a second passed without the processor.
        assert!(metric("num-connection-failures").as_u64().unwrap() >= 1);
        eventually("it is connected", || {
            (metric("connected") == true).then_some(())
        });
        assert_ne!(metric("last-recovery-time"), "N/A");
    }
}

// T-23
#[test]
fn what_a_catalogd_publishes_first_is_one_answer() {
    // Slow on purpose: two answers would be far apart.
    let statestored = statestored(&["--statestore_update_frequency_ms=1500"]);
    let folder = TempDir::new().unwrap();
    for n in 0..1_000 {
        write(&folder.path().join(n.to_string()), "value");
    }
    let stale = ["--subscriber_id=a", "--publish=catalog-update:stale=1"];
    let stale = Agent::start(&statestored, &stale);
    let entries = || {
        let topic = statestored.topic("catalog-update")?;
        topic["num_entries"].as_i64()
    };
    eventually("an earlier one's entry", || (entries()? == 1).then_some(()));
    drop(stale);
    let publish = format!("--publish_dir=catalog-update:{}", folder.path().display());
    let flags = ["--role=catalogd", &publish, "--publish=catalog-update:k=v"];
    let _catalogd = Agent::start(&statestored, &flags);
    let counts = eventually("the catalog", || entries().filter(|count| *count != 1));
    assert_eq!(counts, 1_001, "cleared and filled at once");
}

/// A catalogd of a pair that publishes a folder.
fn catalogd(statestored: &Statestored, port: u16, folder: &Path, more: &[&str]) -> Agent {
    let port = format!("--catalog_service_port={port}");
    let publish = format!("--publish_dir=catalog-update:{}", folder.display());
    let other = format!("--publish=other:{}=v", port.rsplit('=').next().unwrap());
    let flags = [
        "--role=catalogd",
        "--enable_catalogd_ha",
        &port,
        &publish,
        &other,
    ];
    Agent::start(statestored, &[&flags, more].concat())
}

fn is_active(catalogd: &Agent) -> bool {
    catalogd.metric("catalog-server.active-status") == true
}

// C-1, C-10, N-1
#[test]
fn of_two_catalogds_only_the_active_one_publishes_the_catalog() {
    let flags = [
        "--enable_catalogd_ha",
        "--catalogd_ha_preemption_wait_period_ms=0",
    ];
    let mut statestored = Restartable::start(&flags);
    let folders = TempDir::new().unwrap();
    let at = |name: &str| folders.path().join(name);
    write(&at("one/a"), "1");
    write(&at("one/only"), "1");
    write(&at("two/a"), "2");
    let mut one = catalogd(statestored.get(), 26001, &at("one"), &[]);
    eventually("the first one leads", || is_active(&one).then_some(()));
    let two = catalogd(statestored.get(), 26002, &at("two"), &[]);
    let keep = format!("--mirror=catalog-update::{}", at("mirror").display());
    let coordinator = ["--role=coordinator", "--enable_catalogd_ha", &keep];
    let coordinator = Agent::start(statestored.get(), &coordinator);
    let address = || coordinator.metric("catalog.active-catalogd-address");
    await_equal(&at("one"), &at("mirror"));
    assert!(!is_active(&two));
    assert_eq!(address(), "localhost:26001");
    one.signal(Signal::KILL);
    one.wait();
    eventually("the second one leads", || is_active(&two).then_some(()));
    await_equal(&at("two"), &at("mirror"));
    // Only the catalog is replaced; and whoever stands by is not asked for anything (S-10).
    eventually("both entries", || {
        (statestored.get().topic("other")?["num_entries"] == 2).then_some(())
    });
    eventually("the coordinator knows", || {
        (address() == "localhost:26002").then_some(())
    });
    assert_eq!(
        two.metric("catalog-server.ha-number-active-status-change"),
        1
    );

    // Forced, the first one takes over; the second one forgets the catalog for good, whatever
    // becomes of the statestored.
    let forced = ["--force_catalogd_active"];
    let one = catalogd(statestored.get(), 26001, &at("one"), &forced);
    eventually("the first one leads again", || {
        (is_active(&one) && !is_active(&two)).then_some(())
    });
    await_equal(&at("one"), &at("mirror"));
    assert_eq!(
        two.metric("catalog-server.ha-number-active-status-change"),
        2
    );
    write(&at("two/b"), "ignored");
    write(&at("one/b"), "seen");
    await_equal(&at("one"), &at("mirror"));
    statestored.restart();
    let both = || {
        let ids = statestored.get().subscribers();
        (ids.len() == 3).then_some(())
    };
    eventually("all three are back", both);
    eventually("the forced one leads", || {
        (is_active(&one) && !is_active(&two)).then_some(())
    });
    await_equal(&at("one"), &at("mirror"));
    let names: Vec<_> = tree(&at("mirror")).into_keys().collect();
    assert_eq!(names, ["a", "b", "only"].map(PathBuf::from));
}
