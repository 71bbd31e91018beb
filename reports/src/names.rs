//! The trace's names of jobs, packed: ten million of them fit.

use policies::JobId;

#[derive(Clone, Debug, Default)]
pub(crate) struct Names {
    text: String,
    ends: Vec<usize>,
}

impl Names {
    pub fn push(&mut self, name: &str) {
        self.text.push_str(name);
        self.ends.push(self.text.len());
    }

    pub fn get(&self, job: JobId) -> Option<&str> {
        let end = *self.ends.get(job.index())?;
        let start = if job.0 == 0 { 0 } else { self.ends[job.index() - 1] };
        Some(&self.text[start..end])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_come_back() {
        let mut names = Names::default();
        ["a", "", "long name"].into_iter().for_each(|n| names.push(n));
        assert_eq!([0, 1, 2, 3].map(|i| names.get(JobId(i))), [Some("a"), Some(""), Some("long name"), None]);
    }
}
