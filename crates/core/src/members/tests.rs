//! Lanes of topics, ownership, and who is at which address.
#![allow(clippy::unwrap_used)]

use super::*;
use alloc::vec;

fn topic(name: &str) -> wire::TopicRegistration {
    wire::TopicRegistration {
        topic_name: Text::from(name),
        ..Default::default()
    }
}

fn registration(key: MemberKey, id: &str, port: i32, topics: &[&str]) -> Registration {
    let address = NetworkAddress {
        port,
        ..Default::default()
    };
    Registration {
        key,
        id: Text::from(id),
        registration_id: RegistrationId::default(),
        receiver: Arc::new(Receiver::new(Text::from(id), address)),
        subscriber_type: SubscriberType::UNKNOWN,
        wants_catalogd: false,
        catalogd: None,
        publishes: false,
        topics: Subscription::from_wire(topics.iter().map(|name| topic(name)).collect()),
    }
}

// S-1
#[test]
fn priority_goes_by_the_end_of_the_name() {
    for (name, lane) in [
        ("impala-membership", Lane::Priority),
        ("impala-request-queue", Lane::Priority),
        ("X-impala-membership", Lane::Priority),
        ("impala-membership2", Lane::Bulk),
        ("membership", Lane::Bulk),
        ("catalog-update", Lane::Bulk),
        ("", Lane::Bulk),
    ] {
        assert_eq!(lane_of(&Text::from(name)), lane, "{name}");
    }
}

// T-11
#[test]
fn of_topics_that_come_twice_the_first_counts() {
    let transient = wire::TopicRegistration {
        is_transient: true,
        ..topic("t")
    };
    let subscriptions = Subscription::from_wire(vec![topic("z"), transient, topic("t")]);
    assert_eq!(subscriptions.len(), 2);
    assert!(
        subscriptions[0].transient,
        "sorted by name, so t comes first"
    );
}

// S-2
#[test]
fn a_lane_without_topics_is_not_used() {
    let registration = registration(MemberKey::numbered(1), "a", 1, &["catalog-update"]);
    assert!(registration.uses(Lane::Heartbeat) && registration.uses(Lane::Bulk));
    assert!(!registration.uses(Lane::Priority));
}

//
#[test]
fn an_address_is_free_when_the_last_one_there_is_gone() {
    let mut members = Members::default();
    let keys = [("a", 1), ("b", 1), ("c", 2)].map(|(id, port)| {
        let key = members.next_key();
        let registration = registration(key, id, port, &[]);
        members.insert(Member::new(Arc::new(registration), Time::ZERO));
        key
    });
    let address = members
        .find(keys[0])
        .unwrap()
        .registration
        .address()
        .clone();
    assert!(members.any_at(&address));
    let mut alone = |key| members.remove(key).map(|(_, alone)| alone);
    assert_eq!(keys.map(&mut alone), [Some(false), Some(true), Some(true)]);
    assert_eq!(alone(keys[0]), None);
    assert!(members.is_empty() && !members.any_at(&address));
}
