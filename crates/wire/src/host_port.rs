//! [`HostPort`]: where a service listens, ready to connect to.
//!
//! Deliberately absent: name resolution, and the wire's own address, which may hold any bytes and
//! any port; converting it is where such nonsense gets its error.

use crate::messages::NetworkAddress;
use alloc::borrow::ToOwned;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// A host name or IP literal (without brackets) and a TCP port. Cloning is cheap.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostPort {
    host: Arc<str>,
    port: u16,
}

/// Why something is no address. The fault of whoever wrote it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum AddressError {
    /// No host before the port.
    #[error("address '{0}': the host name is empty")]
    EmptyHost(String),
    /// Host names are text.
    #[error("address '{0}': the host name is not UTF-8")]
    NotUtf8(String),
    /// A port outside 1 to 65535, or none.
    #[error("address '{0}': the port must be a number from 1 to 65535")]
    BadPort(String),
}

impl HostPort {
    /// An address; brackets around an IPv6 literal are taken off.
    pub fn new(host: &str, port: u16) -> Self {
        let bare = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        Self {
            host: bare.unwrap_or(host).into(),
            port,
        }
    }

    /// Host name or IP literal.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// `host:port`, with an IPv6 literal in brackets.
impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

impl FromStr for HostPort {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        let bad_port = || AddressError::BadPort(text.to_owned());
        let (host, port) = text.rsplit_once(':').ok_or_else(bad_port)?;
        let port = port.parse().ok().filter(|port| *port != 0);
        let address = Self::new(host, port.ok_or_else(bad_port)?);
        if address.host.is_empty() {
            return Err(AddressError::EmptyHost(text.to_owned()));
        }
        Ok(address)
    }
}

impl TryFrom<&NetworkAddress> for HostPort {
    type Error = AddressError;

    fn try_from(address: &NetworkAddress) -> Result<Self, AddressError> {
        let host = core::str::from_utf8(address.hostname.as_bytes())
            .map_err(|_| AddressError::NotUtf8(address.to_string()))?;
        if host.is_empty() {
            return Err(AddressError::EmptyHost(address.to_string()));
        }
        let port = u16::try_from(address.port).ok().filter(|port| *port != 0);
        let port = port.ok_or_else(|| AddressError::BadPort(address.to_string()))?;
        Ok(Self::new(host, port))
    }
}

impl From<&HostPort> for NetworkAddress {
    fn from(address: &HostPort) -> Self {
        Self {
            hostname: address.host().into(),
            port: i32::from(address.port),
            uds_address: None,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_ipv6_literal_is_shown_in_brackets_and_read_with_them() {
        let address: HostPort = "[::1]:24000".parse().unwrap();
        assert_eq!((address.host(), address.port()), ("::1", 24000));
        assert_eq!(address.to_string(), "[::1]:24000");
        assert_eq!(HostPort::new("db-1", 25000).to_string(), "db-1:25000");
    }

    #[test]
    fn nonsense_names_the_address_and_the_fault() {
        for (text, fault) in [
            ("host", "port"),
            ("host:", "port"),
            ("host:0", "port"),
            ("host:65536", "port"),
            (":1", "empty"),
        ] {
            let error = text.parse::<HostPort>().unwrap_err().to_string();
            assert!(error.contains(text) && error.contains(fault), "{error}");
        }
    }

    #[test]
    fn a_wire_address_with_a_wild_port_or_host_is_refused() {
        let wire = |host: &[u8], port| NetworkAddress {
            hostname: host.into(),
            port,
            uds_address: None,
        };
        assert!(HostPort::try_from(&wire(b"h", -1)).is_err());
        assert!(HostPort::try_from(&wire(b"h", 70_000)).is_err());
        assert!(HostPort::try_from(&wire(b"", 1)).is_err());
        assert!(HostPort::try_from(&wire(b"\xff\xfe", 1)).is_err());
        let fine = HostPort::try_from(&wire(b"::1", 23000)).unwrap();
        assert_eq!(fine.to_string(), "[::1]:23000");
        assert_eq!(NetworkAddress::from(&fine), wire(b"::1", 23000));
    }
}
