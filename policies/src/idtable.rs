//! Rows by job id, in pages that are freed when all their jobs are done.

use crate::ids::JobId;
use serde::{Deserialize, Deserializer, Serialize};

/// Some jobs stay much longer than most; each keeps a page.
const PAGE: usize = 32;
/// Pages that are kept for new rows when their own are gone: they are still in some cache.
const SPARE_MAX: usize = 256;

#[derive(Debug, Serialize, Deserialize)]
struct Page<T> {
    #[serde(deserialize_with = "rows_with_room", bound(deserialize = "T: Deserialize<'de>"))]
    rows: Vec<T>,
    retired: usize,
}

/// A row per job id. Memory follows the live jobs, not all that ever were: ten million short jobs do not stay.
#[derive(Debug, Serialize, Deserialize)]
#[serde(bound(deserialize = "T: Deserialize<'de>"))]
pub struct IdTable<T> {
    /// A page that is gone has no rows.
    pages: Vec<Page<T>>,
    /// Empty.
    #[serde(skip)]
    spare: Vec<Vec<T>>,
    len: u32,
}

impl<T: Clone> Clone for IdTable<T> {
    fn clone(&self) -> IdTable<T> {
        IdTable { pages: self.pages.clone(), spare: Vec::new(), len: self.len }
    }
}

impl<T: Clone> Clone for Page<T> {
    fn clone(&self) -> Page<T> {
        let mut rows = Vec::with_capacity(self.rows.capacity());
        rows.extend_from_slice(&self.rows);
        Page { rows, retired: self.retired }
    }
}

/// Rows of a page that is not gone, with room for all that it may have.
fn rows_with_room<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let mut rows = Vec::deserialize(deserializer)?;
    if !rows.is_empty() {
        rows.reserve_exact(PAGE.saturating_sub(rows.len()));
    }
    Ok(rows)
}

impl<T> Default for IdTable<T> {
    fn default() -> IdTable<T> {
        IdTable { pages: Vec::new(), spare: Vec::new(), len: 0 }
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
        self.push_with(|| row)
    }

    /// Adds the row with the next id, made in its place: large rows are not copied.
    #[inline]
    pub fn push_with(&mut self, row: impl FnOnce() -> T) -> JobId {
        let id = JobId(self.len);
        if id.index().is_multiple_of(PAGE) {
            self.add_page();
        }
        let rows = &mut self.pages[id.index() / PAGE].rows;
        // Said here, it spares the row a way out between its making and its place.
        assert!(rows.len() < rows.capacity(), "a page has room for its rows");
        rows.push(row());
        self.len += 1;
        id
    }

    #[cold]
    fn add_page(&mut self) {
        let rows = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(PAGE));
        self.pages.push(Page { rows, retired: 0 });
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
            self.free_page(id.index() / PAGE);
        }
    }

    #[cold]
    fn free_page(&mut self, page: usize) {
        let mut rows = std::mem::take(&mut self.pages[page].rows);
        rows.clear();
        if self.spare.len() < SPARE_MAX {
            self.spare.push(rows);
        }
    }

    /// All rows whose pages are still there, by id.
    pub fn iter(&self) -> impl Iterator<Item = (JobId, &T)> {
        let pages = self.pages.iter().enumerate();
        pages.flat_map(|(p, page)| page.rows.iter().enumerate().map(move |(i, row)| (JobId((p * PAGE + i) as u32), row)))
    }
}
