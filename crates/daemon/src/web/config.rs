//! The web server's settings and what can be wrong with them.
//! Parsed once, before anything is opened: a server that exists has settings that make sense.

use std::io;
use std::path::Path;
use std::time::Duration;

use crate::flags::Flags;

/// How to serve; usually [`WebConfig::from_flags`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebConfig {
    /// Host name or address to bind; "" is 0.0.0.0.
    pub interface: String,
    /// 0: the system chooses.
    pub port: u16,
    /// A second server with metrics and health only: interface and port.
    pub metrics: Option<(String, u16)>,
    /// The X-Frame-Options header.
    pub x_frame_options: String,
    /// Whether to send a Content-Security-Policy.
    pub content_security_policy: bool,
    /// Longest POST body in bytes.
    pub max_post: u64,
    /// Slower pages are logged.
    pub slow_page: Duration,
}

/// Why the web server did not start.
#[derive(Debug, thiserror::Error)]
pub enum WebError {
    /// The operator's: a flag asks for what this server cannot do.
    #[error(
        "Webserver: flag {flag} is set, but this web server has no {feature}; unset the flag \
             and protect the port by other means, or turn the server off with \
             --enable_webserver=false"
    )]
    Unsupported {
        /// The flag.
        flag: &'static str,
        /// What it asks for.
        feature: &'static str,
    },
    /// The operator's: a flag names a file that is not there.
    #[error("Webserver: Password file does not exist: {0}")]
    NoPasswordFile(String),
    /// The operator's: the interface has no address.
    #[error("Webserver: Could not resolve webserver_interface '{interface}': {source}")]
    Interface {
        /// As given.
        interface: String,
        /// What the resolver said.
        source: io::Error,
    },
    /// The surroundings': most often the port is in use.
    #[error("Webserver: Failed to start on address {address} (--{flag}): {source}")]
    Bind {
        /// The port's flag.
        flag: &'static str,
        /// Address and port.
        address: String,
        /// What the system said.
        source: io::Error,
    },
}

impl WebError {
    /// Whether the configuration is to blame, rather than a port that is taken.
    pub fn is_config(&self) -> bool {
        !matches!(self, WebError::Bind { .. })
    }
}

impl WebConfig {
    /// Reads [`crate::flags::tables::WEB`]; `None` without `--enable_webserver`. What an operator
    /// wants encrypted or protected is refused rather than served openly.
    pub fn from_flags(flags: &Flags) -> Result<Option<Self>, WebError> {
        if !flags.bool("enable_webserver") {
            return Ok(None);
        }
        let password_file = flags.str("webserver_password_file");
        if !password_file.is_empty() && !Path::new(password_file).exists() {
            return Err(WebError::NoPasswordFile(password_file.to_owned()));
        }
        let asked = [
            (
                "webserver_password_file",
                "authentication",
                !password_file.is_empty(),
            ),
            (
                "webserver_require_spnego",
                "authentication",
                flags.bool("webserver_require_spnego"),
            ),
            (
                "webserver_require_ldap",
                "authentication",
                flags.bool("webserver_require_ldap"),
            ),
            (
                "webserver_certificate_file",
                "TLS",
                !flags.str("webserver_certificate_file").is_empty(),
            ),
            (
                "webserver_private_key_file",
                "TLS",
                !flags.str("webserver_private_key_file").is_empty(),
            ),
        ];
        if let Some(&(flag, feature, _)) = asked.iter().find(|(_, _, is_set)| *is_set) {
            return Err(WebError::Unsupported { flag, feature });
        }
        let port = |flag| u16::try_from(flags.i32(flag)).unwrap_or(0);
        let metrics_port = port("metrics_webserver_port");
        let slow = flags
            .i64("slow_http_response_warning_threshold_ms")
            .max(0)
            .unsigned_abs();
        Ok(Some(WebConfig {
            interface: flags.str("webserver_interface").to_owned(),
            port: port("webserver_port"),
            metrics: (metrics_port != 0).then(|| {
                (
                    flags.str("metrics_webserver_interface").to_owned(),
                    metrics_port,
                )
            }),
            x_frame_options: flags.str("webserver_x_frame_options").to_owned(),
            content_security_policy: !flags.bool("disable_content_security_policy_header"),
            max_post: flags
                .i32("webserver_max_post_length_bytes")
                .max(0)
                .unsigned_abs()
                .into(),
            slow_page: Duration::from_millis(slow),
        }))
    }
}
