//! Prints messages as this crate writes them, one JSON document a line, for
//! `tests/python/check_golden.py`, which reads them with code generated from the IDL.
//!
//! Every method, call and reply, with little and with all set. `string` fields are UTF-8 here, for
//! Python insists on it; keys and values are any bytes. Optional fields with a default in the IDL
//! (`filter_prefix`, `skipped` of an update) are set, for Python writes those even when they were
//! absent; `tests/golden/python.jsonl` has them left out.
#![allow(clippy::expect_used, reason = "a tool for tests: stop with the reason")]

use statestore_wire::envelope::{ApplicationException, write_call, write_exception, write_reply};
use statestore_wire::*;
use std::io::Write;

const REGISTRATION: UniqueId = UniqueId {
    hi: i64::MIN,
    lo: 1,
};
const STATESTORE: UniqueId = UniqueId {
    hi: -1,
    lo: i64::MAX,
};
const EPOCH: Epoch = Epoch(2 * 1_700_000_000_000_000 + 1);

fn main() {
    services();
    updates();
    notices();
    pair();
    extensions();
}

fn services() {
    exchange(
        &RegisterSubscriberRequest {
            protocol_version: ProtocolVersion::V1,
            subscriber_id: "".into(),
            subscriber_location: NetworkAddress::default(),
            topic_registrations: vec![],
            subscriber_type: None,
            subscribe_catalogd_change: None,
            catalogd_registration: None,
            heartbeat_timeout_ms: None,
            publishes: None,
        },
        &RegisterSubscriberResponse::default(),
    );
    exchange(
        &RegisterSubscriberRequest {
            protocol_version: ProtocolVersion::V2,
            subscriber_id: "catalog-server@größe:26000".into(),
            subscriber_location: address(Some("@impala-krpc")),
            topic_registrations: vec![topic(""), topic("1:")],
            subscriber_type: Some(SubscriberType::CATALOGD),
            subscribe_catalogd_change: Some(true),
            catalogd_registration: Some(catalogd()),
            heartbeat_timeout_ms: Some(i64::MAX),
            publishes: Some(true),
        },
        &RegisterSubscriberResponse {
            status: Status::incompatible(&"old".into(), 0, 1),
            registration_id: Some(REGISTRATION),
            protocol_version: Some(ProtocolVersion::V2),
            statestore_id: Some(STATESTORE),
            catalogd_registration: Some(catalogd()),
            catalogd_version: Some(3),
            statestore_is_active: Some(false),
            active_statestored_version: Some(1_700_000_000_000_000),
            epoch: Some(EPOCH),
            publication_limit: Some(1 << 26),
        },
    );
    exchange(
        &GetProtocolVersionRequest::default(),
        &GetProtocolVersionResponse {
            statestore_id: Some(STATESTORE),
            ..GetProtocolVersionResponse::default()
        },
    );
    exchange(
        &SetStatestoreDebugActionRequest {
            disable_network: Some(true),
            ..SetStatestoreDebugActionRequest::default()
        },
        &SetStatestoreDebugActionResponse::default(),
    );
}

fn updates() {
    let all = items();
    let delta = |name: &str| TopicDelta {
        topic_name: name.into(),
        topic_entries: all.clone(),
        is_delta: true,
        from_version: Some(7),
        to_version: Some(i64::MAX),
        min_subscriber_topic_version: Some(-1),
        clear_topic_entries: Some(true),
    };
    let deltas = vec![
        ("catalog-update".into(), delta("catalog-update")),
        ("".into(), TopicDelta::default()),
    ];
    exchange(
        &UpdateStateRequest {
            topic_deltas: TopicDeltas(deltas),
            registration_id: Some(REGISTRATION),
            epoch: Some(EPOCH),
            ..UpdateStateRequest::default()
        },
        &UpdateStateResponse {
            status: Status::error(StatusCode(-5), "of no table"),
            topic_updates: vec![delta("a"), TopicDelta::default()],
            skipped: Some(true),
            highest_epoch: Some(EPOCH),
        },
    );
    exchange(
        &UpdateStateRequest::default(),
        &UpdateStateResponse {
            skipped: Some(false),
            ..UpdateStateResponse::default()
        },
    );
    let membership = Text::from_static("impala-membership");
    let parts = |min| TopicParts {
        name: &membership,
        runs: std::slice::from_ref(all.chunks()[0].bytes()),
        items: all.len(),
        is_delta: false,
        from_version: 0,
        to_version: 9,
        min_subscriber_topic_version: min,
    };
    for (epoch, topics) in [
        (None, &[][..]),
        (None, &[parts(None)]),
        (Some(EPOCH), &[parts(Some(4))]),
    ] {
        let frame = UpdateFrame::new(REGISTRATION, STATESTORE, epoch, topics).expect("few items");
        print("UpdateState", "call", &frame.pieces().concat());
    }
}

fn items() -> ItemBatch {
    let every_byte: Vec<u8> = (0..=255).collect();
    ItemBatch::from_items([
        (&b"key"[..], &b"value"[..], false),
        (&[], &[], true),
        (&every_byte, &every_byte.repeat(40), false),
        (&[0xff, 0xfe], b"last value", true),
    ])
}

fn notices() {
    exchange(
        &HeartbeatRequest {
            registration_id: Some(REGISTRATION),
            statestore_id: Some(STATESTORE),
            request_statestore_conn_state: Some(true),
            epoch: Some(EPOCH),
            ..HeartbeatRequest::default()
        },
        &HeartbeatResponse {
            statestore_conn_state: Some(ConnState::UNKNOWN),
            highest_epoch: Some(EPOCH),
            other_is_lost: Some(true),
            other_is_active: Some(false),
            unacknowledged: Some(true),
            ..HeartbeatResponse::default()
        },
    );
    exchange(&HeartbeatRequest::default(), &HeartbeatResponse::default());
    for epoch in [None, Some(EPOCH)] {
        exchange(
            &UpdateCatalogdRequest {
                protocol_version: ProtocolVersion::V2,
                registration_id: REGISTRATION,
                statestore_id: STATESTORE,
                catalogd_version: 1,
                catalogd_registration: catalogd(),
                epoch,
            },
            &UpdateCatalogdResponse {
                highest_epoch: epoch,
                skipped: Some(false),
                ..UpdateCatalogdResponse::default()
            },
        );
    }
    let role = UpdateStatestoredRoleRequest {
        protocol_version: ProtocolVersion::V2,
        registration_id: REGISTRATION,
        statestore_id: STATESTORE,
        active_statestored_version: 2,
        is_active: true,
        catalogd_version: None,
        catalogd_registration: None,
        epoch: None,
    };
    exchange(&role, &UpdateStatestoredRoleResponse::default());
    exchange(
        &UpdateStatestoredRoleRequest {
            catalogd_version: Some(5),
            catalogd_registration: Some(catalogd()),
            epoch: Some(EPOCH),
            ..role
        },
        &UpdateStatestoredRoleResponse {
            skipped: Some(true),
            highest_epoch: Some(EPOCH),
            ..UpdateStatestoredRoleResponse::default()
        },
    );
}

fn pair() {
    for epoch in [None, Some(EPOCH)] {
        exchange(
            &StatestoreHaHandshakeRequest {
                src_statestore_id: STATESTORE,
                src_statestore_address: "[::1]:24020".into(),
                src_force_active: true,
                highest_epoch: epoch,
                epoch,
                timeout_ms: epoch.map(|_| 30_000),
                subscriber_timeout_ms: epoch.map(|_| 30_000),
                ..StatestoreHaHandshakeRequest::default()
            },
            &StatestoreHaHandshakeResponse {
                dst_statestore_id: REGISTRATION,
                dst_statestore_active: true,
                highest_epoch: epoch,
                timeout_ms: epoch.map(|_| 30_000),
                subscriber_timeout_ms: epoch.map(|_| 30_000),
                ..StatestoreHaHandshakeResponse::default()
            },
        );
    }
    let beat = StatestoreHaHeartbeatRequest {
        dst_statestore_id: REGISTRATION,
        src_statestore_id: STATESTORE,
        ..StatestoreHaHeartbeatRequest::default()
    };
    exchange(&beat, &StatestoreHaHeartbeatResponse::default());
    let voters = vec!["catalog-server@größe:26000".into(), "".into()];
    exchange(
        &StatestoreHaHeartbeatRequest {
            epoch: Some(EPOCH),
            electorate_version: Some(1),
            electorate: Some(voters.clone()),
            known_members_version: Some(2),
            active_catalogd: Some("catalog-server@größe:26000".into()),
            catalogd_version: Some(3),
            claims: Some(true),
            timeout_ms: Some(30_000),
            subscriber_timeout_ms: Some(30_000),
            ..beat
        },
        &StatestoreHaHeartbeatResponse {
            highest_epoch: Some(EPOCH),
            is_active: Some(false),
            electorate_version: Some(1),
            members_version: Some(2),
            member_timeouts_ms: Some(vec![0, 5_000]),
            members: Some(voters),
            statestore_id: Some(STATESTORE),
            timeout_ms: Some(30_000),
            subscriber_timeout_ms: Some(30_000),
            ..StatestoreHaHeartbeatResponse::default()
        },
    );
}

/// The methods of wire.md 5.6.
fn extensions() {
    exchange(
        &UnregisterSubscriberRequest {
            subscriber_id: "impalad@größe:27000".into(),
            registration_id: REGISTRATION,
            ..UnregisterSubscriberRequest::default()
        },
        &UnregisterSubscriberResponse::default(),
    );
    exchange(&PublishRequest::default(), &PublishResponse::default());
    exchange(
        &PublishRequest {
            protocol_version: ProtocolVersion::V2,
            subscriber_id: "impalad@größe:27000".into(),
            registration_id: REGISTRATION,
            stream: 1,
            sequence: i64::MAX,
            topic_updates: vec![TopicDelta {
                topic_name: "catalog-update".into(),
                topic_entries: ItemBatch::from_items([(&b"1:x"[..], &b"\xff"[..], false)]),
                is_delta: true,
                clear_topic_entries: Some(true),
                ..TopicDelta::default()
            }],
            more: Some(true),
            highest_epoch: Some(EPOCH),
        },
        &PublishResponse {
            status: Status::incompatible(&"old".into(), 0, 1),
        },
    );
    for epoch in [None, Some(EPOCH)] {
        exchange(
            &ForceStatestoreActiveRequest {
                statestore_id: STATESTORE,
                ..ForceStatestoreActiveRequest::default()
            },
            &ForceStatestoreActiveResponse {
                status: Status::default(),
                epoch,
            },
        );
    }
    exchange(
        &StatestoreHaLeaveRequest {
            dst_statestore_id: REGISTRATION,
            src_statestore_id: STATESTORE,
            ..StatestoreHaLeaveRequest::default()
        },
        &StatestoreHaLeaveResponse::default(),
    );
}

fn address(uds: Option<&str>) -> NetworkAddress {
    NetworkAddress {
        hostname: "host.example".into(),
        port: i32::MAX,
        uds_address: uds.map(Text::from),
    }
}

fn topic(filter_prefix: &str) -> TopicRegistration {
    TopicRegistration {
        topic_name: "catalog-update".into(),
        is_transient: true,
        populate_min_subscriber_topic_version: true,
        filter_prefix: Some(filter_prefix.into()),
    }
}

fn catalogd() -> CatalogRegistration {
    CatalogRegistration {
        protocol: CatalogVersion::V2,
        address: address(None),
        enable_catalogd_ha: Some(true),
        force_catalogd_active: Some(false),
        registration_time: Some(1_700_000_000_000),
    }
}

/// Prints a call, its reply, and an exception in its place.
fn exchange<T: Rpc>(request: &T, response: &T::Response) {
    let mut out = Vec::new();
    write_call(request, &mut out);
    print(T::METHOD, "call", &out);
    let call = Envelope {
        kind: MessageKind::Call,
        method: Text::from_static(T::METHOD),
        seqid: 0x0102_0304,
    };
    out.clear();
    write_reply(&call, response, &mut out);
    print(T::METHOD, "reply", &out);
    out.clear();
    write_exception(
        &call,
        &ApplicationException::unknown_method(&call.method),
        &mut out,
    );
    print(T::METHOD, "exception", &out);
}

fn print(method: &str, kind: &str, bytes: &[u8]) {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("{{\"method\": \"{method}\", \"type\": \"{kind}\", \"hex\": \"{hex}\"}}");
    writeln!(std::io::stdout(), "{line}").expect("the reader of this output is there");
}
