//! Counts the memory that operations hold while they are resolved: the bytes of the rows that they read, and of their responses.
//! Each byte counts against three limits:
//!
//! ```text
//!  request (a batch is one) ──► user, or network of anonymous callers ──► process
//! ```
//!
//! A request that exceeds its own limit fails with QUERY_TOO_COMPLEX. One that exceeds the limit of its user or of the process
//! fails with RATE_LIMITED; a retry may succeed after other requests have ended.

use std::{
    collections::HashMap,
    net::IpAddr,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use entity::UserId;

use crate::error::{Error, LimitExceeded, RequestLimit};

const MIB: usize = 1024 * 1024;

/// The maximum size of a request's responses, in bytes.
const MAX_RESPONSE_BYTES: usize = 8 * MIB;
/// The maximum size of the rows that a request reads, in bytes.
const MAX_READ_BYTES: usize = 16 * MIB;
/// The maximum number of bytes that the requests of one user, or of all anonymous callers of one network, hold at once.
const MAX_USER_BYTES: usize = 48 * MIB;
/// The maximum number of bytes that all requests hold at once.
const MAX_PROCESS_BYTES: usize = 128 * MIB;
/// The time after which a client may retry a request that exceeded the limit of its user or of the process.
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

    /// Acquires the bytes and returns true, unless they exceed the limit.
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

/// Whose requests share one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MemoryOwner {
    User(UserId),
    /// The network of anonymous callers.
    Network(IpAddr),
}

/// The pools of the process, and of its users and networks.
#[derive(Debug)]
pub struct Memory {
    process: Arc<Pool>,
    /// The pools by owner, and their number after the last sweep.
    users: Mutex<(HashMap<MemoryOwner, Weak<Pool>>, usize)>,
}

impl Default for Memory {
    fn default() -> Self {
        Self { process: Pool::new(MAX_PROCESS_BYTES), users: Mutex::default() }
    }
}

impl Memory {
    /// Starts to count the memory of a request.
    #[must_use]
    pub fn request(&self, owner: MemoryOwner) -> Arc<RequestMemory> {
        let mut users = self.users.lock().unwrap_or_else(PoisonError::into_inner);
        let (pools, after_last_sweep) = &mut *users;
        let user = pools.get(&owner).and_then(Weak::upgrade).unwrap_or_else(|| {
            let pool = Pool::new(MAX_USER_BYTES);
            pools.insert(owner, Arc::downgrade(&pool));
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
    /// The pool of the user or, for an anonymous caller, of the network.
    user: Arc<Pool>,
    process: Arc<Pool>,
    /// The bytes of the rows that were read.
    read: AtomicUsize,
    /// The bytes of the responses.
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
        self.acquire(&self.read, RequestLimit::BytesRead, MAX_READ_BYTES, bytes)
    }

    /// Counts bytes of the response.
    ///
    /// # Errors
    /// [`Error::LimitExceeded`] or [`Error::RateLimited`].
    pub(super) fn count_response(&self, bytes: usize) -> Result<(), Error> {
        self.acquire(&self.responded, RequestLimit::ResponseBytes, MAX_RESPONSE_BYTES, bytes)
    }

    /// Adds bytes to a counter of the request and to both pools, unless one of the three limits would be exceeded.
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
        let [first, second] = [UserId::generate(), UserId::generate()].map(MemoryOwner::User);
        let request = memory.request(first);
        let message = |result| match result {
            Err(Error::LimitExceeded(exceeded)) => exceeded.message(),
            other => panic!("{other:?}"),
        };
        assert!(request.count_response(MAX_RESPONSE_BYTES).is_ok());
        assert_eq!(
            message(request.count_response(1)),
            "Response size of at least 8388609 exceeds the maximum of 8388608 bytes."
        );
        assert!(request.count_read(MAX_READ_BYTES).is_ok());
        assert_eq!(
            message(request.count_read(1)),
            "Size of the data read of at least 16777217 exceeds the maximum of 16777216 bytes."
        );
        // Starts requests of a user until one is rejected. Each request reads the maximum number of bytes.
        let fill = |owner: MemoryOwner| {
            let requests = std::iter::repeat_with(|| memory.request(owner));
            requests
                .take_while(|request| request.count_read(MAX_READ_BYTES).is_ok())
                .take(100)
                .collect::<Vec<_>>()
        };
        let of_same_user = fill(first);
        assert_eq!(
            of_same_user.len(),
            (MAX_USER_BYTES - MAX_RESPONSE_BYTES - MAX_READ_BYTES) / MAX_READ_BYTES
        );
        assert!(matches!(memory.request(first).count_read(MAX_READ_BYTES), Err(Error::RateLimited { .. })));
        drop(request);
        assert!(memory.request(first).count_read(MAX_READ_BYTES).is_ok());
        let of_other_users: Vec<_> = (0..10).map(|_| fill(MemoryOwner::User(UserId::generate()))).collect();
        let held: usize = of_other_users.iter().map(Vec::len).sum::<usize>() + of_same_user.len();
        assert_eq!(held, MAX_PROCESS_BYTES / MAX_READ_BYTES, "all users together");
        drop((of_same_user, of_other_users));
        assert_eq!(fill(second).len(), MAX_USER_BYTES / MAX_READ_BYTES);
        for _ in 0..5 * SWEEP_EVERY {
            drop(memory.request(MemoryOwner::User(UserId::generate())));
        }
        assert!(memory.users.lock().unwrap().0.len() <= 2 * SWEEP_EVERY);
    }
}
