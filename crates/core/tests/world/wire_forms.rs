//! From the world's own words to messages, and what a call names.

use super::{Publication, TOPICS};
use statestore_core::port::{Body, Call};
use statestore_wire::{ItemBatch, Text, TopicDelta, UniqueId};

pub(super) fn registration_of(call: &Call) -> UniqueId {
    match &call.body {
        Body::Heartbeat(request) => request.registration_id.unwrap(),
        Body::Update(update) => update.registration_id.0,
        Body::Catalogd(request) => request.registration_id,
        Body::Role(request) => request.registration_id,
        Body::Handshake(_) | Body::HaHeartbeat(_) | Body::HaLeave(_) => panic!("{call:?}"),
    }
}

pub(super) fn to_wire(publication: &Publication) -> TopicDelta {
    let items: Vec<_> = publication
        .items
        .iter()
        .map(|(key, value, deleted)| ([*key], [*value], *deleted))
        .collect();
    let items = items
        .iter()
        .map(|(k, v, deleted)| (&k[..], &v[..], *deleted));
    TopicDelta {
        topic_name: Text::from(TOPICS[publication.topic]),
        topic_entries: ItemBatch::from_items(items),
        from_version: publication.from,
        clear_topic_entries: publication.clear.then_some(true),
        ..Default::default()
    }
}
