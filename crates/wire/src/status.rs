//! `TStatus` and the codes and texts that peers match on (wire.md section 6).
//!
//! Deliberately absent: deciding which status an answer gets; that is `core`'s.

use crate::schema::Wire;
use crate::text::Text;
use crate::thrift::{Fault, Reader, code};
use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

/// A `TErrorCode`. Values outside the table keep their integer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct StatusCode(pub i32);

#[expect(missing_docs, reason = "the names are wire.md section 6's")]
impl StatusCode {
    pub const OK: Self = Self(0);
    pub const GENERAL: Self = Self(2);
    pub const RUNTIME_ERROR: Self = Self(6);
    pub const INTERNAL_ERROR: Self = Self(8);
    pub const RPC_GENERAL_ERROR: Self = Self(30);
    pub const RPC_RECV_TIMEOUT: Self = Self(31);
    pub const RPC_CLIENT_CONNECT_FAILURE: Self = Self(58);
    pub const STATESTORE_INCOMPATIBLE_PROTOCOL: Self = Self(158);
}

impl Wire for StatusCode {
    const TYPE: u8 = code::I32;
    const LEAST: usize = 4;
    fn write(&self, out: &mut Vec<u8>) {
        self.0.write(out);
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Fault> {
        r.i32().map(Self)
    }
}

crate::message! {
    /// The outcome that every reply carries.
    #[derive(Debug, Clone, PartialEq, Eq, Default)]
    Status {
        /// 0 is OK.
        1 req status_code: StatusCode,
        /// The message first, details after it; empty when OK.
        2 def error_msgs: Vec<Text>,
    }
}

impl Status {
    /// Success.
    pub fn ok() -> Self {
        Self::default()
    }

    /// A failure with its text.
    pub fn error(status_code: StatusCode, text: impl Into<Text>) -> Self {
        Self {
            status_code,
            error_msgs: vec![text.into()],
        }
    }

    /// The refusal of a peer older than protocol V2; `theirs` is the value on the wire.
    pub fn incompatible(who: &Text, theirs: i32, ours: i32) -> Self {
        let text: String = format!(
            "Subscriber '{who}' has incompatible protocol version V{} conflicting with \
             statestored's version V{}",
            i64::from(theirs) + 1,
            i64::from(ours) + 1
        );
        Self::error(StatusCode::STATESTORE_INCOMPATIBLE_PROTOCOL, text)
    }

    /// True for code 0.
    pub fn is_ok(&self) -> bool {
        self.status_code == StatusCode::OK
    }

    /// The first message, or nothing.
    pub fn message(&self) -> Text {
        self.error_msgs.first().cloned().unwrap_or_default()
    }
}
