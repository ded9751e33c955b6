//! Finding where an unframed message ends, while it is still arriving.
//!
//! Messages follow each other without a length, so only their structure tells the end. The
//! [`Scanner`] keeps where it stands: a position and a stack of open structs and containers. A
//! call goes on from there; strings and fixed-width containers are passed over by arithmetic,
//! without their bytes being touched or even having arrived.
//!
//! It also knows the way to one kind of list, whose elements may be cut out of what has
//! arrived (`sift`).
//!
//! Deliberately absent: reading values (`thrift`, `schema`), holding or reserving buffers.
//!
//! Invariant: work is linear in the bytes that arrived, memory is [`MAX_DEPTH`] small frames, and
//! a message is refused at the first header that makes it too large, too deep or senseless.

use crate::envelope::Header;
use crate::thrift::{Fault, MAX_DEPTH, Reader, code, fixed_width, least_width};
use alloc::vec::Vec;
use core::ops::Range;

/// A step from a message's arguments or result to something in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The field of this id.
    Field(i16),
    /// Any element of a list.
    Element,
}

/// Whole elements of the list at the end of the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Whole {
    /// Where they stand in what has arrived.
    pub(crate) bytes: Range<usize>,
    /// How many.
    pub(crate) count: usize,
    /// Elements that come after them.
    pub(crate) left: usize,
    /// Where the list's size stands, which is four bytes.
    pub(crate) size_at: usize,
}

/// Scans one message after the other; see the module.
#[derive(Debug, Clone)]
pub struct Scanner {
    max_message: u64,
    /// Everything before is scanned. May lie beyond what has arrived, inside a string.
    at: u64,
    /// The fewest bytes that the open frames still need behind `at`.
    owed: u64,
    /// Bytes that had arrived at the last call.
    seen: u64,
    in_body: bool,
    open: Vec<Frame>,
    /// The way to the list of structs whose elements may be cut out; none if it has no steps.
    path: &'static [Step],
    /// How many open frames below the outermost one are on that way.
    on_path: usize,
    /// Bytes that were cut out.
    gone: u64,
    /// Set while a list at the end of the path is open.
    list: Option<Listed>,
}

/// A list at the end of the path.
#[derive(Debug, Clone, Copy)]
struct Listed {
    size_at: usize,
    /// Where the first element begins that was not cut out, and how many there are from there.
    from: u64,
    from_left: u64,
    /// Where the last element begins that was begun, and how many there are from there.
    at: u64,
    left: u64,
}

/// A struct or container whose end has not come yet.
#[derive(Debug, Clone, Copy)]
enum Frame {
    Struct,
    /// Elements not yet begun. A map counts keys and values alike; a key comes when `left` is
    /// even. Lists and sets have the same type twice.
    Elements {
        left: u64,
        even: u8,
        odd: u8,
    },
}

/// The fewest bytes of a message: an old-style header with an empty name, and a stop.
const LEAST_MESSAGE: u64 = 10;

impl Scanner {
    /// A scanner for messages of at most `max_message` bytes.
    pub fn new(max_message: u64) -> Self {
        Self {
            max_message,
            at: 0,
            owed: LEAST_MESSAGE,
            seen: 0,
            in_body: false,
            open: Vec::new(),
            path: &[],
            on_path: 0,
            gone: 0,
            list: None,
        }
    }

    /// Looks for lists of structs at the end of this path. Begins anew with the message.
    pub fn look_for(&mut self, path: &'static [Step]) {
        self.reset();
        self.path = path;
    }

    /// Forgets the message and starts with the next one.
    pub fn reset(&mut self) {
        self.at = 0;
        self.owed = LEAST_MESSAGE;
        self.seen = 0;
        self.in_body = false;
        self.open.clear();
        self.on_path = 0;
        self.gone = 0;
        self.list = None;
    }

    /// Goes on with `received`: all bytes from the message's first on that were not cut out, at
    /// least those of the call before. Returns the message's length in bytes, without these, once
    /// all of it is there; what follows it belongs to the next message.
    ///
    /// # Errors
    /// The sender's fault. The stream has no next message then: close it.
    pub fn advance(&mut self, received: &[u8]) -> Result<Option<usize>, Fault> {
        self.seen = received.len() as u64 + self.gone;
        if !self.in_body && !self.envelope(received)? {
            return Ok(None);
        }
        while let Some(frame) = self.open.last().copied() {
            if self.at >= self.seen || !self.step(frame, received)? {
                return Ok(None);
            }
        }
        let whole = usize::try_from(self.at - self.gone).ok();
        Ok(whole.filter(|end| *end <= received.len()))
    }

    /// Whole elements of a list at the end of the path that have arrived, and that were begun
    /// after the last [cut](Self::cut).
    pub(crate) fn whole_elements(&self) -> Option<Whole> {
        let list = self.list.as_ref()?;
        let within = |at: u64| usize::try_from(at - self.gone).ok();
        let (from, to) = (within(list.from)?, within(list.at)?);
        (from < to).then_some(Whole {
            bytes: from..to,
            count: (list.from_left - list.left) as usize,
            left: list.left as usize,
            size_at: list.size_at,
        })
    }

    /// The [whole elements](Self::whole_elements) were cut out of what has arrived.
    pub(crate) fn cut(&mut self) {
        if let Some(list) = &mut self.list {
            self.gone += list.at - list.from;
            (list.from, list.from_left) = (list.at, list.left);
        }
    }

    /// A lower bound of the bytes still to come, 0 when the message is complete. A claim, not a
    /// fact: reserve no more than a fixed amount for it.
    pub fn wants(&self) -> usize {
        let missing = (self.at + self.owed).saturating_sub(self.seen);
        let complete = self.in_body && self.open.is_empty();
        usize::try_from(missing.max(u64::from(!complete))).unwrap_or(usize::MAX)
    }

    fn envelope(&mut self, received: &[u8]) -> Result<bool, Fault> {
        let Some(header) = Header::peek(received)? else {
            return Ok(false);
        };
        self.at = header.len as u64;
        self.owed = 0;
        self.in_body = true;
        self.pass(0, Some(Frame::Struct), None)?;
        Ok(true)
    }

    /// Passes one field, element or end. False, with nothing changed, if its header is not all
    /// there yet.
    fn step(&mut self, frame: Frame, received: &[u8]) -> Result<bool, Fault> {
        let at = (self.at - self.gone) as usize;
        let mut r = Reader::new(received.get(at..).unwrap_or_default());
        let (ty, field_header, paid, step) = match frame {
            Frame::Struct => match r.u8()? {
                code::STOP => {
                    self.close();
                    self.at += 1;
                    self.owed -= 1;
                    return Ok(true);
                }
                ty => {
                    least_width(ty)?;
                    let Ok(id) = r.i16() else {
                        return Ok(false);
                    };
                    (ty, 3, 0, Step::Field(id))
                }
            },
            Frame::Elements { left: 0, .. } => {
                self.close();
                return Ok(true);
            }
            Frame::Elements { left, even, odd } => {
                self.begin_element(left);
                let ty = if left % 2 == 0 { even } else { odd };
                (ty, 0, least_width(ty)?, Step::Element)
            }
        };
        let Some(head) = Head::read(ty, &mut r)? else {
            return Ok(false);
        };
        if let Some(Frame::Elements { left, .. }) = self.open.last_mut() {
            *left -= 1;
        }
        self.owed -= paid;
        self.pass(field_header + head.bytes, head.opens, Some((step, ty)))?;
        Ok(true)
    }

    /// Of a list at the end of the path, or of what lies deeper or elsewhere.
    fn begin_element(&mut self, left: u64) {
        if self.open.len() == self.path.len() + 1
            && let Some(list) = &mut self.list
        {
            (list.at, list.left) = (self.at, left);
        }
    }

    /// A frame of this type has opened by this step.
    fn follow(&mut self, frame: Frame, (step, ty): (Step, u8)) {
        let depth = self.open.len() - 1;
        let inside = self.path.get(depth);
        let of_list = inside != Some(&Step::Element) || ty == code::LIST;
        if depth != self.on_path + 1 || self.path.get(self.on_path) != Some(&step) || !of_list {
            return;
        }
        self.on_path = depth;
        if let Frame::Elements { left, even, .. } = frame
            && depth == self.path.len()
            && (ty, even) == (code::LIST, code::STRUCT)
        {
            self.list = Some(Listed {
                size_at: (self.at - self.gone) as usize - 4,
                from: self.at,
                from_left: left,
                at: self.at,
                left,
            });
        }
    }

    fn close(&mut self) {
        self.open.pop();
        if self.open.len() == self.on_path {
            self.on_path = self.on_path.saturating_sub(1);
            self.list = None;
        }
    }

    fn pass(
        &mut self,
        bytes: u64,
        opens: Option<Frame>,
        by: Option<(Step, u8)>,
    ) -> Result<(), Fault> {
        self.at += bytes;
        if let Some(frame) = opens {
            if self.open.len() >= MAX_DEPTH {
                return Err(Fault::TooDeep);
            }
            self.owed += frame.least()?;
            self.open.push(frame);
            if let Some(by) = by {
                self.follow(frame, by);
            }
        }
        if self.at + self.owed > self.max_message {
            let limit = self.max_message;
            return Err(Fault::TooLarge { limit });
        }
        Ok(())
    }
}

impl Frame {
    /// The fewest bytes that its content can take.
    fn least(self) -> Result<u64, Fault> {
        match self {
            Self::Struct => Ok(1),
            Self::Elements { left, even, odd } => {
                Ok(left * (least_width(even)? + least_width(odd)?) / 2)
            }
        }
    }
}

/// The start of a value: how far one can go without looking further.
struct Head {
    bytes: u64,
    opens: Option<Frame>,
}

impl Head {
    /// `None` if the value's own header is not all there.
    fn read(ty: u8, r: &mut Reader<'_>) -> Result<Option<Self>, Fault> {
        let head = match (ty, fixed_width(ty)) {
            (_, Some(width)) => Ok(Self::leaf(width as u64)),
            (code::STRING, _) => r.size("string").map(|len| Self::leaf(4 + len as u64)),
            (code::STRUCT, _) => Ok(Self {
                bytes: 0,
                opens: Some(Frame::Struct),
            }),
            (code::MAP, _) => r
                .map()
                .and_then(|(key, value, n)| Self::container(6, key, value, 2 * n as u64)),
            (code::SET | code::LIST, _) => r
                .list()
                .and_then(|(element, n)| Self::container(5, element, element, n as u64)),
            (other, _) => Err(Fault::BadType(other)),
        };
        match head {
            Ok(head) => Ok(Some(head)),
            Err(Fault::Truncated { .. }) => Ok(None),
            Err(fault) => Err(fault),
        }
    }

    fn leaf(bytes: u64) -> Self {
        Self { bytes, opens: None }
    }

    fn container(header: u64, even: u8, odd: u8, left: u64) -> Result<Self, Fault> {
        if left == 0 {
            return Ok(Self::leaf(header)); // empty maps may carry any type codes
        }
        let elements = Frame::Elements { left, even, odd };
        if fixed_width(even).is_some() && fixed_width(odd).is_some() {
            return Ok(Self::leaf(header + elements.least()?));
        }
        Ok(Self {
            bytes: header,
            opens: Some(elements),
        })
    }
}

#[cfg(test)]
mod tests;
