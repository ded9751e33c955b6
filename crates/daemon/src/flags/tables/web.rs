//! Flags of the web server (flags.md section 7).
//! Data only; `crate::web::WebConfig` gives the ones that act their meaning.

use super::{is_port, not_negative};
use crate::flags::{FlagDef, FlagTable, Value};

/// Web server (flags.md section 7).
pub static WEB: FlagTable = FlagTable {
    file: "util/webserver",
    flags: &[
        FlagDef::bool(
            "enable_webserver",
            true,
            "If true, the debug web server is enabled.",
        ),
        FlagDef::int32(
            "webserver_port",
            25_000,
            "Port of the debug web server; 0 lets the system choose.",
        )
        .checked(is_port),
        FlagDef::string(
            "webserver_interface",
            "",
            "Host name or address to bind the debug web server to. Empty: 0.0.0.0; :: binds \
             both families.",
        ),
        FlagDef::string(
            "webserver_doc_root",
            "",
            "Folder of static files. Pages are built in, so it is not needed.",
        )
        .accepted(),
        FlagDef::bool(
            "enable_webserver_doc_root",
            true,
            "If true, webserver_doc_root is served.",
        )
        .accepted(),
        FlagDef::string(
            "webserver_certificate_file",
            "",
            "PEM certificate of the debug web server.",
        ),
        FlagDef::string(
            "webserver_private_key_file",
            "",
            "PEM key of the debug web server.",
        ),
        FlagDef::string(
            "webserver_private_key_password_cmd",
            "",
            "Command that prints the password of the key.",
        )
        .sensitive()
        .accepted(),
        FlagDef::string(
            "webserver_authentication_domain",
            "",
            "Domain of the web server's authentication.",
        )
        .accepted(),
        FlagDef::string(
            "webserver_password_file",
            "",
            "An .htpasswd file with digest passwords.",
        ),
        FlagDef::bool(
            "webserver_require_spnego",
            false,
            "Require Kerberos authentication on the web server.",
        ),
        FlagDef::bool(
            "webserver_require_ldap",
            false,
            "Require LDAP authentication on the web server.",
        ),
        FlagDef::bool(
            "webserver_ldap_passwords_in_clear_ok",
            false,
            "Allow LDAP passwords without TLS.",
        )
        .accepted(),
        FlagDef::string(
            "webserver_x_frame_options",
            "DENY",
            "The X-Frame-Options header of every answer.",
        )
        .checked(is_header_value),
        FlagDef::int32(
            "webserver_max_post_length_bytes",
            1_048_576,
            "A longer POST is refused with status 413.",
        )
        .checked(not_negative),
        FlagDef::bool(
            "disable_content_security_policy_header",
            false,
            "Leave out the Content-Security-Policy header.",
        ),
        FlagDef::int64(
            "slow_http_response_warning_threshold_ms",
            500,
            "A page that takes longer to build is logged.",
        ),
        FlagDef::int64(
            "web_log_bytes",
            1_048_576,
            "Bytes at the end of the log that /logs shows.",
        )
        .checked(not_negative),
        FlagDef::int64(
            "max_cookie_lifetime_s",
            86_400,
            "Lifetime of an authentication cookie.",
        )
        .accepted(),
        FlagDef::int32(
            "metrics_webserver_port",
            0,
            "If not 0, a second server on this port has only metrics and /healthz.",
        )
        .checked(is_port),
        FlagDef::string(
            "metrics_webserver_interface",
            "",
            "Host name or address to bind the metrics server to.",
        ),
    ],
};

fn is_header_value(value: &Value) -> bool {
    matches!(value, Value::Str(text) if text.bytes().all(|b| (b' '..=b'~').contains(&b)))
}
