//! Recorded messages, and any message decoded and written again.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test file uses its part"
)]

use statestore_wire::envelope::ApplicationException;
use statestore_wire::schema::write_field;
use statestore_wire::*;
use std::path::Path;

/// A whole message as a file holds it.
pub(crate) struct Recorded {
    /// File and line.
    pub(crate) at: String,
    pub(crate) method: String,
    pub(crate) kind: String,
    pub(crate) bytes: Vec<u8>,
}

/// The messages of `tests/golden/<file>`.
pub(crate) fn recorded(file: &str) -> Vec<Recorded> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let message = |(i, line): (usize, &str)| {
        let document: serde_json::Value = serde_json::from_str(line).unwrap();
        let field = |name: &str| document[name].as_str().unwrap().to_owned();
        Recorded {
            at: format!("{file}:{}", i + 1),
            method: field("method"),
            kind: field("type"),
            bytes: unhex(&field("hex")),
        }
    };
    text.lines().enumerate().map(message).collect()
}

/// Bytes of hexadecimal digits; spaces and newlines between bytes are fine.
pub(crate) fn unhex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// What a message is, after all of it was read.
#[derive(Debug)]
pub(crate) struct Decoded {
    pub(crate) envelope: Envelope,
    /// The same message, written from what was read.
    pub(crate) written: Vec<u8>,
}

/// Decodes a whole message of any method and writes it again.
pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Fault> {
    let mut r = Reader::new(bytes);
    let envelope = Envelope::read(&mut r)?;
    let mut written = Vec::new();
    envelope.write(&mut written);
    match envelope.kind {
        MessageKind::Exception => {
            let exception = ApplicationException::read(&mut r)?;
            if !r.rest().is_empty() {
                return Err(Fault::TrailingBytes(r.rest().len()));
            }
            exception.write(&mut written);
        }
        kind => content(&envelope.method, kind, &mut r, &mut written)?,
    }
    Ok(Decoded { envelope, written })
}

macro_rules! by_method {
    ($method:expr, $kind:expr, $r:expr, $out:expr; $($request:ty,)*) => {
        match $method.as_bytes() {
            $(name if name == <$request>::METHOD.as_bytes() =>
                argument_or_result::<$request>($kind, $r, $out),)*
            _ => {
                $out.push(thrift::code::STOP);
                $r.skip(thrift::code::STRUCT)
            }
        }
    };
}

fn content(
    method: &Text,
    kind: MessageKind,
    r: &mut Reader<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    by_method!(method, kind, r, out;
        RegisterSubscriberRequest,
        GetProtocolVersionRequest,
        SetStatestoreDebugActionRequest,
        UpdateStateRequest,
        HeartbeatRequest,
        UpdateCatalogdRequest,
        UpdateStatestoredRoleRequest,
        StatestoreHaHandshakeRequest,
        StatestoreHaHeartbeatRequest,
        UnregisterSubscriberRequest,
        PublishRequest,
        ForceStatestoreActiveRequest,
        StatestoreHaLeaveRequest,
    )
}

fn argument_or_result<T: Rpc>(
    kind: MessageKind,
    r: &mut Reader<'_>,
    out: &mut Vec<u8>,
) -> Result<(), Fault> {
    if kind == MessageKind::Reply {
        if let Some(result) = envelope::read_result::<T::Response>(r)? {
            write_field(out, 0, &result);
        }
    } else {
        write_field(out, 1, &envelope::read_args::<T>(r)?);
    }
    out.push(thrift::code::STOP);
    Ok(())
}
