//! The flags of a pair of statestoreds (flags.md section 3), and those that the servers of a pair
//! need to know of their subscribers. Deliberately absent: what follows from several together.

use super::is_positive;
use statestore_daemon::flags::tables::{is_port, not_negative};
use statestore_daemon::flags::{FlagDef, FlagTable};

/// Running as one of two.
pub static PAIR: FlagTable = FlagTable {
    file: "statestore/statestore-ha",
    flags: &[
        FlagDef::bool(
            "enable_statestored_ha",
            false,
            "Run as one of a pair: one is active, the other stands by.",
        ),
        FlagDef::int32(
            "state_store_ha_port",
            24_020,
            "Port of StatestoreHaService, which the peer calls; 0 lets the system choose.",
        )
        .checked(is_port),
        FlagDef::string("state_store_peer_host", "localhost", "Host of the peer."),
        FlagDef::int32(
            "state_store_peer_ha_port",
            24_020,
            "Port of the peer's StatestoreHaService.",
        )
        .checked(is_port),
        FlagDef::bool(
            "statestore_force_active",
            false,
            "Take the active role from a peer that does not insist on it too: a manual failover. \
             In effect for the life of the process.",
        ),
        FlagDef::bool(
            "use_network_address_as_statestore_priority",
            false,
            "Where both could be active, compare hostname:ha_port instead of random ids; the \
             lower one becomes active.",
        ),
        FlagDef::int64(
            "statestore_ha_preemption_wait_period_ms",
            10_000,
            "How long to look for the peer before acting alone, in milliseconds.",
        )
        .checked(not_negative),
        FlagDef::int32(
            "statestore_peer_cnxn_attempts",
            10,
            "Handshakes in a preemption wait; 0: one every \
             statestore_peer_cnxn_retry_interval_ms. Later they go on in the same rhythm.",
        )
        .checked(not_negative),
        FlagDef::int32(
            "statestore_peer_cnxn_retry_interval_ms",
            1_000,
            "Milliseconds between handshakes, if statestore_peer_cnxn_attempts is 0.",
        )
        .checked(not_negative),
        FlagDef::double(
            "statestore_ha_heartbeat_monitoring_frequency_ms",
            1_000.0,
            "Milliseconds between heartbeats from the active to the standby. Made shorter where \
             it leaves no time within the lease.",
        )
        .hidden()
        .checked(is_positive),
        FlagDef::int32(
            "statestore_peer_timeout_seconds",
            30,
            "Seconds without a heartbeat of the active after which the standby may take over, if \
             the majority of subscribers lost it too.",
        )
        .checked(is_positive),
        FlagDef::int32(
            "statestore_subscriber_timeout_seconds",
            30,
            "Seconds of silence after which subscribers count a statestored as lost: the smallest \
             value in use by those that do not say their own when they register.",
        )
        .checked(is_positive),
        FlagDef::int32(
            "max_missed_heartbeat_request_num",
            0,
            "So many whole heartbeat periods without a heartbeat mean lost, for the peer and for \
             subscribers that do not say their own limit, even before the *_timeout_seconds; 0 \
             leaves it to those.",
        )
        .checked(not_negative),
        FlagDef::int32(
            "statestore_ha_client_rpc_timeout_ms",
            300_000,
            "Limit of a call to the peer in milliseconds, connecting included; never longer than \
             about two periods of heartbeats between the two.",
        )
        .checked(not_negative),
        FlagDef::int32(
            "statestore_ha_client_rpc_conn_timeout_ms",
            0,
            "The same; the shorter one counts, 0 does not.",
        )
        .checked(not_negative),
        FlagDef::int32(
            "statestore_update_statestore_tcp_timeout_seconds",
            3,
            "Seconds that telling one subscriber who is active may take in all, connecting \
             included; 0: no limit.",
        )
        .checked(not_negative),
        FlagDef::int64(
            "update_statestore_rpc_resend_interval_ms",
            100,
            "Milliseconds between rounds of telling subscribers who is active.",
        )
        .checked(is_positive),
    ],
};
