//! `--help` and its kin, `--version`: text only, in gflags' layout.
//! Deciding to exit is the caller's: nothing here prints or ends the process.

use std::fmt::Write;

use super::{FlagInfo, FlagTable, Flags, Program};

/// Help texts are wrapped at this column, as in gflags.
const COLUMNS: usize = 80;

/// The text to print and the exit code, when one of the flags asks for it.
pub(super) fn requested(
    program: &Program<'_>,
    tables: &[&'static FlagTable],
    flags: &Flags,
) -> Option<(String, i32)> {
    if flags.bool("version") {
        return Some((format!("{}\n", program.version), 0));
    }
    let own_file = tables.first().map_or("", |table| table.file);
    let own_folder = own_file.rsplit_once('/').map_or("", |(folder, _)| folder);
    let (on, containing) = (flags.str("helpon"), flags.str("helpmatch"));
    let wanted: Box<dyn Fn(&str) -> bool> = if flags.bool("help") || flags.bool("helpfull") {
        Box::new(|_| true)
    } else if flags.bool("helpshort") {
        Box::new(|file| file == own_file)
    } else if flags.bool("helppackage") {
        Box::new(|file| file.rsplit_once('/').map_or("", |(folder, _)| folder) == own_folder)
    } else if !on.is_empty() {
        Box::new(move |file| {
            let name = file.rsplit('/').next().unwrap_or(file);
            name == on || name.split('.').next() == Some(on)
        })
    } else if !containing.is_empty() {
        Box::new(move |file| file.contains(containing))
    } else if flags.bool("helpxml") {
        return Some((xml(program, tables, flags), 1));
    } else {
        return None;
    };
    Some((text(program, tables, flags, &*wanted), 1))
}

fn text(
    program: &Program<'_>,
    tables: &[&'static FlagTable],
    flags: &Flags,
    wanted: &dyn Fn(&str) -> bool,
) -> String {
    let mut out = format!("{}: {}\n", program.name, program.usage);
    for table in tables.iter().filter(|table| wanted(table.file)) {
        let _ = writeln!(out, "\n  Flags from {}:", table.file);
        for def in table.flags {
            out.push_str(&entry(&flags.info(def.name)));
        }
    }
    out
}

fn entry(info: &FlagInfo) -> String {
    let quoted = |value: &str| match info.type_name {
        "string" => format!("\"{value}\""),
        _ => value.to_owned(),
    };
    let mut words = format!(
        "-{} ({}) type: {} default: {}",
        info.name,
        info.description,
        info.type_name,
        quoted(&info.default)
    );
    if info.changed {
        let _ = write!(words, " currently: {}", quoted(&info.current));
    }
    let mut out = String::from("   ");
    let mut column = out.len();
    for word in words.split(' ') {
        if column + 1 + word.len() >= COLUMNS {
            out.push_str("\n     ");
            column = 5;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push('\n');
    out
}

fn xml(program: &Program<'_>, tables: &[&'static FlagTable], flags: &Flags) -> String {
    let mut out = String::from("<?xml version=\"1.0\"?>\n<AllFlags>\n");
    let _ = writeln!(out, "<program>{}</program>", escape(program.name));
    let _ = writeln!(out, "<usage>{}</usage>", escape(program.usage));
    for table in tables {
        for def in table.flags {
            let info = flags.info(def.name);
            let _ = writeln!(
                out,
                "<flag><file>{}</file><name>{}</name><meaning>{}</meaning><default>{}</default>\
                 <current>{}</current><type>{}</type></flag>",
                escape(table.file),
                escape(info.name),
                escape(info.description),
                escape(&info.default),
                escape(&info.current),
                info.type_name
            );
        }
    }
    out.push_str("</AllFlags>\n");
    out
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}
