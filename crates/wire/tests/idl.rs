//! `idl/statestore.thrift` says what the tables in `messages` say: every struct, field, id, type
//! and requiredness, and every method.
#![allow(clippy::unwrap_used)]

use statestore_wire::schema::{Row, Table};
use statestore_wire::thrift::code;
use statestore_wire::*;
use std::collections::BTreeMap;
use std::path::Path;

/// (id, presence, name, type code), as [`Row`].
type Field = (i16, &'static str, String, u8);

fn idl() -> Vec<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../idl/statestore.thrift");
    let text = std::fs::read_to_string(path).unwrap();
    let code = |line: &str| line.split("//").next().unwrap().trim().to_owned();
    text.lines()
        .map(code)
        .filter(|line| !line.is_empty())
        .collect()
}

fn type_code(name: &str) -> u8 {
    match name {
        "bool" => code::BOOL,
        "i32" => code::I32,
        "i64" => code::I64,
        "string" | "binary" => code::STRING,
        _ if name.starts_with("list<") => code::LIST,
        _ if name.starts_with("map<") => code::MAP,
        "StatestoreServiceVersion"
        | "CatalogServiceVersion"
        | "TStatestoreSubscriberType"
        | "TStatestoreConnState"
        | "TErrorCode" => code::I32,
        _ => code::STRUCT,
    }
}

/// `1: required list<string> name = default` as a field.
fn field(line: &str) -> Field {
    let (id, rest) = line.split_once(':').unwrap();
    let declared = rest.split('=').next().unwrap().trim();
    let (presence, declared) = match declared.split_once(' ').unwrap() {
        ("required", rest) => ("req", rest),
        ("optional", rest) => ("opt", rest),
        _ => ("def", declared),
    };
    let (ty, name) = declared.rsplit_once(' ').unwrap();
    (
        id.parse().unwrap(),
        presence,
        name.to_owned(),
        type_code(ty),
    )
}

fn structs_of_the_idl() -> BTreeMap<String, Vec<Field>> {
    let mut structs = BTreeMap::new();
    let mut lines = idl().into_iter();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("struct T") {
            let name = name.trim_end_matches(" {").to_owned();
            let body = lines.by_ref().take_while(|line| line != "}");
            structs.insert(name, body.map(|line| field(&line)).collect());
        }
    }
    structs
}

fn row(table: &'static str, row: &Row) -> Field {
    // wire.md 2, writing rules: the one optional field that is written whatever its value.
    let exception = table == "HeartbeatRequest" && row.name == "protocol_version";
    let presence = if exception { "opt" } else { row.presence };
    (row.id, presence, row.name.to_owned(), row.ty)
}

macro_rules! tables {
    ($($table:ty),* $(,)?) => {
        BTreeMap::from([$((
            <$table as Table>::NAME.to_owned(),
            <$table as Table>::ROWS.iter()
                .map(|r| row(<$table as Table>::NAME, r)).collect::<Vec<Field>>(),
        ),)*])
    };
}

// wire.md 5, 5.6
#[test]
fn every_struct_of_the_idl_is_a_table_of_ours_field_by_field() {
    let mut tables = tables![
        UniqueId,
        NetworkAddress,
        Status,
        TopicDelta,
        TopicRegistration,
        CatalogRegistration,
        RegisterSubscriberRequest,
        RegisterSubscriberResponse,
        GetProtocolVersionRequest,
        GetProtocolVersionResponse,
        SetStatestoreDebugActionRequest,
        SetStatestoreDebugActionResponse,
        UpdateStateRequest,
        UpdateStateResponse,
        HeartbeatRequest,
        HeartbeatResponse,
        UpdateCatalogdRequest,
        UpdateCatalogdResponse,
        UpdateStatestoredRoleRequest,
        UpdateStatestoredRoleResponse,
        StatestoreHaHandshakeRequest,
        StatestoreHaHandshakeResponse,
        StatestoreHaHeartbeatRequest,
        StatestoreHaHeartbeatResponse,
        UnregisterSubscriberRequest,
        UnregisterSubscriberResponse,
        PublishRequest,
        PublishResponse,
        ForceStatestoreActiveRequest,
        ForceStatestoreActiveResponse,
        StatestoreHaLeaveRequest,
        StatestoreHaLeaveResponse,
    ];
    // Items have no table: they are kept encoded (`item`).
    let item = [
        "1: required binary key",
        "2: required binary value",
        "3: required bool deleted",
    ];
    tables.insert("TopicItem".to_owned(), item.map(field).to_vec());
    let idl = structs_of_the_idl();
    assert_eq!(
        idl.keys().collect::<Vec<_>>(),
        tables.keys().collect::<Vec<_>>()
    );
    for (name, fields) in &idl {
        assert_eq!(fields, &tables[name], "T{name}");
    }
}

/// The method as the IDL declares it, without spaces.
fn declaration<T: Rpc + Table>() -> String
where
    T::Response: Table,
{
    let (response, method, request) = (T::Response::NAME, T::METHOD, T::NAME);
    format!("T{response}{method}(1:T{request}params)")
}

// wire.md 3, 5.6
#[test]
fn every_method_of_the_idl_is_one_of_ours_in_its_service() {
    let text: String = idl().concat().split_whitespace().collect();
    let services: Vec<&str> = text.split("service").skip(1).collect();
    let expected = [
        (
            "StatestoreService",
            vec![
                declaration::<RegisterSubscriberRequest>(),
                declaration::<GetProtocolVersionRequest>(),
                declaration::<SetStatestoreDebugActionRequest>(),
                declaration::<UnregisterSubscriberRequest>(),
                declaration::<PublishRequest>(),
                declaration::<ForceStatestoreActiveRequest>(),
            ],
        ),
        (
            "StatestoreSubscriber",
            vec![
                declaration::<UpdateStateRequest>(),
                declaration::<HeartbeatRequest>(),
                declaration::<UpdateCatalogdRequest>(),
                declaration::<UpdateStatestoredRoleRequest>(),
            ],
        ),
        (
            "StatestoreHaService",
            vec![
                declaration::<StatestoreHaHandshakeRequest>(),
                declaration::<StatestoreHaHeartbeatRequest>(),
                declaration::<StatestoreHaLeaveRequest>(),
            ],
        ),
    ];
    assert_eq!(services.len(), expected.len());
    for (service, (name, methods)) in services.iter().zip(expected) {
        let body = service.split('}').next().unwrap();
        assert_eq!(body, format!("{name}{{{}", methods.concat()));
    }
}

// wire.md 4
#[test]
fn the_enums_of_the_idl_have_our_numbers() {
    let text = idl().join(" ");
    let expected = [
        (
            "StatestoreServiceVersion",
            vec![("V1", ProtocolVersion::V1.0), ("V2", ProtocolVersion::V2.0)],
        ),
        (
            "CatalogServiceVersion",
            vec![("V1", CatalogVersion::V1.0), ("V2", CatalogVersion::V2.0)],
        ),
        (
            "TStatestoreSubscriberType",
            vec![
                ("UNKNOWN", SubscriberType::UNKNOWN.0),
                ("ADMISSIOND", SubscriberType::ADMISSIOND.0),
                ("CATALOGD", SubscriberType::CATALOGD.0),
                ("COORDINATOR", SubscriberType::COORDINATOR.0),
                ("EXECUTOR", SubscriberType::EXECUTOR.0),
                (
                    "COORDINATOR_EXECUTOR",
                    SubscriberType::COORDINATOR_EXECUTOR.0,
                ),
            ],
        ),
        (
            "TStatestoreConnState",
            vec![
                ("OK", ConnState::OK.0),
                ("FAILED", ConnState::FAILED.0),
                ("UNKNOWN", ConnState::UNKNOWN.0),
            ],
        ),
    ];
    for (name, values) in expected {
        let values: Vec<String> = values.iter().map(|(v, n)| format!("{v} = {n}")).collect();
        let declared = format!("enum {name} {{ {} }}", values.join(" "));
        assert!(text.contains(&declared), "{declared}");
    }
    for (value, status) in [
        ("GENERAL", StatusCode::GENERAL),
        ("RPC_GENERAL_ERROR", StatusCode::RPC_GENERAL_ERROR),
        ("RPC_RECV_TIMEOUT", StatusCode::RPC_RECV_TIMEOUT),
        (
            "RPC_CLIENT_CONNECT_FAILURE",
            StatusCode::RPC_CLIENT_CONNECT_FAILURE,
        ),
        (
            "STATESTORE_INCOMPATIBLE_PROTOCOL",
            StatusCode::STATESTORE_INCOMPATIBLE_PROTOCOL,
        ),
    ] {
        assert!(
            text.contains(&format!(" {value} = {} ", status.0)),
            "{value}"
        );
    }
}
