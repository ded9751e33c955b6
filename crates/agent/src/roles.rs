//! What each daemon of a cluster is to its statestored: ids, types and topics as in wire.md
//! section 9.
//!
//! Deliberately absent: what the operator adds (`args.rs`) and any I/O.
//!
//! Invariant: every topic appears once; its prefix lets through whatever any task wants of it.

use std::collections::BTreeMap;

use crate::args::Tasks;

/// Which daemon the agent plays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Catalogd,
    Coordinator,
    Executor,
    CoordinatorExecutor,
    Admissiond,
    Custom,
}

impl Role {
    /// The values of `--role`.
    pub(crate) const NAMES: [(&'static str, Self); 6] = [
        ("catalogd", Self::Catalogd),
        ("coordinator", Self::Coordinator),
        ("executor", Self::Executor),
        ("coordinator_executor", Self::CoordinatorExecutor),
        ("admissiond", Self::Admissiond),
        ("custom", Self::Custom),
    ];

    pub(crate) fn parse(name: &str) -> Option<Self> {
        Self::NAMES
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, role)| *role)
    }

    pub(crate) fn name(self) -> &'static str {
        Self::NAMES
            .iter()
            .find(|(_, role)| *role == self)
            .map_or("", |(name, _)| name)
    }

    /// The default ports of the subscriber and of the web server (flags.md sections 5 and 7). A
    /// custom one has none of its own: there may be several on a machine.
    pub(crate) fn ports(self) -> (i32, i32) {
        match self {
            Self::Coordinator | Self::Executor | Self::CoordinatorExecutor => (23000, 25000),
            Self::Catalogd => (23020, 25020),
            Self::Admissiond => (23030, 25030),
            Self::Custom => (0, 0),
        }
    }

    /// Serves queries, so it needs the catalog.
    pub(crate) fn is_coordinator(self) -> bool {
        matches!(self, Self::Coordinator | Self::CoordinatorExecutor)
    }

    /// Publishes itself in the membership topic.
    pub(crate) fn is_member(self) -> bool {
        self.is_coordinator() || matches!(self, Self::Executor | Self::Admissiond)
    }

    /// Wants to hear of a changed active catalogd.
    pub(crate) fn follows_catalogd(self, enable_catalogd_ha: bool) -> bool {
        self.is_coordinator() || (self == Self::Catalogd && enable_catalogd_ha)
    }

    /// The subscriber id of such a daemon; none for a custom one.
    pub(crate) fn subscriber_id(
        self,
        hostname: &str,
        krpc_port: i32,
        catalog_service_port: i32,
        membership_topic_id: &str,
    ) -> Option<String> {
        let prefix = prefix_of(membership_topic_id);
        match self {
            Self::Catalogd => Some(format!("catalog-server@{hostname}:{catalog_service_port}")),
            Self::Admissiond => Some(format!("{prefix}admissiond@{hostname}:{krpc_port}")),
            Self::Custom => None,
            _ => Some(format!("{prefix}impalad@{hostname}:{krpc_port}")),
        }
    }
}

/// The topic that catalogds write and coordinators read.
pub(crate) const CATALOG_TOPIC: &str = "catalog-update";

/// The topic in which members of a cluster publish themselves.
pub(crate) fn membership_topic(membership_topic_id: &str) -> String {
    format!("{}impala-membership", prefix_of(membership_topic_id))
}

fn prefix_of(membership_topic_id: &str) -> String {
    match membership_topic_id {
        "" => String::new(),
        id => format!("{id}-"),
    }
}

/// A topic as it is to be registered.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TopicPlan {
    pub(crate) transient: bool,
    pub(crate) min_version: bool,
    pub(crate) prefix: String,
}

/// All topics of an agent, by name: what its role has, and what its tasks need beside.
pub(crate) fn topics(
    role: Role,
    membership_topic_id: &str,
    tasks: &Tasks,
    transient: &[String],
) -> BTreeMap<String, TopicPlan> {
    let mut plans = topics_of_role(role, membership_topic_id);
    let mut wanted: BTreeMap<&str, String> = BTreeMap::new();
    let follows = tasks.follow.iter().map(|f| (&f.topic, f.prefix.as_deref()));
    let mirrors = tasks
        .mirrors
        .iter()
        .map(|m| (&m.topic, m.prefix.as_deref()));
    let commands = tasks.commands.iter().map(|c| (&c.topic, None));
    for (topic, prefix) in follows.chain(mirrors).chain(commands) {
        let of_role = plans
            .get(topic)
            .map(|plan| plan.prefix.clone())
            .unwrap_or_default();
        let prefix = prefix.map_or(of_role, str::to_owned);
        wanted
            .entry(topic)
            .and_modify(|both| both.truncate(common(both, &prefix)))
            .or_insert(prefix);
    }
    for (topic, prefix) in wanted {
        plans.entry(topic.to_owned()).or_default().prefix = prefix;
    }
    let published = tasks.publish.iter().map(|p| &p.topic);
    for topic in published.chain(tasks.folders.iter().map(|f| &f.topic)) {
        plans.entry(topic.clone()).or_default();
    }
    for topic in transient {
        plans.entry(topic.clone()).or_default().transient = true;
    }
    plans
}

fn topics_of_role(role: Role, membership_topic_id: &str) -> BTreeMap<String, TopicPlan> {
    let mut plans = BTreeMap::new();
    let transient = |prefix: &str| TopicPlan {
        transient: true,
        min_version: false,
        prefix: prefix.to_owned(),
    };
    if role.is_member() {
        let queue = format!("{}impala-request-queue", prefix_of(membership_topic_id));
        let queue_prefix = if role == Role::Executor { "POOL:" } else { "" };
        plans.insert(membership_topic(membership_topic_id), transient(""));
        plans.insert(queue, transient(queue_prefix));
    }
    let catalog = CATALOG_TOPIC.to_owned();
    if role.is_coordinator() {
        plans.insert(
            catalog,
            TopicPlan {
                min_version: true,
                ..transient("1:")
            },
        );
    } else if role == Role::Catalogd {
        // Publishes only: no key begins with this.
        plans.insert(
            catalog,
            TopicPlan {
                prefix: "!".to_owned(),
                ..TopicPlan::default()
            },
        );
    }
    plans
}

/// Length of the common beginning of two texts, at a character boundary.
fn common(one: &str, other: &str) -> usize {
    let same = one
        .char_indices()
        .zip(other.chars())
        .take_while(|((_, a), b)| a == b);
    same.last().map_or(0, |((at, c), _)| at + c.len_utf8())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::args::{Follow, MirrorTopic, PublishFolder};

    #[test]
    fn roles_have_the_ids_and_topics_of_impalas_daemons() {
        let id = |role: Role, cluster| role.subscriber_id("h", 27000, 26000, cluster);
        assert_eq!(id(Role::Coordinator, "").unwrap(), "impalad@h:27000");
        assert_eq!(id(Role::Executor, "X").unwrap(), "X-impalad@h:27000");
        assert_eq!(id(Role::Catalogd, "X").unwrap(), "catalog-server@h:26000");
        assert_eq!(id(Role::Custom, ""), None);

        let none = Tasks::default();
        let executor = topics(Role::Executor, "X", &none, &[]);
        let names: Vec<&str> = executor.keys().map(String::as_str).collect();
        assert_eq!(names, ["X-impala-membership", "X-impala-request-queue"]);
        assert_eq!(executor["X-impala-request-queue"].prefix, "POOL:");
        let catalogd = topics(Role::Catalogd, "", &none, &[]);
        assert_eq!(catalogd["catalog-update"].prefix, "!");
        assert!(!catalogd["catalog-update"].transient);
        assert!(topics(Role::Custom, "", &none, &[]).is_empty());
    }

    #[test]
    fn tasks_widen_the_prefix_just_as_far_as_all_of_them_need() {
        let follow = |prefix: Option<&str>| Follow {
            topic: "t".to_owned(),
            prefix: prefix.map(str::to_owned),
        };
        let prefix_for = |follows: Vec<Follow>| {
            let tasks = Tasks {
                follow: follows,
                ..Tasks::default()
            };
            topics(Role::Custom, "", &tasks, &[])["t"].prefix.clone()
        };
        assert_eq!(
            prefix_for(vec![follow(Some("db1.a")), follow(Some("db1.b"))]),
            "db1."
        );
        assert_eq!(prefix_for(vec![follow(Some("a")), follow(None)]), "");
        assert_eq!(
            prefix_for(vec![follow(Some("größe")), follow(Some("größer"))]),
            "größe"
        );
    }

    #[test]
    fn a_mirror_with_its_own_prefix_replaces_that_of_the_role() {
        let mirror = |prefix: Option<&str>| Tasks {
            mirrors: vec![MirrorTopic {
                topic: "catalog-update".to_owned(),
                prefix: prefix.map(str::to_owned),
                folder: "d".into(),
            }],
            ..Tasks::default()
        };
        let plan = |tasks| topics(Role::Coordinator, "", &tasks, &[])["catalog-update"].clone();
        assert_eq!(plan(mirror(None)).prefix, "1:");
        assert_eq!(plan(mirror(Some(""))).prefix, "");
        assert!(plan(mirror(None)).min_version);
    }

    #[test]
    fn published_topics_last_unless_they_are_called_transient() {
        let tasks = Tasks {
            folders: vec![PublishFolder {
                topic: "t".to_owned(),
                folder: "d".into(),
            }],
            ..Tasks::default()
        };
        assert!(!topics(Role::Custom, "", &tasks, &[])["t"].transient);
        assert!(topics(Role::Custom, "", &tasks, &["t".to_owned()])["t"].transient);
    }
}
