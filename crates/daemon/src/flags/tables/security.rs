//! Flags of TLS and Kerberos (flags.md section 8).
//! Data only. Each daemon ends its start over those that ask for encryption or for Kerberos; the
//! others are marked as accepted, so that none takes effect without being noticed.

use crate::flags::{FlagDef, FlagTable, Value};

/// TLS and Kerberos of the RPC ports (flags.md section 8).
pub static SECURITY: FlagTable = FlagTable {
    file: "rpc/security",
    flags: &[
        FlagDef::string(
            "ssl_server_certificate",
            "",
            "PEM certificate of the RPC servers.",
        ),
        FlagDef::string("ssl_private_key", "", "PEM key of the RPC servers."),
        FlagDef::string(
            "ssl_private_key_password_cmd",
            "",
            "Command that prints the password of the key.",
        )
        .sensitive()
        .accepted(),
        FlagDef::string(
            "ssl_client_ca_certificate",
            "",
            "PEM certificates with which RPC clients check servers.",
        ),
        FlagDef::string("ssl_cipher_list", CIPHERS, "Ciphers of TLS 1.2 and below.").accepted(),
        FlagDef::string(
            "tls_ciphersuites",
            "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256",
            "Cipher suites of TLS 1.3.",
        )
        .accepted(),
        FlagDef::string(
            "ssl_minimum_version",
            "tlsv1.2",
            "The lowest TLS version: tlsv1, tlsv1.1 or tlsv1.2.",
        )
        .accepted()
        .checked(|value| match value {
            Value::Str(text) => {
                ["tlsv1", "tlsv1.1", "tlsv1.2"].contains(&text.to_ascii_lowercase().as_str())
            }
            _ => false,
        }),
        FlagDef::string("principal", "", "Kerberos principal."),
        FlagDef::string(
            "be_principal",
            "",
            "Kerberos principal of internal connections.",
        ),
        FlagDef::string("keytab_file", "", "Kerberos keytab."),
        FlagDef::string(
            "krb5_ccname",
            "/tmp/krb5cc_impala_internal",
            "Kerberos ticket cache.",
        )
        .accepted(),
        FlagDef::string("krb5_conf", "", "Kerberos configuration.").accepted(),
        FlagDef::string("krb5_debug_file", "", "Kerberos trace file.").accepted(),
        FlagDef::string("spnego_keytab_file", "", "Keytab of the web server.").accepted(),
        FlagDef::bool(
            "skip_internal_kerberos_auth",
            false,
            "No Kerberos between daemons.",
        )
        .accepted(),
    ],
};

/// What `ssl_cipher_list` is when nobody sets it.
const CIPHERS: &str = "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:\
    ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:ECDHE-ECDSA-CHACHA20-POLY1305:\
    ECDHE-RSA-CHACHA20-POLY1305:ECDHE-ECDSA-AES128-CCM:ECDHE-ECDSA-AES256-CCM:\
    ECDHE-ECDSA-AES128-SHA256:ECDHE-RSA-AES128-SHA256:ECDHE-ECDSA-AES256-SHA384:\
    ECDHE-RSA-AES256-SHA384";
