// The statestore protocol, for users of other languages and for tests.
//
// Three services: StatestoreService is served by a statestored for its subscribers,
// StatestoreSubscriber by every subscriber for the statestored, StatestoreHaService by a
// statestored for the other one of its pair. All of them speak the binary protocol over plain
// (buffered, never framed) TCP, or TLS.
//
// Names, ids and numbers are those of docs/spec/wire.md; a test compares this file with the
// tables in crates/wire. Strings are bytes that should be UTF-8; keys and values may be any bytes
// and are therefore `binary`.

namespace py statestore

// ---- enums ----

// What a peer speaks. Messages for people print the value plus one.
enum StatestoreServiceVersion {
  V1 = 0
  V2 = 1
}

// What a catalogd speaks.
enum CatalogServiceVersion {
  V1 = 0
  V2 = 1
}

enum TStatestoreSubscriberType {
  UNKNOWN = 0
  ADMISSIOND = 1
  CATALOGD = 2
  COORDINATOR = 3
  EXECUTOR = 4
  COORDINATOR_EXECUTOR = 5
}

// How a subscriber finds its active statestored, when the standby asks.
enum TStatestoreConnState {
  OK = 0
  FAILED = 1
  UNKNOWN = 2
}

// The codes that statestore traffic carries; a reader keeps any other number as it is.
enum TErrorCode {
  OK = 0
  GENERAL = 2
  RUNTIME_ERROR = 6
  INTERNAL_ERROR = 8
  RPC_GENERAL_ERROR = 30
  RPC_RECV_TIMEOUT = 31
  SSL_PASSWORD_CMD_FAILED = 46
  SSL_CERTIFICATE_PATH_BLANK = 47
  SSL_PRIVATE_KEY_PATH_BLANK = 48
  SSL_CERTIFICATE_NOT_FOUND = 49
  SSL_PRIVATE_KEY_NOT_FOUND = 50
  SSL_SOCKET_CREATION_FAILED = 51
  RPC_CLIENT_CONNECT_FAILURE = 58
  THREAD_CREATION_FAILED = 109
  STATESTORE_INCOMPATIBLE_PROTOCOL = 158
}

// ---- shared ----

// A 128-bit id; all zero means that there is none.
struct TUniqueId {
  1: required i64 hi
  2: required i64 lo
}

struct TNetworkAddress {
  // A name or an IP literal.
  1: required string hostname
  2: required i32 port
  // Another RPC system's Unix-domain address. Carried along, and part of equality.
  3: optional string uds_address
}

struct TStatus {
  1: required TErrorCode status_code
  // The message, then details. Empty when all is well.
  2: list<string> error_msgs = []
}

// ---- topics ----

struct TTopicItem {
  1: required binary key
  // Opaque. May be there for deletions too.
  2: required binary value
  // The key is removed.
  3: required bool deleted = false
}

struct TTopicDelta {
  1: required string topic_name
  // Changes, or the whole topic when is_delta is false.
  2: required list<TTopicItem> topic_entries
  3: required bool is_delta
  // From a statestored: the version this builds on. From a subscriber: set only to ask for a
  // delta from that version.
  4: optional i64 from_version
  // From a statestored: the version reached. Otherwise ignored.
  5: optional i64 to_version
  // From a statestored, to whoever asked at registration: the lowest version that any subscriber
  // of the topic has.
  6: optional i64 min_subscriber_topic_version
  // From a subscriber: empty the topic before the entries are applied.
  7: optional bool clear_topic_entries
}

struct TTopicRegistration {
  1: required string topic_name
  // What this subscriber publishes here goes when its registration does.
  2: required bool is_transient
  3: required bool populate_min_subscriber_topic_version = false
  // Only keys that begin with it are sent.
  4: optional string filter_prefix = ""
}

// ---- StatestoreService ----

struct TCatalogRegistration {
  1: required CatalogServiceVersion protocol
  2: required TNetworkAddress address
  // Must equal the statestored's own setting.
  3: optional bool enable_catalogd_ha
  4: optional bool force_catalogd_active
  // Unix milliseconds, set by the statestored; what the catalogd sends is overwritten.
  5: optional i64 registration_time
}

struct TRegisterSubscriberRequest {
  1: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  // Unique in the cluster, not empty.
  2: required string subscriber_id
  // Where the subscriber serves StatestoreSubscriber.
  3: required TNetworkAddress subscriber_location
  4: required list<TTopicRegistration> topic_registrations
  5: optional TStatestoreSubscriberType subscriber_type
  // Wants UpdateCatalogd.
  6: optional bool subscribe_catalogd_change
  // From a catalogd only.
  7: optional TCatalogRegistration catalogd_registration
  // Milliseconds of silence after which this subscriber counts a statestored as lost. Who sets it
  // understands the extensions (fields from 100 on) of all messages.
  100: optional i64 heartbeat_timeout_ms
  // It publishes by Publish where that is understood, so it need not be polled.
  101: optional bool publishes
}

struct TRegisterSubscriberResponse {
  1: required TStatus status
  // Fresh for every accepted call.
  2: optional TUniqueId registration_id
  3: optional StatestoreServiceVersion protocol_version
  4: optional TUniqueId statestore_id
  // From an active statestored that knows an active catalogd, with the number of its election.
  5: optional TCatalogRegistration catalogd_registration
  6: optional i64 catalogd_version
  7: optional bool statestore_is_active
  // Unix microseconds at which this statestored last became active; 0 for never.
  8: optional i64 active_statestored_version
  // Of an active sender.
  100: optional i64 epoch
  // Publish is understood, in messages of up to so many bytes.
  101: optional i64 publication_limit
}

struct TGetProtocolVersionRequest {
  1: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
}

struct TGetProtocolVersionResponse {
  1: required TStatus status
  2: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  3: optional TUniqueId statestore_id
}

struct TSetStatestoreDebugActionRequest {
  1: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  2: optional bool disable_network
}

struct TSetStatestoreDebugActionResponse {
  1: required TStatus status
}

// Extension: a subscriber stops on purpose.
struct TUnregisterSubscriberRequest {
  1: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  2: required string subscriber_id
  // The registration that ends; a newer one stays.
  3: required TUniqueId registration_id
}

struct TUnregisterSubscriberResponse {
  1: required TStatus status
}

// Extension: a subscriber publishes without having been asked.
struct TPublishRequest {
  1: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  2: required string subscriber_id
  // The registration that it does so under.
  3: required TUniqueId registration_id
  // 0 carries priority topics, 1 all others; each counts by itself.
  4: required i32 stream
  // Rises from one publication of a stream to the next. The same again is the same publication
  // again, and is taken in once.
  5: required i64 sequence
  // As in the answer to an update.
  6: required list<TTopicDelta> topic_updates
  // More of what is wished for now follows.
  7: optional bool more
  // The highest epoch that the subscriber has seen.
  8: optional i64 highest_epoch
}

struct TPublishResponse {
  1: required TStatus status
}

// Extension: an operator makes a statestored of a pair active, at the risk of two.
struct TForceStatestoreActiveRequest {
  1: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  // The process that is meant.
  2: required TUniqueId statestore_id
}

struct TForceStatestoreActiveResponse {
  1: required TStatus status
  2: optional i64 epoch
}

// Served by a statestored.
service StatestoreService {
  TRegisterSubscriberResponse RegisterSubscriber(1: TRegisterSubscriberRequest params)
  TGetProtocolVersionResponse GetProtocolVersion(1: TGetProtocolVersionRequest params)
  // For tests: cuts the statestored off, or joins it again.
  TSetStatestoreDebugActionResponse SetStatestoreDebugAction(
      1: TSetStatestoreDebugActionRequest params)
  // Extensions; the reference answers "Invalid method name".
  TUnregisterSubscriberResponse UnregisterSubscriber(1: TUnregisterSubscriberRequest params)
  TPublishResponse Publish(1: TPublishRequest params)
  TForceStatestoreActiveResponse ForceStatestoreActive(1: TForceStatestoreActiveRequest params)
}

// ---- StatestoreSubscriber ----

struct TUpdateStateRequest {
  1: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  // By topic name.
  2: required map<string, TTopicDelta> topic_deltas
  3: optional TUniqueId registration_id
  4: optional TUniqueId statestore_id
  // Of the active sender.
  100: optional i64 epoch
}

struct TUpdateStateResponse {
  1: required TStatus status
  // What the subscriber publishes.
  2: required list<TTopicDelta> topic_updates
  // Nothing was processed: send it again.
  3: optional bool skipped = false
  // The highest that the subscriber has seen.
  100: optional i64 highest_epoch
}

struct THeartbeatRequest {
  1: optional StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  2: optional TUniqueId registration_id
  3: optional TUniqueId statestore_id
  // A standby asks how the subscriber finds the active statestored.
  4: optional bool request_statestore_conn_state
  // Of an active sender.
  100: optional i64 epoch
}

struct THeartbeatResponse {
  1: required TStatus status
  // Set when it was asked for.
  2: optional TStatestoreConnState statestore_conn_state
  // The highest that the subscriber has seen.
  100: optional i64 highest_epoch
  // When it was asked for: the other statestored has been silent for the subscriber's timeout,
  // and the subscriber has lived that long.
  101: optional bool other_is_lost
  // When it was asked for: the other statestored's last heartbeat was an active one's.
  102: optional bool other_is_active
  // Nobody knows yet whether the heartbeat was for this registration of the subscriber's or for
  // one of a former life: it is there, but this is neither an acknowledgement nor a vote.
  103: optional bool unacknowledged
}

struct TUpdateCatalogdRequest {
  1: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  2: required TUniqueId registration_id
  3: required TUniqueId statestore_id
  // Counts the elections of this statestored.
  4: required i64 catalogd_version
  // The active catalogd.
  5: required TCatalogRegistration catalogd_registration
  // Of the active sender.
  100: optional i64 epoch
}

struct TUpdateCatalogdResponse {
  1: required TStatus status
  // Send it again later.
  2: optional bool skipped
  // The highest that the subscriber has seen.
  100: optional i64 highest_epoch
}

struct TUpdateStatestoredRoleRequest {
  1: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  2: required TUniqueId registration_id
  // The sender.
  3: required TUniqueId statestore_id
  // Unix microseconds at which the sender became active.
  4: required i64 active_statestored_version
  // True whenever it is sent.
  5: required bool is_active
  // The active catalogd, for those who want to know.
  6: optional i64 catalogd_version
  7: optional TCatalogRegistration catalogd_registration
  // Of the active sender.
  100: optional i64 epoch
}

struct TUpdateStatestoredRoleResponse {
  1: required TStatus status
  // Send it again later.
  2: optional bool skipped
  // The highest that the subscriber has seen.
  100: optional i64 highest_epoch
}

// Served by every subscriber, at the address it gave when it registered.
service StatestoreSubscriber {
  TUpdateStateResponse UpdateState(1: TUpdateStateRequest params)
  THeartbeatResponse Heartbeat(1: THeartbeatRequest params)
  TUpdateCatalogdResponse UpdateCatalogd(1: TUpdateCatalogdRequest params)
  TUpdateStatestoredRoleResponse UpdateStatestoredRole(1: TUpdateStatestoredRoleRequest params)
}

// ---- StatestoreHaService ----

struct TStatestoreHaHandshakeRequest {
  1: required StatestoreServiceVersion src_protocol_version = StatestoreServiceVersion.V2
  2: required TUniqueId src_statestore_id
  // host:port of the sender's own StatestoreHaService; an IPv6 literal stands in brackets.
  3: required string src_statestore_address
  // The sender insists on becoming active.
  4: required bool src_force_active
  // The highest that the sender has seen.
  100: optional i64 highest_epoch
  // Under which the sender is active, alone so far.
  101: optional i64 epoch
  // Milliseconds of silence after which the sender may take over.
  102: optional i64 timeout_ms
  // The sender's limit for subscribers that do not name their own, in milliseconds.
  103: optional i64 subscriber_timeout_ms
}

struct TStatestoreHaHandshakeResponse {
  1: required TStatus status
  2: required StatestoreServiceVersion dst_protocol_version = StatestoreServiceVersion.V2
  // All zero when refused.
  3: required TUniqueId dst_statestore_id
  // The answering side's role from now on; the sender takes the other.
  4: required bool dst_statestore_active
  // The highest that the answering side has seen.
  100: optional i64 highest_epoch
  // Milliseconds of silence after which the answering side may take over.
  101: optional i64 timeout_ms
  // Its limit for subscribers that do not name their own, in milliseconds.
  102: optional i64 subscriber_timeout_ms
}

struct TStatestoreHaHeartbeatRequest {
  1: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  // The id last learned from the peer.
  2: required TUniqueId dst_statestore_id
  3: required TUniqueId src_statestore_id
  // Under which the sender is active. Who sets it understands the other extensions.
  100: optional i64 epoch
  // Names the electorate that the receiver is to adopt; rises with each change.
  101: optional i64 electorate_version
  // Its members, by subscriber id; left out while the receiver has adopted this version.
  102: optional list<string> electorate
  // The version of the receiver's members that the sender has.
  103: optional i64 known_members_version
  // The active catalogd's subscriber id, if one is designated.
  104: optional string active_catalogd
  // Counts designations.
  105: optional i64 catalogd_version
  // The sender is not active yet, it asks to be.
  106: optional bool claims
  // Milliseconds of silence after which the sender may take over.
  107: optional i64 timeout_ms
  // The sender's limit for subscribers that do not name their own, in milliseconds.
  108: optional i64 subscriber_timeout_ms
}

struct TStatestoreHaHeartbeatResponse {
  1: required TStatus status
  // The highest that the receiver has seen.
  100: optional i64 highest_epoch
  // The receiver is active itself.
  101: optional bool is_active
  // The version of the electorate that the receiver has adopted.
  102: optional i64 electorate_version
  // Names the receiver's registered subscribers; rises with each change.
  103: optional i64 members_version
  // Their ids; left out while the sender has this version.
  104: optional list<string> members
  // The receiver, if it is not the process that was meant.
  105: optional TUniqueId statestore_id
  // Milliseconds of silence after which the receiver may take over.
  106: optional i64 timeout_ms
  // Its limit for subscribers that do not name their own, in milliseconds.
  107: optional i64 subscriber_timeout_ms
  // Limits of the members, in their order, where they are shorter than that; otherwise 0.
  108: optional list<i64> member_timeouts_ms
}

// Extension: a standby stops on purpose.
struct TStatestoreHaLeaveRequest {
  1: required StatestoreServiceVersion protocol_version = StatestoreServiceVersion.V2
  // The id last learned from the peer.
  2: required TUniqueId dst_statestore_id
  // The process that stops; nothing of it counts from now on.
  3: required TUniqueId src_statestore_id
}

struct TStatestoreHaLeaveResponse {
  1: required TStatus status
}

// Served by a statestored of a pair, for the other one.
service StatestoreHaService {
  TStatestoreHaHandshakeResponse StatestoreHaHandshake(1: TStatestoreHaHandshakeRequest params)
  TStatestoreHaHeartbeatResponse StatestoreHaHeartbeat(1: TStatestoreHaHeartbeatRequest params)
  // Extension; the reference answers "Invalid method name".
  TStatestoreHaLeaveResponse StatestoreHaLeave(1: TStatestoreHaLeaveRequest params)
}
