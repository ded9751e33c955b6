//! The Thrift binary protocol's primitives over byte slices.
//!
//! Deliberately absent: message envelopes (`envelope`), knowledge of any struct (`schema`), and
//! finding where an unframed message ends (`scan`).
//!
//! Invariant: a [`Reader`] never reads past its slice, never nests deeper than [`MAX_DEPTH`],
//! and never lets a claimed size reserve more than the bytes that are really there.

use alloc::vec::Vec;
use core::any::Any;
use thiserror::Error;

/// Type codes of fields and elements (wire.md section 2).
pub mod code {
    #![expect(missing_docs, reason = "the names are Thrift's own")]
    pub const STOP: u8 = 0;
    pub const BOOL: u8 = 2;
    pub const BYTE: u8 = 3;
    pub const DOUBLE: u8 = 4;
    pub const I16: u8 = 6;
    pub const I32: u8 = 8;
    pub const I64: u8 = 10;
    pub const STRING: u8 = 11;
    pub const STRUCT: u8 = 12;
    pub const MAP: u8 = 13;
    pub const SET: u8 = 14;
    pub const LIST: u8 = 15;
}

/// How deep structs and containers may nest. The deepest real message nests six levels.
pub const MAX_DEPTH: usize = 64;

/// Why bytes are not a message. All variants are the sender's fault; nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Fault {
    /// The message ends before its content does.
    #[error("message ends {missing} bytes short while reading {what}")]
    Truncated {
        /// What was being read.
        what: &'static str,
        /// How many bytes more it needed.
        missing: usize,
    },
    /// A method name longer than any: mostly the first bytes of another protocol.
    #[error("method name of {0} bytes{hint}", hint = spoken(*.0))]
    NameTooLong(usize),
    /// A size below zero.
    #[error("negative size {size} of a {what}")]
    NegativeSize {
        /// What the size is of.
        what: &'static str,
        /// The value on the wire.
        size: i32,
    },
    /// A first word that is neither the strict version nor an old-style name length.
    #[error("bad version word {0:#010x}")]
    BadVersion(u32),
    /// A message type outside 1 to 4.
    #[error("bad message type {0}")]
    BadMessageType(u8),
    /// A type code that the protocol does not know.
    #[error("unknown type code {0}")]
    BadType(u8),
    /// Nesting beyond [`MAX_DEPTH`].
    #[error("nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// A message beyond the configured size.
    #[error("message of more than {limit} bytes")]
    TooLarge {
        /// The limit in force, in bytes.
        limit: u64,
    },
    /// A required field that is absent or has another type.
    #[error("required field {0} is missing")]
    MissingField(&'static str),
    /// Bytes left over behind the end of the message.
    #[error("{0} bytes follow the end of the message")]
    TrailingBytes(usize),
}

/// What is spoken, where four bytes that stand for a length tell it.
fn spoken(length: usize) -> &'static str {
    match u32::try_from(length).unwrap_or_default().to_be_bytes() {
        [0x16, 3, ..] => " (TLS, which is not spoken here)",
        [b'G', b'E', b'T', b' '] | [b'P', b'O', b'S', b'T'] | [b'H', b'E', b'A', b'D'] => {
            " (HTTP, which the web server's port speaks)"
        }
        _ => "",
    }
}

/// Reads primitives from the start of a slice on.
#[derive(Debug, Clone)]
pub struct Reader<'a> {
    rest: &'a [u8],
    depth: usize,
    aside: Option<&'a dyn Any>,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            depth: 0,
            aside: None,
        }
    }

    /// A reader of a message of which something was put aside, for those who know what it is.
    pub fn beside(bytes: &'a [u8], aside: &'a dyn Any) -> Self {
        Self {
            aside: Some(aside),
            ..Self::new(bytes)
        }
    }

    /// What was put aside, if it is of this type.
    pub(crate) fn aside<T: 'static>(&self) -> Option<&'a T> {
        self.aside?.downcast_ref()
    }

    /// What has not been read yet.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next `n` bytes.
    pub fn take(&mut self, n: usize, what: &'static str) -> Result<&'a [u8], Fault> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Fault::Truncated {
            what,
            missing: n.saturating_sub(self.rest.len()),
        })?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, what: &'static str) -> Result<[u8; N], Fault> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Fault::Truncated {
            what,
            missing: N.saturating_sub(self.rest.len()),
        })?;
        self.rest = rest;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>("byte")?[0])
    }

    /// A 16-bit integer.
    pub fn i16(&mut self) -> Result<i16, Fault> {
        Ok(i16::from_be_bytes(self.array("i16")?))
    }

    /// A 32-bit integer.
    pub fn i32(&mut self) -> Result<i32, Fault> {
        Ok(i32::from_be_bytes(self.array("i32")?))
    }

    /// A 64-bit integer.
    pub fn i64(&mut self) -> Result<i64, Fault> {
        Ok(i64::from_be_bytes(self.array("i64")?))
    }

    /// A size word: an i32 that must not be negative.
    pub fn size(&mut self, what: &'static str) -> Result<usize, Fault> {
        let size = self.i32()?;
        usize::try_from(size).map_err(|_| Fault::NegativeSize { what, size })
    }

    /// A string's bytes.
    pub fn string(&mut self) -> Result<&'a [u8], Fault> {
        let len = self.size("string")?;
        self.take(len, "string")
    }

    /// A field header: type code and id. Type 0 is the end of the struct, its id is 0.
    pub fn field(&mut self) -> Result<(u8, i16), Fault> {
        match self.u8()? {
            code::STOP => Ok((code::STOP, 0)),
            ty => Ok((ty, self.i16()?)),
        }
    }

    /// A list or set header: element type and size.
    pub fn list(&mut self) -> Result<(u8, usize), Fault> {
        Ok((self.u8()?, self.size("list")?))
    }

    /// A map header: key type, value type and size.
    pub fn map(&mut self) -> Result<(u8, u8, usize), Fault> {
        Ok((self.u8()?, self.u8()?, self.size("map")?))
    }

    /// How many elements to reserve for, given a claimed count: never more than could be there.
    pub fn capacity(&self, claimed: usize, least_bytes_each: usize) -> usize {
        claimed.min(self.rest.len() / least_bytes_each.max(1))
    }

    /// Runs `read` one level deeper.
    pub fn nested<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        if self.depth >= MAX_DEPTH {
            return Err(Fault::TooDeep);
        }
        self.depth += 1;
        let value = read(self);
        self.depth -= 1;
        value
    }

    /// Passes over one value of type `ty`.
    pub fn skip(&mut self, ty: u8) -> Result<(), Fault> {
        if let Some(width) = fixed_width(ty) {
            return self.take(width, "skipped value").map(drop);
        }
        match ty {
            code::STRING => self.string().map(drop),
            code::STRUCT => self.nested(|r| {
                loop {
                    match r.field()? {
                        (code::STOP, _) => return Ok(()),
                        (ty, _) => r.skip(ty)?,
                    }
                }
            }),
            code::MAP => {
                let (key, value, n) = self.map()?;
                self.skip_elements(&[key, value], n)
            }
            code::SET | code::LIST => {
                let (element, n) = self.list()?;
                self.skip_elements(&[element], n)
            }
            other => Err(Fault::BadType(other)),
        }
    }

    /// Fixed-width elements are skipped arithmetically: a count alone must not cost time.
    fn skip_elements(&mut self, types: &[u8], n: usize) -> Result<(), Fault> {
        if n == 0 {
            return Ok(()); // empty maps may carry any type codes
        }
        let widths: Option<usize> = types.iter().map(|ty| fixed_width(*ty)).sum();
        if let Some(width) = widths {
            return self
                .take(n.saturating_mul(width), "skipped container")
                .map(drop);
        }
        self.nested(|r| {
            for _ in 0..n {
                for ty in types {
                    r.skip(*ty)?;
                }
            }
            Ok(())
        })
    }
}

/// Bytes of a value whose type alone tells its size.
pub fn fixed_width(ty: u8) -> Option<usize> {
    match ty {
        code::BOOL | code::BYTE => Some(1),
        code::I16 => Some(2),
        code::I32 => Some(4),
        code::I64 | code::DOUBLE => Some(8),
        _ => None,
    }
}

/// The fewest bytes of a value of type `ty`.
pub fn least_width(ty: u8) -> Result<u64, Fault> {
    match (ty, fixed_width(ty)) {
        (_, Some(width)) => Ok(width as u64),
        (code::STRUCT, _) => Ok(1),
        (code::STRING, _) => Ok(4),
        (code::SET | code::LIST, _) => Ok(5),
        (code::MAP, _) => Ok(6),
        (other, _) => Err(Fault::BadType(other)),
    }
}

/// Appends a string: length and bytes.
///
/// # Panics
/// If the string is longer than the protocol can say (2^31 - 1 bytes): a bug of the caller, who
/// holds only strings that arrived through this protocol or were checked at the edge.
pub fn put_string(out: &mut Vec<u8>, bytes: &[u8]) {
    put_size(out, bytes.len());
    out.extend_from_slice(bytes);
}

/// Appends a size word.
///
/// # Panics
/// If `size` does not fit the protocol's i32.
pub fn put_size(out: &mut Vec<u8>, size: usize) {
    assert!(
        size <= i32::MAX as usize,
        "size {size} exceeds the protocol's {}",
        i32::MAX
    );
    out.extend_from_slice(&(size as i32).to_be_bytes());
}

/// Appends a field header.
pub fn put_field(out: &mut Vec<u8>, ty: u8, id: i16) {
    out.push(ty);
    out.extend_from_slice(&id.to_be_bytes());
}
