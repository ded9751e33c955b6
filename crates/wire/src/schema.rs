//! From a table of fields to a struct that reads and writes itself.
//!
//! [`message!`](crate::message) takes the columns of wire.md section 5 (id, requiredness, name,
//! type) and yields the struct and its [`Wire`] impl, so that what the spec says stands in the
//! code once.
//!
//! Reading follows wire.md section 2: unknown ids and known ids of another type are skipped, an
//! absent required field is a fault, an absent optional one is `None`.
//! Writing follows id order; `req` and `def` always, `opt` only when set.

use crate::text::Text;
use crate::thrift::{Fault, Reader, code, put_size};
use alloc::vec::Vec;
use bytes::Bytes;

/// A value with a place on the wire.
pub trait Wire: Sized {
    /// Its Thrift type code.
    const TYPE: u8;
    /// The fewest bytes such a value can take; caps what a claimed count may reserve.
    const LEAST: usize;
    /// Appends the value.
    fn write(&self, out: &mut Vec<u8>);
    /// Reads one value.
    fn read(r: &mut Reader<'_>) -> Result<Self, Fault>;
}

macro_rules! integer {
    ($ty:ty, $code:expr, $read:ident) => {
        impl Wire for $ty {
            const TYPE: u8 = $code;
            const LEAST: usize = size_of::<$ty>();
            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
            fn read(r: &mut Reader<'_>) -> Result<Self, Fault> {
                r.$read()
            }
        }
    };
}
integer!(i16, code::I16, i16);
integer!(i32, code::I32, i32);
integer!(i64, code::I64, i64);

impl Wire for bool {
    const TYPE: u8 = code::BOOL;
    const LEAST: usize = 1;
    fn write(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Fault> {
        Ok(r.u8()? != 0)
    }
}

impl Wire for Text {
    const TYPE: u8 = code::STRING;
    const LEAST: usize = 4;
    fn write(&self, out: &mut Vec<u8>) {
        crate::thrift::put_string(out, self.as_bytes());
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Fault> {
        // Copied: a slice of the receive buffer would pin all of it.
        Ok(Text::from(Bytes::copy_from_slice(r.string()?)))
    }
}

impl<T: Wire> Wire for Vec<T> {
    const TYPE: u8 = code::LIST;
    const LEAST: usize = 5;
    fn write(&self, out: &mut Vec<u8>) {
        out.push(T::TYPE);
        put_size(out, self.len());
        self.iter().for_each(|item| item.write(out));
    }
    fn read(r: &mut Reader<'_>) -> Result<Self, Fault> {
        let (element, n) = r.list()?;
        if n > 0 && element != T::TYPE {
            return Err(Fault::BadType(element));
        }
        let mut items = Vec::with_capacity(r.capacity(n, T::LEAST));
        r.nested(|r| {
            for _ in 0..n {
                items.push(T::read(r)?);
            }
            Ok(items)
        })
    }
}

/// One row of a struct's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Field id.
    pub id: i16,
    /// `req`, `opt`, or `def` for always written and perhaps absent.
    pub presence: &'static str,
    /// The field's name.
    pub name: &'static str,
    /// Its Thrift type code.
    pub ty: u8,
}

/// A struct's table as data, for tests and for printing.
pub trait Table {
    /// The struct's name, without the leading `T` it has on the wire.
    const NAME: &'static str;
    /// Its fields by id.
    const ROWS: &'static [Row];
}

/// The type of a struct's member, by requiredness.
#[doc(hidden)]
#[macro_export]
macro_rules! member_type {
    (req $ty:ty) => { $ty };
    (def $ty:ty) => { $ty };
    (opt $ty:ty) => { Option<$ty> };
}

/// The fewest bytes of a field, by requiredness.
#[doc(hidden)]
#[macro_export]
macro_rules! member_least {
    (req $ty:ty) => {
        3 + <$ty as $crate::schema::Wire>::LEAST
    };
    ($other:ident $ty:ty) => {
        0
    };
}

/// Writes one field, header and value, by requiredness.
#[doc(hidden)]
#[macro_export]
macro_rules! member_write {
    (opt $out:ident, $id:literal, $value:expr) => {
        if let Some(value) = &$value {
            $crate::schema::write_field($out, $id, value);
        }
    };
    ($req:ident $out:ident, $id:literal, $value:expr) => {
        $crate::schema::write_field($out, $id, &$value);
    };
}

/// Turns what was found for a field into the member, by requiredness.
#[doc(hidden)]
#[macro_export]
macro_rules! member_finish {
    (req $found:ident, $name:expr) => {
        $found.ok_or($crate::thrift::Fault::MissingField($name))?
    };
    (def $found:ident, $name:expr) => {
        $found.unwrap_or_default()
    };
    (opt $found:ident, $name:expr) => {
        $found
    };
}

/// Appends one field.
#[doc(hidden)]
pub fn write_field<T: Wire>(out: &mut Vec<u8>, id: i16, value: &T) {
    crate::thrift::put_field(out, T::TYPE, id);
    value.write(out);
}

/// Defines a struct from rows of `id requiredness name: type`.
#[macro_export]
macro_rules! message {
    ($(#[$meta:meta])* $name:ident {
        $($(#[$fmeta:meta])* $id:literal $req:ident $field:ident: $ty:ty,)*
    }) => {
        $(#[$meta])*
        pub struct $name {
            $($(#[$fmeta])* pub $field: $crate::member_type!($req $ty),)*
        }

        impl $crate::schema::Table for $name {
            const NAME: &'static str = stringify!($name);
            const ROWS: &'static [$crate::schema::Row] = &[$($crate::schema::Row {
                id: $id,
                presence: stringify!($req),
                name: stringify!($field),
                ty: <$ty as $crate::schema::Wire>::TYPE,
            },)*];
        }

        impl $crate::schema::Wire for $name {
            const TYPE: u8 = $crate::thrift::code::STRUCT;
            const LEAST: usize = 1 $(+ $crate::member_least!($req $ty))*;

            fn write(&self, out: &mut alloc::vec::Vec<u8>) {
                $($crate::member_write!($req out, $id, self.$field);)*
                out.push($crate::thrift::code::STOP);
            }

            fn read(r: &mut $crate::thrift::Reader<'_>) -> Result<Self, $crate::thrift::Fault> {
                $(let mut $field: Option<$ty> = None;)*
                r.nested(|r| loop {
                    match r.field()? {
                        ($crate::thrift::code::STOP, _) => return Ok(()),
                        $((ty, $id) if ty == <$ty as $crate::schema::Wire>::TYPE =>
                            $field = Some(<$ty as $crate::schema::Wire>::read(r)?),)*
                        (ty, _) => r.skip(ty)?,
                    }
                })?;
                Ok(Self {
                    $($field: $crate::member_finish!(
                        $req $field, concat!(stringify!($name), ".", stringify!($field))),)*
                })
            }
        }
    };
}
