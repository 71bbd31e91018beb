//! Live jobs by id, in pages that are freed when all their jobs are done.

use crate::ids::JobId;
use crate::job::Job;

const PAGE: usize = 256;

struct Page {
    jobs: Vec<Job>,
    done: usize,
}

/// Jobs by id. Memory follows the live jobs, not all that ever were: ten million short jobs do not stay.
#[derive(Default)]
pub(crate) struct JobTable {
    pages: Vec<Option<Box<Page>>>,
    len: u32,
}

impl JobTable {
    /// Jobs that were ever pushed.
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Adds the job with the next id.
    pub fn push(&mut self, job: Job) -> JobId {
        let id = self.len;
        if id as usize % PAGE == 0 {
            self.pages.push(Some(Box::new(Page { jobs: Vec::with_capacity(PAGE), done: 0 })));
        }
        self.pages[id as usize / PAGE].as_mut().expect("the last page is open").jobs.push(job);
        self.len += 1;
        JobId(id)
    }

    /// The job, unless it is unknown or its page is gone.
    #[inline]
    pub fn get(&self, id: JobId) -> Option<&Job> {
        self.pages.get(id.index() / PAGE)?.as_ref()?.jobs.get(id.index() % PAGE)
    }

    #[inline]
    pub fn get_mut(&mut self, id: JobId) -> Option<&mut Job> {
        self.pages.get_mut(id.index() / PAGE)?.as_mut()?.jobs.get_mut(id.index() % PAGE)
    }

    /// Tells that a job is done and will not be asked for again.
    pub fn retire(&mut self, id: JobId) {
        let slot = &mut self.pages[id.index() / PAGE];
        let page = slot.as_mut().expect("retired once");
        page.done += 1;
        if page.done == PAGE {
            *slot = None;
        }
    }

    /// All jobs whose pages are still there.
    pub fn iter(&self) -> impl Iterator<Item = (JobId, &Job)> {
        let pages = self.pages.iter().enumerate().filter_map(|(p, page)| Some((p, page.as_ref()?)));
        pages.flat_map(|(p, page)| page.jobs.iter().enumerate().map(move |(i, job)| (JobId((p * PAGE + i) as u32), job)))
    }
}
