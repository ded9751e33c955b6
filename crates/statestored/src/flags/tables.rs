//! statestored's own flags: flags.md sections 2 to 4, and the few that are new with us.
//!
//! The flags that every daemon shares are in `statestore_daemon::flags::tables`. A flag marked
//! `accepted()` is there so that start scripts and flagfiles of the reference keep working; its
//! help says why it does nothing.

mod pair;

pub use pair::PAIR;

use statestore_daemon::flags::tables::{HOST, LOGGING, SECURITY, WEB, is_port, not_negative};
use statestore_daemon::flags::{FlagDef, FlagTable, Value};

/// Every flag of a statestored, those of any daemon included.
pub static ALL: &[&FlagTable] = &[
    &STATESTORE,
    &EXTENSIONS,
    &CATALOG,
    &PAIR,
    &HOST,
    &WEB,
    &SECURITY,
    &LOGGING,
];

/// The statestore itself (flags.md section 2).
pub static STATESTORE: FlagTable = FlagTable {
    file: "statestore/statestore",
    flags: &[
        FlagDef::int32(
            "state_store_port",
            24_000,
            "Port of StatestoreService; 0 lets the system choose, the log then says which.",
        )
        .checked(is_port),
        FlagDef::int32(
            "statestore_max_missed_heartbeats",
            10,
            "Failed heartbeats in a row after which a subscriber is removed; at half of them it \
             is suspected.",
        )
        .checked(is_positive),
        FlagDef::int32(
            "statestore_heartbeat_frequency_ms",
            1_000,
            "Milliseconds from the end of one heartbeat to the start of the next, for each \
             subscriber.",
        )
        .checked(is_positive),
        FlagDef::int32(
            "statestore_num_heartbeat_threads",
            10,
            "No effect: heartbeats need no threads, none waits for another.",
        )
        .accepted(),
        FlagDef::int32(
            "statestore_heartbeat_tcp_timeout_seconds",
            3,
            "Seconds that a heartbeat may take in all, connecting included; 0: no limit.",
        )
        .checked(not_negative),
        FlagDef::int32(
            "statestore_update_frequency_ms",
            2_000,
            "Milliseconds from the end of one update of normal topics to the start of the next, \
             for each subscriber, at most: a change is sent sooner, see \
             statestore_push_on_change.",
        )
        .checked(is_positive),
        FlagDef::int32(
            "statestore_num_update_threads",
            10,
            "No effect: updates need no threads, none waits for another.",
        )
        .accepted(),
        FlagDef::int32(
            "statestore_update_tcp_timeout_seconds",
            300,
            "Seconds that a topic update may take in all, connecting included; 0: no limit.",
        )
        .checked(not_negative),
        FlagDef::int32(
            "statestore_priority_update_frequency_ms",
            100,
            "Milliseconds from the end of one update of priority topics to the start of the next, \
             for each subscriber, at most.",
        )
        .checked(is_positive),
        FlagDef::int32(
            "statestore_num_priority_update_threads",
            10,
            "No effect: updates need no threads, none waits for another.",
        )
        .accepted(),
        FlagDef::int32(
            "statestore_max_subscribers",
            10_000,
            "Subscribers at one time; further registrations are refused.",
        )
        .checked(is_positive),
        FlagDef::double(
            "heartbeat_monitoring_frequency_ms",
            60_000.0,
            "Period in milliseconds of the report of how many subscribers answered a heartbeat.",
        )
        .hidden()
        .checked(is_positive),
        FlagDef::int32(
            "stress_statestore_startup_delay_ms",
            0,
            "For testing: milliseconds to wait before StatestoreService is opened.",
        )
        .hidden()
        .checked(not_negative),
    ],
};

/// Extensions of this implementation.
pub static EXTENSIONS: FlagTable = FlagTable {
    file: "statestore/extensions",
    flags: &[
        FlagDef::bool(
            "statestore_push_on_change",
            true,
            "Send a topic's change at once instead of with the next period. False: the classical \
             cadence.",
        ),
        FlagDef::int32(
            "statestore_push_coalesce_ms",
            10,
            "With statestore_push_on_change: the least time in milliseconds from the end of an \
             update that told something to the start of the next; gathers a burst of changes into \
             one message.",
        )
        .checked(not_negative),
        FlagDef::int32(
            "statestore_transient_grace_ms",
            5_000,
            "How long the transient entries of a subscriber that registers again wait for it to \
             publish them anew before they are removed; 0 removes them at once, as the reference \
             does.",
        )
        .checked(not_negative),
        FlagDef::int64(
            "statestore_max_request_bytes",
            67_108_864,
            "Largest message that StatestoreService reads, if thrift_rpc_max_message_size is not \
             smaller. Registrations are small; subscribers that publish by calls of their own \
             split larger publications. What arrives in replies is not limited by this.",
        )
        .checked(is_request_limit),
    ],
};

/// The election of the active catalogd (flags.md section 4).
pub static CATALOG: FlagTable = FlagTable {
    file: "statestore/statestore-catalogd-mgr",
    flags: &[
        FlagDef::bool(
            "enable_catalogd_ha",
            false,
            "Two catalogds, one of them active; must match the catalogds' own flag.",
        ),
        FlagDef::bool("force_catalogd_active", false, "Read by catalogd only.").accepted(),
        FlagDef::bool(
            "use_subscriber_id_as_catalogd_priority",
            false,
            "Compare subscriber ids instead of registration ids; the lower one becomes active.",
        ),
        FlagDef::int64(
            "catalogd_ha_preemption_wait_period_ms",
            10_000,
            "How long the first catalogd waits for a second before it becomes active; 0: not at \
             all.",
        )
        .checked(not_negative),
        FlagDef::int64(
            "active_catalogd_designation_monitoring_interval_ms",
            100,
            "No effect: the first election is decided when its time has come, nothing polls.",
        )
        .accepted(),
        FlagDef::int64(
            "update_catalogd_rpc_resend_interval_ms",
            100,
            "Milliseconds between rounds of telling subscribers the active catalogd.",
        )
        .checked(is_positive),
        FlagDef::int32(
            "statestore_update_catalogd_tcp_timeout_seconds",
            3,
            "Seconds that telling one subscriber may take in all, connecting included; 0: no \
             limit.",
        )
        .checked(not_negative),
    ],
};

fn is_positive(value: &Value) -> bool {
    match value {
        Value::Int32(number) => *number >= 1,
        Value::Int64(number) => *number >= 1,
        Value::Double(number) => number.is_finite() && *number >= 1.0,
        _ => false,
    }
}

/// A registration with a few thousand topics must fit.
fn is_request_limit(value: &Value) -> bool {
    matches!(value, Value::Int64(bytes) if *bytes >= 1_048_576)
}
