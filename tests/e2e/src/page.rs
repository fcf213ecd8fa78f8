//! The commands of a page of `docs/`, to be run as a reader copies them.

use anyhow::{Context, Result};

use crate::release::checkout;

/// A page.
#[derive(Debug)]
pub struct Page(String);

impl Page {
    /// A page by its path in the checkout.
    ///
    /// # Errors
    /// It cannot be read.
    pub fn read(path: &str) -> Result<Self> {
        let file = checkout(path);
        Ok(Self(std::fs::read_to_string(&file).with_context(|| file.display().to_string())?))
    }

    /// The first block of shell behind a piece of its text.
    ///
    /// # Errors
    /// The page has no such text, or no block behind it.
    pub fn shell_behind(&self, text: &str) -> Result<&str> {
        let (_, behind) = self.0.split_once(text).with_context(|| format!("the page does not say {text:?}"))?;
        let (_, block) = behind.split_once("```sh\n").with_context(|| format!("no shell behind {text:?}"))?;
        let (block, _) = block.split_once("```").with_context(|| format!("no end of the shell behind {text:?}"))?;
        Ok(block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_is_found_behind_a_text() {
        let page = Page("One:\n\n```sh\na\nb\n```\n\nTwo:\n\n```text\nx\n```\n```sh\nc\n```\n".to_owned());
        assert_eq!(page.shell_behind("One").unwrap(), "a\nb\n");
        assert_eq!(page.shell_behind("Two").unwrap(), "c\n");
        assert!(page.shell_behind("Three").is_err() && Page(String::new()).shell_behind("").is_err());
    }
}
