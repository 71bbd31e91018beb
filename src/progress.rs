//! Progress bars: on stderr, and only on a terminal.

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;

/// Bars for several runs side by side.
pub struct Bars(MultiProgress);

impl Bars {
    /// Hidden unless stderr is a terminal.
    pub fn new() -> Bars {
        let visible = std::io::stderr().is_terminal();
        Bars(MultiProgress::with_draw_target(if visible { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() }))
    }

    /// A bar over `jobs` jobs.
    pub fn add(&self, name: &str, jobs: u64) -> ProgressBar {
        let style = ProgressStyle::with_template("{prefix:24!} {bar:32} {pos}/{len} jobs {elapsed_precise} eta {eta}")
            .expect("the template is well formed");
        self.0.add(ProgressBar::new(jobs).with_style(style).with_prefix(name.to_owned()))
    }
}
