//! Writes the CRDs, one file each: `cargo run -p ironlb-api --example crds -- DIRECTORY`.

#![expect(clippy::disallowed_methods, reason = "a generator writes files; the rule is for the crate itself")]

mod render;

use std::path::PathBuf;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let directory = PathBuf::from(std::env::args_os().nth(1).context("name the directory to write to")?);
    for (name, text) in render::files()? {
        let path = directory.join(name);
        std::fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}
