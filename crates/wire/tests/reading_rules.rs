//! The reading rules of wire.md section 2, and the shapes of V1 peers (section 8).
#![allow(clippy::unwrap_used)]

use statestore_wire::envelope::{ApplicationException, read_args, read_result};
use statestore_wire::schema::write_field;
use statestore_wire::thrift::{code, put_field, put_size, put_string};
use statestore_wire::*;

/// The argument struct around the fields that `params` writes.
fn args(params: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    field_struct(1, params)
}

/// The result struct around the fields that `success` writes.
fn result(success: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    field_struct(0, success)
}

fn field_struct(id: i16, content: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = vec![];
    put_field(&mut out, code::STRUCT, id);
    content(&mut out);
    out.extend_from_slice(&[code::STOP; 2]);
    out
}

fn read<T: Wire>(bytes: &[u8]) -> Result<T, Fault> {
    read_args(&mut Reader::new(bytes))
}

fn reply<T: Wire>(bytes: &[u8]) -> Result<Option<T>, Fault> {
    read_result(&mut Reader::new(bytes))
}

/// A field of every type code under an id that no struct has.
fn put_unknown_fields(out: &mut Vec<u8>) {
    for (ty, width) in [
        (code::BOOL, 1),
        (code::BYTE, 1),
        (code::DOUBLE, 8),
        (code::I16, 2),
        (code::I32, 4),
        (code::I64, 8),
    ] {
        put_field(out, ty, 200);
        out.extend(std::iter::repeat_n(0xee, width));
    }
    write_field(out, 201, &Text::from_static("news"));
    write_field(
        out,
        -5,
        &vec![Text::from_static("a"), Text::from_static("b")],
    );
    write_field(out, 202, &vec![UniqueId { hi: 1, lo: 2 }]);
    put_field(out, code::SET, 203);
    out.push(code::I32);
    put_size(out, 2);
    out.extend_from_slice(&[0; 8]);
    put_field(out, code::MAP, 204);
    out.extend_from_slice(&[code::STRING, code::LIST]);
    put_size(out, 1);
    put_string(out, b"key");
    vec![1i64, 2].write(out);
    put_field(out, code::MAP, 205);
    out.extend_from_slice(&[0, 0, 0, 0, 0, 0]); // an empty map need not tell its types
}

// wire.md 2: unknown field id: skip
#[test]
fn unknown_fields_of_every_type_are_skipped() {
    let bytes = args(|out| {
        put_unknown_fields(out);
        write_field(out, 1, &ProtocolVersion::V2);
        put_unknown_fields(out);
    });
    assert_eq!(read(&bytes), Ok(GetProtocolVersionRequest::default()));
}

#[test]
fn unknown_fields_beside_params_and_success_are_skipped() {
    let mut bytes = vec![];
    put_unknown_fields(&mut bytes);
    write_field(&mut bytes, 1, &HeartbeatRequest::default());
    put_unknown_fields(&mut bytes);
    bytes.push(code::STOP);
    assert_eq!(read(&bytes), Ok(HeartbeatRequest::default()));
}

// wire.md 2: known id with another type: skip, as if absent
#[test]
fn an_optional_field_of_another_type_counts_as_absent() {
    let bytes = args(|out| {
        write_field(out, 1, &ProtocolVersion::V2);
        write_field(out, 2, &Text::from_static("true"));
    });
    let request: SetStatestoreDebugActionRequest = read(&bytes).unwrap();
    assert_eq!(request.disable_network, None);
}

// wire.md 2: required and of another type is required and absent
#[test]
fn a_required_field_of_another_type_counts_as_missing() {
    let bytes = args(|out| write_field(out, 1, &1i64));
    let missing = Fault::MissingField("GetProtocolVersionRequest.protocol_version");
    assert_eq!(read::<GetProtocolVersionRequest>(&bytes), Err(missing));
}

// wire.md 2: required field absent in a request
#[test]
fn a_missing_required_field_is_a_fault_that_names_it() {
    let bytes = args(|out| {
        write_field(out, 1, &ProtocolVersion::V2);
        write_field(out, 3, &NetworkAddress::default());
        write_field(out, 4, &Vec::<TopicRegistration>::new());
    });
    let missing = Fault::MissingField("RegisterSubscriberRequest.subscriber_id");
    assert_eq!(
        missing.to_string(),
        "required field RegisterSubscriberRequest.subscriber_id is missing"
    );
    assert_eq!(read::<RegisterSubscriberRequest>(&bytes), Err(missing));
    assert_eq!(
        read::<HeartbeatRequest>(&[code::STOP]),
        Err(Fault::MissingField("params"))
    );
}

// wire.md 2: required field absent in a reply; Impala's own test leaves topic_updates out
#[test]
fn an_update_reply_without_topic_updates_is_a_fault() {
    let bytes = result(|out| {
        write_field(out, 1, &Status::ok());
        write_field(out, 3, &false);
    });
    let missing = Fault::MissingField("UpdateStateResponse.topic_updates");
    assert_eq!(reply::<UpdateStateResponse>(&bytes), Err(missing));
}

// wire.md 2: optional field absent; and a field without a keyword
#[test]
fn absent_optional_fields_are_none_and_absent_messages_are_empty() {
    let bytes = result(|out| {
        put_field(out, code::STRUCT, 1);
        write_field(out, 1, &0i32);
        out.push(code::STOP);
    });
    let response: RegisterSubscriberResponse = reply(&bytes).unwrap().unwrap();
    assert_eq!(response, RegisterSubscriberResponse::default());
    assert_eq!(response.registration_id, None);
    assert!(response.status.is_ok());
}

// wire.md 2: enum value not in the table
#[test]
fn enum_values_outside_the_table_keep_their_integer() {
    let bytes = args(|out| write_field(out, 1, &77i32));
    let request: GetProtocolVersionRequest = read(&bytes).unwrap();
    assert_eq!(request.protocol_version, ProtocolVersion(77));
    let bytes = result(|out| {
        write_field(out, 1, &Status::error(StatusCode(-3), "?"));
        write_field(out, 2, &9i32);
    });
    let response: HeartbeatResponse = reply(&bytes).unwrap().unwrap();
    assert_eq!(response.status.status_code, StatusCode(-3));
    assert_eq!(response.statestore_conn_state, Some(ConnState(9)));
}

// wire.md 2: result without success
#[test]
fn a_result_without_success_is_none() {
    assert_eq!(reply::<HeartbeatResponse>(&[code::STOP]), Ok(None));
    let mut other = vec![];
    put_unknown_fields(&mut other);
    write_field(&mut other, 0, &1i32);
    other.push(code::STOP);
    assert_eq!(
        reply::<HeartbeatResponse>(&other),
        Ok(None),
        "success of another type"
    );
}

// wire.md 2: any non-zero bool reads true
#[test]
fn any_non_zero_byte_is_true() {
    let bytes = args(|out| {
        write_field(out, 1, &ProtocolVersion::V2);
        put_field(out, code::BOOL, 2);
        out.push(0x80);
    });
    let request: SetStatestoreDebugActionRequest = read(&bytes).unwrap();
    assert_eq!(request.disable_network, Some(true));
}

// wire.md 2: strings are bytes
#[test]
fn names_that_are_not_utf8_keep_their_bytes() {
    let name = Text::from(&[0xff, 0, b'x', 0xc3][..]);
    let bytes = result(|out| {
        write_field(out, 1, &Status::ok());
        let delta = TopicDelta {
            topic_name: name.clone(),
            topic_entries: ItemBatch::from_items([(&[0xfe, 0][..], &[0xc0][..], false)]),
            ..TopicDelta::default()
        };
        write_field(out, 2, &vec![delta]);
    });
    let response: UpdateStateResponse = reply(&bytes).unwrap().unwrap();
    let delta = &response.topic_updates[0];
    assert_eq!(delta.topic_name, name);
    assert_eq!(delta.topic_name.to_str(), "\u{fffd}\0x\u{fffd}");
    assert_eq!(delta.topic_entries.item(0).key, [0xfe, 0]);
}

// wire.md 2: the message of an unknown method
#[test]
fn the_answer_to_an_unknown_method_names_it() {
    let exception = ApplicationException::unknown_method(&"Frobnicate".into());
    assert_eq!(exception.kind, Some(1));
    assert_eq!(
        exception.message.unwrap(),
        "Invalid method name: 'Frobnicate'"
    );
}

// wire.md 2: both envelopes
#[test]
fn the_old_envelope_reads_like_the_strict_one() {
    let mut old = vec![];
    put_string(&mut old, b"Heartbeat");
    old.push(1);
    old.extend_from_slice(&5i32.to_be_bytes());
    let envelope = Envelope::read(&mut Reader::new(&old)).unwrap();
    let mut strict = vec![];
    envelope.write(&mut strict);
    assert_eq!(
        &strict[..4],
        [0x80, 1, 0, 1],
        "written in the strict form only"
    );
    assert_eq!(Envelope::read(&mut Reader::new(&strict)), Ok(envelope));
}

#[test]
fn bytes_behind_the_end_are_a_fault() {
    let mut bytes = args(|out| write_field(out, 1, &ProtocolVersion::V2));
    bytes.push(0);
    assert_eq!(
        read::<GetProtocolVersionRequest>(&bytes),
        Err(Fault::TrailingBytes(1))
    );
}

// wire.md 8: V1 TRegisterSubscriberRequest has fields 1 to 4, field 1 is 0
#[test]
fn a_v1_registration_is_read_with_its_version() {
    let bytes = args(|out| {
        write_field(out, 1, &0i32);
        write_field(out, 2, &Text::from_static("python-test-client-1"));
        write_field(
            out,
            3,
            &NetworkAddress {
                hostname: "localhost".into(),
                port: 1,
                uds_address: None,
            },
        );
        write_field(out, 4, &Vec::<TopicRegistration>::new());
    });
    let request: RegisterSubscriberRequest = read(&bytes).unwrap();
    assert_eq!(request.protocol_version, ProtocolVersion::V1);
    assert_eq!(
        (request.subscriber_type, request.catalogd_registration),
        (None, None)
    );
}

// wire.md 8: the V1 client's view of the refusal: fields 1 and 2 only
#[test]
fn the_refusal_of_a_v1_subscriber_has_no_registration_id() {
    let status = Status::incompatible(&"old".into(), 0, 1);
    assert_eq!(
        status.message(),
        "Subscriber 'old' has incompatible protocol version V1 conflicting with \
         statestored's version V2"
    );
    assert_eq!(
        status.status_code,
        StatusCode::STATESTORE_INCOMPATIBLE_PROTOCOL
    );
    let response = RegisterSubscriberResponse {
        status,
        protocol_version: Some(ProtocolVersion::V2),
        statestore_id: Some(UniqueId { hi: 1, lo: 2 }),
        ..RegisterSubscriberResponse::default()
    };
    let bytes = result(|out| {
        response.write(out);
        out.pop();
    });
    assert_eq!(reply(&bytes), Ok(Some(response)));
}

// wire.md 8: V1 TRegisterSubscriberResponse, fields 1 and 2
#[test]
fn a_v1_registration_reply_leaves_the_rest_unset() {
    let bytes = result(|out| {
        write_field(out, 1, &Status::ok());
        write_field(out, 2, &UniqueId { hi: 3, lo: 4 });
    });
    let response: RegisterSubscriberResponse = reply(&bytes).unwrap().unwrap();
    assert_eq!(response.registration_id, Some(UniqueId { hi: 3, lo: 4 }));
    assert_eq!(response.protocol_version, None);
}

// wire.md 8: V1 TUpdateStateRequest has fields 1 to 3, field 1 is 0
#[test]
fn a_v1_update_is_read_without_a_statestore_id() {
    let bytes = args(|out| {
        write_field(out, 1, &0i32);
        write_field(out, 2, &TopicDeltas::default());
        write_field(out, 3, &UniqueId { hi: 3, lo: 4 });
    });
    let request: UpdateStateRequest = read(&bytes).unwrap();
    assert_eq!(request.protocol_version, ProtocolVersion::V1);
    assert_eq!(request.statestore_id, None);
}

// wire.md 8: V1 THeartbeatRequest: field 1 is the registration id
#[test]
fn a_v1_heartbeat_looks_like_a_v2_heartbeat_without_ids() {
    let bytes = args(|out| write_field(out, 1, &UniqueId { hi: 3, lo: 4 }));
    assert_eq!(read(&bytes), Ok(HeartbeatRequest::default()));
}

// wire.md 8: V1 THeartbeatResponse is empty, so the required status is missing
#[test]
fn a_v1_heartbeat_reply_is_a_fault_for_a_v2_statestored() {
    let missing = Fault::MissingField("HeartbeatResponse.status");
    assert_eq!(reply::<HeartbeatResponse>(&result(|_| ())), Err(missing));
}
