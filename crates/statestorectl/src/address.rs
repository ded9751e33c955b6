//! `HOST:PORT`, as typed and as shown, and the address under which this machine is reached.
//!
//! Deliberately absent: connecting. The only socket here never sends a byte: a UDP socket that is
//! connected tells which local address the system would use.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket};

/// A host, by name or IP, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Name or IP; an IPv6 address without brackets.
    pub(crate) host: String,
    /// The port; 0 only where the system may pick one.
    pub(crate) port: u16,
}

impl Address {
    /// An address.
    pub(crate) fn new(host: &str, port: u16) -> Self {
        let host = host.to_owned();
        Self { host, port }
    }

    /// Reads `HOST` or `HOST:PORT`; an IPv6 address with a port stands in brackets.
    pub(crate) fn parse(text: &str, default_port: u16) -> Result<Self, String> {
        let (host, port) = split(text)?;
        let unfit = |c: char| c.is_whitespace() || c.is_control() || "/@?#[]".contains(c);
        if host.is_empty() {
            return Err("the host is missing".to_owned());
        }
        if host.contains(unfit) {
            return Err(format!("'{}' is no host", host.escape_debug()));
        }
        let port = match port {
            None => default_port,
            Some(digits) => match digits.parse() {
                Ok(port) => port,
                Err(_) => return Err(format!("'{}' is no port", digits.escape_debug())),
            },
        };
        Ok(Self::new(host, port))
    }
}

/// Host and port, apart.
fn split(text: &str) -> Result<(&str, Option<&str>), String> {
    if let Some(inside) = text.strip_prefix('[') {
        let (host, after) = inside.split_once(']').ok_or("']' is missing")?;
        return match after.strip_prefix(':') {
            Some(port) => Ok((host, Some(port))),
            None if after.is_empty() => Ok((host, None)),
            None => Err(format!("'{}' after ']'", after.escape_debug())),
        };
    }
    match text.split_once(':') {
        // More than one colon is an IPv6 address alone.
        Some((_, port)) if port.contains(':') => Ok((text, None)),
        Some((host, port)) => Ok((host, Some(port))),
        None => Ok((text, None)),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

/// The local address of the route to the first of `peers` that there is a route to: loopback for
/// a peer on loopback.
pub(crate) fn local_address(peers: &[SocketAddr]) -> io::Result<IpAddr> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for peer in peers {
        match local_address_towards(peer) {
            Ok(local) => return Ok(local),
            Err(error) => last = error,
        }
    }
    Err(last)
}

fn local_address_towards(peer: &SocketAddr) -> io::Result<IpAddr> {
    let any: SocketAddr = match peer {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0; 16], 0).into(),
    };
    let socket = UdpSocket::bind(any)?;
    socket.connect(peer)?;
    Ok(socket.local_addr()?.ip())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn a_port_may_be_left_out() {
        let parse = |text| Address::parse(text, 24_000);
        assert_eq!(parse("s1").unwrap(), Address::new("s1", 24_000));
        assert_eq!(parse("s1:1").unwrap(), Address::new("s1", 1));
        assert_eq!(parse("::1").unwrap(), Address::new("::1", 24_000));
        assert_eq!(parse("[::1]").unwrap(), Address::new("::1", 24_000));
        assert_eq!(parse("[::1]:7").unwrap(), Address::new("::1", 7));
    }

    #[test]
    fn what_is_no_address_is_refused_by_name() {
        for (text, wanted) in [
            ("", "host is missing"),
            (":24000", "host is missing"),
            ("s1:", "'' is no port"),
            ("s1:70000", "'70000' is no port"),
            ("s1:x", "'x' is no port"),
            ("http://s1", "'//s1' is no port"),
            ("a b", "'a b' is no host"),
            ("a\u{1b}", "is no host"),
            ("[::1", "']' is missing"),
            ("[::1]7", "'7' after ']'"),
        ] {
            let error = Address::parse(text, 1).unwrap_err();
            assert!(error.contains(wanted), "{text}: {error}");
        }
    }

    #[test]
    fn brackets_come_back_in_print() {
        assert_eq!(Address::new("::1", 7).to_string(), "[::1]:7");
        assert_eq!(Address::new("s1", 7).to_string(), "s1:7");
    }

    #[test]
    fn a_peer_on_loopback_is_reached_from_loopback() {
        let local = local_address(&[([127, 0, 0, 1], 9).into()]).unwrap();
        assert!(local.is_loopback(), "{local}");
        assert!(local_address(&[]).is_err());
    }
}
