//! Whole messages: header, arguments or result, application exceptions (wire.md section 2).
//!
//! Deliberately absent: where a message ends in a stream of bytes (`scan`).

use crate::schema::Wire;
use crate::text::Text;
use crate::thrift::{Fault, Reader, code, put_string};
use alloc::format;
use alloc::vec::Vec;

/// A request type: names its method and its reply.
pub trait Rpc: Wire {
    /// The method's name on the wire.
    const METHOD: &'static str;
    /// What a server answers.
    type Response: Wire;
}

/// Message types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKind {
    /// A request.
    Call,
    /// A result.
    Reply,
    /// A `TApplicationException`.
    Exception,
    /// A request without an answer; no method of ours is one.
    Oneway,
}

/// What stands before arguments or result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Envelope {
    /// What follows.
    pub kind: MessageKind,
    /// The method.
    pub method: Text,
    /// Echoed by servers, not checked by clients.
    pub seqid: i32,
}

const STRICT: u32 = 0x8001_0000;

/// The longest method name accepted, in bytes. Ours have at most 24; a longer claim is some other
/// protocol's first word.
pub const MAX_METHOD_NAME: usize = 4096;

/// An envelope that borrows the message, whose bytes are all there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// What follows.
    pub kind: MessageKind,
    /// The method.
    pub method: &'a [u8],
    seqid: i32,
    /// Bytes up to the struct behind it.
    pub(crate) len: usize,
}

impl<'a> Header<'a> {
    /// The header at the start of `bytes`, strict or old-style; `None` if more must come.
    pub(crate) fn peek(bytes: &'a [u8]) -> Result<Option<Self>, Fault> {
        let mut r = Reader::new(bytes);
        match Self::read(&mut r) {
            Ok(header) => Ok(Some(header)),
            Err(Fault::Truncated { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    /// Reads the strict header, or the old unversioned one.
    pub fn read(r: &mut Reader<'a>) -> Result<Self, Fault> {
        let before = r.rest().len();
        let word = r.i32()? as u32;
        let (kind, method);
        if word & 0x8000_0000 == 0 {
            method = read_name(r, word as usize)?;
            kind = MessageKind::from_code(r.u8()?)?;
        } else if word & 0xffff_0000 == STRICT {
            kind = MessageKind::from_code((word & 0xff) as u8)?;
            let len = r.size("method name")?;
            method = read_name(r, len)?;
        } else {
            return Err(Fault::BadVersion(word));
        }
        let seqid = r.i32()?;
        Ok(Self {
            kind,
            method,
            seqid,
            len: before - r.rest().len(),
        })
    }
}

fn read_name<'a>(r: &mut Reader<'a>, len: usize) -> Result<&'a [u8], Fault> {
    if len > MAX_METHOD_NAME {
        return Err(Fault::NameTooLong(len));
    }
    r.take(len, "method name")
}

impl Envelope {
    /// Reads a [`Header`].
    pub fn read(r: &mut Reader<'_>) -> Result<Self, Fault> {
        let header = Header::read(r)?;
        Ok(Self {
            kind: header.kind,
            method: Text::from(header.method),
            seqid: header.seqid,
        })
    }

    /// Appends the strict header.
    pub fn write(&self, out: &mut Vec<u8>) {
        let word = STRICT | u32::from(self.kind.code());
        out.extend_from_slice(&word.to_be_bytes());
        put_string(out, self.method.as_bytes());
        self.seqid.write(out);
    }
}

impl MessageKind {
    fn from_code(value: u8) -> Result<Self, Fault> {
        match value {
            1 => Ok(Self::Call),
            2 => Ok(Self::Reply),
            3 => Ok(Self::Exception),
            4 => Ok(Self::Oneway),
            other => Err(Fault::BadMessageType(other)),
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Call => 1,
            Self::Reply => 2,
            Self::Exception => 3,
            Self::Oneway => 4,
        }
    }
}

crate::message! {
    /// What a server answers when it has no result.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    ApplicationException {
        /// For people.
        1 opt message: Text,
        /// The kind of failure, see the constants.
        2 opt kind: i32,
    }
}

#[expect(missing_docs, reason = "the names are Thrift's own")]
impl ApplicationException {
    pub const UNKNOWN: i32 = 0;
    pub const UNKNOWN_METHOD: i32 = 1;
    pub const INVALID_MESSAGE_TYPE: i32 = 2;
    pub const WRONG_METHOD_NAME: i32 = 3;
    pub const BAD_SEQUENCE_ID: i32 = 4;
    pub const MISSING_RESULT: i32 = 5;
    pub const INTERNAL_ERROR: i32 = 6;
    pub const PROTOCOL_ERROR: i32 = 7;

    /// The answer to a method that the service does not have.
    pub fn unknown_method(method: &Text) -> Self {
        Self {
            message: Some(format!("Invalid method name: '{method}'").into()),
            kind: Some(Self::UNKNOWN_METHOD),
        }
    }
}

/// Appends a whole call with sequence id 0.
pub fn write_call<T: Rpc>(request: &T, out: &mut Vec<u8>) {
    let method = Text::from_static(T::METHOD);
    Envelope {
        kind: MessageKind::Call,
        method,
        seqid: 0,
    }
    .write(out);
    crate::schema::write_field(out, 1, request);
    out.push(code::STOP);
}

/// Appends a whole reply.
pub fn write_reply<T: Wire>(call: &Envelope, result: &T, out: &mut Vec<u8>) {
    let method = call.method.clone();
    Envelope {
        kind: MessageKind::Reply,
        method,
        seqid: call.seqid,
    }
    .write(out);
    crate::schema::write_field(out, 0, result);
    out.push(code::STOP);
}

/// Appends a whole exception message.
pub fn write_exception(call: &Envelope, exception: &ApplicationException, out: &mut Vec<u8>) {
    let method = call.method.clone();
    Envelope {
        kind: MessageKind::Exception,
        method,
        seqid: call.seqid,
    }
    .write(out);
    exception.write(out);
}

/// Reads the argument struct behind a call's envelope.
pub fn read_args<T: Wire>(r: &mut Reader<'_>) -> Result<T, Fault> {
    let params = read_single_field(r, 1)?;
    params.ok_or(Fault::MissingField("params"))
}

/// Reads the result struct behind a reply's envelope; `None` if it has no `success`.
pub fn read_result<T: Wire>(r: &mut Reader<'_>) -> Result<Option<T>, Fault> {
    read_single_field(r, 0)
}

fn read_single_field<T: Wire>(r: &mut Reader<'_>, wanted: i16) -> Result<Option<T>, Fault> {
    let mut found = None;
    loop {
        match r.field()? {
            (code::STOP, _) => break,
            (ty, id) if id == wanted && ty == T::TYPE => found = Some(T::read(r)?),
            (ty, _) => r.skip(ty)?,
        }
    }
    match r.rest().len() {
        0 => Ok(found),
        n => Err(Fault::TrailingBytes(n)),
    }
}
