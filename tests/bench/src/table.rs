//! The lines of the table that `make bench` closes with: what, measured, bar, kept or not.

use std::fs::OpenOptions;
use std::io::Write;

/// Names the file to which every line is also appended, with tabs between its columns.
const FILE: &str = "IRONLB_BENCH_TABLE";

/// Prints one line of the table and returns whether the bar is kept.
///
/// # Panics
/// When the file that is asked for cannot be written.
pub fn row(what: &str, measured: &str, bar: &str, kept: bool) -> bool {
    let verdict = if kept { "ok" } else { "OVER" };
    println!("  {what:<72} {measured:>24}  bar {bar:<16} {verdict}");
    if let Some(path) = std::env::var_os(FILE) {
        let line = format!("{what}\t{measured}\t{bar}\t{verdict}\n");
        let opened = OpenOptions::new().append(true).create(true).open(path);
        opened.and_then(|mut file| file.write_all(line.as_bytes())).expect("the file of the table can be written");
    }
    kept
}
