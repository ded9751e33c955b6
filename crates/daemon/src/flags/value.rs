//! Typed flag values: how they are read and how they print. The rules are gflags' own, including
//! its fondness for hexadecimal and its refusal of anything that follows the number.

use std::borrow::Cow;
use std::fmt;

/// A flag's value; the variant is the flag's type and never changes.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// `bool`: true/t/yes/y/1 or false/f/no/n/0, any case.
    Bool(bool),
    /// `int32`
    Int32(i32),
    /// `uint32`
    Uint32(u32),
    /// `int64`
    Int64(i64),
    /// `double`
    Double(f64),
    /// `string`
    Str(Cow<'static, str>),
}

impl Value {
    /// The type's name in error messages, help texts and `/varz`.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Value::Bool(_) => "bool",
            Value::Int32(_) => "int32",
            Value::Uint32(_) => "uint32",
            Value::Int64(_) => "int64",
            Value::Double(_) => "double",
            Value::Str(_) => "string",
        }
    }

    /// Reads `text` as a value of the same type as `self`.
    pub(crate) fn parse_alike(&self, text: &str) -> Option<Value> {
        match self {
            Value::Bool(_) => parse_bool(text).map(Value::Bool),
            Value::Int32(_) => parse_int(text)?.try_into().ok().map(Value::Int32),
            Value::Uint32(_) => parse_int(text)?.try_into().ok().map(Value::Uint32),
            Value::Int64(_) => parse_int(text)?.try_into().ok().map(Value::Int64),
            Value::Double(_) => text.trim_ascii_start().parse().ok().map(Value::Double),
            Value::Str(_) => Some(Value::Str(Cow::Owned(text.to_owned()))),
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Bool(v) => v.fmt(f),
            Value::Int32(v) => v.fmt(f),
            Value::Uint32(v) => v.fmt(f),
            Value::Int64(v) => v.fmt(f),
            Value::Double(v) => v.fmt(f),
            Value::Str(v) => f.write_str(v),
        }
    }
}

fn parse_bool(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "true" | "t" | "yes" | "y" | "1" => Some(true),
        "false" | "f" | "no" | "n" | "0" => Some(false),
        _ => None,
    }
}

/// Wide enough for every integer type; the caller narrows it and so finds what is out of range.
fn parse_int(text: &str) -> Option<i128> {
    // Like strtol, leading blanks pass and trailing ones do not.
    let text = text.trim_ascii_start();
    let (digits, radix) = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        // from_str_radix takes a sign of its own: "0x-1" must not slip through.
        Some(hex) if hex.starts_with(['+', '-']) => return None,
        Some(hex) => (hex, 16),
        None => (text, 10),
    };
    i128::from_str_radix(digits, radix).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_decimal_or_hexadecimal_and_in_range() {
        let int32 = Value::Int32(0);
        assert_eq!(int32.parse_alike("-12"), Some(Value::Int32(-12)));
        assert_eq!(int32.parse_alike("0x10"), Some(Value::Int32(16)));
        assert_eq!(
            int32.parse_alike("2147483647"),
            Some(Value::Int32(i32::MAX))
        );
        for bad in [
            "",
            "2147483648",
            "1 ",
            "1x",
            "0x",
            "0x-1",
            "1.5",
            "ten",
            "-",
            "--1",
        ] {
            assert_eq!(int32.parse_alike(bad), None, "{bad:?}");
        }
        assert_eq!(Value::Uint32(0).parse_alike("-1"), None);
        assert_eq!(
            Value::Uint32(0).parse_alike("4294967295"),
            Some(Value::Uint32(u32::MAX))
        );
        let int64 = Value::Int64(0);
        assert_eq!(
            int64.parse_alike("9223372036854775807"),
            Some(Value::Int64(i64::MAX))
        );
        assert_eq!(int64.parse_alike("9223372036854775808"), None);
    }

    #[test]
    fn booleans_have_five_spellings_each_in_any_case() {
        for yes in ["true", "T", "yes", "Y", "1"] {
            assert_eq!(Value::Bool(false).parse_alike(yes), Some(Value::Bool(true)));
        }
        for no in ["FALSE", "f", "No", "n", "0"] {
            assert_eq!(Value::Bool(true).parse_alike(no), Some(Value::Bool(false)));
        }
        assert_eq!(Value::Bool(true).parse_alike("on"), None);
        assert_eq!(Value::Bool(true).parse_alike(""), None);
    }

    #[test]
    fn whole_doubles_print_without_a_fraction() {
        assert_eq!(Value::Double(60000.0).to_string(), "60000");
        assert_eq!(Value::Double(0.5).to_string(), "0.5");
    }
}
