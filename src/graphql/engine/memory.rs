//! Counts the memory that operations hold while they are resolved: the bytes of the rows that they read, and of their responses.
//! Each byte counts against three limits:
//!
//! ```text
//!  request (a batch is one) ──► user, or network of anonymous callers ──► process
//! ```
//!
//! A request that exceeds its own limit fails with QUERY_TOO_COMPLEX. One that exceeds the limit of its user or of the process
//! fails with RATE_LIMITED, and may succeed once other requests have ended.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::error::{Error, LimitExceeded, RequestLimit};

const MIB: usize = 1024 * 1024;

/// The maximum bytes of a request's responses.
const RESPONSE: usize = 8 * MIB;
/// The maximum bytes of the rows that a request reads.
const READ: usize = 16 * MIB;
/// The maximum bytes that the requests of one user, or of all anonymous callers of one network, hold at once.
const USER: usize = 48 * MIB;
/// The maximum bytes that all requests hold at once.
const PROCESS: usize = 128 * MIB;
/// When to retry a request that exceeded the limit of its user or of the process.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// Unused pools are dropped once there are this many more pools than after the last sweep.
const SWEEP_EVERY: usize = 1000;

/// A limited number of bytes, which requests acquire and release.
#[derive(Debug)]
struct Pool {
    limit: usize,
    held: AtomicUsize,
}

impl Pool {
    fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self { limit, held: AtomicUsize::new(0) })
    }

    fn try_acquire(&self, bytes: usize) -> bool {
        let is_within = self.held.fetch_add(bytes, Ordering::Relaxed) + bytes <= self.limit;
        if !is_within {
            self.release(bytes);
        }
        is_within
    }

    fn release(&self, bytes: usize) {
        self.held.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// The pools of a process.
#[derive(Debug)]
pub struct Memory {
    process: Arc<Pool>,
    /// The pools of users and networks, and their number after the last sweep.
    users: Mutex<(HashMap<String, Weak<Pool>>, usize)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { process: Pool::new(PROCESS), users: Mutex::default() }
    }
}

impl Memory {
    /// Starts to count the memory of a request. Its owner is the user or, for an anonymous caller, the network.
    #[must_use]
    pub fn request(&self, owner: &str) -> Arc<RequestMemory> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let (pools, after_last_sweep) = &mut *users;
        let user = pools.get(owner).and_then(Weak::upgrade).unwrap_or_else(|| {
            let pool = Pool::new(USER);
            pools.insert(owner.to_owned(), Arc::downgrade(&pool));
            pool
        });
        if pools.len() > *after_last_sweep + SWEEP_EVERY {
            pools.retain(|_, pool| pool.strong_count() > 0);
            *after_last_sweep = pools.len();
        }
        RequestMemory::new(user, self.process.clone())
    }
}

/// The memory that one request holds.
#[derive(Debug)]
pub struct RequestMemory {
    user: Arc<Pool>,
    process: Arc<Pool>,
    read: AtomicUsize,
    responded: AtomicUsize,
}

impl RequestMemory {
    fn new(user: Arc<Pool>, process: Arc<Pool>) -> Arc<Self> {
        Arc::new(Self { user, process, read: AtomicUsize::new(0), responded: AtomicUsize::new(0) })
    }

    /// Starts to count the memory of another request by the same user.
    #[must_use]
    pub fn for_another_request(&self) -> Arc<Self> {
        Self::new(self.user.clone(), self.process.clone())
    }

    /// Counts the bytes of a row that has been read.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] or [`Error::RateLimited`].
    pub fn count_read(&self, bytes: usize) -> Result<(), Error> {
        self.acquire(&self.read, RequestLimit::BytesRead, READ, bytes)
    }

    /// Counts bytes of the response.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] or [`Error::RateLimited`].
    pub(super) fn count_response(&self, bytes: usize) -> Result<(), Error> {
        self.acquire(&self.responded, RequestLimit::ResponseBytes, RESPONSE, bytes)
    }

    fn acquire(
        &self,
        counter: &AtomicUsize,
        limit: RequestLimit,
        max: usize,
        bytes: usize,
    ) -> Result<(), Error> {
        let count = counter.load(Ordering::Relaxed).saturating_add(bytes);
        if count > max {
            return Err(Error::LimitExceeded(LimitExceeded { limit, count, max }));
        }
        if !self.user.try_acquire(bytes) {
            return Err(Error::rate_limited(RETRY_AFTER));
        }
        if !self.process.try_acquire(bytes) {
            self.user.release(bytes);
            return Err(Error::rate_limited(RETRY_AFTER));
        }
        counter.fetch_add(bytes, Ordering::Relaxed);
        Ok(())
    }

    /// Releases all bytes. Call it when the rows and the response have been dropped.
    pub fn clear(&self) {
        let held = self.read.swap(0, Ordering::Relaxed) + self.responded.swap(0, Ordering::Relaxed);
        self.user.release(held);
        self.process.release(held);
    }
}

impl Drop for RequestMemory {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_request_a_user_and_the_process_is_limited_and_given_back() {
        let memory = Memory::default();
        let one = memory.request("a");
        let message = |result| match result {
            Err(Error::LimitExceeded(exceeded)) => exceeded.message(),
            other => panic!("{other:?}"),
        };
        assert!(one.count_response(RESPONSE).is_ok());
        assert_eq!(
            message(one.count_response(1)),
            "Response size of at least 8388609 exceeds the maximum of 8388608 bytes."
        );
        assert!(one.count_read(READ).is_ok());
        assert_eq!(
            message(one.count_read(1)),
            "Size of the data read of at least 16777217 exceeds the maximum of 16777216 bytes."
        );
        let full = |owner: &str| {
            let requests = std::iter::repeat_with(|| memory.request(owner));
            requests.take_while(|request| request.count_read(READ).is_ok()).take(100).collect::<Vec<_>>()
        };
        let others = full("a");
        assert_eq!(others.len(), (USER - RESPONSE - READ) / READ);
        assert!(matches!(memory.request("a").count_read(READ), Err(Error::RateLimited { .. })));
        drop(one);
        assert!(memory.request("a").count_read(READ).is_ok());
        let of_others: Vec<_> = (0..10).map(|user| full(&user.to_string())).collect();
        let held: usize = of_others.iter().map(Vec::len).sum::<usize>() + others.len();
        assert_eq!(held, PROCESS / READ, "all users together");
        drop((others, of_others));
        assert_eq!(full("b").len(), USER / READ);
        for user in 0..5 * SWEEP_EVERY {
            drop(memory.request(&user.to_string()));
        }
        assert!(memory.users.lock().unwrap().0.len() <= 2 * SWEEP_EVERY);
    }
}
