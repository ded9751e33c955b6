//! Flags of the flag library itself (flags.md section 11).
//! Only their names and texts; what `--flagfile` and `--fromenv` do is in `parse.rs`.

use crate::flags::{FlagDef, FlagTable};

/// The flags of the flag library itself (flags.md section 11).
pub(crate) static GFLAGS: FlagTable = FlagTable {
    file: "gflags",
    flags: &[
        FlagDef::string(
            "flagfile",
            "",
            "Files from which to read flags, comma-separated.",
        ),
        FlagDef::string(
            "fromenv",
            "",
            "Flags to read from FLAGS_<name> in the environment; missing is an error.",
        ),
        FlagDef::string(
            "tryfromenv",
            "",
            "Flags to read from FLAGS_<name> in the environment if there.",
        ),
        FlagDef::string(
            "undefok",
            "",
            "Names that may stand on the command line without being flags.",
        ),
        FlagDef::bool("help", false, "Show help on all flags."),
        FlagDef::bool("helpfull", false, "Show help on all flags."),
        FlagDef::bool("helpshort", false, "Show help on the program's own flags."),
        FlagDef::string("helpon", "", "Show help on the flags of this file."),
        FlagDef::string(
            "helpmatch",
            "",
            "Show help on the flags of files whose name contains this.",
        ),
        FlagDef::bool(
            "helppackage",
            false,
            "Show help on the flags of the program's package.",
        ),
        FlagDef::bool("helpxml", false, "Show help on all flags as XML."),
        FlagDef::bool("version", false, "Show the version."),
    ],
};
