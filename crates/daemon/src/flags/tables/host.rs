//! Flags of the host, the RPC servers and the process (flags.md section 6).
//! Data only; a flag without effect here is marked as accepted, and start-up warns of its use.

use crate::flags::{FlagDef, FlagTable, Value};

/// Thrift's own limit on a message, in bytes.
const THRIFT_DEFAULT_MAX_MESSAGE: i64 = 100 * 1024 * 1024;

/// Host, RPC server, process (flags.md section 6).
pub static HOST: FlagTable = FlagTable {
    file: "common/host-flags",
    flags: &[
        FlagDef::string(
            "hostname",
            "",
            "Hostname to use for this daemon, also used as part of the HA address and of \
             links. If not set, the system default will be used.",
        ),
        FlagDef::bool(
            "use_resolved_hostname",
            false,
            "If true, --hostname is replaced by its IP address at start-up.",
        ),
        FlagDef::int64(
            "thrift_rpc_max_message_size",
            68_719_476_736,
            "The maximum size in bytes of a message that the RPC servers and clients accept. 0 \
             or less: Thrift's default of 100 MB.",
        )
        .checked(|value| match value {
            Value::Int64(bytes) => *bytes <= 0 || *bytes >= THRIFT_DEFAULT_MAX_MESSAGE,
            _ => false,
        }),
        FlagDef::int32(
            "accepted_cnxn_queue_depth",
            10_000,
            "Connections that are accepted but not yet set up.",
        )
        .accepted(),
        FlagDef::int32(
            "accepted_cnxn_setup_thread_pool_size",
            2,
            "Threads that set up accepted connections.",
        )
        .accepted(),
        FlagDef::int64(
            "pause_monitor_sleep_time_ms",
            500,
            "Sleep time in milliseconds of the process-pause monitor.",
        ),
        FlagDef::int64(
            "pause_monitor_warn_threshold_ms",
            10_000,
            "If a sleep of the pause monitor takes this much longer than asked for, a warning \
             is logged. 0 or less turns the monitor off.",
        ),
        FlagDef::int32(
            "memory_maintenance_sleep_time_ms",
            10_000,
            "Period of refreshing the memory metrics. They are read when asked for, so it is \
             not needed.",
        )
        .accepted(),
        FlagDef::bool(
            "abort_on_config_error",
            true,
            "Abort start-up if there are improper configurations.",
        )
        .accepted(),
        FlagDef::string(
            "debug_actions",
            "",
            "For testing: label:action pairs that inject failures.",
        ),
        FlagDef::removed("use_statestore"),
        FlagDef::removed("be_port"),
        FlagDef::removed("rpc_cnxn_attempts"),
    ],
};
