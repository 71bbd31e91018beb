//! Rows by job id, in pages that are freed when all their jobs are done.

use crate::ids::JobId;

const PAGE: usize = 256;

#[derive(Clone, Debug)]
struct Page<T> {
    rows: Vec<T>,
    retired: usize,
}

/// A row per job id. Memory follows the live jobs, not all that ever were: ten million short jobs do not stay.
#[derive(Clone, Debug)]
pub struct IdTable<T> {
    /// A page that is gone has no rows.
    pages: Vec<Page<T>>,
    len: u32,
}

impl<T> Default for IdTable<T> {
    fn default() -> IdTable<T> {
        IdTable { pages: Vec::new(), len: 0 }
    }
}

impl<T> IdTable<T> {
    /// Rows that were ever pushed.
    #[inline]
    pub fn len(&self) -> u32 {
        self.len
    }

    /// Whether none was ever pushed.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Adds the row with the next id.
    #[inline]
    pub fn push(&mut self, row: T) -> JobId {
        let id = self.len;
        if (id as usize).is_multiple_of(PAGE) {
            self.pages.push(Page { rows: Vec::with_capacity(PAGE), retired: 0 });
        }
        self.pages[id as usize / PAGE].rows.push(row);
        self.len += 1;
        JobId(id)
    }

    /// The row, unless it is unknown or its page is gone.
    #[inline]
    pub fn get(&self, id: JobId) -> Option<&T> {
        self.pages.get(id.index() / PAGE)?.rows.get(id.index() % PAGE)
    }

    /// The row, unless it is unknown or its page is gone.
    #[inline]
    pub fn get_mut(&mut self, id: JobId) -> Option<&mut T> {
        self.pages.get_mut(id.index() / PAGE)?.rows.get_mut(id.index() % PAGE)
    }

    /// Tells that a row will not be asked for again. Call it once a row; the row stays readable until its page goes.
    #[inline]
    pub fn retire(&mut self, id: JobId) {
        let page = &mut self.pages[id.index() / PAGE];
        page.retired += 1;
        if page.retired == PAGE {
            page.rows = Vec::new();
        }
    }

    /// All rows whose pages are still there, by id.
    pub fn iter(&self) -> impl Iterator<Item = (JobId, &T)> {
        let pages = self.pages.iter().enumerate();
        pages.flat_map(|(p, page)| page.rows.iter().enumerate().map(move |(i, row)| (JobId((p * PAGE + i) as u32), row)))
    }
}
