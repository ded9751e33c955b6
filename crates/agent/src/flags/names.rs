//! Every flag of the agent by name, with default and the check that it passes by itself.
//!
//! Deliberately absent: what flags mean together (`flags.rs`).

use crate::roles::Role;
use statestore_daemon::flags::{FlagDef, FlagTable, Value, tables};

const NAME: &str = "statestore/statestore-agent.rs";

/// Flags of Impala's subscribers.
pub(crate) static SUBSCRIBER: FlagTable = FlagTable {
    file: "statestore/statestore-subscriber.cc",
    flags: &[
        FlagDef::string("state_store_host", "localhost", "host of the statestored"),
        FlagDef::int32(
            "state_store_port",
            24000,
            "port of the statestored's service",
        )
        .checked(tables::is_port),
        FlagDef::string(
            "state_store_2_host",
            "localhost",
            "host of the second statestored, with enable_statestored_ha",
        ),
        FlagDef::int32(
            "state_store_2_port",
            24000,
            "port of the second statestored's service",
        )
        .checked(tables::is_port),
        FlagDef::bool(
            "enable_statestored_ha",
            false,
            "register with the two statestoreds of a pair",
        ),
        FlagDef::int32(
            "state_store_subscriber_port",
            23000,
            "port on which statestored reaches this subscriber; 0 lets the system choose. If not \
             set: 23020 for a catalogd, 23030 for an admissiond, 0 for a custom role",
        )
        .checked(tables::is_port),
        FlagDef::int32(
            "statestore_subscriber_timeout_seconds",
            30,
            "no accepted heartbeat for longer means that the statestored is lost",
        )
        .checked(is_positive),
        FlagDef::int32(
            "statestore_subscriber_cnxn_attempts",
            10,
            "tries of each call of a registration; 0 is without limit",
        )
        .checked(tables::not_negative),
        FlagDef::int32(
            "statestore_subscriber_cnxn_retry_interval_ms",
            3000,
            "pause between those tries",
        )
        .checked(is_positive),
        FlagDef::bool(
            "statestore_subscriber_use_resolved_address",
            false,
            "register with the resolved address of the host name",
        ),
        FlagDef::int64(
            "statestore_subscriber_recovery_grace_period_ms",
            30000,
            "how long after a recovery members may be missing without being gone",
        )
        .hidden()
        .checked(tables::not_negative),
        FlagDef::int32(
            "statestore_client_rpc_timeout_ms",
            300000,
            "limit of a call of statestored",
        )
        .checked(is_positive),
        FlagDef::bool(
            "tolerate_statestore_startup_delay",
            true,
            "start although no statestored answers, and keep trying",
        ),
        FlagDef::string(
            "cluster_membership_topic_id",
            "",
            "prefix of the subscriber id and of the cluster's topics",
        ),
        FlagDef::bool("enable_catalogd_ha", false, "play one of two catalogds"),
        FlagDef::bool(
            "force_catalogd_active",
            false,
            "play a catalogd that wants to be active",
        ),
        FlagDef::int32(
            "statestore_heartbeat_frequency_ms",
            1000,
            "statestored's heartbeat period",
        )
        .checked(is_positive),
        FlagDef::int32(
            "max_missed_heartbeat_request_num",
            0,
            "so many missed heartbeats in a row mean that the statestored is lost, even before \
             statestore_subscriber_timeout_seconds; 0 leaves it to that",
        )
        .checked(tables::not_negative),
    ],
};

/// Flags of the agent alone.
pub(crate) static AGENT: FlagTable = FlagTable {
    file: NAME,
    flags: &[
        FlagDef::string(
            "role",
            "custom",
            "what to be: catalogd, coordinator, executor, coordinator_executor, admissiond, custom",
        )
        .checked(is_role),
        FlagDef::string(
            "subscriber_id",
            "",
            "id in the cluster; by default as the role has it",
        ),
        FlagDef::int32(
            "catalog_service_port",
            26000,
            "a catalogd's service port: in its id",
        )
        .checked(tables::is_port),
        FlagDef::int32("krpc_port", 27000, "an impalad's service port: in its id")
            .checked(tables::is_port),
        FlagDef::string(
            "publish",
            "",
            "TOPIC:KEY=VALUE or TOPIC:KEY=@FILE: publish an entry",
        )
        .repeated(),
        FlagDef::string(
            "publish_dir",
            "",
            "TOPIC:DIR: publish every file as an entry",
        )
        .repeated(),
        FlagDef::string("follow", "", "TOPIC[:PREFIX]: print changes as JSON lines").repeated(),
        FlagDef::string(
            "mirror",
            "",
            "TOPIC[:PREFIX]:DIR: keep a folder equal to a topic",
        )
        .repeated(),
        FlagDef::string(
            "on_change",
            "",
            "TOPIC:COMMAND: run a shell command after changes",
        )
        .repeated(),
        FlagDef::string(
            "transient",
            "",
            "TOPIC: what is published there goes with this process",
        )
        .repeated(),
    ],
};

fn is_positive(value: &Value) -> bool {
    matches!(value, Value::Int32(1..))
}

fn is_role(value: &Value) -> bool {
    matches!(value, Value::Str(name) if Role::parse(name).is_some())
}
